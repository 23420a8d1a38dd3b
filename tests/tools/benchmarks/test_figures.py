"""From rows to figures."""

import pytest

from tools.benchmarks.figures import Row, by_part, percentile, summary


def row(program: str, turn: int, *, case: str = "case", **values: float) -> Row:
    """Return a row of the part ``part``."""
    return Row(part="part", case=case, program=program, turn=turn, values=values)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([7.0], 0.99, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([4.0, 3.0, 2.0, 1.0], 0.5, 2.0),
        (map(float, range(1, 101)), 0.99, 99.0),
        (map(float, range(1, 201)), 0.99, 198.0),
        (map(float, range(1, 102)), 0.99, 100.0),
        (map(float, range(1, 101)), 1, 100.0),
    ],
)
def test_percentile_is_the_smallest_value_that_covers_the_share(
    values: list[float], share: float, expected: float
) -> None:
    """The nearest rank, always one of the values."""
    assert percentile(values, share) == expected


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0), ([1.0], 1.1)])
def test_percentile_of_nothing_is_refused(values: list[float], share: float) -> None:
    """No values or no share has no percentile."""
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, share)


def test_summary_takes_the_median_and_the_range() -> None:
    """One slow run does not move the figure, but is seen."""
    (line,) = summary([row("a", turn, cpu_ms=ms) for turn, ms in enumerate([3, 1, 2])], None)

    figure = line.figures["cpu_ms"]
    assert (figure.median, figure.lowest, figure.highest) == (2, 1, 3)
    assert line.ratios == {}


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

    new, old = summary(rows, "old")

    assert new.ratios == {"cpu_ms": 0.5}
    assert old.ratios == {}


def test_ratio_to_nothing_is_left_out() -> None:
    """A measure that is 0 for the other program, or that it lacks, has no ratio."""
    new, _ = summary([row("new", 1, big=1, cpu_ms=1), row("old", 1, big=0)], "old")

    assert new.ratios == {}


def test_summary_keeps_cases_together_in_the_order_they_came() -> None:
    """Programs of a case stand below each other."""
    rows = [
        row(program, turn, case=case, cpu_ms=1)
        for case in ("64", "1")
        for turn in (1, 2)
        for program in ("new", "old")
    ]

    lines = summary(rows, "old")

    assert [(line.case, line.program) for line in lines] == [
        ("64", "new"),
        ("64", "old"),
        ("1", "new"),
        ("1", "old"),
    ]


def test_a_run_that_failed_has_no_figures_and_spoils_none() -> None:
    """Rows without values are left out."""
    failed = Row(part="part", case="case", program="new", turn=2, values={}, is_good=False)

    (line,) = summary([row("new", 1, cpu_ms=1), failed], None)

    assert line.figures["cpu_ms"].median == 1
    assert summary([failed], None)[0].figures == {}


def test_rows_are_told_apart_by_part() -> None:
    """Each part has a table of its own."""
    rows = [Row(part=part, case="", program="", turn=1, values={}) for part in ("b", "a", "b")]

    assert {part: len(found) for part, found in by_part(rows).items()} == {"b": 2, "a": 1}
    assert list(by_part(rows)) == ["b", "a"]


def test_some_measures_are_in_the_tables_that_ask_for_them_alone() -> None:
    """What the brokers took is of interest where processes share them."""
    rows = [row("new", 1, kafka=0.25, lost=0, cpu_ms=1)]

    assert set(summary(rows, None)[0].figures) == {"cpu_ms"}
    assert set(summary(rows, None, ("kafka",))[0].figures) == {"cpu_ms", "kafka"}
