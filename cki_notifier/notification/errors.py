"""The errors of a notification, named for what happens to it then.

::

    NotifierError
    ├── Invalid              no message is possible: dead-lettered at once, with its reason
    │   ├── Malformed            the body is not a valid notification (``malformed``)
    │   ├── InvalidDocument      a service's document has invalid fields (``invalid-document``)
    │   └── TooLarge             the Kafka broker refuses the message's size (``too-large``)
    ├── NotFound             perhaps not there yet: delayed, then dead-lettered (``not-found``)
    ├── Unavailable          not now: delayed, finally dead-lettered (``retries-exhausted``)
    │   ├── DeliveryUnknown      Kafka may have the message: as Unavailable, with the same ``ce_id``
    │   └── Refused              about an optional part: the message is sent without it
    ├── Interrupted          the process stops: not settled, so RabbitMQ redelivers
    └── ConfigurationError   nothing started: the command ends with exit code 2

Only :mod:`cki_notifier.rabbitmq.retries` decides from these what happens to a notification.
"""

from typing import ClassVar

from cki_notifier.notification.reasons import DeadLetterReason


class NotifierError(Exception):
    """Base of all errors that this project raises on purpose."""


class Invalid(NotifierError):
    """No retry can help: the notification is dead-lettered."""

    reason: ClassVar[DeadLetterReason]


class Malformed(Invalid):
    """The body is not a valid notification: dead-lettered as ``malformed``."""

    reason = DeadLetterReason.MALFORMED


class InvalidDocument(Invalid):
    """A service's document has invalid fields: dead-lettered as ``invalid-document``."""

    reason = DeadLetterReason.INVALID_DOCUMENT


class TooLarge(Invalid):
    """The broker refuses the message's size: dead-lettered as ``too-large``."""

    reason = DeadLetterReason.TOO_LARGE


class NotFound(NotifierError):
    """A service does not know the object: delayed, finally dead-lettered as ``not-found``."""


class Unavailable(NotifierError):
    """A service can't answer now: the notification is delayed.

    Attributes:
        service: its name, as in the metrics' labels.
        host: tells several services of one name apart.
        hiccup: whether an immediate retry may help.
        retry_after: seconds until the retry that the service asked for, 0 for none.
        held: whether the notification was only held back, and nothing is wrong with its own
            requests. It is then retried soon, each time.
    """

    def __init__(  # noqa: PLR0913  # all but two by name
        self,
        service: str,
        text: str,
        *,
        hiccup: bool = False,
        retry_after: float = 0.0,
        held: bool = False,
        host: str = "",
    ) -> None:
        super().__init__(f"{service}: {text}")
        self.service = service
        self.host = host
        self.hiccup = hiccup
        self.retry_after = retry_after
        self.held = held


class DeliveryUnknown(Unavailable):
    """Kafka did not confirm the message, but may have it: retried with the same id."""


class Refused(Unavailable):
    """A service refuses an optional part of the message, now and on a retry."""


class Interrupted(NotifierError):
    """The process stops before the work is done: the notification stays unsettled."""


class ConfigurationError(NotifierError):
    """The configuration is faulty: nothing starts, and the exit code is 2.

    Attributes:
        faults: one sentence for each fault, each naming its variable.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
