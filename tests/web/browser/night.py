"""A night of a notifier in production, as its pages show it; and one in which much goes wrong."""

import random
import time
from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from uuid import UUID

import msgspec

from cki_notifier.notification.models import Position
from cki_notifier.notification.parse import Identity
from cki_notifier.notification.reasons import sentence
from cki_notifier.rules.explain import Step
from cki_notifier.telemetry import metrics, outcomes, unsettled
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.telemetry.outcomes import Outcomes, Result
from cki_notifier.telemetry.unsettled import Delayed
from cki_notifier.web.letters import Letter, Reading
from tests.factories.environment import SECRETS, environment, read
from tests.factories.website import Scene
from tools.stand_ins import documents

_TREES = ("centos-stream-9", "centos-stream-10", "rhel-8")
_GROUP = "https://gitlab.com/redhat/centos-stream/src/kernel"
_BUILT, _TESTED = "build_setups_finished", "ready_to_report"
_TRIAGED = "checkout_issueoccurrences_changed"
_EVERYTHING = "/api/1/kcidb/checkouts/redhat%3A{}/all"
#: Status, outcome, reason, error, and how often it happens.
_USUAL = (
    (_BUILT, "sent", "pre-test", "", 30),
    (_TESTED, "sent", "post-test", "", 24),
    (_TRIAGED, "sent", "post-test", "", 5),
    (_TRIAGED, "ignored", "outcome-unchanged", "", 14),
    (_TRIAGED, "ignored", "still-failing", "", 6),
    (_BUILT, "ignored", "superseded", "", 5),
    (_BUILT, "ignored", "no-builds", "", 3),
    ("new", "ignored", "status", "", 9),
    (_TESTED, "ignored", "retriggered", "", 3),
    (
        *(_TESTED, "delayed", "unavailable"),
        f"datawarehouse: GET {_EVERYTHING} answered 503",
        3,
    ),
    (
        *(_BUILT, "delayed", "not-found"),
        "gitlab: GET /api/v4/projects/redhat%2Fkernel%2Frhel-8/merge_requests/1187 answered 404",
        1,
    ),
    (
        *(_TESTED, "dead-lettered", "invalid-document"),
        f"datawarehouse: the answer to GET {_EVERYTHING}: Expected `str`",
        1,
    ),
)
#: A checkout that is delayed once and then sent: the last two of a night.
DELAYED_ONCE = "redhat:2167052000"


class _Earlier:
    """A monotonic clock that is this much behind."""

    def __init__(self, ago: timedelta) -> None:
        self._ago = ago.total_seconds()

    def monotonic(self) -> float:
        """Return it."""
        return time.monotonic() - self._ago


def night(ago: timedelta = timedelta(0)) -> Scene:
    """Return a scene with 500 outcomes, the newest some seconds ago, the same every time.

    Args:
        ago: so long ago it ended.
    """
    with patch.object(outcomes, "time", _Earlier(ago)):
        return _night(datetime.now(UTC) - ago)


def _night(now: datetime) -> Scene:
    chance = random.Random(8)  # noqa: S311  # no secret
    ages = sorted((chance.uniform(9, 26_000) for _ in range(500)), reverse=True)
    times = iter([now - timedelta(hours=31), *(now - timedelta(seconds=age) for age in ages)])
    variables = environment(
        **SECRETS,
        DATAWAREHOUSE_URL="https://datawarehouse.example.com",
        GITLAB_TOKENS='{"gitlab.com": "COM_GITLAB_TOKEN"}',
        JIRA_SERVER="https://jira.example.com",
        KAFKA_BOOTSTRAP_SERVERS="kafka.example.com:9092",
    )
    scene = Scene(
        read(variables),
        Outcomes(clock=times.__next__),
        waiting={"main": 2, "delay": 3, "dead-letter": 0},
        letters=letters,
    )
    for number in range(498):
        *what, _ = chance.choices(_USUAL, [usual[-1] for usual in _USUAL])[0]
        _settle(scene, chance, number, *what)
    identity = ("build_setups_finished", str(_uuid(chance)))
    _settle_twice(scene, chance, now, *identity)
    return scene


def _settle(  # noqa: PLR0917  # the parts of what is usual
    scene: Scene,
    chance: random.Random,
    number: int,
    status: str,
    outcome: str,
    reason: str,
    error: str,
) -> None:
    tree = chance.choice(_TREES)
    has_merge_request = outcome in {"sent", "ignored"} and reason != "status"
    pipeline = 2_167_003_491 + 97 * number
    scene.settle(
        f"redhat:{pipeline}",
        outcome,
        reason,
        status=status,
        error=error.format(pipeline),
        merge_request=f"{_GROUP}/{tree}/-/merge_requests/{chance.randrange(900, 7000)}"
        if has_merge_request and chance.random() < 0.85
        else "",
        seconds=chance.lognormvariate(-0.9, 0.6),
        event_id=str(_uuid(chance)),
        position=Position(0, 10_000 + number) if outcome == "sent" else None,
        letter=f"{chance.getrandbits(48):012x}" if outcome == "dead-lettered" else "",
    )


def _settle_twice(
    scene: Scene, chance: random.Random, now: datetime, status: str, event_id: str
) -> None:
    merge_request = f"{_GROUP}/centos-stream-9/-/merge_requests/4711"
    steps = (
        Step("object-type", "object_type 'checkout'", "pass"),
        Step("status", "status 'build_setups_finished'", "pass"),
        Step("route", "status build_setups_finished leads to a pre-test message", "pass"),
        Step("retriggered", "no retrigger", "pass"),
        Step("origin", "redhat", "pass"),
        Step("invalid", "valid", "pass"),
        Step("no-builds", "5 of 5 builds can be tested", "pass"),
        Step("merge-request-merged", "merge request is opened", "pass"),
        Step("superseded", "pipeline 2167052000 is its newest", "pass"),
    )
    scene.settle(
        *(DELAYED_ONCE, "delayed", "unavailable"),
        status=status,
        error="gitlab: GET /api/v4/projects/redhat%2Fkernel/merge_requests/4711 answered 502",
        seconds=2.31,
        event_id=event_id,
        steps=steps[:6],
        next_try=now - timedelta(seconds=25),
    )
    message = documents.sample("message-pre-test")
    scene.settle(
        DELAYED_ONCE,
        status=status,
        merge_request=merge_request,
        event_id=event_id,
        attempt=2,
        seconds=0.61,
        steps=steps,
        position=Position(0, 10_499),
        message=msgspec.json.encode(message),
    )
    chance.random()


def outage() -> Scene:
    """Return a scene of a long outage of DataWarehouse, for which all notifications wait."""
    down, refused = timedelta(minutes=42), timedelta(minutes=95)
    scene = night(down)
    chance = random.Random(9)  # noqa: S311  # no secret
    now = datetime.now(UTC)
    scene.waiting = {"main": 214, "delay": 61, "dead-letter": 66}
    for number in range(32):
        ago = timedelta(seconds=chance.uniform(130, 500))
        with patch.object(unsettled, "time", _Earlier(ago)):
            identity = Identity(f"redhat:{2_167_060_000 + 97 * number}", _TESTED, "", 1)
            scene.unsettled.take((1, number), identity, now - ago)
            scene.unsettled.begin((1, number), _ForTheWarehouse())
    error = "gitlab: GET /api/v4/projects/redhat%2Fkernel/merge_requests/4711 answered 401"
    for number in range(40):
        age = timedelta(seconds=chance.uniform(100, 9_000))
        identity = Identity(
            f"redhat:{2_167_050_000 + 97 * number}", _TESTED, str(_uuid(chance)), 4 + number % 3
        )
        until = now + timedelta(seconds=chance.uniform(5, 3_000))
        failed = Result(outcome="delayed", reason="unavailable", error=error)
        scene.unsettled.delay(Delayed(identity, now - age, until, failed))
    with patch.object(metrics.connected, "_clock", lambda: now - down):
        trouble = Trouble(
            "GET /api/1/kcidb/checkouts/redhat%3A2167060000/all answered 503",
            "retried about once a second",
        )
        metrics.connected.fails("datawarehouse", trouble)
    with patch.object(metrics.connected, "_clock", lambda: now - refused):
        trouble = Trouble(f"{error[8:]}; check the token in COM_GITLAB_TOKEN", refuses=True)
        metrics.connected.fails("gitlab", trouble, "gitlab.com")
    for _ in range(57):
        metrics.connected.affects("datawarehouse")
    return scene


class _ForTheWarehouse:
    waits_for = "datawarehouse is down"


def letters() -> Reading:
    """Return dead letters of some days."""
    chance = random.Random(10)  # noqa: S311  # no secret
    now = datetime.now(UTC)
    found = []
    for number in range(66):
        pipeline = 2_166_000_000 + 97 * number
        body = msgspec.json.encode(
            {"object_type": "checkout", "status": _TESTED, "id": f"redhat:{pipeline}"}
        )
        is_lost = number % 3 > 0
        reason = "not-found" if is_lost else "invalid-document"
        error = (
            "gitlab: GET /api/v4/projects/redhat%2Fkernel/merge_requests/1187 answered 404"
            if is_lost
            else f"datawarehouse: the answer to GET {_EVERYTHING}: Expected `str`, got `int`"
        )
        found.append(
            Letter(
                id=f"{chance.getrandbits(48):012x}",
                checkout_id=f"redhat:{pipeline}",
                status=_TESTED,
                reason=reason,
                sentence=sentence("dead-lettered", reason),
                error=error.format(pipeline),
                attempts=8 if is_lost else 1,
                first_seen=now - timedelta(hours=90 - number),
                exchange="cki.exchange.webhooks",
                routing_key="datawarehouse.checkout.ready_to_report",
                bytes=len(body),
                body=body.decode(),
            )
        )
    return Reading(tuple(found), len(found), len(found))


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128))
