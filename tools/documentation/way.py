"""The picture of a notification's way in docs/how-it-works.md, with the reasons from the code."""

from collections.abc import Iterable
from typing import Final

from cki_notifier.notification.reasons import DeadLetterReason, DelayReason, IgnoreReason
from cki_notifier.rabbitmq.queues import DELAYS, delay_queue
from cki_notifier.rules.filter import BEFORE_LOADING, ON_BUILDS, ON_CHECKOUT, ON_MERGE_REQUEST
from tools.documentation.drawing import MARGIN, WIDTH, Box, picture
from tools.documentation.reasons import deciders

_BROKER, _STEP, _SERVICE = "#8a3ffc", "#3f51b5", "#00695c"
_IGNORED, _DELAYED, _DEAD = "#546e7a", "#8a5a00", "#b23c17"
_GAP: Final = 20
_DEAD_LETTERED: Final = "dead-lettered"


def svg() -> str:
    """Return the picture."""
    unusable = _dead(DeadLetterReason.INVALID_DOCUMENT)
    route = [reason for reason in IgnoreReason if "rules/route.py" in deciders(reason)]
    steps = [
        [_middle("RabbitMQ: the main queue", _BROKER)],
        [_middle("parse"), _dead(DeadLetterReason.MALFORMED)],
        [_middle("filter: the notification"), _ignored(it.reason for it in BEFORE_LOADING)],
        [_middle("load: the checkout"), _asks("DataWarehouse"), unusable],
        [_middle("filter: the checkout"), _ignored(it.reason for it in ON_CHECKOUT)],
        [_middle("load: the rest for the stage"), _asks("DataWarehouse"), unusable],
        [_middle("filter: the builds"), _ignored(it.reason for it in ON_BUILDS)],
        [_middle("load: the merge request"), _asks("GitLab, Jira"), unusable],
        [_middle("filter: the merge request"), _ignored(it.reason for it in ON_MERGE_REQUEST)],
        [_middle("route: pre-test or post-test"), _ignored(route)],
        [_middle("build the message")],
        [
            _middle("publish, wait for Kafka"),
            _asks("Kafka"),
            _dead(DeadLetterReason.TOO_LARGE),
        ],
        [_middle("acknowledge: sent", _BROKER)],
    ]
    # These apply to every step.
    pauses = ", ".join(delay_queue("", seconds).rpartition(".")[2] for seconds in DELAYS)
    fails = _listed("a step fails: delayed", DelayReason)
    final = (DeadLetterReason.NOT_FOUND, DeadLetterReason.RETRIES_EXHAUSTED)
    notes = [
        [_note(f"{fails}; retried after {pauses} and so on", _DELAYED)],
        [_note(_listed(f"no retry succeeds: {_DEAD_LETTERED}", final), _DEAD)],
    ]
    title = "The way of a notification from RabbitMQ to Kafka"
    return picture(title, steps + notes, _GAP, steps=len(steps))


def _middle(step: str, fill: str = _STEP) -> Box:
    return Box(270, 250, fill, step)


def _asks(service: str) -> Box:
    return Box(MARGIN, 170, _SERVICE, service)


def _ignored(reasons: Iterable[str]) -> Box:
    return Box(590, 300, _IGNORED, _listed("ignored", reasons))


def _dead(reason: DeadLetterReason) -> Box:
    return Box(590, 300, _DEAD, _listed(_DEAD_LETTERED, [reason]))


def _note(text: str, fill: str) -> Box:
    return Box(MARGIN, WIDTH - 2 * MARGIN, fill, text)


def _listed(outcome: str, reasons: Iterable[str]) -> str:
    return f"{outcome}: {', '.join(dict.fromkeys(map(str, reasons)))}"
