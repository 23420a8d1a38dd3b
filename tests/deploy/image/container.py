"""Run the image's command as a platform does."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.deploy.image import bubblewrap
from tests.deploy.image.build import Image
from tools.notifier import Notifier

#: The image has no account and no home with this id.
USER_ID = 1_000_670_000
#: The time limit of a command, in seconds, also on a slow machine.
_SECONDS = 120
_NONE: Mapping[str, Path] = MappingProxyType({})
_NOTHING: Mapping[str, str] = MappingProxyType({})


def run(
    image: Image,
    *arguments: str,
    environment: Mapping[str, str] = _NOTHING,
    entrypoint: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run the image until it ends, without this process' environment.

    Args:
        image: the image.
        arguments: the arguments of its command.
        environment: variables besides the image's.
        entrypoint: another command.
    """
    command = [entrypoint] if entrypoint else image.entrypoint
    line = bubblewrap.running(
        image.root,
        {**image.environment, **environment},
        [*command, *arguments],
        user_id=USER_ID,
        files=_NONE,
    )
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=_SECONDS)


class Container(Notifier):
    """A daemon that is process 1 of the image.

    Args:
        image: the image.
        folder: the folder of its logs.
        environment: variables besides the image's.
        files: the mounted files: their path in the container, and here.
    """

    def __init__(
        self,
        image: Image,
        folder: Path,
        environment: Mapping[str, str],
        files: Mapping[str, Path] = _NONE,
    ) -> None:
        super().__init__(folder, environment)
        self._told = folder / "bubblewrap.json"
        _, *line = bubblewrap.running(
            image.root,
            {**image.environment, **environment},
            image.entrypoint,
            user_id=USER_ID,
            files=files,
        )
        say = 'exec bwrap --info-fd 9 "$@" 9>"$0"'
        self.command = ["/bin/sh", "-c", say, str(self._told), *line]

    def end(self, number: signal.Signals, *, seconds: float) -> int | None:
        """Send process 1 a signal, wait until it ends, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: the process still runs.
        """
        os.kill(json.loads(self._told.read_text())["child-pid"], number)
        return self.wait(seconds=seconds)
