"""The last outcomes."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from cki_notifier.notification.models import Stage
from cki_notifier.notification.parse import Identity
from cki_notifier.notification.reasons import (
    DeadLetterReason,
    DelayReason,
    IgnoreReason,
    SentReason,
    sentence,
)
from cki_notifier.rules.explain import Step
from cki_notifier.telemetry.outcomes import KEPT, Outcomes, Result

ABOUT = Identity("redhat:1", "ready_to_report")
SENT = Result(outcome="sent", reason="pre-test")
START = datetime(2026, 11, 20, 3, tzinfo=UTC)


def test_the_newest_comes_first() -> None:
    """Each has its number, its time and what was said of it."""
    times = iter(START + timedelta(seconds=number) for number in range(3))
    outcomes = Outcomes(clock=times.__next__)
    failed = Result(outcome="delayed", reason="unavailable", error="kafka: it is down")
    outcomes.add(ABOUT, SENT, 0.5)
    outcomes.add(Identity(), failed, 1.5)
    second, first = outcomes.newest()
    assert (first.number, first.time, first.result) == (1, START + timedelta(seconds=1), SENT)
    assert (first.identity, first.seconds) == (ABOUT, 0.5)
    assert (second.number, second.identity) == (2, Identity("", ""))
    assert second.result == failed
    assert outcomes.newest(after=1) == [second]
    assert outcomes.newest(after=2) == []
    assert (outcomes.since, outcomes.last_sent) == (START, first.time)


def test_nothing_was_sent_before_something_is() -> None:
    """Ignored and failed notifications have no message."""
    outcomes = Outcomes()
    outcomes.add(ABOUT, Result(outcome="ignored", reason="superseded"), 0)
    assert outcomes.last_sent is None


def test_what_somebody_sends_by_hand_is_no_work_of_this_process() -> None:
    """It hides no standstill."""
    began, outcomes = time.monotonic(), Outcomes()
    time.sleep(0.02)
    outcomes.add(ABOUT, Result(outcome="sent", reason="pre-test", by="jane@laptop"), 0)
    assert outcomes.idle_seconds >= 0.02
    assert len(outcomes.of("redhat:1")) == 1
    outcomes.add(ABOUT, SENT, 0)
    assert outcomes.idle_seconds <= time.monotonic() - began - 0.02


def test_only_500_are_kept_of_what_many_threads_add() -> None:
    """The oldest go; the numbers of the others are without a gap, in order."""
    outcomes = Outcomes()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2000):
            pool.submit(outcomes.add, ABOUT, SENT, 0)
            pool.submit(outcomes.newest)
    assert KEPT == 500
    assert [settled.number for settled in outcomes.newest()] == list(range(2000, 1500, -1))


def test_no_text_is_kept_that_is_too_long() -> None:
    """Huge texts from notifications and services take bounded memory."""
    text = "x" * 1_000_000
    outcomes = Outcomes()
    result = Result(
        outcome="delayed",
        reason="bug",
        merge_request=text,
        error=text,
        steps=(Step("origin", text, "stop"),),
    )
    outcomes.add(Identity(text, text), result, 0)
    (settled,) = outcomes.newest()
    about, result = settled.identity, settled.result
    saw = result.steps[0].saw
    texts = (about.checkout_id, about.status, result.merge_request, result.error, saw)
    assert {(len(it or ""), (it or "")[-1]) for it in texts} == {(500, "…")}


def test_a_checkouts_history_is_not_pushed_out_by_what_concerns_none() -> None:
    """Tests and builds by the thousand are forgotten before a checkout is."""
    outcomes = Outcomes()
    outcomes.add(ABOUT, SENT, 0)
    outcomes.add(Identity("redhat:2", "unknown"), SENT, 0)
    for _ in range(2 * KEPT):
        outcomes.add(ABOUT, Result(outcome="ignored", reason="object-type"), 0)
    outcomes.add(ABOUT, Result(outcome="ignored", reason="superseded"), 0)
    assert [it.result.reason for it in outcomes.of("redhat:1")] == ["pre-test", "superseded"]
    assert outcomes.of("redhat:3") == []


def test_messages_are_kept_up_to_a_size_together() -> None:
    """The oldest go first; an outcome stays without its message."""
    outcomes = Outcomes()
    for size in (3_000_000, 1_000_000, 500_000):
        outcomes.add(ABOUT, Result(outcome="sent", reason="pre-test", message=b"x" * size), 0)
    assert [len(outcomes.message(number)) for number in (1, 2, 3)] == [0, 1_000_000, 500_000]
    assert len(outcomes.newest()) == 3
    assert all(not it.result.message for it in outcomes.newest())


@pytest.mark.parametrize(
    ("outcome", "reasons"),
    [
        ("sent", SentReason),
        ("ignored", IgnoreReason),
        ("delayed", DelayReason),
        ("dead-lettered", DeadLetterReason),
    ],
)
def test_every_outcome_is_explained_in_a_sentence(
    outcome: str, reasons: type[SentReason | IgnoreReason | DelayReason | DeadLetterReason]
) -> None:
    """Each reason's code has a sentence."""
    for reason in reasons:
        assert len(sentence(outcome, str(reason)).split()) > 3


def test_what_is_sent_goes_by_its_stage() -> None:
    """The codes are the stages', so that logs and metrics need no others."""
    assert {str(reason) for reason in SentReason} == {str(stage) for stage in Stage}
