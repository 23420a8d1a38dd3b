"""The picture of the way of a notification in docs/how-it-works.md, with the code's own reasons."""

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any, NamedTuple

from cki_notifier.notification.reasons import DeadLetterReason, DelayReason, IgnoreReason
from cki_notifier.rabbitmq.queues import DELAYS, delay_queue
from cki_notifier.rules.filter import BEFORE_LOADING, ON_BUILDS, ON_CHECKOUT, ON_MERGE_REQUEST
from cki_notifier.rules.rule import Rule
from tools.documentation.drawing import Box, arrow_down, line, picture
from tools.documentation.reasons import deciders

_BROKER, _STEP, _SERVICE = "#8a3ffc", "#3f51b5", "#00695c"
_IGNORED, _DELAYED, _DEAD = "#546e7a", "#8a5a00", "#b23c17"
_TOP, _ROW, _HEIGHT = 10, 58, 38
#: Where the columns begin, and how wide they are.
_LEFT, _MIDDLE, _RIGHT = (10, 170), (270, 250), (590, 300)
_LETTERS = 42


class Row(NamedTuple):
    """A step: what it is, whom it asks, what it may end with, and that end's colour."""

    step: str
    asks: str = ""
    end: str = ""
    colour: str = _IGNORED
    fill: str = _STEP


def rows() -> list[Row]:
    """Return the way of a notification, step by step."""
    unusable = f"dead-lettered: {DeadLetterReason.INVALID_DOCUMENT}"
    return [
        Row("RabbitMQ: the queue", fill=_BROKER),
        Row("parse", end=f"dead-lettered: {DeadLetterReason.MALFORMED}", colour=_DEAD),
        Row("filter: the notification", end=_ignored(BEFORE_LOADING)),
        Row("load: the checkout", "DataWarehouse", unusable, _DEAD),
        Row("filter: the checkout", end=_ignored(ON_CHECKOUT)),
        Row("load: what the stage still needs", "DataWarehouse", unusable, _DEAD),
        Row("filter: the builds", end=_ignored(ON_BUILDS)),
        Row("load: the merge request", "GitLab, Jira", unusable, _DEAD),
        Row("filter: the merge request", end=_ignored(ON_MERGE_REQUEST)),
        Row("route: pre-test or post-test", end=_listed("ignored", _of_the_route())),
        Row("build the message"),
        Row(
            "publish, wait for Kafka",
            "Kafka",
            f"dead-lettered: {DeadLetterReason.TOO_LARGE}",
            _DEAD,
        ),
        Row("acknowledge: sent", fill=_BROKER),
    ]


def svg() -> str:
    """Return the picture."""
    steps = rows()
    boxes = [piece for index, row in enumerate(steps) for piece in _drawn(index, row)]
    middle = _MIDDLE[0] + _MIDDLE[1] // 2
    arrows = [arrow_down(middle, _y(at) + _HEIGHT, _y(at + 1)) for at in range(len(steps) - 1)]
    title = "The way of a notification, from RabbitMQ to Kafka"
    return picture(title, _y(len(steps) + 2), [*arrows, *boxes, *_notes(len(steps))])


def _ignored(rules: Iterable[Rule[Any]]) -> str:
    return _listed("ignored", (rule.reason for rule in rules))


def _of_the_route() -> list[IgnoreReason]:
    return [reason for reason in IgnoreReason if "rules/route.py" in deciders(reason)]


def _listed(outcome: str, reasons: Iterable[str]) -> str:
    return f"{outcome}: {', '.join(dict.fromkeys(map(str, reasons)))}"


def _y(index: int) -> int:
    return _TOP + index * _ROW


def _drawn(index: int, row: Row) -> Iterator[str]:
    middle = _y(index) + _HEIGHT // 2
    if row.asks:
        yield line(sum(_LEFT), middle, _MIDDLE[0], middle)
        yield from _box(_LEFT, index, row.asks, _SERVICE)
    if row.end:
        yield line(sum(_MIDDLE), middle, _RIGHT[0], middle)
        yield from _box(_RIGHT, index, row.end, row.colour)
    yield from _box(_MIDDLE, index, row.step, row.fill)


def _notes(index: int) -> Iterator[str]:
    """Yield what is true of every step."""
    pauses = ", ".join(delay_queue("", seconds).rpartition(".")[2] for seconds in DELAYS)
    whole = (_LEFT[0], sum(_RIGHT) - _LEFT[0])
    again = f"again after {pauses}, and so on"
    delayed = f"{_listed('a step that fails now: delayed', DelayReason)}; {again}"
    final = [DeadLetterReason.NOT_FOUND, DeadLetterReason.RETRIES_EXHAUSTED]
    yield from _box(whole, index, delayed, _DELAYED, letters=200)
    yield from _box(whole, index + 1, _listed("and at the end: dead-lettered", final), _DEAD, 200)


def _box(
    column: tuple[int, int], index: int, text: str, fill: str, letters: int = _LETTERS
) -> Iterator[str]:
    left, width = column
    lines = wrap(text, letters, break_on_hyphens=False)
    return Box(left, _y(index), width, _HEIGHT, fill, lines).svg()
