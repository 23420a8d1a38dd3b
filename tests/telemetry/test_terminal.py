"""Tables and progress on any terminal and in a pipe, with and without colors."""

import subprocess
import sys
import time
from io import StringIO

import pytest

from cki_notifier.telemetry.terminal import columns, progress, show
from tests.factories.terminal import read_all, terminal

ROWS = [
    ("ok", "kafka", "1 broker"),
    ("failed", "rabbitmq", "the broker refused the user guest, who may not use the host /cki"),
    ("", "", "-> check RABBITMQ_USER"),
]
STYLES = {"ok": "green", "failed": "red"}
RED, GREEN, END = "\x1b[31m", "\x1b[32m", "\x1b[0m"


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all tests a terminal with colors."""
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)


def shown(width: int) -> list[str]:
    """Return the table's lines on a terminal."""
    with terminal(width) as (stream, _):
        return list(columns(ROWS, stream, styles=STYLES))


def test_a_pipe_gets_one_plain_line_a_row() -> None:
    """However long it is, so that other programs can search it."""
    assert list(columns(ROWS, StringIO(), styles=STYLES)) == [
        "ok      kafka     1 broker",
        f"failed  rabbitmq  {ROWS[1][2]}",
        "                  -> check RABBITMQ_USER",
    ]


def test_texts_are_broken_where_they_begin() -> None:
    """Between words; only the other columns have colors."""
    assert shown(60) == [
        f"{GREEN}ok      kafka     {END}1 broker",
        f"{RED}failed  rabbitmq  {END}the broker refused the user guest, who may",
        " " * 18 + "not use the host /cki",
        " " * 18 + "-> check RABBITMQ_USER",
    ]


def test_a_text_without_room_stands_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the column would be too narrow to be read."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(40) == [
        "ok      kafka",
        "  1 broker",
        "failed  rabbitmq",
        "  the broker refused the user guest, who",
        "  may not use the host /cki",
        "  -> check RABBITMQ_USER",
    ]


@pytest.mark.parametrize("width", [3, 10, 60, 80, 200])
@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_line_is_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, width: int, plain: dict[str, str]
) -> None:
    """Without colors if NO_COLOR is set or the terminal has none."""
    for name, value in plain.items():
        monkeypatch.setenv(name, value)
    lines = shown(width)
    assert max(map(len, lines)) <= width
    assert "\x1b" not in "".join(lines)


def test_nothing_is_left_out_where_there_is_no_room() -> None:
    """The other columns are broken, too, and a row without a text is there."""
    with terminal(20) as (stream, _):
        lines = list(
            columns([("ignored", "none", ""), ("first", "second third fourth", "x")], stream)
        )
    assert lines == ["ignored  none", "first    second", "third fourth", "  x"]


def test_a_wide_character_has_two_columns() -> None:
    """As a terminal shows it; a word that is too long is broken."""
    with terminal(30) as (stream, _):
        lines = list(columns([("x", "試験" * 20)], stream))
    assert lines == ["x", "  " + "試験" * 7, "  " + "試験" * 7, "  " + "試験" * 6]


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_nothing_in_a_cell_reaches_a_terminal_raw(where: str) -> None:
    """Rich's markup in a cell has no effect."""
    rows = [("[red]a", "\x1b[2Jb [bold]:smile:[/]\nforged")]
    if where == "pipe":
        lines = list(columns(rows, StringIO()))
    else:
        with terminal(80) as (stream, _):
            lines = list(columns(rows, stream))
    assert lines == [r"[red]a  \x1b[2Jb [bold]:smile:[/]\nforged"]


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_progress_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    """A bar after half a second, lines above it, the cursor all the while; none if it is dumb."""
    monkeypatch.setenv("TERM", term)
    with terminal(60) as (stream, ours):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("put back") as tell:
            tell(4000, 1000, 7)
            time.sleep(0.6)
            tell(4000, 2000, 8)
            show("a line")
            tell(4000, 3000, 9)
        stream.write("the end\n")
        stream.close()
        seen = read_all(ours)
    if term == "dumb":
        assert seen == "a line\r\nthe end\r\n"
        return
    assert " 50 % of 4,000, 8 put back" in seen
    assert "\x1b[2Ka line\r\n" in seen
    assert seen.endswith("\x1b[2Kthe end\r\n")
    assert seen.count("\x1b[?25l") <= seen.count("\x1b[?25h")


@pytest.mark.parametrize("where", ["pipe", "terminal"])
def test_what_is_over_soon_shows_no_progress(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Neither in a pipe nor on a terminal."""
    stream = StringIO()
    if where == "pipe":
        monkeypatch.setattr(sys, "stderr", stream)
        with progress("put back") as tell:
            tell(4000, 1000, 7)
        assert stream.getvalue() == ""
        return
    with terminal() as (there, ours):
        monkeypatch.setattr(sys, "stderr", there)
        with progress("put back") as tell:
            tell(4000, 1000, 7)
        there.close()
        assert read_all(ours) == ""


def test_the_daemon_does_without_rich() -> None:
    """Only who has a terminal imports it."""
    code = "import sys, cki_notifier.cli; print([it for it in sys.modules if it == 'rich'])"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
