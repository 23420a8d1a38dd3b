"""Which RabbitMQ scripts/setup.sh gets for private brokers; what fetches it is a stand-in."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools import PROJECT

#: Makes the folder that it is told to make, unless there is a file that says no.
_MMDEBSTRAP = """#!/bin/sh
echo "$*" >>"$0.log"
[ -e "$0.broken" ] && exit 1
for word in "$@"; do
    case $word in */rabbitmq-4.new) mkdir -p "$word" ;; esac
done
"""


class Machine:
    """A project's folder, and programs in place of Debian's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        (folder / "scripts").mkdir()
        shutil.copy(PROJECT / "scripts/setup.sh", folder / "scripts")
        for name, text in (("mmdebstrap", _MMDEBSTRAP), ("bwrap", "#!/bin/sh\n")):
            self.programs.joinpath(name).write_text(text)
            self.programs.joinpath(name).chmod(0o755)

    def need(self, release: str) -> subprocess.CompletedProcess[str]:
        """Call need_rabbitmq for a release."""
        return subprocess.run(
            ["/bin/sh", "-euc", ". scripts/setup.sh; need_rabbitmq", "scripts/test"],
            cwd=self.folder,
            env={"PATH": f"{self.programs}:/usr/bin:/bin", "PRIVATE_RABBITMQ": release},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        """The arguments of mmdebstrap, a line for each call."""
        log = self.programs / "mmdebstrap.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a new one."""
    return Machine(tmp_path)


def test_release_4_is_unpacked_once(machine: Machine) -> None:
    """Into a folder of the project, out of Debian's current release; nothing is installed."""
    for _ in range(2):
        done = machine.need("4")
        assert done.returncode == 0, done.stderr
    (call,) = machine.calls
    assert "--variant=extract" in call
    assert "--include=rabbitmq-server trixie" in call
    assert (machine.folder / ".cache/rabbitmq-4/.release").read_text() == "trixie\n"


def test_what_could_not_be_unpacked_is_unpacked_again(machine: Machine) -> None:
    """A failure ends the script with a sentence, and leaves nothing that counts as done."""
    broken = machine.programs / "mmdebstrap.broken"
    broken.touch()
    failed = machine.need("4")
    assert failed.returncode == 1
    assert "with mmdebstrap failed" in failed.stderr
    broken.unlink()
    assert machine.need("4").returncode == 0
    assert len(machine.calls) == 2


@pytest.mark.parametrize("release", ["5", "3.10", "four"])
def test_another_release_is_refused(machine: Machine, release: str) -> None:
    """It is named, and so are those there are."""
    refused = machine.need(release)
    assert refused.returncode == 1
    assert f"PRIVATE_RABBITMQ is '{release}': it has to be 3 or 4" in refused.stderr
