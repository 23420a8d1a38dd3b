"""The arguments of an audit."""

import argparse
from datetime import UTC, datetime, timedelta

import pytest

from cki_notifier.audit.arguments import add_audit, fault_of


def parsed(*arguments: str) -> argparse.Namespace:
    """Return parsed arguments."""
    parser = argparse.ArgumentParser()
    add_audit(parser.add_subparsers(dest="command"))
    return parser.parse_args(["audit", *arguments])


@pytest.mark.parametrize(
    ("value", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("90m", timedelta(minutes=90)),
        ("24h", timedelta(days=1)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_length_is_before_now(value: str, length: timedelta) -> None:
    """In seconds, minutes, hours, days and weeks."""
    assert abs(datetime.now(UTC) - length - parsed("--since", value).since).total_seconds() < 10


@pytest.mark.parametrize(
    "value", ["2026-01-02T03:04", "2026-01-02T04:04+01:00", "2026-01-02 03:04:00Z"]
)
def test_a_time_is_one(value: str) -> None:
    """Without a zone it is in UTC."""
    assert parsed("--since", value).since == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def test_a_day_is_the_usual_span() -> None:
    """Up to now."""
    it = parsed()
    assert abs((it.until - it.since) - timedelta(days=1)).total_seconds() < 10
    assert not fault_of(it)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--since", "yesterday"], "neither a duration"),
        (["--since", "24"], "neither a duration"),
        (["--since", "-3h"], "expected one argument"),
        (["--since", "9999999d"], "neither a duration"),
        (["--since", "999999w"], "too long ago"),
        (["--since", "2999-01-01"], "in the future"),
        (["--since", "0001-01-01T00:00+14:00"], "neither a duration"),
        (["--requests", "0"], "from 1 to 64"),
        (["--requests", "many"], "from 1 to 64"),
        (["--push", "gateway:9091"], "is not an address"),
        (["--push", "http://[::1"], "is not an address"),
        (["--push", ""], "is not an address"),
    ],
)
def test_a_wrong_value_is_refused(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the valid values."""
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def test_what_can_not_be_meant_together_is_refused() -> None:
    """An empty span, and ``--yes`` without ``--send``."""
    assert "not before --until" in fault_of(parsed("--since", "1h", "--until", "2h"))
    assert fault_of(parsed("--yes")) == "--yes needs --send"
    assert fault_of(parsed("--yes", "--send")) == ""
