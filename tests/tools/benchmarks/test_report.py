"""Tables and the plot."""

from pathlib import Path

from rich.console import Console

from tools.benchmarks.figures import Row, Setup, table
from tools.benchmarks.report import circumstances, draw, markdown, show, write

ROWS = [
    Row(
        part="matrix",
        case=f"{in_flight} in flight",
        program=program,
        turn=turn,
        values={"throughput": speed * turn, "cpu_ms": 1 / speed, "kafka": 0.25},
        setup=Setup(in_flight=in_flight),
    )
    for in_flight in (1, 64)
    for turn in (1, 2)
    for program, speed in (("new", 100 * in_flight), ("old", 50 * in_flight))
]
TABLE = """\
| case | program | notifications/s | CPU each, ms |
| --- | --- | ---: | ---: |
| 1 in flight | new | 150 [100 to 200] | 0.01 |
|  | ratio | 2.00 | 0.50 |
| 1 in flight | old | 75 [50 to 100] | 0.02 |
| 64 in flight | new | 9600 [6400 to 12800] | 0.00 |
|  | ratio | 2.00 | 0.50 |
| 64 in flight | old | 4800 [3200 to 6400] | 0.00 |"""


def test_table_has_medians_ranges_and_ratios() -> None:
    """The brokers' CPU time is only in the lines of single runs."""
    assert markdown(table(ROWS, "old")) == TABLE


def test_table_is_shown_on_a_terminal() -> None:
    """With its title, and nothing cut off."""
    console = Console(width=120)
    with console.capture() as capture:
        show(console, "More or less", table(ROWS, "old"))

    text = capture.get()
    assert "More or less" in text
    assert "9600 [6400 to 12800]" in text


def test_sections_are_written_between_their_marks(tmp_path: Path) -> None:
    """The text around a new or replaced section stays."""
    path = tmp_path / "performance.md"
    mark = "<!-- made by scripts/bench --write: rate -->"
    path.write_text(f"# Performance\n\n{mark}\n\nold\n\n<!-- end -->\n\nMore.\n")

    write(path, {"rate": "new"})
    write(path, {"idle": "nothing"})
    write(path, {"rate": "newer"})

    assert path.read_text() == (
        f"# Performance\n\n{mark}\n\nnewer\n\n<!-- end -->\n\nMore.\n\n"
        "<!-- made by scripts/bench --write: idle -->\n\nnothing\n\n<!-- end -->\n"
    )


def test_a_file_that_is_missing_is_made(tmp_path: Path) -> None:
    """With nothing but the section."""
    write(tmp_path / "performance.md", {"rate": "new"})

    text = (tmp_path / "performance.md").read_text()
    assert text == "<!-- made by scripts/bench --write: rate -->\n\nnew\n\n<!-- end -->\n"


def test_circumstances_hold_the_command() -> None:
    """A reader of the table can run the command."""
    assert circumstances(["--matrix", "--json", "a b"]).startswith(
        "`scripts/bench --matrix --json 'a b'` on "
    )


def test_the_same_rows_make_the_same_plot(tmp_path: Path) -> None:
    """Nothing of the time or of chance is in it, so that only news change the file."""
    rows = [row for row in ROWS if row.program == "new"]
    first, second = tmp_path / "1.svg", tmp_path / "2.svg"

    draw(rows, first)
    draw(rows, second)

    assert first.read_bytes() == second.read_bytes()
    text = first.read_text()
    assert "notifications a second" in text
    assert "50 ms, one process" in text
