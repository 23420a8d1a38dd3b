"""A bad neighbour, and its company: a daemon with good notifications."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from cki_notifier.rabbitmq.queues import dead_letter_queue
from tests.faults import kinds
from tests.faults.neighbours.probes import Probes, Seen
from tests.faults.publisher import Expected, Publisher
from tests.faults.scene import Scene
from tests.faults.verdict import queues
from tools.stand_ins import Gitlab

#: The number of GitLab hosts that no good notification needs.
_OTHER_HOSTS = 3


@dataclass
class Company:
    """A scene with good and bad notifications, and the daemon's probes.

    The run judges notifications of `good` and `bad`, but not of `aside`. `elsewhere` are hosts with
    GitLab that no good notification needs.
    """

    scene: Scene
    probes: Probes
    good: Publisher
    bad: Publisher
    aside: Publisher
    elsewhere: list[Gitlab]

    def bring(self, count: int, make: kinds.Make, *, name: str = "") -> None:
        """Publish `count` bad notifications that have to lead to messages in the end."""
        for number in range(count):
            checkout_id = f"redhat:bad-{name}-{number}"
            body = json.dumps(make(self.scene.services, checkout_id)).encode()
            self.bad.publish(checkout_id, Expected.SENT, body)


@contextmanager
def gathered(scene: Scene, port: int) -> Iterator[Company]:
    """Add publishers and hosts to a scene with the daemon at `port`; delete its queues at last."""
    good, bad, aside = publishers = [
        Publisher(scene.stage.rabbitmq, scene.stage.exchange) for _ in range(3)
    ]
    elsewhere = [Gitlab() for _ in range(_OTHER_HOSTS)]
    for gitlab in elsewhere:
        gitlab.up()
    try:
        yield Company(scene, Probes(port), good, bad, aside, elsewhere)
    finally:
        for publisher in publishers:
            publisher.disconnect()
        for gitlab in elsewhere:
            gitlab.stop()
        with scene.stage.channel() as channel:
            for queue in (*queues(scene), dead_letter_queue(scene.stage.queue)):
                channel.queue_delete(queue)


class Claim(NamedTuple):
    """A condition that has to hold while the neighbour is there: always, or soon."""

    what: str
    holds: Callable[[Seen], bool]
    always: bool = False


def shows(dependency: str, value: int, *, host: str = "", always: bool = False) -> list[Claim]:
    """Claim that the metric and the status page show a dependency as up (1) or down (0)."""
    labels = f'dependency="{dependency}"' + (f',host="{host}"' if host else "")
    series = f"cki_notifier_connected{{{labels}}}"
    own_id = f"{dependency}:{host}" if host else dependency
    state = "up" if value else "down"
    return [
        Claim(f"{series} is {value}", lambda seen: seen.metrics.get(series) == value, always),
        Claim(
            f"the page shows {own_id} as {state}",
            lambda seen: seen.page.get(own_id, {}).get("state") == state,
            always,
        ),
    ]


READY = Claim("/ready answers 200", lambda seen: seen.ready == 200, always=True)
LIVE = Claim("/live answers 200 within 2 s", lambda seen: seen.live == 200, always=True)

Act: TypeAlias = Callable[[Company], None]


def nothing(_company: Company) -> None:
    """Do nothing."""


def no_claims(_company: Company) -> list[Claim]:
    """Add no claims to the general ones."""
    return []


#: All kinds: without a merge request, with one on the good host, and ignored ones.
ALL_KINDS: tuple[tuple[Expected, kinds.Make], ...] = (
    (Expected.SENT, kinds.pre_test),
    (Expected.SENT, kinds.with_merge_request),
    (Expected.IGNORED, kinds.triaging),
    (Expected.SENT, kinds.post_test),
    (Expected.IGNORED, kinds.merged),
    (Expected.SENT, kinds.thin),
)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A bad thing among good notifications.

    `come` starts it and returns when it is there, `leave` repairs it. `prepare` runs before the
    daemon starts. `settings` are changes to the daemon's environment.
    """

    edge: str
    name: str
    come: Act
    leave: Act = nothing
    prepare: Act = nothing
    settings: Mapping[str, str] = field(default_factory=dict)
    #: The kinds of the good notifications, in turn.
    good: tuple[tuple[Expected, kinds.Make], ...] = ALL_KINDS
    #: Claims besides `LIVE` and `READY`.
    claims: Callable[[Company], list[Claim]] = no_claims
    #: Timeout for claims that need not always hold, in seconds after the good notifications.
    told_within: float = 10.0
    #: How long it stays at least after the good notifications, in seconds.
    stays: float = 0.0
    #: Timeout for all notifications, in seconds after the repair.
    patience: float = 90.0
    #: Whether it is part of every test run.
    short: bool = False
    #: Whether the daemon's log shows its start.
    waits: bool = True

    @property
    def id(self) -> str:
        """The name in pytest and in the table."""
        return f"{self.edge}: {self.name}"
