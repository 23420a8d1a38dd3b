"""Each claim of SECURITY.md has tests, and each test of this folder has a claim."""

import ast
import re
from pathlib import Path

import yaml

from tools import PROJECT

ROW = re.compile(r"^\| (S\d+) \| (.+) \|$", re.MULTILINE)
TESTS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text())
NAMED = {test for tests in TESTS.values() for test in tests}


def written(file: Path) -> set[str]:
    """Return the tests of a file, by the names that pytest takes."""
    tree = ast.parse(file.read_text("utf-8"))
    name = file.relative_to(PROJECT).as_posix()
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return {f"{name}::{function}" for function in functions if function.startswith("test_")}


def test_claims_are_numbered_and_have_tests() -> None:
    """From S1 on without a gap, each with a sentence and at least one test."""
    claims = dict(ROW.findall((PROJECT / "SECURITY.md").read_text("utf-8")))
    assert len(claims) > 20
    assert list(claims) == list(TESTS) == [f"S{number + 1}" for number in range(len(claims))]
    for number, claim in claims.items():
        assert claim.endswith("."), number
        assert TESTS[number]


def test_every_test_that_is_named_is_there() -> None:
    """A test that was renamed or removed leaves no claim without one."""
    files = {test.partition("::")[0] for test in NAMED}
    there = {test for file in files for test in written(PROJECT / file)}
    assert NAMED - there == set()


def test_every_test_of_this_folder_is_named() -> None:
    """Each test here has a claim."""
    there = {test for file in Path(__file__).parent.glob("test_*.py") for test in written(file)}
    assert there - NAMED == set()
