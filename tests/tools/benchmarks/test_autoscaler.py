"""KEDA's rule, simulated."""

from pathlib import Path

import pytest

from tools.benchmarks.autoscaler import SCALED_OBJECT, Rule, simulate, simulated
from tools.benchmarks.figures import Row, Setup, table
from tools.benchmarks.report import markdown

RULE = Rule(least=2, most=4, value=5000)
#: Notifications a second of one replica to four.
RATES = [400, 800, 1200, 1600]
SLOW = [32, 64, 96, 128]


def test_the_rule_is_read_from_the_scaled_object(tmp_path: Path) -> None:
    """That of production has one, and so has any with a single trigger."""
    path = tmp_path / "scaled-object.yaml"
    path.write_text(
        "spec: {minReplicaCount: 3, maxReplicaCount: 7, triggers: [{metadata: {value: '12'}}]}"
    )

    assert Rule.read(path) == Rule(least=3, most=7, value=12)
    assert Rule.read(SCALED_OBJECT).value > 0


@pytest.mark.parametrize(
    ("waiting", "replicas", "expected"),
    [
        (0, 2, 2),
        (10_000, 2, 2),
        (10_999, 2, 2),
        (11_001, 2, 3),
        (100_000, 2, 4),
        (15_500, 3, 3),
        (13_400, 3, 3),
        (9_900, 4, 2),
    ],
)
def test_there_is_a_replica_for_each_so_many(waiting: int, replicas: int, expected: int) -> None:
    """Rounded up, within limits, and as many as before where a tenth more or less waits."""
    assert RULE.desired(waiting, replicas) == expected


def test_replicas_that_are_fixed_work_it_off_at_their_rate() -> None:
    """Nothing happens besides."""
    course = simulate(8000, RATES, Rule(least=2, most=2, value=1), pod_seconds=1)

    assert (course.seconds, course.replicas) == (10, [(0, 2)])


@pytest.mark.parametrize("waiting", [10_000, 22_000])
def test_a_backlog_that_is_nearly_done_at_the_first_look_starts_nobody(waiting: int) -> None:
    """The autoscaler looks each 15 s."""
    assert simulate(waiting, RATES, RULE, pod_seconds=15).replicas == [(0, 2)]


def test_more_replicas_help_once_they_have_started_and_go_five_minutes_after() -> None:
    """800 a second for 15 s until the look and 15 s of starting, then twice as many.

    At the look after 60 s there is work for four for the last time.
    """
    course = simulate(100_000, RATES, RULE, pod_seconds=15)

    assert course.seconds == 78
    assert course.replicas == [(0, 2), (15, 4), (360, 2)]


def test_replicas_go_one_by_one_where_the_queue_gets_shorter_slowly() -> None:
    """Each five minutes after it was last needed."""
    course = simulate(100_000, SLOW, RULE, pod_seconds=15)

    assert course.replicas == [(0, 2), (15, 4), (975, 3), (1005, 2)]


def test_replicas_at_most_double_at_each_look_but_for_the_first_four() -> None:
    """The autoscaler's own limits."""
    rule = Rule(least=2, most=20, value=1)

    course = simulate(10_000, [10] * 20, rule, pod_seconds=1)

    assert course.replicas[:4] == [(0, 2), (15, 6), (30, 12), (45, 20)]


def row(latency_ms: int, processes: int, **values: float) -> Row:
    """Return a row of the part ``scale``."""
    return Row(
        part="scale",
        case=f"{latency_ms} ms, {processes} processes",
        program="cki-notifier",
        values=values,
        setup=Setup(latency=latency_ms / 1000, processes=processes),
    )


def test_the_table_is_made_of_what_was_measured() -> None:
    """It extrapolates the rate of a fourth replica, and omits a latency with a failed run."""
    rows = [row(100, each, throughput=RATES[each - 1], start_seconds=0.0) for each in (1, 2, 3)]
    failed = [row(0, 1, throughput=900, start_seconds=0.4), row(0, 2)]

    lines = markdown(table(simulated([*rows, *failed], RULE))).splitlines()

    assert lines[0] == (
        "| case | program | without KEDA, s | with KEDA, s | replicas at most "
        "| all consume after, s | gone again after, s |"
    )
    assert lines[2:] == [
        "| 10,000 waiting, 100 ms | 2 to 4 replicas | 13 | 13 | 2 |  |  |",
        "| 100,000 waiting, 100 ms | 2 to 4 replicas | 125 | 78 | 4 | 30 | 360 |",
        "| 1,000,000 waiting, 100 ms | 2 to 4 replicas | 1250 | 640 | 4 | 30 | 930 |",
    ]
