"""``cki-notifier doctor``: is everything as the daemon needs it? Asks, and changes nothing.

``finding`` is what a check found, and ``examine`` runs the checks side by side. What is looked at:
``configuration``; ``rabbitmq`` with its ``nodes``, its ``exchange``, the ``main_queue`` and those
beside it (``parking``); ``kafka``, asked by ``cluster``; ``services`` and ``gitlab``, asked by
``web``. ``arguments``, ``report`` and ``command`` are the command line.
"""
