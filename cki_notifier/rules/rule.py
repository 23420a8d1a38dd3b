"""A rule: a reason to ignore a notification, its condition, and an explanation."""

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from cki_notifier.notification.reasons import IgnoreReason
from cki_notifier.rules.explain import Trail

Facts = TypeVar("Facts")


class Rule(NamedTuple, Generic[Facts]):
    """One row of the design's tables."""

    reason: IgnoreReason
    applies: Callable[[Facts], bool]
    saw: Callable[[Facts], str]


def first_match(rules: Iterable[Rule[Facts]], facts: Facts, trail: Trail) -> IgnoreReason | None:
    """Return the reason of the first rule that applies, None for none."""
    for rule in rules:
        applies = rule.applies(facts)
        if trail.wanted:
            trail.note(rule.reason, rule.saw(facts), stops=applies)
        if applies:
            return rule.reason
    return None
