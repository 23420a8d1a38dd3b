"""Publishes a Kafka message when a CKI kernel is ready for outside labs to test."""

__version__ = "0.1.0"
