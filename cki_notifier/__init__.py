"""Tells outside testers over Kafka that a CKI kernel is ready for their tests."""

__version__ = "0.1.0"
