"""Clients of DataWarehouse, GitLab and Jira.

Only this room knows their endpoints. It turns answers into values; ``rules/`` decides about them.
"""
