"""The HTTP port: metrics, probes and the status page.

It shows what ``telemetry/`` remembers. Nothing is counted or decided in here.

``website`` puts it together, ``server`` takes the port, ``handler`` reads requests and ``routes``
answers them. ``health`` knows whether the process lives and is ready, ``queue_lengths`` how much
waits in the queues, ``neighbours`` how it is with those we talk to; ``verdict`` alone decides from
that what is a problem. ``status``, ``checkout`` and ``letters`` gather what ``page`` and the other
``…_page`` modules show, and ``metrics`` writes for Prometheus.
"""
