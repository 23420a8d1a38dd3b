"""Secrets that do not print."""

import copy
import json
import logging
import traceback
from collections.abc import Callable

import pytest

from cki_notifier.configuration.secret import Secret

WAYS_TO_SHOW: list[Callable[[object], str]] = [
    str,
    repr,
    format,
    "{}".format,
    "%s".__mod__,
    "%r".__mod__,
    lambda secret: f"{secret} {secret!r} {secret!s} {secret!a}",
    lambda secret: str([secret, {"token": secret}]),
    lambda secret: json.dumps({"token": secret}, default=str),
]


@pytest.mark.parametrize("show", WAYS_TO_SHOW)
def test_a_secret_is_not_shown(show: Callable[[object], str]) -> None:
    """However it is printed, a secret is three stars."""
    shown = show(Secret("hush"))
    assert "hush" not in shown
    assert "***" in shown


def test_a_secret_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """As an argument of a log record a secret is not shown either."""
    logging.getLogger("test").error("token %s, %r", Secret("hush"), Secret("hush"))
    assert caplog.messages == ["token ***, Secret('***')"]


def test_a_secret_is_not_in_an_exceptions_text() -> None:
    """An exception about a secret does not tell it."""
    error = ValueError("bad token", Secret("hush"))
    assert "hush" not in "".join(traceback.format_exception(error))


def test_a_secret_can_be_told() -> None:
    """The one place that sends it gets it, from a copy too."""
    assert Secret("hush").reveal() == "hush"
    assert copy.deepcopy(Secret("hush")).reveal() == "hush"


def test_secrets_are_equal_by_what_they_hold() -> None:
    """Equality and hash go by the value, and a secret is not equal to its text."""
    assert Secret("hush") == Secret("hush")
    assert Secret("hush") != Secret("other")
    assert Secret("hush") != "hush"
    assert len({Secret("hush"), Secret("hush"), Secret("other")}) == 2
