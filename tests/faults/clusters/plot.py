"""A plot of the messages during a rolling restart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

_SIZE_INCHES = (10, 4.5)
_COLOURS = {"RabbitMQ": "tab:orange", "Kafka": "tab:purple", "cki-notifier": "tab:green"}


class Restart(NamedTuple):
    """A process that was away between two times, in seconds since 1970."""

    kind: str
    begun: float
    ended: float


def draw(
    published: Iterable[float], sent: Iterable[float], restarts: Sequence[Restart], path: Path
) -> None:
    """Draw notifications and messages for each second as SVG.

    Args:
        published: when notifications with a message were published, in seconds since 1970.
        sent: when each message was written.
        restarts: are shaded, by their kind.
        path: of the file.
    """
    start = min(each.begun for each in restarts) - 10
    end = max(each.ended for each in restarts) + 10
    with mpl.rc_context({"svg.hashsalt": "cki-notifier", "svg.fonttype": "none"}):
        figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        for each in restarts:
            span = each.begun - start, each.ended - start
            axes.axvspan(*span, color=_COLOURS[each.kind], alpha=0.35, linewidth=0)
        for times, label, colour in (
            (published, "notifications published, to be sent", "0.6"),
            (sent, "messages sent", "tab:blue"),
        ):
            counts = Counter(int(at - start) for at in times)
            seconds = range(int(end - start))
            axes.plot(seconds, [counts[each] for each in seconds], label=label, color=colour)
        for kind, colour in _COLOURS.items():
            axes.axvspan(-1, -1, color=colour, alpha=0.35, label=f"{kind}: one restarts")
        axes.set_xlim(0, end - start)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds")
        axes.set_ylabel("a second")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.2))
        figure.savefig(path, format="svg", metadata={"Date": None})
