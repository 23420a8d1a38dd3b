"""From rows to tables."""

from tools.benchmarks.figures import Row, Setup, table, told, values_of


def row(program: str, turn: int = 1, *, case: str = "case", **values: float) -> Row:
    """Return a row of the part ``part``."""
    return Row(part="part", case=case, program=program, turn=turn, values=values)


def test_a_table_has_the_median_and_the_range() -> None:
    """One slow run does not move the figure, but is seen."""
    rows = [row("a", turn, cpu_ms=ms, peak_mib=50) for turn, ms in enumerate([3, 1, 2])]

    assert table(rows) == [
        ["case", "program", "CPU each, ms", "peak RSS, MiB"],
        ["case", "a", "2.00 [1.00 to 3.00]", "50"],
    ]


def test_ratios_compare_runs_of_the_same_turn() -> None:
    """When the machine is slow for both in a turn, their ratio is not touched."""
    rows = [
        row("new", 1, cpu_ms=1),
        row("old", 1, cpu_ms=2),
        row("new", 2, cpu_ms=10),
        row("old", 2, cpu_ms=20),
        row("new", 3, cpu_ms=1),
        row("old", 3, cpu_ms=4),
    ]

    _, new, ratio, old = table(rows, "old")

    assert [new[1], ratio, old[1]] == ["new", ["", "ratio", "0.50"], "old"]


def test_ratio_to_nothing_is_left_out() -> None:
    """A measure that is 0 for the other program, or that it lacks, has no ratio."""
    rows = [row("new", p50_ms=1, cpu_ms=1, peak_mib=2), row("old", p50_ms=0, peak_mib=1)]

    _, _, ratio, _ = table(rows, "old")

    assert ratio == ["", "ratio", "", "", "2.00"]


def test_cases_stay_together_in_the_order_they_came() -> None:
    """Programs of a case stand below each other."""
    rows = [
        row(program, turn, case=case, cpu_ms=1)
        for case in ("64", "1")
        for turn in (1, 2)
        for program in ("new", "old")
    ]

    assert [line[:2] for line in table(rows)[1:]] == [
        ["64", "new"],
        ["64", "old"],
        ["1", "new"],
        ["1", "old"],
    ]


def test_a_run_that_failed_has_no_figures_and_spoils_none() -> None:
    """Rows without values are left out."""
    failed = row("new", 2)

    assert table([row("new", cpu_ms=1), failed, row("other")])[1:] == [
        ["case", "new", "1.00"],
        ["case", "other", ""],
    ]
    assert table([failed]) == [["case", "program"], ["case", "new"]]
    assert values_of([failed, row("new", cpu_ms=1)], "cpu_ms") == [1]


def test_some_measures_are_in_the_tables_that_ask_for_them_alone() -> None:
    """The brokers' CPU time matters where processes share them."""
    rows = [row("new", kafka=0.25, lost=0, cpu_ms=1)]

    assert table(rows)[0][2:] == ["CPU each, ms"]
    assert table(rows, extra=("kafka",))[0][2:] == ["CPU each, ms", "Kafka's"]


def test_a_run_is_told_in_a_line() -> None:
    """With all its values; one that lost something says so."""
    line = "part: case: new: notifications/s 100, CPU each, ms 0.01, Kafka's 25%"
    failed = Row(part="rate", case="20/s", program="new", values={}, fault="1 lost")

    assert told(row("new", cpu_ms=0.01, throughput=100, kafka=0.25)) == line
    assert told(failed) == "rate: 20/s: new:  FAILED: 1 lost"


def test_a_setup_is_told_by_what_is_special_about_it() -> None:
    """Its label stands in the tables."""
    special = Setup(in_flight=8, latency=1.0, processes=2, merge_requests=True, returned=10)

    assert Setup().label == "64 in flight, 50 ms"
    assert special.label == "8 in flight, 1000 ms, merge requests, 10 % returned, 2 processes"
