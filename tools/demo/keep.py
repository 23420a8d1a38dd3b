"""What `--keep` does: everything stays up, for notifications of one's own."""

import contextlib
import shlex
import time

from tools import PROJECT
from tools.demo.control import Control
from tools.demo.interrupts import Interrupted, interrupts
from tools.demo.play import UnexpectedError
from tools.demo.screen import Screen
from tools.demo.stage import Stage

_TICK_SECONDS = 0.2

#: A kernel that all services know since the first scene.
_TESTED = "--checkout-id redhat:2167003491 --status ready_to_report"
_COMMANDS = (
    ("Publish a notification of your own:", f"python -m tools.demo.publish {_TESTED}"),
    ("Watch the topic, from its beginning:", "python -m tools.demo.watch"),
    (
        "Be a lab that reads the topic:",
        "python docs/examples/consumer.py --group-id my-lab --subsystem net",
    ),
    (
        "Ask why a checkout is announced or not, and send nothing:",
        f"cki-notifier --dry-run {_TESTED}",
    ),
    ("Look at what could not be sent:", "cki-notifier dead-letters list"),
    ("Check everything:", "cki-notifier doctor"),
)

_CONTROL = "python -m tools.demo.control"
_PLAY = (
    ("What is up, and where:", "status"),
    ("Kill what you like, a process of the daemon, too:", "kill rabbit-2 kafka-2"),
    ("Start it again:", "start rabbit-2 kafka-2"),
    ("Freeze it, so that connections stay and nobody answers:", "freeze rabbit-3 kafka-3"),
    ("Let it go on:", "thaw rabbit-3 kafka-3"),
    ("Stop it in order:", "stop notifier-2"),
    (
        "Who leads each queue, and which of its members are there:",
        "ctl rabbit-1 list_queues name leader online",
    ),
)


def keep_up(stage: Stage, screen: Screen) -> None:
    """Tell how to use what runs, and show further decisions until a signal comes.

    Raises:
        UnexpectedError: the daemon has ended by itself.
    """
    try:
        _explain(stage, screen)
        with contextlib.ExitStack() as stack:
            if stage.is_cluster:
                control = Control(stage.control, stage.members, screen.happened)
                stack.enter_context(control.serving())
            _follow(stage, screen)
    except Interrupted:
        screen.tell("\nClearing up.")


def _explain(stage: Stage, screen: Screen) -> None:
    screen.title("All of this keeps running until Ctrl-C")
    for page, process in zip(stage.pages, stage.daemons, strict=True):
        screen.tell(f"Status page: {page}")
        screen.tell(f"The daemon's log: {process.log}")
    screen.command(
        f"In another terminal, in {PROJECT}, first:", f". {shlex.quote(str(stage.env_file))}"
    )
    screen.tell("Then, in any order:")
    for purpose, command in _COMMANDS:
        screen.command(purpose, command)
    screen.command("What Prometheus reads:", f"curl --silent {stage.pages[0]}metrics")
    for purpose, words in _PLAY if stage.is_cluster else ():
        screen.command(purpose, f"{_CONTROL} {words}")
    screen.tell("\nWhat the daemon decides from now on:")


def _follow(stage: Stage, screen: Screen) -> None:
    shown = len(stage.settled())
    # Where it may be played with, it may be down.
    while stage.is_cluster or stage.running:
        for settled in stage.settled()[shown:]:
            shown += 1
            names = (settled.get("checkout"), settled.get("status"))
            about = "  ".join(name or "(unreadable)" for name in names)
            screen.settled(about, settled["outcome"], settled["reason"])
        interrupts.check()
        time.sleep(_TICK_SECONDS)
    raise UnexpectedError("the daemon has ended")
