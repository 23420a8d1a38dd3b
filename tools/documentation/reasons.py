"""The tables of docs/reasons.md: every reason code, when it is given, and where that is decided."""

import ast
import re
from enum import StrEnum
from functools import cache

from cki_notifier.notification.reasons import (
    DeadLetterReason,
    DelayReason,
    IgnoreReason,
    SentReason,
)
from tools import PROJECT
from tools.documentation.markdown import code, table

_PACKAGE = PROJECT / "cki_notifier"
_DECIDED: dict[str, type[IgnoreReason | DelayReason | DeadLetterReason]] = {
    "Ignored": IgnoreReason,
    "Delayed": DelayReason,
    "Dead-lettered": DeadLetterReason,
}


def part() -> str:
    """Return a section for each outcome."""
    sent = table(("code", "meaning"), [(code(it.value), it.sentence) for it in SentReason])
    sections = {"Sent": sent} | {
        outcome: table(
            ("code", "when", "where it is decided"),
            [(code(it.value), it.sentence, _links(it)) for it in reasons],
        )
        for outcome, reasons in _DECIDED.items()
    }
    return "\n\n".join(f"## {outcome}\n\n{rows}" for outcome, rows in sections.items())


def deciders(reason: StrEnum) -> dict[str, list[str]]:
    """Return the modules that give a reason, each with the names of what gives it there."""
    given = re.compile(rf"\b{type(reason).__name__}\.{reason.name}\b")
    found: dict[str, list[str]] = {}
    for module, name, text in _statements():
        if given.search(text):
            found.setdefault(module, []).append(name)
    return found


@cache
def _statements() -> list[tuple[str, str, str]]:
    """Return each statement of the package's modules: where it is, what it defines, its text."""
    return [
        (path.relative_to(_PACKAGE).as_posix(), _name(statement), ast.unparse(statement))
        for path in sorted(_PACKAGE.rglob("*.py"))
        for statement in ast.parse(path.read_text()).body
    ]


def _name(statement: ast.stmt) -> str:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name
    return ast.unparse(statement).partition(" = ")[0].partition(":")[0]


def _links(reason: StrEnum) -> str:
    return ", ".join(
        f"{', '.join(map(code, names))} in [{module}](../cki_notifier/{module})"
        for module, names in deciders(reason).items()
    )
