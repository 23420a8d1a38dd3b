"""``cki-notifier dead-letters``: what each action does, what it says, and its exit code."""

import argparse
import signal
import sys
from collections.abc import Callable
from typing import Final

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters import report, view
from cki_notifier.dead_letters.arguments import selection_of
from cki_notifier.dead_letters.letter import Letter, Selection
from cki_notifier.dead_letters.visit import Visit
from cki_notifier.dead_letters.walk import Act, Walk
from cki_notifier.notification.errors import Unavailable
from cki_notifier.telemetry import streams
from cki_notifier.telemetry.output import Output
from cki_notifier.telemetry.terminal import show

DONE, FAILED, WRONG = 0, 1, 2
#: What a walk is said to have done to a letter.
_SHOWN, _PUT_BACK, _DISCARDED = report.SHOWN, "put back", "discarded"
#: So many letters are shown before the question whether to discard them.
_SHOWN_BEFORE = 20


def run(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    """Do what was asked for; return the exit code.

    What was asked to be seen goes to standard output, all else to standard error.
    """
    try:
        return _ACTIONS[parsed.action](config, parsed)
    except KeyboardInterrupt:  # while it printed or asked; while it walks it is no exception
        show("")  # below what was typed
        show("interrupted")
        return 128 + signal.SIGINT
    except OSError as error:
        show(f"cki-notifier: this can't be printed: {error}")
        return FAILED


def _list(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    walk = Walk(config, selection_of(parsed), _SHOWN)
    with Output() as output:

        def add(_visit: Visit, letter: Letter) -> None:
            if parsed.json:
                output.add(view.as_json(letter, whole=False))
            else:
                _add_row(output, letter, first=not walk.done)

        if code := _go(walk, add):
            return code
        output.print()
    show(report.overview(walk))
    return DONE


def _show(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    walk = Walk(config, selection_of(parsed), _SHOWN)
    with Output() as output:

        def add(_visit: Visit, letter: Letter) -> None:
            if parsed.json:
                output.add(view.as_json(letter, whole=True))
                return
            if walk.done:
                output.add("")
            for line in view.details(letter):
                output.add(line)

        if code := _go(walk, add):
            return code
        output.print()
    return _unmatched(walk, parsed)


def _retry(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    walk = Walk(config, selection_of(parsed), _PUT_BACK)
    if code := _go(walk, Visit.put_back):
        return code
    if walk.done:
        show(f"{walk.done:,} of {report.letters(walk.count)} put back into {config.queue}")
    return _unmatched(walk, parsed)


def _discard(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    if parsed.yes:
        return _discard_at_once(config, parsed, selection_of(parsed))
    if not sys.stdin.isatty():
        show("cki-notifier dead-letters discard: where there is nobody to ask, say --yes")
        return WRONG
    preview = Walk(config, selection_of(parsed), _SHOWN)
    chosen: set[str] = set()
    if code := _preview(preview, chosen):
        return code
    code = _unmatched(preview, parsed)
    if not chosen:
        return code
    if not _agreed(preview):
        show("nothing was discarded")
        return FAILED
    # What has arrived meanwhile is not meant.
    meant = Selection(frozenset(chosen), limit=parsed.limit)
    return _discard_at_once(config, parsed, meant) or code


def _discard_at_once(
    config: RabbitMQConfig, parsed: argparse.Namespace, selection: Selection
) -> int:
    walk = Walk(config, selection, _DISCARDED)
    if code := _go(walk, Visit.remove):
        return code
    if walk.done:
        show(f"{walk.done:,} of {report.letters(walk.count)} discarded")
    return _unmatched(walk, parsed)


_ACTIONS: Final[dict[str, Callable[[RabbitMQConfig, argparse.Namespace], int]]] = {
    "list": _list,
    "show": _show,
    "retry": _retry,
    "discard": _discard,
}


def _go(walk: Walk, act: Act) -> int:
    """Walk; return an exit code when it did not come to its end."""
    try:
        walk.go(act)
    except Unavailable as error:
        show(f"cki-notifier: {error}")
        if walk.seen:
            show(report.broken_off(walk))
        return FAILED
    if walk.is_worn:
        show(report.worn(walk))
    if walk.signal:
        show(f"ended by a signal; {report.broken_off(walk)}")
        return 128 + walk.signal
    return DONE


def _preview(walk: Walk, chosen: set[str]) -> int:
    """Show what would be discarded and gather the letters' ids; return as :func:`_go` does."""
    with Output() as output:

        def add(_visit: Visit, letter: Letter) -> None:
            chosen.add(letter.id)
            if walk.done < _SHOWN_BEFORE:
                _add_row(output, letter, first=not walk.done)

        if code := _go(walk, add):
            return code
        output.print()
    if walk.done > _SHOWN_BEFORE:
        show(f"… and {walk.done - _SHOWN_BEFORE:,} more")
    return DONE


def _agreed(walk: Walk) -> bool:
    if streams.write(sys.stderr, f"Discard {report.letters(walk.done)} for good? [y/N] "):
        return False  # nobody was asked
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _add_row(output: Output, letter: Letter, *, first: bool) -> None:
    if first:
        output.add(view.cut(view.heading(), output.width))
    output.add(view.cut(view.row(letter), output.width))


def _unmatched(walk: Walk, parsed: argparse.Namespace) -> int:
    """Say what was asked for and is not there; return the exit code."""
    for line in report.unmatched(walk, parsed.reason or ""):
        show(line)
    return FAILED if walk.is_whole and not parsed.all and (walk.missing or not walk.done) else DONE
