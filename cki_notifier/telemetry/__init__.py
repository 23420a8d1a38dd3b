"""Metrics, outcomes, log, Sentry and terminal: the process's reports about itself.

Other modules report events to this one. It decides nothing about notifications and asks no service.
"""
