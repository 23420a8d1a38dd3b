"""``cki-notifier audit``: finds lost messages, which are missing from the topic.

DataWarehouse knows the stages that checkouts reached, the topic has the messages. The audit
compares the two. It only reads, unless ``--send`` publishes the missing messages.
"""
