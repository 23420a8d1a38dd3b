"""The tutorial shows what its reader will see."""

from pathlib import Path

from tests.docs.demonstration import alike, shown
from tests.docs.files import blocks
from tools import PROJECT

TUTORIAL = PROJECT / "docs" / "tutorial.md"


def test_the_tutorial_shows_what_the_demo_prints(tmp_path: Path) -> None:
    """Each block of output, and each command it tells, but for times, ports and ids."""
    printed = alike(shown(tmp_path))
    parts = [alike(part) for block in blocks(TUTORIAL, "text") for part in block.split("…\n")]
    assert len(parts) > 10
    commands = [it for block in blocks(TUTORIAL, "sh") for it in block.splitlines()]
    told = [alike(command) for command in commands if not command.startswith("scripts/")]
    assert told
    assert [part for part in [*parts, *told] if part not in printed] == []
