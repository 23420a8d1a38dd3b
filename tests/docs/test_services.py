"""docs/services.md claims what is tried: each row names tests that are there."""

import re

from tests.security.test_documented import written
from tools import PROJECT
from tools.stand_ins.jira import Kind

TEST = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")

ROW = re.compile(
    r"^\| (?P<service>[A-Z]\w+) \| (?P<kind>[^|]+) \| (?P<tried>[^|]+) \| (?P<configure>[^|]+) \|"
    r" (?P<tests>[^|]+) \|$",
    re.MULTILINE,
)


def rows() -> list[re.Match[str]]:
    """Return the rows of the table."""
    return list(ROW.finditer((PROJECT / "docs" / "services.md").read_text("utf-8")))


def test_every_row_names_tests_that_are_there() -> None:
    """Each claim has a test, and the last column has only tests."""
    assert rows()
    for row in rows():
        assert re.fullmatch(rf"{TEST.pattern}(, {TEST.pattern})*", row["tests"]), row["kind"]
        named = set(TEST.findall(row["tests"]))
        files = {test.partition("::")[0] for test in named}
        assert named - {test for file in files for test in written(PROJECT / file)} == set()


def test_no_row_is_passed_over() -> None:
    """Each line of the table is one that is looked at."""
    text = (PROJECT / "docs" / "services.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(rows()) + 2


def test_every_kind_of_jira_is_there() -> None:
    """One row for each that the tests try."""
    kinds = [row["kind"] for row in rows() if row["service"] == "Jira"]
    assert sorted(re.findall("`([^`]+)`", kind)[0] for kind in kinds) == sorted(
        kind.value for kind in Kind
    )
