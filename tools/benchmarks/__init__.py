"""What the daemon costs and how fast it is, measured on real brokers; not installed."""
