"""The reason codes and the sentences that explain them, spelled only here.

The log, metrics, the status page, dry runs, dead letters and docs/reasons.md show them.
Source: the design's tables of filters, routes and dead letters.
"""

from enum import StrEnum
from typing import Self


class _Explained(StrEnum):
    """A code with a sentence that explains it."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member


class SentReason(_Explained):
    """Why a message was sent. The codes are those of the stages."""

    PRE_TEST = "pre-test", "the checkout's builds are ready for testing"
    POST_TEST = "post-test", "CKI has finished its own tests of the checkout"


class IgnoreReason(_Explained):
    """Why a notification leads to no message."""

    OBJECT_TYPE = "object-type", "the notification is not about a checkout"
    STATUS = "status", "the notification's status leads to no message"
    RETRIGGERED = "retriggered", "the checkout is a retrigger, which only tests CKI's pipeline"
    ORIGIN = "origin", "Red Hat's CKI did not build the checkout"
    INVALID = "invalid", "the checkout is broken: its patches do not apply"
    NO_BUILDS = "no-builds", "the checkout has no build that can be tested"
    MERGE_REQUEST_MERGED = (
        "merge-request-merged",
        "the checkout's merge request is already merged",
    )
    SUPERSEDED = "superseded", "the checkout's merge request has a newer pipeline"
    STAGE_NOT_REACHED = "stage-not-reached", "the checkout's builds are not ready yet"
    OUTCOME_UNCHANGED = "outcome-unchanged", "the triage did not change the checkout's outcome"
    NOT_REPORTED_YET = "not-reported-yet", "CKI has not finished its own tests of the checkout yet"
    STILL_FAILING = "still-failing", "the checkout still has failures that are not triaged"


class DelayReason(_Explained):
    """Why a notification waits in a retry queue."""

    NOT_FOUND = "not-found", "a service does not know the object yet"
    UNAVAILABLE = "unavailable", "a service failed or did not answer"
    BUG = "bug", "cki-notifier has a bug: see the traceback in the log"


class DeadLetterReason(_Explained):
    """Why a notification is in the dead-letter queue."""

    MALFORMED = "malformed", "the body is not a valid notification"
    INVALID_DOCUMENT = "invalid-document", "cki-notifier cannot use a service's answer"
    NOT_FOUND = "not-found", "a service still does not know the object after all retries"
    TOO_LARGE = "too-large", "the message is larger than the Kafka broker accepts"
    RETRIES_EXHAUSTED = "retries-exhausted", "no retry succeeded within the time limit"


_SENTENCES = {
    outcome: {str(reason): reason.sentence for reason in reasons}
    for outcome, reasons in (
        ("sent", SentReason),
        ("ignored", IgnoreReason),
        ("delayed", DelayReason),
        ("dead-lettered", DeadLetterReason),
    )
}


def sentence(outcome: str, reason: str) -> str:
    """Return the sentence that explains an outcome's reason.

    Args:
        outcome: ``sent``, ``ignored``, ``delayed`` or ``dead-lettered``.
        reason: its code.

    Returns:
        Empty for an unknown outcome or reason.
    """
    return _SENTENCES.get(outcome, {}).get(reason, "")
