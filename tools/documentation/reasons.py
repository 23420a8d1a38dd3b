"""The tables of docs/reasons.md: each reason's code and sentence, and where it is explained."""

import ast
import re
from enum import StrEnum
from functools import cache
from typing import Final

from cki_notifier.notification.reasons import (
    DeadLetterReason,
    DelayReason,
    IgnoreReason,
    SentReason,
)
from tools import PROJECT
from tools.documentation.markdown import code, table

_PACKAGE: Final = PROJECT / "cki_notifier"
_EXPLAINED: Final[dict[str, type[SentReason | IgnoreReason | DelayReason | DeadLetterReason]]] = {
    "Sent": SentReason,
    "Ignored": IgnoreReason,
    "Delayed": DelayReason,
    "Dead-lettered": DeadLetterReason,
}
_ROUTES: Final = "[routes](rules.md#routes)"
#: Reasons that another section explains than the others of their outcome.
_ELSEWHERE: Final[dict[StrEnum, str]] = {
    IgnoreReason.STAGE_NOT_REACHED: _ROUTES,
    IgnoreReason.OUTCOME_UNCHANGED: _ROUTES,
    IgnoreReason.NOT_REPORTED_YET: _ROUTES,
    IgnoreReason.STILL_FAILING: _ROUTES,
    DelayReason.BUG: "[report it](runbook.md#ckinotifierbug)",
}
_SECTIONS: Final = {
    "Sent": _ROUTES,
    "Ignored": "[filters](rules.md#filters)",
    "Delayed": "[retries](delivery.md#retries)",
    "Dead-lettered": "[what to do](dead-letters.md#what-to-do-by-reason)",
}


def part() -> str:
    """Return a section for each outcome."""
    sections = {
        outcome: table(
            ("code", "meaning", "see"),
            [
                (code(it.value), it.sentence, _ELSEWHERE.get(it, _SECTIONS[outcome]))
                for it in reasons
            ],
        )
        for outcome, reasons in _EXPLAINED.items()
    }
    return "\n\n".join(f"## {outcome}\n\n{rows}" for outcome, rows in sections.items())


def deciders(reason: StrEnum) -> list[str]:
    """Return the modules of the package that give a reason."""
    given = re.compile(rf"\b{type(reason).__name__}\.{reason.name}\b")
    return [module for module, text in _modules().items() if given.search(text)]


@cache
def _modules() -> dict[str, str]:
    """Return each module's code, without comments, by its path."""
    return {
        path.relative_to(_PACKAGE).as_posix(): ast.unparse(ast.parse(path.read_text()))
        for path in sorted(_PACKAGE.rglob("*.py"))
    }
