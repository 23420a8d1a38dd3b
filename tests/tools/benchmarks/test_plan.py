"""The parts of the benchmark, and their numbers of notifications."""

from pathlib import Path

import pytest

from tools import PROJECT
from tools.benchmarks.figures import Setup
from tools.benchmarks.options import read, told
from tools.benchmarks.plan import notifications, parts


def test_by_default_a_backlog_and_a_rate_with_and_without_merge_requests() -> None:
    """The default takes a few minutes."""
    planned = parts(read([]))

    assert [part.name for part in planned] == ["backlog", "rate"]
    assert [[case.label for case in part.cases] for part in planned] == [
        ["64 in flight, 50 ms", "64 in flight, 50 ms, merge requests"],
        ["20/s, 64 in flight, 50 ms", "20/s, 64 in flight, 50 ms, merge requests"],
    ]
    assert [part.turns for part in planned] == [3, 3]


def test_full_is_everything() -> None:
    """All that the documentation shows."""
    assert [part.name for part in parts(read(["--full"]))] == [
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
    (part,) = parts(read(["--matrix"]))

    setups = [case.setup for case in part.cases]
    cases = {(it.in_flight, it.latency * 1000, it.processes) for it in setups}
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
    (part,) = parts(read([*arguments, "--in-flight", "8", "--latency-ms", "100"]))

    assert [(case.label, case.messages) for case in part.cases] == [
        (f"8 in flight, {latency} ms{processes}", expected * 4 // 5)
        for latency, expected in ((0, count), (100, count), (1000, max(count // 10, 200)))
        for processes in ("", ", 2 processes", ", 3 processes")
    ]


def test_parts_run_in_turn_with_another_copy_of_the_project() -> None:
    """Its daemon is the one that ratios are to."""
    (part,) = parts(read(["--backlog", "--against", str(PROJECT)]))

    assert [program.name for program in part.programs] == [
        "cki-notifier",
        f"cki-notifier in {PROJECT.name}",
    ]
    assert (len(part.cases), part.turns) == (2, 3)


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

    assert told(arguments) == ["--matrix", "--against", PROJECT.name, "--rounds", "5"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--against", "/nowhere"], "/nowhere is neither a copy of this project nor a program"),
        (["--rounds", "0"], "'0' is not a whole number from 1 on"),
        (["--rounds", "1.5"], "'1.5' is not a whole number from 1 on"),
        (["--latency-ms", "-1"], "'-1' is not a whole number from 0 on"),
        (["--latency-ms", "soon"], "'soon' is not a whole number from 0 on"),
        (["--rate", "0"], "'0' is not a whole number from 1 on"),
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


def test_another_program_is_benthos(tmp_path: Path) -> None:
    """Told what the daemon is told, and what to do by its own configuration."""
    binary = tmp_path / "benthos"
    binary.touch(0o700)

    (part,) = parts(read(["--rate", "5", "--against", str(binary)]))

    program = part.programs[-1]
    assert (program.name, program.command[:2]) == ("Benthos", (str(binary), "-c"))
    assert Path(program.command[2]).exists()
    assert part.cases[0].label == "5/s, 64 in flight, 50 ms"


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
