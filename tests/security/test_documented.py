"""SECURITY.md claims what is tested, and all that is tested for it is claimed there."""

import ast
import re
from pathlib import Path

from tools import PROJECT

ROW = re.compile(r"^\| (?P<number>S\d+) \| (?P<claim>.+?) \| (?P<tests>.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")


def claims() -> list[re.Match[str]]:
    """Return the rows of the table."""
    return list(ROW.finditer((PROJECT / "SECURITY.md").read_text("utf-8")))


def named() -> set[str]:
    """Return the tests that the table names."""
    return {test for row in claims() for test in TEST.findall(row["tests"])}


def written(file: Path) -> set[str]:
    """Return the tests of a file, by the names that pytest takes."""
    tree = ast.parse(file.read_text("utf-8"))
    name = file.relative_to(PROJECT).as_posix()
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return {f"{name}::{function}" for function in functions if function.startswith("test_")}


def test_claims_are_numbered_and_have_tests() -> None:
    """From S1 on without a gap, and nothing but tests stands beside a claim."""
    rows = claims()
    assert [row["number"] for row in rows] == [f"S{number + 1}" for number in range(len(rows))]
    assert len(rows) > 20
    for row in rows:
        assert row["claim"].endswith((".", ".)")), row["number"]
        assert re.fullmatch(rf"{TEST.pattern}(, {TEST.pattern})*", row["tests"]), row["number"]


def test_every_test_that_is_named_is_there() -> None:
    """A test that was renamed or removed leaves no claim without one."""
    files = {test.partition("::")[0] for test in named()}
    there = {test for file in files for test in written(PROJECT / file)}
    assert named() - there == set()


def test_every_test_of_this_folder_is_named() -> None:
    """What is worth a test here is worth a claim."""
    there = {test for file in Path(__file__).parent.glob("test_*.py") for test in written(file)}
    assert there - named() == set()
