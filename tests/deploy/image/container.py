"""The image's command, run as a platform runs it."""

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

#: No account of this number is known in the image, nor is its owner's home.
USER_ID = 1_000_670_000
#: However slow the machine is, a command does not take longer, in seconds.
_SECONDS = 120
_NONE: Mapping[str, Path] = MappingProxyType({})
_NOTHING: Mapping[str, str] = MappingProxyType({})


def run(
    image: Image,
    *arguments: str,
    environment: Mapping[str, str] = _NOTHING,
    entrypoint: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run the image to its end.

    Args:
        image: with nothing of this process' environment.
        arguments: for its command.
        environment: on top of the image's.
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
    """A daemon that is the image's process 1.

    Args:
        image: to be run.
        folder: for what it logs.
        environment: on top of the image's.
        files: what is mounted: where it is seen, and where it is here.
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
        """Send process 1 a signal; wait for the end, and return the exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        os.kill(json.loads(self._told.read_text())["child-pid"], number)
        return self.wait(seconds=seconds)
