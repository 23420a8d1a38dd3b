"""``cki-notifier audit``: what should have been announced, and was not.

The warehouse knows which checkouts reached which stage, the topic knows what was announced; the
audit compares the two. It only reads, unless it is asked to send what is missing.
"""
