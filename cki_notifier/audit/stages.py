"""Stages that checkouts reached, and the audit's verdicts about them."""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from cki_notifier.checkout.documents import Checkout
from cki_notifier.notification.models import Notification, Stage, Status
from cki_notifier.notification.parse import event_id

#: The status of DataWarehouse's notification about a stage.
STATUS = {
    Stage.PRE_TEST: Status.BUILD_SETUPS_FINISHED,
    Stage.POST_TEST: Status.READY_TO_REPORT,
}


class Due(Struct, frozen=True):
    """A stage that a checkout reached, for which a message was due."""

    checkout_id: str
    stage: Stage

    def notification(self) -> Notification:
        """Return DataWarehouse's notification, with the same event id in each audit."""
        return Notification(
            event_id=event_id(f"audit\0{self.checkout_id}\0{self.stage}".encode()),
            checkout_id=self.checkout_id,
            object_type="checkout",
            status=STATUS[self.stage].value,
        )


class Verdict(StrEnum):
    """The lists of the report, by their JSON names."""

    ANNOUNCED = "announced"
    IGNORED = "ignored"
    MISSING = "missing"
    IGNORED_NOW = "ignored_now"
    UNDECIDED = "undecided"
    WAITING = "waiting"


class Judged(Struct, frozen=True, omit_defaults=True):
    """The verdict about a stage, and why.

    Attributes:
        reason: the code of the rule that ignores it, or where it waits; ``""`` otherwise.
        error: why the audit could not decide; ``""`` otherwise.
        merge_request: its address, ``""`` if unknown.
    """

    due: Due
    verdict: Verdict
    reason: str = ""
    error: str = ""
    merge_request: str = ""


def reached(checkout: Checkout) -> Iterator[Due]:
    """Yield the stages that a checkout's flags say it reached."""
    misc = checkout.misc
    if misc is None:
        return
    if misc.notification_sent_build_setups_finished is True:
        yield Due(checkout.id, Stage.PRE_TEST)
    if misc.ready_to_report is True:
        yield Due(checkout.id, Stage.POST_TEST)
