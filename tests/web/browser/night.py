"""A night of a notifier in production, as its page shows it."""

import random
from datetime import UTC, datetime, timedelta

from cki_notifier.telemetry.outcomes import Outcomes
from tests.factories.environment import SECRETS, environment, read
from tests.factories.website import Scene

_TREES = ("centos-stream-9", "centos-stream-10", "rhel-8")
_GROUP = "https://gitlab.com/redhat/centos-stream/src/kernel"
_BUILT, _TESTED = "build_setups_finished", "ready_to_report"
_TRIAGED = "checkout_issueoccurrences_changed"
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
        "datawarehouse: GET /api/1/kcidb/checkouts/redhat%3A{}/all answered 503",
        3,
    ),
    (
        *(_BUILT, "delayed", "not-found"),
        "gitlab: GET /api/v4/projects/redhat%2Fkernel%2Frhel-8/merge_requests/1187 answered 404",
        1,
    ),
    (
        *(_TESTED, "dead-lettered", "invalid-document"),
        "datawarehouse: the answer to GET /api/1/kcidb/checkouts/redhat%3A{}/all: Expected `str`",
        1,
    ),
)


def night() -> Scene:
    """Return a scene with 500 outcomes, the newest some seconds ago, the same every time."""
    chance = random.Random(8)  # noqa: S311  # no secret
    now = datetime.now(UTC)
    ages = sorted((chance.uniform(9, 26_000) for _ in range(500)), reverse=True)
    times = iter([now - timedelta(hours=31), *(now - timedelta(seconds=age) for age in ages)])
    variables = environment(
        **SECRETS,
        DATAWAREHOUSE_URL="https://datawarehouse.example.com",
        GITLAB_TOKENS='{"gitlab.com": "COM_GITLAB_TOKEN"}',
        JIRA_SERVER="https://jira.example.com",
    )
    scene = Scene(
        read(variables),
        Outcomes(clock=times.__next__),
        waiting={"main": 2, "delay": 3, "dead-letter": 1},
    )
    for number in range(500):
        tree = chance.choice(_TREES)
        *what, _ = chance.choices(_USUAL, [usual[-1] for usual in _USUAL])[0]
        status, outcome, reason, error = what
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
        )
    return scene
