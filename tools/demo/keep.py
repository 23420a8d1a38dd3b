"""What `--keep` does: everything stays up, for notifications of one's own."""

import sys
import time
from datetime import datetime

from tools import PROJECT
from tools.demo.interrupts import Interrupted, Interrupts
from tools.demo.play import UnexpectedError
from tools.demo.screen import Screen
from tools.demo.stage import Stage, by_hand

_TICK_SECONDS = 0.2

#: Of a kernel that all services know since the first scene.
_CHECKOUT = "redhat:2167003491"


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
    screen.tell(f"The daemon's log is {stage.notifier.log}")
    screen.tell(f"The commands below are for the folder {PROJECT}")
    checkout = ("--checkout-id", _CHECKOUT, "--status", "ready_to_report")
    python = (sys.executable, "-m")
    screen.command(
        "Publish a notification about a checkout of the demo (or the notification in a file):",
        [*python, "tools.demo.publish", "--amqp", stage.bus.address, *checkout],
    )
    screen.command(
        "Watch the topic, from its beginning:",
        [
            *python,
            "tools.demo.watch",
            "--bootstrap",
            stage.cluster.bootstrap,
            "--topic",
            stage.cluster.topic.name,
        ],
    )
    screen.command(
        "Ask why a checkout is announced or not, and send nothing:",
        [
            "env",
            *(f"{name}={value}" for name, value in by_hand(stage.services).items()),
            *python,
            "cki_notifier",
            "--dry-run",
            *checkout,
        ],
    )
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
