"""The state of connections, and the log of their outages."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from cki_notifier.telemetry.connections import Connections, State, Trouble, lasted

START = datetime(2026, 11, 20, 3, tzinfo=UTC)
AWAY = Trouble("GET /x answered 503", "retried about once a second")


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def wait(self, **time: float) -> None:
        """Let time go by."""
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def connections(clock: Clock) -> Connections:
    """Return connections by that clock."""
    return Connections(clock)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what was logged, and forget it."""
    records = [(it.levelname, it.getMessage()) for it in caplog.records]
    caplog.clear()
    return records


def test_an_outage_is_one_story(
    connections: Connections, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It starts with the cause and ends with the length and the number of delayed notifications."""
    connections.works("datawarehouse")
    assert not connections.affects("datawarehouse")
    for _ in range(44):
        connections.fails("datawarehouse", AWAY)
        assert connections.affects("datawarehouse")
        clock.wait(seconds=2)
    connections.works("datawarehouse")
    connections.works("datawarehouse")
    begin = "datawarehouse: down: GET /x answered 503; retried about once a second"
    end = "datawarehouse: back after 88 s; notifications delayed: 44"
    assert told(caplog) == [("WARNING", begin), ("WARNING", end)]


def test_one_that_lasts_is_told_of_again_every_ten_minutes(
    connections: Connections, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """With what is wrong now, and the sum so far."""
    connections.fails("gitlab", AWAY, "gitlab.example")
    caplog.clear()
    for second in range(1500):
        connections.fails("gitlab", Trouble(f"try {second}"), "gitlab.example")
        clock.wait(seconds=1)
    name = "gitlab gitlab.example: down for"
    assert told(caplog) == [
        ("WARNING", f"{name} 10 min: try 600; notifications delayed: 0"),
        ("WARNING", f"{name} 20 min: try 1200; notifications delayed: 0"),
    ]


def test_what_flaps_is_told_of_when_it_lasts(
    connections: Connections, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Good and bad answers by turns are no news, but what still fails ten seconds later is."""
    for _ in range(9):
        connections.fails("gitlab", AWAY)
        connections.works("gitlab")
        clock.wait(seconds=1)
    assert [line.partition(":")[2] for _, line in told(caplog)] == [
        " down: GET /x answered 503; retried about once a second",
        " back after 0.0 s; notifications delayed: 0",
    ]
    for _ in range(4):
        connections.fails("gitlab", AWAY)
        clock.wait(seconds=1)
    connections.works("gitlab")
    assert [line.partition(":")[2] for _, line in told(caplog)] == [
        " down for 1.0 s: GET /x answered 503; notifications delayed: 0",
        " back after 4.0 s; notifications delayed: 0",
    ]


def test_who_refuses_us_is_not_down(
    connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    """An operator has to act, so it is an error."""
    connections.fails("jira", Trouble("it answers 403: check JIRA_TOKEN_AUTH", refuses=True))
    connections.affects("jira")
    connections.works("jira")
    assert told(caplog) == [
        ("ERROR", "jira: refuses access: it answers 403: check JIRA_TOKEN_AUTH"),
        ("WARNING", "jira: back after 0.0 s; messages sent without issues: 1"),
    ]


def test_a_good_begin_is_no_news(
    connections: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of one host says nothing about another."""
    caplog.set_level(logging.DEBUG)
    connections.works("kafka")
    connections.works("gitlab", "one.example")
    connections.fails("gitlab", AWAY, "two.example")
    assert len(told(caplog)) == 1
    assert not connections.affects("gitlab", "one.example")
    assert connections.states("gitlab") == {
        "one.example": State(START),
        "two.example": State(START, AWAY),
    }


def test_the_state_tells_since_when(connections: Connections, clock: Clock) -> None:
    """The trouble is the last one, its begin the first one's."""
    connections.fails("kafka", AWAY)
    clock.wait(minutes=3)
    other = Trouble("no answer")
    connections.fails("kafka", other)
    connections.affects("kafka")
    assert connections.states("kafka") == {"": State(START, other, 1)}
    connections.works("kafka")
    assert connections.states("kafka") == {"": State(clock.now)}
    connections.forget("kafka")
    assert connections.states("kafka") == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.44, "9.4 s"), (119, "119 s"), (120, "2 min"), (8100, "2 h 15 min")],
)
def test_times_are_told_as_people_do(seconds: float, text: str) -> None:
    """Two numbers are enough."""
    assert lasted(timedelta(seconds=seconds)) == text
