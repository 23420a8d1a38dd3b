"""The HTTP port: metrics, probes and the status page.

It shows what ``telemetry/`` remembers. Nothing is counted or decided in here.

``website`` puts it together and knows what each address shows, ``server`` takes the port and
``request`` reads requests. ``health`` knows whether the process lives and is ready, ``watch`` how
much waits in the queues, ``neighbours`` how it is with those we talk to; ``verdict`` alone decides
from that what is a problem. ``status``, ``waiting``, ``checkout`` and ``letters`` are the pages,
written with ``rows`` and ``markup``; ``metrics`` writes for Prometheus.
"""
