"""The edge to Kafka: the client's settings, and records that are sent and confirmed.

The only room that imports confluent_kafka, in ``client.py``. It does not know what a record says.
"""
