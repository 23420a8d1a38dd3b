"""The option `--keep`: keep everything running, and show commands to try."""

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

#: The kernel of the first scene, which all services know.
_TESTED = "--checkout-id redhat:2167003491 --status ready_to_report"
_COMMANDS = (
    ("Publish a notification:", f"python -m tools.demo.publish {_TESTED}"),
    ("Watch the topic from its beginning:", "python -m tools.demo.watch"),
    (
        "Read the topic as a lab does:",
        "python docs/examples/consumer.py --group-id my-lab --subsystem net",
    ),
    (
        "See why a checkout gets a message or not, without publishing (dry run):",
        f"cki-notifier --dry-run {_TESTED}",
    ),
    ("List the dead letters:", "cki-notifier dead-letters list"),
    ("Check the configuration and all services:", "cki-notifier doctor"),
)

_CONTROL = "python -m tools.demo.control"
_PLAY = (
    ("Show the state and address of each process:", "status"),
    ("Kill nodes, brokers or processes of the daemon:", "kill rabbit-2 kafka-2"),
    ("Start them again:", "start rabbit-2 kafka-2"),
    ("Freeze them: connections stay open, and they do not answer:", "freeze rabbit-3 kafka-3"),
    ("Let them continue:", "thaw rabbit-3 kafka-3"),
    ("Stop one cleanly:", "stop notifier-2"),
    (
        "List the leader and the online members of each queue:",
        "ctl rabbit-1 list_queues name leader online",
    ),
)


def keep_up(stage: Stage, screen: Screen) -> None:
    """Print commands to try, then show further decisions until a signal comes.

    Raises:
        UnexpectedError: the daemon ended by itself.
    """
    try:
        _explain(stage, screen)
        with contextlib.ExitStack() as stack:
            if stage.is_cluster:
                control = Control(stage.control, stage.members, screen.happened)
                stack.enter_context(control.serving())
            _follow(stage, screen)
    except Interrupted:
        screen.tell("\nCleaning up.")


def _explain(stage: Stage, screen: Screen) -> None:
    screen.title("All of this keeps running until Ctrl-C")
    for page, process in zip(stage.pages, stage.daemons, strict=True):
        screen.tell(f"Status page: {page}")
        screen.tell(f"The daemon's log: {process.log}")
    screen.command(
        f"Open another terminal in {PROJECT}, and run first:",
        f". {shlex.quote(str(stage.env_file))}",
    )
    screen.tell("Then run any of these commands:")
    for purpose, command in _COMMANDS:
        screen.command(purpose, command)
    screen.command("Show the metrics for Prometheus:", f"curl --silent {stage.pages[0]}metrics")
    for purpose, words in _PLAY if stage.is_cluster else ():
        screen.command(purpose, f"{_CONTROL} {words}")
    screen.tell("\nFurther decisions of the daemon:")


def _follow(stage: Stage, screen: Screen) -> None:
    shown = len(stage.settled())
    # With clusters the user may have stopped the daemon.
    while stage.is_cluster or stage.running:
        for settled in stage.settled()[shown:]:
            shown += 1
            names = (settled.get("checkout"), settled.get("status"))
            about = "  ".join(name or "(unreadable)" for name in names)
            screen.settled(about, settled["outcome"], settled["reason"])
        interrupts.check()
        time.sleep(_TICK_SECONDS)
    raise UnexpectedError("the daemon has ended")
