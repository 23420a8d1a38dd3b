"""``cki-notifier dead-letters``: what an operator does with the dead-letter queue.

Nothing in here puts a notification there: that is ``rabbitmq/republish.py``.

``letter`` is what lies there, ``visit`` goes through the queue once, ``view`` shows, ``progress``
tells how far it is, ``arguments`` and ``command`` are the command line.
"""
