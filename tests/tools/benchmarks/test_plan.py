"""What is measured, and with how much."""

import pytest

from tools import PROJECT
from tools.benchmarks.arguments import read
from tools.benchmarks.plan import notifications
from tools.benchmarks.trial import Setup


def test_by_default_a_backlog_and_a_rate_with_and_without_merge_requests() -> None:
    """What takes a few minutes."""
    parts = read([]).parts

    assert [part.name for part in parts] == ["backlog", "rate"]
    assert [[case.label for case in part.cases] for part in parts] == [
        ["64 in flight, 50 ms", "64 in flight, 50 ms, merge requests"],
        ["20/s, 64 in flight, 50 ms", "20/s, 64 in flight, 50 ms, merge requests"],
    ]
    assert [part.turns for part in parts] == [3, 3]


def test_full_is_everything() -> None:
    """All that the documentation shows."""
    assert [part.name for part in read(["--full"]).parts] == [
        "stand-in",
        "backlog",
        "rate",
        "matrix",
        "scale",
        "big",
        "idle",
    ]


def test_the_matrix_is_complete() -> None:
    """In flight, latencies and processes, each with each."""
    (part,) = read(["--matrix"]).parts

    cases = {
        (it.parameters["in_flight"], it.parameters["latency_ms"], it.parameters["processes"])
        for it in part.cases
    }
    assert cases == {
        (number, latency, processes)
        for number in (1, 32, 64, 256)
        for latency in (0, 50)
        for processes in (1, 2)
    }


@pytest.mark.parametrize(
    ("arguments", "count"),
    [(["--scale"], 100_000), (["--scale", "3000"], 3000), (["--scale", "--quick"], 200)],
)
def test_a_long_backlog_is_as_long_as_asked_for(arguments: list[str], count: int) -> None:
    """Without latency and with it, and a tenth with a long one, for one to three processes."""
    (part,) = read([*arguments, "--in-flight", "8", "--latency-ms", "100"]).parts

    assert [(case.label, case.messages) for case in part.cases] == [
        (f"8 in flight, {latency} ms{processes}", expected * 4 // 5)
        for latency, expected in ((0, count), (100, count), (1000, max(count // 10, 200)))
        for processes in ("", ", 2 processes", ", 3 processes")
    ]


def test_parts_run_in_turn_with_another_copy_of_the_project() -> None:
    """Its daemon is the one that ratios are to."""
    (part,) = read(["--backlog", "--against", str(PROJECT)]).parts

    assert [program.name for program in part.programs] == [
        "cki-notifier",
        f"cki-notifier in {PROJECT.name}",
    ]
    assert part.runs == 2 * 2 * 3


def test_no_path_of_this_machine_is_told_to_others() -> None:
    """The command stands in the documentation."""
    arguments = [
        "--json",
        "/a/rows",
        "--matrix",
        f"--against={PROJECT}",
        "--write",
        "--rounds",
        "5",
    ]

    assert read(arguments).command == ["--matrix", "--against", PROJECT.name, "--rounds", "5"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--against", "/nowhere"], "there is no cki_notifier in /nowhere"),
        (["--against", "benthos", "--benthos", "/nowhere"], "there is no program /nowhere"),
        (["--rounds", "0"], "'0' is no whole number above 0"),
        (["--rounds", "1.5"], "'1.5' is no whole number above 0"),
        (["--latency-ms", "-1"], "'-1' is no number from 0 on"),
        (["--latency-ms", "soon"], "'soon' is no number from 0 on"),
        (["--latency-ms", "nan"], "'nan' is no number from 0 on"),
        (["--rate", "0"], "0 is not above 0"),
    ],
)
def test_wrong_usage_is_told(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    """In a sentence, with exit code 2, before anything is started."""
    with pytest.raises(SystemExit) as ended:
        read(arguments)

    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setup", "expected"),
    [
        (Setup(in_flight=64, latency=0.05), 4000),
        (Setup(in_flight=1, latency=0.05), 300),
        (Setup(in_flight=1, latency=0.05, merge_requests=True), 200),
        (Setup(in_flight=1, latency=0.0), 3000),
        (Setup(in_flight=256, latency=0.05), 5120),
        (Setup(in_flight=256, latency=0.05, processes=2), 10240),
    ],
)
def test_backlogs_are_as_long_as_they_have_to_be(setup: Setup, expected: int) -> None:
    """Few in flight would take for ever; with many, the end would count for too much."""
    assert notifications(setup, 4000) == expected
