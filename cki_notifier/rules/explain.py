"""Why a checkout was announced or not, rule by rule, for the person or the program that asks."""

from typing import Literal

from msgspec import Raw, Struct

from cki_notifier.notification.models import Stage
from cki_notifier.notification.reasons import IgnoreReason


class Step(Struct, frozen=True, gc=False):
    """A rule that was applied: what it saw, and whether it was the last one."""

    rule: str
    saw: str
    result: Literal["pass", "stop"]


class Trail:
    """Collects the steps of one decision; the daemon's own collects nothing and costs nothing."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.wanted = wanted
        self.steps: list[Step] = []

    def note(self, rule: str, saw: str, *, stops: bool = False) -> None:
        """Add a step, when somebody wants to see it."""
        if self.wanted:
            self.steps.append(Step(rule, saw, "stop" if stops else "pass"))

    def rows(self) -> list[tuple[str, str, str]]:
        """Return a row for each rule in order; those that were not reached share the last one."""
        rows: list[tuple[str, str, str]] = [
            (step.result, step.rule, step.saw) for step in self.steps
        ]
        missing = self.missing()
        if missing and self.has_stopped:
            rows.append(("", "not looked at", ", ".join(missing)))
        return rows

    @property
    def has_stopped(self) -> bool:
        """Whether a rule was the last one."""
        return bool(self.steps) and self.steps[-1].result == "stop"

    def missing(self) -> list[IgnoreReason]:
        """Return the rules that no step is about."""
        seen = {step.rule for step in self.steps}
        return [reason for reason in IgnoreReason if reason not in seen]


class ExplainedReason(Struct, frozen=True):
    """A reason code and the sentence that explains it."""

    code: str
    sentence: str


class Explanation(Struct, frozen=True, kw_only=True):
    """All there is to say of one decision, as it is shown to programs; it grows only by additions.

    Attributes:
        checkout_id: as it was asked for; ``""``, as the status, where a body tells none.
        outcome: what a daemon would do: ``sent`` to Kafka, ``ignored``, or ``failed``: not decided.
        reason: why it is ignored, or why it can never be sent.
        stage: of the message.
        steps: the rules that were applied, in their order.
        not_looked_at: the rules that were not reached, because one before ignored it or it failed.
        message: what would be sent.
        error: what failed.
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


#: For those who want no explanation.
SILENT = Trail(wanted=False)
