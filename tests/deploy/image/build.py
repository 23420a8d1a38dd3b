"""Build the image from the project's Dockerfile without a container engine.

The builder runs each instruction, except those that change the base image.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.deploy.image import bubblewrap
from tests.deploy.image.context import context
from tests.deploy.image.dockerfile import Instruction, Stage, read

#: The time limit of a step, in seconds, also on a slow machine.
_STEP_SECONDS = 300


@dataclass
class Image:
    """The result of one stage.

    Attributes:
        root: its files, without those of the base image.
        arguments: the build's arguments, which are not part of the image.
        skipped: the commands that would change the base image, which is this machine.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": bubblewrap.BASE_PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    entrypoint: list[str] = field(default_factory=list)
    stop_signal: str = ""
    port: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        """Return the variables that an instruction can use."""
        return self.arguments | self.environment

    def note(self, instruction: Instruction) -> None:
        """Store an instruction that changes no files.

        Raises:
            ValueError: the builder does not know the instruction.
        """
        match instruction.name:
            case "ENV":
                self.environment |= instruction.pairs(self.variables())
            case "LABEL":
                self.labels |= instruction.pairs(self.variables())
            case "USER":
                self.user = instruction.text
            case "ENTRYPOINT":
                self.entrypoint = json.loads(instruction.text)
            case "STOPSIGNAL":
                self.stop_signal = instruction.text
            case "EXPOSE":
                self.port = int(instruction.text)
            case unknown:
                raise ValueError(f"{unknown} is not known here")

    def copy(self, root: Path) -> "Image":
        """Return a copy of this stage with its files in another folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return Image(root, dict(self.environment), dict(self.arguments), self.folder)


class Builder:
    """Builds an image in a folder.

    Args:
        project: the folder of the Dockerfile and .dockerignore.
        folder: an empty folder.
        wheels: the folder of the locked packages.
        arguments: the build's arguments.
    """

    def __init__(
        self, project: Path, folder: Path, wheels: Path, arguments: Mapping[str, str]
    ) -> None:
        self._project = project
        self._folder = folder
        self._wheels = wheels
        self._arguments = arguments
        self._stages: dict[str, Image] = {}

    def build(self) -> Image:
        """Build all stages, and return the last one.

        Raises:
            ValueError: the builder does not know an instruction.
            subprocess.CalledProcessError: the exit code of a command was not 0.
        """
        stages = read(self._project / "Dockerfile")
        for number, stage in enumerate(stages):
            image = self._begin(stage, self._folder / f"{number}")
            is_last = number == len(stages) - 1
            for instruction in stage.instructions:
                self._carry_out(instruction, image, changes_base=is_last)
            self._stages[stage.name] = image
        return image

    def _begin(self, stage: Stage, root: Path) -> Image:
        if stage.base in self._stages:
            return self._stages[stage.base].copy(root)
        root.mkdir(mode=0o755)
        return Image(root)

    def _carry_out(self, instruction: Instruction, image: Image, *, changes_base: bool) -> None:
        match instruction.name:
            case "ARG":
                names = instruction.pairs(image.variables())
                image.arguments |= {name: self._arguments[name] for name in names}
            case "WORKDIR":
                image.folder = instruction.text
                _inside(image.root, image.folder).mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(instruction.text.split(), image)
            case "RUN" if changes_base:
                image.skipped.append(instruction.text)
            case "RUN":
                self._run(instruction.text, image)
            case _:
                image.note(instruction)

    def _run(self, command: str, image: Image) -> None:
        line = bubblewrap.building(
            image.root, image.variables(), image.folder, self._wheels, command
        )
        subprocess.run(line, check=True, timeout=_STEP_SECONDS, umask=0o022)  # the engines' default

    def _copy(self, words: list[str], image: Image) -> None:
        *sources, target = words
        to = _inside(image.root, str(PurePosixPath(image.folder, target)))
        if sources[0].startswith("--from="):
            stage = self._stages[sources[0].removeprefix("--from=")]
            (source,) = sources[1:]
            shutil.copytree(_inside(stage.root, source), to, symlinks=True)
            return
        for source in sources:
            name = PurePosixPath(source).name
            self._copy_from_project(source, to / name if target.endswith("/") else to)

    def _copy_from_project(self, source: str, to: Path) -> None:
        found = [path for path in context(self._project) if path.is_relative_to(source)]
        if not found:
            raise ValueError(f"{source} is not in the context")
        for path in found:
            place = to / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._project / path, place)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
