"""What can go wrong with a notification, named for what is then done with it.

::

    NotifierError
    ├── Invalid              never to be sent: dead-lettered at once, with its reason
    │   ├── Malformed            the notification can't be read (``malformed``)
    │   ├── InvalidDocument      a service's document can't be used (``invalid-document``)
    │   └── TooLarge             Kafka's broker will not take the message (``too-large``)
    ├── NotFound             perhaps not there yet: delayed, then dead-lettered (``not-found``)
    ├── Unavailable          not now: delayed, at the very end dead-lettered (``retries-exhausted``)
    │   ├── DeliveryUnknown      Kafka may have the message or not: as Unavailable, same ``ce_id``
    │   └── Refused              what a message can do without: it goes out without
    ├── Interrupted          the process is stopping: not settled, so the broker hands it out again
    └── ConfigurationError   nothing was started: the command ends with exit code 2

:mod:`cki_notifier.rabbitmq.retries` is the one place that turns these into what happens to a
notification.
"""

from typing import ClassVar

from cki_notifier.notification.reasons import DeadLetterReason


class NotifierError(Exception):
    """Everything this project raises on purpose."""


class Invalid(NotifierError):
    """It can never be sent, however often it is tried: the notification is dead-lettered."""

    reason: ClassVar[DeadLetterReason]


class Malformed(Invalid):
    """The body is no notification: dead-lettered as ``malformed``."""

    reason = DeadLetterReason.MALFORMED


class InvalidDocument(Invalid):
    """A service answered a document we can't use: dead-lettered as ``invalid-document``."""

    reason = DeadLetterReason.INVALID_DOCUMENT


class TooLarge(Invalid):
    """The broker refused the message for its size: dead-lettered as ``too-large``."""

    reason = DeadLetterReason.TOO_LARGE


class NotFound(NotifierError):
    """A service does not know the object (yet): delayed, at last dead-lettered as ``not-found``."""


class Unavailable(NotifierError):
    """A service can't answer now: the notification is delayed and nothing is lost.

    Attributes:
        service: who is unavailable, as in the metrics' labels.
        host: which of them, where there are several.
        hiccup: whether trying again at once may help.
        retry_after: the seconds the service asked us to wait, 0 when it did not.
        held: whether the notification was only held back, and nothing is known to be wrong with
            what it asks for: then it is tried again soon, however often that happens.
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
    """Kafka did not confirm the message, but may have it: delayed, and sent with the same id."""


class Refused(Unavailable):
    """A service does not let us have what a message can do without, and will not the next time."""


class Interrupted(NotifierError):
    """The process is stopping before the work is done: the notification is left unsettled."""


class ConfigurationError(NotifierError):
    """The configuration is faulty: nothing is started, exit code 2.

    Attributes:
        faults: one sentence for each fault, each naming its variable.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults
