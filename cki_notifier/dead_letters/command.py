"""The actions of ``cki-notifier dead-letters``, with their output and exit codes."""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.dead_letters import report, view
from cki_notifier.dead_letters.arguments import selection_of
from cki_notifier.dead_letters.letter import Letter, Selection
from cki_notifier.dead_letters.visit import Visit
from cki_notifier.dead_letters.walk import Act, Choice, Walk
from cki_notifier.notification.errors import Unavailable
from cki_notifier.telemetry.output import Output, Piece, print_lines, separated
from cki_notifier.telemetry.terminal import agreed, show, show_bytes, show_text, show_unprintable

T = TypeVar("T")

DONE, FAILED, WRONG = 0, 1, 2
#: The most letters that a question shows.
_SHOWN_BEFORE = 20


class _Deed(NamedTuple):
    """An action on letters that leave the queue, and its words."""

    act: Act
    past: str
    question: str


_RETRY = _Deed(Visit.put_back, "put back", "Put {} back into {}?")
_DISCARD = _Deed(Visit.remove, "discarded", "Discard {} for good?")


def run(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    """Run an action; return the exit code.

    Letters go to standard output, all else to standard error.
    """
    try:
        return _ACTIONS[parsed.action](config, parsed)
    except KeyboardInterrupt:  # only while printing or asking: a walk postpones signals
        show("")  # below the line with ^C
        show("interrupted")
        return 128 + signal.SIGINT
    except OSError as error:
        show_unprintable(error)
        return FAILED


def _list(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    walk, choice = _walk(config, parsed), Choice[Piece](parsed.limit)
    with Output() as output:

        def keep(letter: Letter) -> Piece:
            return (
                output.add(view.as_json(letter, whole=False))
                if parsed.json
                else _row(letter, output)
            )

        if code := _choose(walk, choice, keep):
            return code
        kept = choice.kept()
        if parsed.json:
            print_lines(output.texts(kept))
        else:
            _print_table(output, kept)
        walk.done = len(kept)
    show(report.overview(walk))
    return DONE


def _show(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    if parsed.body:
        return _show_body(config, parsed)
    walk, choice = _walk(config, parsed), Choice[Piece](parsed.limit)
    with Output() as output:

        def all_of_it(letter: Letter) -> Piece:
            if parsed.json:
                return output.add(view.as_json(letter, whole=True))
            return output.add("\n".join(view.details(letter)))

        if code := _choose(walk, choice, all_of_it):
            return code
        texts = output.texts(choice.kept())
        print_lines(texts if parsed.json else separated(texts, "\n"))
    return _unmatched(walk, parsed)


def _show_body(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    """Print one body byte for byte, or escaped on a terminal, where it could do harm."""
    walk, choice = _walk(config, parsed), Choice[bytes](1)
    if code := _choose(walk, choice, lambda letter: letter.body):
        return code
    if walk.done > 1 and parsed.limit != 1:
        show(f"cki-notifier: {report.letters(walk.done)} match, and --body shows only one")
        show("give the id of one letter from the list, or --limit 1 for the oldest")
        return FAILED
    for body in choice.kept():
        is_shown = (
            show_text("".join(f"{line}\n" for line in view.body_lines(body)))
            if sys.stdout.isatty()
            else show_bytes(body)
        )
        if not is_shown:
            return FAILED
    return _unmatched(walk, parsed)


def _retry(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    return _take(config, parsed, _RETRY)


def _discard(config: RabbitMQConfig, parsed: argparse.Namespace) -> int:
    return _take(config, parsed, _DISCARD)


def _take(config: RabbitMQConfig, parsed: argparse.Namespace, deed: _Deed) -> int:
    """Take letters out of the queue, after a question unless there is ``--yes``.

    The queue's order is not by age, so a limit needs a first walk that chooses the oldest.
    """
    if parsed.yes and not parsed.limit:
        return _take_at_once(config, parsed, deed, selection_of(parsed))
    if not parsed.yes and not sys.stdin.isatty():
        text = "standard input is not a terminal, so nobody can confirm: add --yes"
        show(f"cki-notifier dead-letters {parsed.action}: {text}")
        show("to see the letters first, run show with the same arguments")
        return WRONG
    walk, choice = _walk(config, parsed), Choice[Piece](parsed.limit)
    with Output() as output:
        if code := _choose(walk, choice, lambda letter: _row(letter, output)):
            return code
        chosen = choice.kept()
        if not parsed.yes:
            _print_table(output, chosen[:_SHOWN_BEFORE])
            if len(chosen) > _SHOWN_BEFORE:
                show(f"… and {len(chosen) - _SHOWN_BEFORE:,} more")
    code = _unmatched(walk, parsed)
    if not walk.done:
        return code
    many = report.letters(len(chosen))
    if not parsed.yes and not agreed(deed.question.format(many, config.queue)):
        show(f"nothing was {deed.past}")
        return FAILED
    # Letters that arrived meanwhile stay.
    return _take_at_once(config, parsed, deed, Selection(chosen=choice.ids())) or code


def _take_at_once(
    config: RabbitMQConfig, parsed: argparse.Namespace, deed: _Deed, selection: Selection
) -> int:
    walk = Walk(config, selection, deed.past)
    if code := _go(walk, deed.act):
        return code
    if walk.done:
        where = f" into {config.queue}" if deed is _RETRY else ""
        show(f"{walk.done:,} of {report.letters(walk.count)} {deed.past}{where}")
    return _unmatched(walk, parsed)


_ACTIONS: Final[dict[str, Callable[[RabbitMQConfig, argparse.Namespace], int]]] = {
    "list": _list,
    "show": _show,
    "retry": _retry,
    "discard": _discard,
}


def _walk(config: RabbitMQConfig, parsed: argparse.Namespace) -> Walk:
    """Return a walk that only reads."""
    return Walk(config, selection_of(parsed), report.SHOWN)


def _choose(walk: Walk, choice: Choice[T], keep: Callable[[Letter], T]) -> int:
    """Read all letters and choose; return as :func:`_go` does."""
    return _go(walk, lambda _visit, letter: choice.add(letter, keep))


def _go(walk: Walk, act: Act) -> int:
    """Walk through the queue; return an exit code other than 0 if the walk ended early."""
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


def _row(letter: Letter, output: Output) -> Piece:
    """Store a letter's row of the table."""
    return output.add(json.dumps(view.cells(letter)))


def _print_table(output: Output, rows: Sequence[Piece]) -> None:
    if rows:
        print_lines(view.table(map(json.loads, output.texts(rows)), sys.stdout))


def _unmatched(walk: Walk, parsed: argparse.Namespace) -> int:
    """Report ids and reasons without a letter; return the exit code."""
    for line in report.unmatched(walk, parsed.reason or ""):
        show(line)
    return FAILED if not parsed.all and (walk.missing or not walk.done) else DONE
