"""Text from services and notifications is escaped on a terminal."""

import json

import pytest

from cki_notifier.telemetry.terminal import show, show_message

HOSTILE = ["\x1b[2J", "\x9b31m", "\x7f", "\r", "\u202e", "\u2066", "\u200b", "\ufeff", "\U000e0041"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_message_is_shown_escaped_and_is_the_same(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """Characters that move the cursor or reverse text have JSON's escapes."""
    message = {"id": f"redhat:{text}1", "list": ["ünï→", "\U0001f427"]}
    show_message(json.dumps(message, ensure_ascii=False).encode())
    shown = capsys.readouterr().out
    assert all(line.isprintable() for line in shown.split("\n"))
    assert "ünï→" in shown
    assert json.loads(shown) == message


@pytest.mark.parametrize("text", [*HOSTILE, "\n"])
def test_a_line_is_shown_escaped(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """A decision is one line, with any id."""
    show(f"redhat:{text}1 unknown: ignored")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert line.endswith("1 unknown: ignored")
