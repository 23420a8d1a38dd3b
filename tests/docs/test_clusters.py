"""The demo with clusters does the same, and what it tells to play with them works."""

import re
from pathlib import Path

from tests.brokers.stage import eventually
from tests.docs.demonstration import PATIENCE, kept

_NAMES = [*(f"{it}-{number}" for it in ("rabbit", "kafka") for number in (1, 2, 3))]
_NAMES += ["notifier-1", "notifier-2"]
_STATE = re.compile(r"^(\S+) +(up|frozen|down)\b(.*?)  ", re.MULTILINE)
_QUEUE = "cki.queue.webhooks.cki_notifier"


def test_the_demo_runs_clusters_and_lets_them_be_played_with(tmp_path: Path) -> None:
    """Each command as it is told, in that order, with a notification while some of it is down."""
    with kept(tmp_path, "--cluster") as demo:
        text = demo.text()
        assert re.findall(r"up  .*\(([a-z]+-\d)\)", text) == _NAMES
        summary = "16 notifications: 7 sent (1 of them after a delay), 8 ignored, 1 dead-lettered."
        assert summary in text
        logs = re.findall(r"^The daemon's log: (\S+)$", text, re.MULTILINE)
        assert ['"duration"' in Path(log).read_text() for log in logs] == [True, True]

        (publish,) = (it for it in demo.commands if "publish" in it)
        status, kill, start, freeze, thaw, stop, leaders = (
            it for it in demo.commands if "control" in it
        )
        assert _states(demo.type(status)) == dict.fromkeys(_NAMES, "up")
        down = "down, exit code 137"
        assert _states(demo.type(kill)) == {"rabbit-2": down, "kafka-2": down}
        demo.type(publish)
        eventually(lambda: "SENT" in demo.decided(), seconds=PATIENCE, what="a decision")
        assert _states(demo.type(start)) == {"rabbit-2": "up", "kafka-2": "up"}
        assert _states(demo.type(freeze)) == {"rabbit-3": "frozen", "kafka-3": "frozen"}
        assert _states(demo.type(thaw)) == {"rabbit-3": "up", "kafka-3": "up"}
        both = f"{stop} notifier-1"
        ended = "down, exit code 0"
        assert _states(demo.type(both)) == {"notifier-2": ended, "notifier-1": ended}
        queues = demo.type(f"{leaders} messages").splitlines()
        (about,) = (it.split("\t") for it in queues if it.startswith(f"{_QUEUE}\t"))
        _, leader, online, messages = about
        assert leader.partition("@")[0] in _NAMES[:3]
        assert sorted(re.findall(r"rabbit-\d", online)) == _NAMES[:3]
        assert messages == "0"


def _states(text: str) -> dict[str, str]:
    """Return the state of each process that a command prints, by its name."""
    return {name: state + more.rstrip() for name, state, more in _STATE.findall(text)}
