"""The edge to Kafka: client settings, publishing records, and reading the topic.

Only ``client.py`` imports confluent_kafka. This package does not interpret the messages.
"""
