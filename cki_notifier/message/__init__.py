"""The ``ready-for-test`` message: its contract, its construction, and its Kafka record.

Pure: other packages load the documents, decide, and publish.
"""
