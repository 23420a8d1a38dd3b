"""The benchmark: measure the daemon's cost and speed with real brokers; not installed."""
