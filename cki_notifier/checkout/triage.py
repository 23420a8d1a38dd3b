"""The overall status of a post-test message: the worst finding that is not triaged.

Source: the design's "Overall status", after CKI's public documentation. There, a build is a success
if all its failed and errored tests are triaged.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from cki_notifier.checkout.documents import Build, IssueOccurrence, Test, TestResult

OverallStatus = Literal["success", "fail", "error"]

_FINDINGS = frozenset({"FAIL", "ERROR"})


class Evidence(Struct, frozen=True, kw_only=True):
    """The input of a checkout's overall status."""

    builds: tuple[Build, ...] = ()
    tests: tuple[Test, ...] = ()
    testresults: tuple[TestResult, ...] = ()
    issueoccurrences: tuple[IssueOccurrence, ...] = ()


def overall_status(evidence: Evidence) -> OverallStatus:
    """Return a checkout's status."""
    untriaged = set(_untriaged(evidence))
    if "FAIL" in untriaged:
        return "fail"
    return "error" if untriaged else "success"


def _untriaged(evidence: Evidence) -> Iterator[str]:
    """Yield the status of each finding without a known issue."""
    excused = set(_excused(evidence.issueoccurrences))
    for build in evidence.builds:
        status = _build_status(build)
        if status in _FINDINGS and ("build", build.id) not in excused:
            yield status
    failing = _failing_results(evidence.testresults)
    for test in evidence.tests:
        # A test with failing results needs an occurrence for each, others one of their own.
        needed = failing.get(test.id) or {("test", test.id)}
        if test.status in _FINDINGS and test.waived is not True and not needed <= excused:
            yield test.status


def _build_status(build: Build) -> str:
    return "FAIL" if build.valid is False else build.status or ""


def _failing_results(testresults: tuple[TestResult, ...]) -> dict[str, set[tuple[str, str]]]:
    failing: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for result in testresults:
        if result.status in _FINDINGS:
            failing[result.test_id].add(("testresult", result.id))
    return failing


def _excused(occurrences: tuple[IssueOccurrence, ...]) -> Iterator[tuple[str, str]]:
    """Yield kind and id of the smallest object that each issue occurrence points at."""
    for occurrence in occurrences:
        if occurrence.is_regression is True:
            continue  # a regression excuses nothing
        if occurrence.testresult_id:
            yield "testresult", occurrence.testresult_id
        elif occurrence.test_id:
            yield "test", occurrence.test_id
        elif occurrence.build_id:
            yield "build", occurrence.build_id
