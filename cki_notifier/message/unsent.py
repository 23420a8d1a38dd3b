"""Replacements of the Kafka publisher, for environments without Kafka and for dry runs."""

from cki_notifier.kafka.publish import Record
from cki_notifier.telemetry.terminal import show_message
from cki_notifier.workers.deadline import Deadline


class Shown:
    """Prints each message to standard output instead of publishing it."""

    def publish(self, record: Record, _deadline: Deadline) -> None:
        """Print the record's value."""
        show_message(record.value)


class Unsent:
    """Publishes nothing, for a manual run that shows the message itself."""

    def publish(self, _record: Record, _deadline: Deadline) -> None:
        """Publish nothing."""
