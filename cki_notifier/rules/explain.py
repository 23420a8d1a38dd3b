"""Explains a decision rule by rule, for people and programs."""

from typing import Literal

from msgspec import Raw, Struct

from cki_notifier.notification.models import Stage
from cki_notifier.notification.reasons import IgnoreReason


class Step(Struct, frozen=True, gc=False):
    """An applied rule: what it saw, and whether it stopped the notification."""

    rule: str
    saw: str
    result: Literal["pass", "stop"]


class Trail:
    """Collects the steps of one decision, or nothing where nobody wants them."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.wanted = wanted
        self.steps: list[Step] = []

    def note(self, rule: str, saw: str, *, stops: bool = False) -> None:
        """Add a step, if the trail is wanted."""
        if self.wanted:
            self.steps.append(Step(rule, saw, "stop" if stops else "pass"))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return a row for each rule in order, and a last one for all that were not reached."""
        rows: list[tuple[str, str, str]] = [
            (step.result, step.rule, step.saw) for step in self.steps
        ]
        missing = self.missing()
        if missing and self.has_stopped:
            rows.append(("", "not looked at", ", ".join(missing)))
        return rows

    @property
    def has_stopped(self) -> bool:
        """Whether a rule stopped the notification."""
        return bool(self.steps) and self.steps[-1].result == "stop"

    def missing(self) -> list[IgnoreReason]:
        """Return the rules without a step."""
        seen = {step.rule for step in self.steps}
        return [reason for reason in IgnoreReason if reason not in seen]


class ExplainedReason(Struct, frozen=True):
    """A reason code and the sentence that explains it."""

    code: str
    sentence: str


class Explanation(Struct, frozen=True, kw_only=True):
    """One decision for programs, as JSON. Fields are only ever added.

    Attributes:
        checkout_id, status: as given; ``""`` if a body has none.
        outcome: what a daemon would do: ``sent`` to Kafka, ``ignored``, or ``failed``: undecided.
        reason: of an ignored notification, or one that can never lead to a message.
        stage: of the message.
        steps: the applied rules in order.
        not_looked_at: the rules that were not reached.
        message: as it would be sent.
        error: the cause of a failure.
    """

    checkout_id: str
    status: str
    outcome: Literal["sent", "ignored", "failed"]
    reason: ExplainedReason | None = None
    stage: Stage | None = None
    steps: tuple[Step, ...]
    not_looked_at: tuple[str, ...] = ()
    message: Raw | None = None
    error: str | None = None


#: For decisions without an explanation.
SILENT = Trail(wanted=False)
