"""Read the project's Dockerfile: its stages and their instructions."""

import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import NamedTuple

#: The quotes around a value.
_QUOTED = re.compile(r'"([^"]*)"')
_PAIR = re.compile(r'([A-Za-z0-9_.-]+)=("[^"]*"|\S*)')


class Instruction(NamedTuple):
    """One instruction, with continued lines joined and without comments."""

    name: str
    text: str

    def pairs(self, variables: dict[str, str]) -> dict[str, str]:
        """Return the values of an ENV, ARG or LABEL, with variables filled in.

        A name without a value has an empty value.
        """
        found = {name: _QUOTED.sub(r"\1", text) for name, text in _PAIR.findall(self.text)}
        bare = {name: "" for name in self.text.split() if "=" not in name and self.name == "ARG"}
        return bare | {name: Template(text).substitute(variables) for name, text in found.items()}


class Stage(NamedTuple):
    """One stage: its base, its name (``""`` for none), and its instructions."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def only(self, name: str) -> str:
        """Return the text of the only instruction with this name."""
        (found,) = (it.text for it in self.instructions if it.name == name)
        return found


def read(path: Path) -> list[Stage]:
    """Return the stages of a Dockerfile in order.

    Raises:
        ValueError: the file does not begin with a stage.
    """
    stages: list[Stage] = []
    for instruction in _instructions(path.read_text()):
        if instruction.name == "FROM":
            base, *rest = instruction.text.split()
            stages.append(Stage(base, rest[-1] if rest else "", ()))
        elif not stages:
            raise ValueError(f"{instruction.name} before the first FROM")
        else:
            last = stages[-1]
            stages[-1] = last._replace(instructions=(*last.instructions, instruction))
    return stages


def _instructions(text: str) -> Iterator[Instruction]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    whole = "\n".join(lines).replace("\\\n", " ")
    for line in filter(None, map(str.strip, whole.splitlines())):
        name, _, rest = line.partition(" ")
        yield Instruction(name.upper(), rest.strip())
