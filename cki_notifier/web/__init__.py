"""The HTTP port: metrics, probes and the status page.

It shows the memory of ``telemetry/``. It counts and decides nothing about notifications.

``website`` maps addresses to answers, ``server`` holds the port, ``request`` parses requests.
``health`` answers the probes, ``watch`` asks RabbitMQ for queue lengths and alarms, ``neighbours``
holds the state of the connections. From these, ``verdict`` alone decides which problems there are.
``status``, ``waiting``, ``checkout`` and ``letters`` are the pages, written with ``rows`` and
``markup``. ``metrics`` writes for Prometheus.
"""
