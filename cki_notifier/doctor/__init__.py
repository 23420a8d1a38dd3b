"""``cki-notifier doctor``: checks everything that the daemon needs, and changes nothing.

The checks send the daemon's own requests, with its own clients. The daemon uses nothing in here.

``check`` defines checks and findings, and runs the checks. The checks are in ``configuration``,
``rabbitmq`` with ``queues`` and ``policies``, ``kafka``, and ``services`` with ``gitlab``, ``jira``
and ``web``. ``arguments``, ``report`` and ``command`` are the command line.
"""
