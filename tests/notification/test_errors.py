"""The error classes and what their names promise."""

import inspect

import pytest

from cki_notifier.notification import errors
from cki_notifier.notification.errors import (
    ConfigurationError,
    DeliveryUnknown,
    Invalid,
    InvalidDocument,
    Malformed,
    NotifierError,
    TooLarge,
    Unavailable,
)
from cki_notifier.notification.reasons import DeadLetterReason, IgnoreReason

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception)
]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_is_one_of_ours_and_in_the_tree(error: type[Exception]) -> None:
    """The tree in the module's docstring names every class, and all have one root."""
    assert issubclass(error, NotifierError)
    assert error.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Malformed, "malformed"), (InvalidDocument, "invalid-document"), (TooLarge, "too-large")],
)
def test_what_can_never_be_sent_has_its_reason(error: type[Invalid], reason: str) -> None:
    """Each kind of invalidity is dead-lettered under its own code."""
    assert issubclass(error, Invalid)
    assert error.reason == reason


def test_the_dead_letter_reasons_are_those_of_the_design() -> None:
    """Operators and dashboards know these codes."""
    assert {str(reason) for reason in DeadLetterReason} == {
        "malformed",
        "invalid-document",
        "not-found",
        "too-large",
        "retries-exhausted",
    }


@pytest.mark.parametrize("reason", [*IgnoreReason, *DeadLetterReason])
def test_every_reason_is_explained(reason: IgnoreReason | DeadLetterReason) -> None:
    """A code is for machines, so each has a sentence for a person."""
    assert str(reason) == reason.value
    assert " " in reason.sentence


def test_unavailable_names_the_service() -> None:
    """The text begins with who is unavailable, and the rest has its defaults."""
    error = Unavailable("gitlab", "503 Service Unavailable")
    assert str(error) == "gitlab: 503 Service Unavailable"
    assert (error.service, error.hiccup, error.retry_after) == ("gitlab", False, 0.0)


def test_unavailable_tells_when_to_come_back() -> None:
    """It keeps the delay that the service asked for."""
    error = DeliveryUnknown("kafka", "no answer", hiccup=True, retry_after=7.5)
    assert isinstance(error, Unavailable)
    assert (error.hiccup, error.retry_after) == (True, 7.5)


def test_a_configuration_error_tells_all_faults() -> None:
    """Every fault is in the list and in the text."""
    error = ConfigurationError(["A: is not set", "B: is no number"])
    assert error.faults == ["A: is not set", "B: is no number"]
    assert str(error) == "A: is not set; B: is no number"
