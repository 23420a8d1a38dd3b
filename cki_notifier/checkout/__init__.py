"""What the warehouse says of a checkout: its documents, the addresses in them, the triage.

Pure functions and types. In here nothing is asked, decided or sent, and nothing of ours imported.
"""
