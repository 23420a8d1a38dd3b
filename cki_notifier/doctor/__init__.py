"""``cki-notifier doctor``: is everything as the daemon needs it? Asks, and changes nothing.

It asks what the daemon asks, by the daemon's own edges. Nothing in here is used by the daemon.

``finding`` is what a check found, and ``examine`` runs the checks side by side. What is looked at:
``configuration``; ``rabbitmq`` with its ``nodes``, its ``exchange``, the ``main_queue`` and those
beside it (``retry_queues``), their ``policies``, asked of RabbitMQ's ``management``; ``kafka``,
asked by ``cluster``; ``services`` and ``gitlab``, asked by ``web``. ``arguments``, ``report`` and
``command`` are the command line.
"""
