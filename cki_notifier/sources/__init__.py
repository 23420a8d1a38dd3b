"""The services that facts come from: DataWarehouse, GitLab, Jira.

In here alone is an endpoint known. What an answer says becomes a value of ours; what follows from
it is decided in ``rules/``.
"""
