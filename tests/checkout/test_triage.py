"""The overall status: findings, what is no finding, and what triage excuses."""

from typing import TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.checkout.documents import Build, IssueOccurrence, Test, TestResult
from cki_notifier.checkout.triage import Evidence, overall_status
from tests import factories
from tests.properties import PATIENT

Part: TypeAlias = Build | Test | TestResult

NO_FINDINGS = (None, "MISS", "SKIP", "DONE", "PASS", "", "fail")
#: The ids that an occurrence which names all of them carries.
IDS = {"checkout_id": factories.CHECKOUT_ID, "build_id": "b", "test_id": "t", "testresult_id": "r"}


def having(*parts: Part, known: tuple[IssueOccurrence, ...] | IssueOccurrence = ()) -> Evidence:
    """Return a checkout with these parts and known issues."""
    return Evidence(
        builds=tuple(it for it in parts if isinstance(it, Build)),
        tests=tuple(it for it in parts if isinstance(it, Test)),
        testresults=tuple(it for it in parts if isinstance(it, TestResult)),
        issueoccurrences=(known,) if isinstance(known, IssueOccurrence) else known,
    )


def at(*names: str, is_regression: bool | None = False) -> IssueOccurrence:
    """Return an occurrence that names these: checkout, build, test, testresult."""
    ids = {f"{name}_id": IDS[f"{name}_id"] for name in names}
    return msgspec.convert(ids | {"is_regression": is_regression}, IssueOccurrence)


def results(*statuses: str | None) -> tuple[TestResult, ...]:
    """Return results of the test `t`: `r`, `r2`, `r3` and so on."""
    return tuple(
        TestResult(id=f"r{number if number > 1 else ''}", test_id="t", status=status)
        for number, status in enumerate(statuses, 1)
    )


FAILED = Test(id="t", status="FAIL")
ERRED = Test(id="t", status="ERROR")
OTHER_ERRED = Test(id="t2", status="ERROR")
BROKEN = Build(id="b", valid=False)


def test_a_checkout_without_findings_is_a_success() -> None:
    """Nothing at all, and things that went well, are no findings."""
    assert overall_status(having()) == "success"
    assert overall_status(Evidence()) == "success"
    assert overall_status(having(Build(id="b", valid=True), *results("PASS"))) == "success"


@pytest.mark.parametrize("status", NO_FINDINGS)
def test_other_statuses_are_no_findings(status: str | None) -> None:
    """Of builds and of tests only FAIL and ERROR count; a test without a status still runs."""
    parts = (Build(id="b", status=status), Test(id="t", status=status))

    assert overall_status(having(*parts)) == "success"


@pytest.mark.parametrize("part", [FAILED, Build(id="b", status="FAIL")])
def test_an_untriaged_failure_is_a_fail(part: Build | Test) -> None:
    """A failed build weighs as much as a failed test."""
    assert overall_status(having(part)) == "fail"


@pytest.mark.parametrize("part", [ERRED, Build(id="b", status="ERROR")])
def test_an_untriaged_error_is_an_error(part: Build | Test) -> None:
    """An error is none the less for being no failure."""
    assert overall_status(having(part)) == "error"


@pytest.mark.parametrize("status", ["PASS", "ERROR", *NO_FINDINGS])
def test_an_invalid_build_is_a_fail_whatever_its_status(status: str | None) -> None:
    """`valid` false says that the build is broken."""
    assert overall_status(having(Build(id="b", valid=False, status=status))) == "fail"
    assert overall_status(having(Build(id="b", valid=True, status=status))) != "fail"


@pytest.mark.parametrize("status", ["FAIL", "ERROR"])
def test_the_results_of_a_test_are_no_findings(status: str) -> None:
    """A test's own status decides whether it is one, not those of its parts."""
    assert overall_status(having(Test(id="t", status="PASS"), *results(status))) == "success"


@pytest.mark.parametrize("status", ["FAIL", "ERROR"])
def test_a_waived_test_is_no_finding(status: str) -> None:
    """Only `waived` true waives."""
    waived, kept, silent = (Test(id="t", status=status, waived=it) for it in (True, False, None))

    assert overall_status(having(waived, *results(status))) == "success"
    assert overall_status(having(kept)) == overall_status(having(silent)) == status.lower()


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((), "fail"),
        (at("test"), "success"),
        (at("build", "test"), "success"),
        (at("checkout", "build", "test"), "success"),
        (at("test", is_regression=None), "success"),
        (at("test", is_regression=True), "fail"),
        ((at("test", is_regression=True), at("test")), "success"),
        (at("checkout"), "fail"),
        (at("build"), "fail"),
        (at("testresult"), "fail"),
        (at("test", "testresult"), "fail"),
        (IssueOccurrence(test_id="another"), "fail"),
        (IssueOccurrence(), "fail"),
    ],
)
def test_a_test_without_failing_results_needs_an_occurrence_of_its_own(
    known: tuple[IssueOccurrence, ...], expected: str
) -> None:
    """An occurrence points at the smallest thing it names, and a regression excuses nothing."""
    assert overall_status(having(FAILED, known=known)) == expected
    assert overall_status(having(FAILED, *results("PASS", "MISS", None), known=known)) == expected


@pytest.mark.parametrize(
    ("statuses", "known", "expected"),
    [
        (("FAIL",), at("testresult"), "success"),
        (("ERROR",), at("testresult"), "success"),
        (("FAIL", "PASS", "SKIP", None), at("build", "test", "testresult"), "success"),
        (("FAIL",), at("test"), "fail"),
        (("FAIL",), at("build"), "fail"),
        (("FAIL",), (), "fail"),
        (("FAIL",), at("testresult", is_regression=True), "fail"),
        (("FAIL", "FAIL"), at("testresult"), "fail"),
        (("FAIL", "ERROR"), at("testresult"), "fail"),
        (("FAIL", "ERROR"), (at("testresult"), at("test")), "fail"),
        (("FAIL", "ERROR"), (at("testresult"), IssueOccurrence(testresult_id="r2")), "success"),
        (
            ("FAIL", "ERROR"),
            (at("testresult"), IssueOccurrence(testresult_id="r2", is_regression=True)),
            "fail",
        ),
    ],
)
def test_a_test_with_failing_results_needs_an_occurrence_for_each(
    statuses: tuple[str, ...], known: tuple[IssueOccurrence, ...], expected: str
) -> None:
    """An occurrence at the test, or at some of the results, is not enough."""
    assert overall_status(having(FAILED, *results(*statuses), known=known)) == expected


def test_the_results_of_one_test_do_not_matter_to_another() -> None:
    """Each test needs what its own results ask for."""
    parts: tuple[Part, ...] = (FAILED, OTHER_ERRED, *results("FAIL"))
    at_result, at_other = at("testresult"), IssueOccurrence(test_id="t2")

    assert overall_status(having(*parts, known=(at_result, at_other))) == "success"
    assert overall_status(having(*parts, known=at_result)) == "error"
    assert overall_status(having(*parts, known=at_other)) == "fail"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (at("build"), "success"),
        (at("checkout", "build"), "success"),
        (at("build", is_regression=None), "success"),
        (at("build", is_regression=True), "fail"),
        (at("checkout"), "fail"),
        (at("build", "test"), "fail"),
        (at("build", "test", "testresult"), "fail"),
        (IssueOccurrence(build_id="another"), "fail"),
    ],
)
def test_a_build_needs_an_occurrence_of_its_own(known: IssueOccurrence, expected: str) -> None:
    """One at a test of the build does not excuse the build."""
    assert overall_status(having(BROKEN, known=known)) == expected
    assert overall_status(having(Build(id="b", status="FAIL"), known=known)) == expected


def test_a_triaged_build_does_not_excuse_its_tests() -> None:
    """Build and test are findings each for itself."""
    assert overall_status(having(BROKEN, ERRED, known=at("build"))) == "error"
    assert overall_status(having(BROKEN, ERRED, known=at("test"))) == "fail"
    assert overall_status(having(BROKEN, ERRED, known=(at("build"), at("test")))) == "success"


def test_a_failure_is_worse_than_an_error() -> None:
    """The worst untriaged finding decides, in any order."""
    assert overall_status(having(FAILED, OTHER_ERRED)) == "fail"
    assert overall_status(having(OTHER_ERRED, FAILED)) == "fail"
    assert overall_status(having(OTHER_ERRED, FAILED, known=at("test"))) == "error"
    assert overall_status(having(Build(id="b", status="ERROR"), FAILED)) == "fail"


@PATIENT
@given(st.lists(st.sampled_from(["FAIL", "ERROR", "PASS", "MISS", None]), max_size=6), st.data())
def test_triage_only_ever_makes_it_better(statuses: list[str | None], data: st.DataObject) -> None:
    """One more occurrence never makes the status worse, and one for each makes it a success."""
    tests = tuple(Test(id=f"t{index}", status=it) for index, it in enumerate(statuses))
    every = tuple(IssueOccurrence(test_id=it.id) for it in tests)
    some = data.draw(st.sets(st.sampled_from(every))) if every else set()
    order = ("success", "error", "fail")

    triaged = overall_status(having(*tests, known=tuple(some)))
    assert order.index(triaged) <= order.index(overall_status(having(*tests)))
    assert overall_status(having(*tests, known=every)) == "success"
