"""The report of an audit, for people and for programs."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cki_notifier.audit.report import Found
from cki_notifier.audit.stages import Due, Judged, Verdict
from cki_notifier.notification.models import Stage
from cki_notifier.telemetry.output import Output

SINCE, UNTIL = datetime(2026, 11, 19, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)


def about(name: str, verdict: Verdict, **more: str) -> Judged:
    """Return one that was judged."""
    return Judged(Due(name, Stage.PRE_TEST), verdict, **more)


@pytest.fixture
def output() -> Iterator[Output]:
    """Keep what is to be printed."""
    with Output() as output:
        yield output


@pytest.fixture
def found(output: Output) -> Found:
    """Return a little of everything."""
    it = Found(SINCE, UNTIL, output)
    for number in range(3):
        it.add(about(f"redhat:{number}", Verdict.ANNOUNCED))
    it.add(about("redhat:3", Verdict.IGNORED, reason="retriggered"))
    it.add(about("redhat:4", Verdict.IGNORED, reason="retriggered"))
    it.add(about("redhat:5", Verdict.IGNORED_NOW, reason="superseded"))
    it.add(about("redhat:6", Verdict.WAITING, reason="delayed"))
    it.add(about("redhat:7\x1b[2J", Verdict.UNDECIDED, error="gitlab: it is down"))
    it.add(about("redhat:8 it's", Verdict.MISSING, merge_request="https://gitlab.example/x/-/1"))
    it.add(about("redhat:9", Verdict.MISSING))
    return it


def test_a_person_sees_sums_and_what_to_do(
    found: Found, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in it moves the cursor, and each command can be pasted as it is."""
    it = found
    it.settle([*it.missing[:1], about("redhat:9", Verdict.ANNOUNCED)])
    it.notes.append("the topic begins later")
    it.print()
    assert capsys.readouterr().out.split("\n") == [
        "2026-11-19 00:00 UTC to 2026-11-20 00:00 UTC: 10 stages reached",
        "",
        "announced          4  the topic has their messages",
        "ignored            2  by a rule: 2 retriggered",
        "missing            1  the topic has no message, and no rule ignores them",
        "ignored now        1  by a rule, but perhaps not at the time: 1 superseded",
        "undecided          1  the audit could not decide",
        "waiting            1  in a queue, not sent yet: 1 delayed",
        "",
        "note: the topic begins later",
        "",
        "missing, each with the command that sends its message:",
        "",
        "redhat:8 it's  pre-test",
        "    https://gitlab.example/x/-/1",
        """    cki-notifier --status build_setups_finished --checkout-id='redhat:8 it'"'"'s'""",
        "",
        "undecided:",
        "",
        r"redhat:7\x1b[2J  pre-test",
        "    gitlab: it is down",
        "",
    ]


def test_a_program_gets_one_object(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    """With each list under the name of its sum."""
    it = found
    it.settle(it.missing)
    it.print_json({"sent": []})
    report = json.loads(capsys.readouterr().out)
    assert (report["since"], report["until"]) == (SINCE.isoformat(), UNTIL.isoformat())
    assert report["sums"] == {verdict: len(report[verdict]) for verdict in Verdict}
    assert report["missing"] == [
        {
            "checkout_id": "redhat:8 it's",
            "stage": "pre-test",
            "merge_request": "https://gitlab.example/x/-/1",
        },
        {"checkout_id": "redhat:9", "stage": "pre-test"},
    ]
    assert report["undecided"][0]["error"] == "gitlab: it is down"
    assert report["waiting"][0]["reason"] == "delayed"
    assert (report["sent"], report["notes"]) == ([], [])


def test_no_more_than_twenty_undecided_are_shown(
    output: Output, capsys: pytest.CaptureFixture[str]
) -> None:
    """When everything is down, it is down for thousands."""
    it = Found(SINCE, UNTIL, output)
    for number in range(25):
        it.add(about(f"redhat:{number}", Verdict.UNDECIDED, error="it is down"))
    it.settle([])
    it.print()
    shown = capsys.readouterr().out
    assert shown.count("it is down") == 20
    assert "… and 5 more: use --json to see all" in shown
