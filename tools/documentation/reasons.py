"""The tables of docs/reasons.md: every reason code, when it is given, and where that is decided."""

import ast
from collections.abc import Iterable
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
_OUTCOMES: dict[str, type[SentReason | IgnoreReason | DelayReason | DeadLetterReason]] = {
    "sent": SentReason,
    "ignored": IgnoreReason,
    "delayed": DelayReason,
    "dead-lettered": DeadLetterReason,
}


def part() -> str:
    """Return a section for each outcome."""
    return "\n\n".join(
        f"## {outcome.capitalize()}\n\n{_table(reasons)}" for outcome, reasons in _OUTCOMES.items()
    )


def deciders(reason: StrEnum) -> dict[str, list[str]]:
    """Return the modules that give a reason, each with the names of what gives it there."""
    return _deciders().get(f"{type(reason).__name__}.{reason.name}", {})


@cache
def _deciders() -> dict[str, dict[str, list[str]]]:
    """Return by each ``NAME.MEMBER`` in the package the modules that use it, and where in them."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        module = path.relative_to(_PACKAGE).as_posix()
        for statement in ast.parse(path.read_text()).body:
            for used in sorted(_used(statement)):
                found.setdefault(used, {}).setdefault(module, []).append(_name(statement))
    return found


def _used(statement: ast.stmt) -> set[str]:
    return {
        f"{it.value.id}.{it.attr}"
        for it in ast.walk(statement)
        if isinstance(it, ast.Attribute) and isinstance(it.value, ast.Name)
    }


def _table(
    reasons: Iterable[SentReason | IgnoreReason | DelayReason | DeadLetterReason],
) -> str:
    rows = [(code(it.value), it.sentence, _links(it)) for it in reasons]
    if not any(where for _, _, where in rows):
        return table(("code", "meaning"), [row[:2] for row in rows])
    return table(("code", "when", "where it is decided"), rows)


def _links(reason: StrEnum) -> str:
    return ", ".join(
        f"{', '.join(map(code, names))} in [{module}](../cki_notifier/{module})"
        for module, names in deciders(reason).items()
    )


def _name(statement: ast.stmt) -> str:
    """Return what a module's statement defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return statement.name
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement
    return ast.unparse(target.target if isinstance(target, ast.AnnAssign) else target)
