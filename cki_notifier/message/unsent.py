"""Stands where Kafka would be: for environments in which nothing is sent, and for dry runs."""

from cki_notifier.kafka.publish import Record
from cki_notifier.telemetry.terminal import show_message
from cki_notifier.workers.deadline import Deadline


class Shown:
    """Stands where Kafka would be: prints each message to standard output and sends nothing."""

    def publish(self, record: Record, _deadline: Deadline) -> None:
        """Print the record's value."""
        show_message(record.value)


class Unsent:
    """Stands where Kafka would be in a manual run that shows its message itself."""

    def publish(self, _record: Record, _deadline: Deadline) -> None:
        """Send nothing."""
