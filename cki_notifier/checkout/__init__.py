"""A checkout in DataWarehouse: its documents, the addresses in them, the triage.

Pure functions and types, without requests or decisions. Imports from no other room.
"""
