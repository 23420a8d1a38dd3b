"""Why a checkout was announced or not, rule by rule, for the person who asks."""

from msgspec import Struct

from cki_notifier.reasons import IgnoreReason


class Step(Struct, frozen=True):
    """A rule that was applied: what it saw, and whether it was the last one."""

    rule: str
    saw: str
    stops: bool


class Trail:
    """Collects the steps of one decision; the daemon's own collects nothing and costs nothing."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.wanted = wanted
        self.steps: list[Step] = []

    def note(self, rule: str, saw: str, *, stops: bool = False) -> None:
        """Add a step, when somebody wants to see it."""
        if self.wanted:
            self.steps.append(Step(rule, saw, stops))

    def lines(self) -> list[str]:
        """Return a line for each rule in order, those that were not reached at the end."""
        shown = [
            f"{'stop' if step.stops else 'pass'}  {step.rule:<20}  {step.saw}"
            for step in self.steps
        ]
        seen = {step.rule for step in self.steps}
        missing = [reason for reason in IgnoreReason if reason not in seen]
        if missing and self.steps and self.steps[-1].stops:
            shown.append(f"      not looked at: {', '.join(missing)}")
        return shown


#: For those who want no explanation.
SILENT = Trail(wanted=False)
