"""The HTTP port: metrics, probes and the status page.

It shows what ``telemetry/`` remembers. Nothing is counted or decided in here.

``website`` puts it together, ``server`` takes the port, ``handler`` reads requests and ``routes``
answers them; ``health`` knows whether the process lives and is ready, ``queue_lengths`` how much
waits in the queues, ``metrics`` writes for Prometheus, ``status`` gathers what ``page`` shows.
"""
