"""The overall status of a post-test message: the worst finding that nobody has triaged.

Source: the design's "Overall status", after CKI's public documentation, by which a build all of
whose failed and errored tests have been triaged is a success.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from cki_notifier.checkout.documents import Build, IssueOccurrence, Test, TestResult

OverallStatus = Literal["success", "fail", "error"]

_FINDINGS = frozenset({"FAIL", "ERROR"})


class Evidence(Struct, frozen=True, kw_only=True):
    """All that a checkout's overall status is made of."""

    builds: tuple[Build, ...] = ()
    tests: tuple[Test, ...] = ()
    testresults: tuple[TestResult, ...] = ()
    issueoccurrences: tuple[IssueOccurrence, ...] = ()


class Finding(Struct, frozen=True):
    """A build or test whose own status is FAIL or ERROR.

    Attributes:
        kind: ``build`` or ``test``.
        status: ``FAIL`` or ``ERROR``.
        triaged: whether known issues account for all of it.
    """

    kind: str
    id: str
    status: str
    triaged: bool


class _Triaged(Struct, frozen=True):
    """The ids an issue occurrence excuses, by the smallest thing each points at."""

    testresults: frozenset[str]
    tests: frozenset[str]
    builds: frozenset[str]


def overall_status(evidence: Evidence) -> OverallStatus:
    """Return a checkout's status."""
    untriaged = {finding.status for finding in findings(evidence) if not finding.triaged}
    if "FAIL" in untriaged:
        return "fail"
    return "error" if untriaged else "success"


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Yield every finding: the builds' first, then the tests'. A waived test is none."""
    triaged = _triaged(evidence.issueoccurrences)
    for build in evidence.builds:
        status = _build_status(build)
        if status in _FINDINGS:
            yield Finding("build", build.id, status, build.id in triaged.builds)
    failing = _failing_results(evidence.testresults)
    for test in evidence.tests:
        if test.status in _FINDINGS and test.waived is not True:
            yield Finding("test", test.id, test.status, _is_triaged(test, failing, triaged))


def _build_status(build: Build) -> str:
    return "FAIL" if build.valid is False else build.status or ""


def _is_triaged(test: Test, failing: dict[str, list[str]], triaged: _Triaged) -> bool:
    """A test with failing results needs an occurrence for each of them, others one of their own."""
    if test.id in failing:
        return triaged.testresults.issuperset(failing[test.id])
    return test.id in triaged.tests


def _failing_results(testresults: tuple[TestResult, ...]) -> dict[str, list[str]]:
    failing: dict[str, list[str]] = defaultdict(list)
    for result in testresults:
        if result.status in _FINDINGS:
            failing[result.test_id].append(result.id)
    return failing


def _triaged(occurrences: tuple[IssueOccurrence, ...]) -> _Triaged:
    testresults, tests, builds = set(), set(), set()
    for occurrence in occurrences:
        if occurrence.is_regression is True:
            continue  # what worked before and fails now is excused by nothing
        if occurrence.testresult_id:
            testresults.add(occurrence.testresult_id)
        elif occurrence.test_id:
            tests.add(occurrence.test_id)
        elif occurrence.build_id:
            builds.add(occurrence.build_id)
    return _Triaged(frozenset(testresults), frozenset(tests), frozenset(builds))
