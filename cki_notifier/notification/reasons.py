"""The reason codes, spelled here and nowhere else.

Logs, metrics, the status page, the dry run's explanation, headers of dead letters and the
documentation show them.
Source: the design's tables of filters, routes and dead letters.
"""

from enum import StrEnum
from typing import Self


class _Explained(StrEnum):
    """A code with the sentence that explains it to a person."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member


class SentReason(_Explained):
    """Why testers are told: the codes are those of the stages."""

    PRE_TEST = "pre-test", "its builds are ready for testing"
    POST_TEST = "post-test", "CKI's own testing of it is over"


class IgnoreReason(_Explained):
    """Why nobody is told about a notification."""

    OBJECT_TYPE = "object-type", "it is not about a checkout"
    STATUS = "status", "its status concerns nobody outside"
    RETRIGGERED = "retriggered", "the checkout is a retrigger, a test of the pipeline itself"
    ORIGIN = "origin", "the checkout was not built by Red Hat's CKI"
    INVALID = "invalid", "the checkout itself is broken: its patches do not apply"
    NO_BUILDS = "no-builds", "no build of it can be tested"
    MERGE_REQUEST_MERGED = "merge-request-merged", "its merge request is merged already"
    SUPERSEDED = "superseded", "its merge request has a newer pipeline"
    STAGE_NOT_REACHED = "stage-not-reached", "its builds are not ready yet"
    OUTCOME_UNCHANGED = "outcome-unchanged", "the triage did not change the checkout's outcome"
    NOT_REPORTED_YET = "not-reported-yet", "the testing of the checkout is not over yet"
    STILL_FAILING = "still-failing", "failures are left that nobody triaged"


class DelayReason(_Explained):
    """Why a notification has to wait before it is tried again."""

    NOT_FOUND = "not-found", "a service does not know the object yet"
    UNAVAILABLE = "unavailable", "a service did not answer as it should"
    BUG = "bug", "cki-notifier failed over it; the log has the traceback"


class DeadLetterReason(_Explained):
    """Why a notification is in the dead-letter queue."""

    MALFORMED = "malformed", "the body is no notification"
    INVALID_DOCUMENT = "invalid-document", "a service answered a document that can't be used"
    NOT_FOUND = "not-found", "a service does not know the object, even after the delays"
    TOO_LARGE = "too-large", "the message is larger than Kafka's broker takes"
    RETRIES_EXHAUSTED = "retries-exhausted", "it was tried until the time for trying was over"


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
    """Return the sentence that explains what became of a notification.

    Args:
        outcome: ``sent``, ``ignored``, ``delayed`` or ``dead-lettered``.
        reason: the code that goes with it.

    Returns:
        Empty for what is none of these.
    """
    return _SENTENCES.get(outcome, {}).get(reason, "")
