"""``cki-notifier dead-letters``: list, show, retry and discard dead letters.

``rabbitmq/republish.py`` puts notifications into the dead-letter queue. Here, ``letter`` is a dead
letter, and ``visit`` and ``walk`` read the queue once. ``view`` and ``report`` are the output,
``arguments`` and ``command`` the command line. ``reading`` is for the status page.
"""
