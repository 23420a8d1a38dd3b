"""``cki-notifier doctor``: is everything as the daemon needs it? Asks, and changes nothing.

It asks what the daemon asks, by the daemon's own edges. Nothing in here is used by the daemon.

``check`` has what a check is and finds, and runs all of them. What is looked at: ``configuration``;
``rabbitmq`` with its ``queues`` and their ``policies``; ``kafka``; ``services`` with ``gitlab`` and
``jira``, asked by ``web``. ``arguments``, ``report`` and ``command`` are the command line.
"""
