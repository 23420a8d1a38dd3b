"""Which notification is announced, and at which stage: the tables of filters and routes.

Pure decisions about what was loaded. Nothing is loaded in here, and no message is built.
"""
