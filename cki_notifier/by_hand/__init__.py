"""Manual runs: one checkout or one notification, by the daemon's own rules.

``run`` handles a checkout or a notification's body, within a minute. ``send`` is shared with the
audit, ``arguments`` are the command line's.
"""
