"""Spreads work over threads and time: lanes, deadlines, gates for services that are down.

This room knows nothing of the work itself: no notification, no service, no rule.
"""
