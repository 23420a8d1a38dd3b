"""The configuration, read once and checked. Nothing else reads the environment.

This package knows the variables and their values. The packages that use a value act on it.
"""
