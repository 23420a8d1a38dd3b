"""What developers run: the demo, benchmarks, documentation, supply chain, and all that these need.

Real brokers, stand-ins for the services, the daemon as a process. The tests use them too; the
product imports nothing of it, and none of it is installed.
"""
