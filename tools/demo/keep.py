"""What `--keep` does: everything stays up, for notifications of one's own."""

import shlex
import time
from datetime import datetime

from tools import PROJECT
from tools.demo.interrupts import Interrupted, Interrupts
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


def keep_up(stage: Stage, screen: Screen, interrupts: Interrupts) -> None:
    """Tell how to use what runs, and show further decisions until a signal comes.

    Raises:
        UnexpectedError: the daemon has ended by itself.
    """
    try:
        _explain(stage, screen)
        _follow(stage, screen, interrupts)
    except Interrupted:
        screen.tell("\nClearing up.")


def _explain(stage: Stage, screen: Screen) -> None:
    screen.title("All of this keeps running until Ctrl-C")
    screen.tell(f"Status page: {stage.page}")
    screen.tell(f"The daemon's log: {stage.notifier.log}")
    screen.command(
        f"In another terminal, in {PROJECT}, first:", f". {shlex.quote(str(stage.env_file))}"
    )
    screen.tell("Then, in any order:")
    for purpose, command in _COMMANDS:
        screen.command(purpose, command)
    screen.command("What Prometheus reads:", f"curl --silent {stage.page}metrics")
    screen.tell("\nWhat the daemon decides from now on:")


def _follow(stage: Stage, screen: Screen, interrupts: Interrupts) -> None:
    shown = len(stage.notifier.settled())
    while stage.notifier.running:
        for settled in stage.notifier.settled()[shown:]:
            shown += 1
            names = (settled.get("checkout"), settled.get("status"))
            about = "  ".join(name or "(unreadable)" for name in names)
            when = datetime.now().astimezone().strftime("%H:%M:%S")
            screen.settled(when, about, settled["outcome"], settled["reason"])
        interrupts.check()
        time.sleep(_TICK_SECONDS)
    raise UnexpectedError("the daemon has ended")
