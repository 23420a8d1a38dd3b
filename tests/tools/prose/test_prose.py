"""The linter for prose finds each kind of fault in each kind of file, and names its place."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tools import PROJECT
from tools.prose.lint import Complaint, LinterFailed, complaints

SHORT = "RabbitMQ redelivers the notification."
#: Sentences, and the start of the complaint about each; in a file that the linter does not read.
FAULTS = json.loads(Path(__file__).with_name("faults.json").read_text())
LONG = next(iter(FAULTS))
#: Name, text, and in which line the fault is.
PLACES = [
    ("page.md", "# Page\n\n{}\n", 3),
    ("table.md", "| a | b |\n| --- | --- |\n| x | {} |\n", 3),
    ("list.md", "- first\n- {}\n", 2),
    ("docstring.py", 'def f():\n    """Do it.\n\n    {}\n    """\n', 4),
    ("entry.py", 'def f(x):\n    """Do it.\n\n    Args:\n        x: {}\n    """\n', 5),
    ("comment.py", "x = 1\n# {}\n", 2),
    ("attribute.py", "#: {}\nx = 1\n", 1),
    ("message.py", "x = 1\nlog(\n    '{}'\n)\n", 3),
    ("inserted.py", "x = 1\ny = f'{{x}}: {{x}}. {}'\n", 2),
    ("template.py", "x = '<p>Fine.</p><p>{}</p>'\n", 1),
    ("alert.yaml", "annotations:\n  summary: Fine.\n  description: {}\n", 3),
    ("script", "#!/bin/sh\nset -eu # {}\n", 2),
]
CASES = list(product(FAULTS, PLACES))
FINE = {
    "page.md": f"{SHORT} {SHORT}\n",
    "number.md": f"It waits {'long ' * 9}for 3. Then {'so ' * 9}it answers 200. At last.\n",
    "question.md": "## What is refused?\n\nWhat is refused? The topic.\n",
    "code.md": f"Run `cki-notifier {'--option ' * 25}`.\n\n```text\n{LONG}\n```\n",
    "literal.py": f'"""Do it.\n\n::\n\n    {LONG}\n"""\n',
    "inserted.py": f"log(f'the copy of {{{' + '.join('ab' * 20)}}} of {{b}} waits for it')\n",
    "orders.py": f"x = 1  # noqa: {LONG}\n",
    "usage": f"#!/bin/sh\n#     {LONG}\n",
    "name.py": "x = 'delay queue'\n",
    "program.py": "a = 1\nx = '''\nimport os\nprint('What is refused?')\n# So much is it.\n'''\n",
    "behind.py": f"x = 1  # {'the first ' * 8}\ny = 2  # {'the second ' * 8}\n",
}


@pytest.fixture(scope="module", name="found")
def _found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Complaint]]:
    """The complaints about all files, by their names, from one run."""
    folder = tmp_path_factory.mktemp("prose")
    files = {f"{number}-{place[0]}": (text, place[1]) for number, (text, place) in enumerate(CASES)}
    texts = {name: form.format(text) for name, (text, form) in files.items()} | FINE
    for name, text in texts.items():
        (folder / name).write_text(text)
    said: dict[str, list[Complaint]] = {name: [] for name in texts}
    for it in complaints([folder / name for name in texts]):
        said[it.file.name].append(it)
    return said


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_fault_is_found_where_it_is(found: dict[str, list[Complaint]], number: int) -> None:
    """In pages, docstrings, comments, messages, templates, alerts and scripts."""
    text, (name, _, line) = CASES[number]
    (complaint,) = found[f"{number}-{name}"]
    assert complaint.line == line
    assert complaint.text.startswith(FAULTS[text])


@pytest.mark.parametrize("name", FINE)
def test_what_is_fine_or_no_prose_is_left_alone(
    found: dict[str, list[Complaint]], name: str
) -> None:
    """Short sentences, questions, code, usage, and strings that are no sentences."""
    assert found[name] == []


def test_the_command_says_that_a_page_is_fine() -> None:
    """Its exit code is for scripts."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.prose", "docs/glossary.md"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all sentences are fine\n")


def test_a_linter_that_is_not_there_is_no_praise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing passes unseen."""
    monkeypatch.setattr("tools.prose.lint._MODULES", tmp_path)
    with pytest.raises(LinterFailed, match=r"textlint\.js"):
        list(complaints([PROJECT / "README.md"]))
