"""A notification and what can become of it: values, reason codes, errors, how a body is read.

The words that every other room uses. No I/O, no rules: those are in ``rules/``.
"""
