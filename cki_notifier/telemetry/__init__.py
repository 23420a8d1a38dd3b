"""What the process remembers and tells of itself: metrics, outcomes, log, Sentry, the terminal.

It is told what happened. It decides nothing about a notification, and asks no service.
"""
