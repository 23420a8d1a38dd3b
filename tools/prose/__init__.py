"""Checks the words: pages, docstrings, comments, messages and alerts; ``python -m tools.prose``.

textlint does the work, with the glossary in ``terms.yaml`` and one rule of our own (``style.js``).
"""
