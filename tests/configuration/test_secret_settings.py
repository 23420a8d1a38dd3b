"""The secrets of the configuration: from a variable or a file, and never shown."""

import dataclasses
from pathlib import Path

import pytest

from tests.factories.environment import (
    SECRETS,
    environment,
    faults,
    full_environment,
    only_fault,
    read,
)


def written(folder: Path, content: str) -> str:
    """Write a file and return its path."""
    path = folder / "file"
    path.write_text(content, newline="")
    return str(path)


@pytest.mark.parametrize("name", ["DATAWAREHOUSE_URL", "JIRA_SERVER"])
@pytest.mark.parametrize(
    "url",
    [
        "https://user:hush@host",
        "https://hush@host",
        "https://user:hush@host:99999",
        "https://user:hush@[host",
        "https://user:hu/sh@host",
        "user:hush@host",
    ],
)
def test_an_address_with_a_password_is_refused_without_showing_it(name: str, url: str) -> None:
    """Addresses are logged, so no password belongs there, and the fault does not show it."""
    found, text = only_fault(environment(**{name: url}))
    assert found == name
    assert "hush" not in text
    assert "hu/sh" not in text


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_can_come_from_a_file(tmp_path: Path, name: str, end: str) -> None:
    """The file gives what the variable would, without the line end at its end."""
    file = {name: None, f"{name}_FILE": written(tmp_path, SECRETS[name] + end)}
    assert read(full_environment(**file)) == read(full_environment())


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("hush\n\n", "one line"),
        ("hush\nhush", "one line"),
        ("hush\0", "one line"),
        (None, "No such file"),
    ],
)
def test_a_faulty_secret_file_is_one_fault(
    tmp_path: Path, name: str, content: str | None, text: str
) -> None:
    """The last line end doesn't count. The fault does not show the content."""
    path = str(tmp_path / "missing") if content is None else written(tmp_path, content)
    variable, found = only_fault(full_environment(**{name: None, f"{name}_FILE": path}))
    assert variable in {name, f"{name}_FILE"}
    assert text in found
    assert "hush" not in found


def test_a_secret_file_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are not guessed at, and not shown."""
    path = tmp_path / "file"
    path.write_bytes(b"hush\xff")
    environ = environment(DATAWAREHOUSE_TOKEN=None, DATAWAREHOUSE_TOKEN_FILE=str(path))
    name, text = only_fault(environ)
    assert (name, "not UTF-8" in text, "xff" in text) == ("DATAWAREHOUSE_TOKEN_FILE", True, False)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_set_twice_is_a_fault(tmp_path: Path, name: str) -> None:
    """With both the variable and the file nobody knows which one counts."""
    (fault,) = faults(full_environment(**{f"{name}_FILE": written(tmp_path, "hush")}))
    assert fault == f"{name}: is set, and so is {name}_FILE; unset one of them"


def test_a_token_in_the_place_of_its_variables_name_is_not_shown() -> None:
    """A likely mistake must not end in the log."""
    name, text = only_fault(environment(GITLAB_TOKENS='{"gitlab.com": "glpat-hush"}'))
    assert name == "GITLAB_TOKENS"
    assert "gitlab.com" in text
    assert "hush" not in text


def test_a_secret_is_never_shown() -> None:
    """However the configuration or a part of it is printed, no secret is in it."""
    config = read(full_environment())
    parts = [config, *vars(config).values(), *vars(config.rabbitmq).values()]
    shown = " ".join(f"{part!r} {part!s} {part}" for part in [*parts, dataclasses.asdict(config)])
    assert "***" in shown
    assert "hush" not in shown
