"""An audit's report as text and JSON: sums first, then the missing messages.

Results are stored outside the memory, so a long audit needs no more of it.
"""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import to_builtins

from cki_notifier.audit.stages import STATUS, Judged, Verdict
from cki_notifier.telemetry.output import Output, Piece, print_lines, separated
from cki_notifier.telemetry.printable import printable
from cki_notifier.telemetry.terminal import columns

#: Each verdict's name and meaning in the report.
_WORDS = {
    Verdict.ANNOUNCED: ("announced", "the topic has their messages"),
    Verdict.IGNORED: ("ignored", "by a rule"),
    Verdict.MISSING: ("missing", "the topic has no message, and no rule ignores them"),
    Verdict.IGNORED_NOW: ("ignored now", "by a rule, but perhaps not at the time"),
    Verdict.UNDECIDED: ("undecided", "the audit could not decide"),
    Verdict.WAITING: ("waiting", "in a queue, not sent yet"),
}
_INDENT = " " * 4
#: The most undecided stages in the text.
_MOST_SHOWN = 20


class Found:
    """The results so far.

    Args:
        since, until: the time span.
        output: stores the results.

    Attributes:
        sums: the number of stages by verdict.
        missing: the stages without a message.
        notes: blind spots of this audit, a sentence each.
    """

    def __init__(self, since: datetime, until: datetime, output: Output) -> None:
        self.since = since
        self.until = until
        self.sums: Counter[Verdict] = Counter(dict.fromkeys(Verdict, 0))
        self.missing: list[Judged] = []
        self.notes: list[str] = []
        self._reasons: Counter[tuple[Verdict, str]] = Counter()
        self._kept = output
        self._pieces: dict[Verdict, list[Piece]] = {verdict: [] for verdict in Verdict}
        self._undecided: list[Judged] = []

    def add(self, judged: Judged) -> None:
        """Add a result; a missing one only counts after :meth:`settle`."""
        if judged.verdict is Verdict.MISSING:
            self.missing.append(judged)
        else:
            self._count(judged)

    def settle(self, missing: list[Judged]) -> None:
        """Add the results of the second look at the missing ones."""
        self.missing = [it for it in missing if it.verdict is Verdict.MISSING]
        for judged in missing:
            self._count(judged)

    def _count(self, judged: Judged) -> None:
        self.sums[judged.verdict] += 1
        if judged.reason:
            self._reasons[judged.verdict, judged.reason] += 1
        if judged.verdict is Verdict.UNDECIDED and len(self._undecided) < _MOST_SHOWN:
            self._undecided.append(judged)
        said = to_builtins(judged)
        del said["verdict"]
        text = json.dumps(said.pop("due") | said)
        self._pieces[judged.verdict].append(self._kept.add(text))

    def lines(self) -> Iterator[str]:
        """Yield the report's lines as text, as wide as standard output."""
        count = f"{self.sums.total():,}"
        yield f"{_moment(self.since)} to {_moment(self.until)}: {count} stages reached"
        yield ""
        yield from columns(self._sums(), sys.stdout, styles={"missing": "red"})
        for note in self.notes:
            yield ""
            yield f"note: {note}"
        yield from self._missing_lines()
        yield from self._undecided_lines()

    def _sums(self) -> Iterator[tuple[str, str, str]]:
        for verdict, (word, means) in _WORDS.items():
            reasons = ", ".join(
                f"{number:,} {reason}"
                for (of, reason), number in self._reasons.most_common()
                if of is verdict
            )
            about = f"{means}: {reasons}" if reasons else means if self.sums[verdict] else ""
            yield word, f"{self.sums[verdict]:>7,}", about

    def _missing_lines(self) -> Iterator[str]:
        if self.missing:
            yield ""
            yield "missing, each with the command that sends its message:"
        for judged in self.missing:
            due = judged.due
            name = shlex.quote(due.checkout_id)
            yield ""
            yield f"{printable(due.checkout_id)}  {due.stage}"
            if judged.merge_request:
                yield f"{_INDENT}{printable(judged.merge_request)}"
            yield printable(
                f"{_INDENT}cki-notifier --status {STATUS[due.stage]} --checkout-id={name}"
            )

    def _undecided_lines(self) -> Iterator[str]:
        if self._undecided:
            yield ""
            yield "undecided:"
        for judged in self._undecided:
            yield ""
            yield f"{printable(judged.due.checkout_id)}  {judged.due.stage}"
            yield f"{_INDENT}{printable(judged.error)}"
        left = self.sums[Verdict.UNDECIDED] - len(self._undecided)
        if left:
            yield ""
            yield f"… and {left:,} more: use --json to see all"

    def print_json(self, more: Mapping[str, Any]) -> None:
        """Print the report as one JSON object.

        Args:
            more: additional fields.

        Raises:
            OSError: writing to standard output failed.
        """
        head = {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "sums": {verdict.value: self.sums[verdict] for verdict in Verdict},
            "notes": self.notes,
        } | dict(more)
        order = (Verdict.MISSING, *(it for it in Verdict if it is not Verdict.MISSING))
        print_lines([json.dumps(head)[:-1]])
        for verdict in order:
            print_lines([f', "{verdict}": ['])
            print_lines(separated(self._kept.texts(self._pieces[verdict]), ","))
            print_lines(["]"])
        print_lines(["}"])

    def print(self) -> None:
        """Print the report as text.

        Raises:
            OSError: writing to standard output failed.
        """
        print_lines(self.lines())


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
