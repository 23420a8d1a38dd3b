"""Generated pages are up to date, and the check names a stale one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cki_notifier.configuration.settings import VARIABLES
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason, IgnoreReason
from tests.docs.files import DOCS, README
from tools import PROJECT
from tools.documentation.markdown import BEGIN, END, put, table
from tools.documentation.reasons import deciders

FINE, STALE = 0, 1
#: Pages that speak of other programs' variables, too.
OTHERS = {"compose", "contract", "image", "kubernetes", "read-the-topic"}
VARIABLE = re.compile(
    r"\b(?:CKI|DATAWAREHOUSE|GITLAB|JIRA|RABBITMQ|WEBHOOK|KAFKA|SENTRY)_[A-Z_]*[A-Z]\b(?!_)"
)
METRIC = re.compile(r"\bcki_notifier_[a-z_]*[a-z]\b")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m tools.documentation``."""
    return subprocess.run(
        [sys.executable, "-m", "tools.documentation", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_made_is_up_to_date() -> None:
    """After a change of the code: run python -m tools.documentation."""
    done = run("--check")
    assert (done.returncode, done.stderr) == (FINE, "")


def test_a_stale_page_is_named_and_written_anew(tmp_path: Path) -> None:
    """The check names the page and changes nothing; without it the page becomes what it was."""
    for folder in ("docs", "deploy"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    page = tmp_path / "docs" / "reasons.md"
    right = page.read_text()
    page.write_text(right.replace("is not about a checkout", "is about nothing"))
    stale = page.read_text()
    picture = tmp_path / "docs" / "how-it-works.svg"
    picture.unlink()
    checked = run("--check", "--project", str(tmp_path))
    assert checked.returncode == STALE
    assert [line.partition(" ")[0] for line in checked.stderr.splitlines()] == [
        "docs/how-it-works.svg",
        "docs/reasons.md",
    ]
    assert page.read_text() == stale
    assert run("--project", str(tmp_path)).returncode == FINE
    assert page.read_text() == right
    assert picture.read_text().startswith("<svg")


@pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_marks_is_an_error(text: str) -> None:
    """Nothing is guessed about where a part belongs."""
    with pytest.raises(ValueError, match="it needs one"):
        put(text, "part")


def test_only_what_is_between_the_marks_changes() -> None:
    """The text around stays, byte for byte."""
    assert put(f"a\n{BEGIN}old{END}\nb", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"


def test_a_bar_does_not_end_a_cell() -> None:
    """It is escaped."""
    assert table(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"


@pytest.mark.parametrize("reason", [*IgnoreReason, *DelayReason, *DeadLetterReason])
def test_every_reason_is_given_somewhere(
    reason: IgnoreReason | DelayReason | DeadLetterReason,
) -> None:
    """No reason is only documented."""
    assert deciders(reason)


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda it: it.stem)
def test_a_page_speaks_of_variables_and_metrics_that_there_are(page: Path) -> None:
    """No name that the code does not know, and none with a slip of the pen."""
    known = {variable.name for variable in VARIABLES}
    known |= {f"{variable.name}_FILE" for variable in VARIABLES if variable.is_secret}
    if page.stem not in OTHERS:
        assert set(VARIABLE.findall(page.read_text())) - known == set()
    table_of_metrics = (PROJECT / "docs" / "metrics.md").read_text()
    modules = {"cki_notifier"}
    named = set(METRIC.findall(page.read_text())) - modules
    assert named - set(METRIC.findall(table_of_metrics)) == set()
