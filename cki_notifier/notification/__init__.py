"""Notifications and their outcomes: values, reason codes, errors, and the parser.

Every other room uses these. No I/O, and no rules: those are in ``rules/``.
"""
