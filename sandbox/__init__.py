"""Real brokers and stand-in services for the demo, the tests and the benchmarks; not installed."""
