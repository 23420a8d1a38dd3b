"""Decides which notification leads to a message, and of which stage: filters and routes.

Pure decisions about loaded documents. Nothing in here loads documents or builds messages.
"""
