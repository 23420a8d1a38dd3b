"""systemd accepts the unit, which has the restrictions of the image and of Kubernetes."""

import os
import re
import subprocess
from pathlib import Path

from cki_notifier.configuration.settings import VARIABLES
from cki_notifier.configuration.shutdown import CLOSING_SECONDS
from tests.deploy.kubernetes.manifests import overlay
from tests.deploy.systemd.unit import (
    ENVIRONMENT,
    PAGE,
    UNIT,
    analyze,
    environment,
    setting,
    settings,
)
from tests.factories.environment import read
from tools import PROJECT

#: The highest score, in tenths: systemd calls scores below 2 OK.
MOST_EXPOSED = 15
#: The reserve between the daemon's last step and the kill, in seconds.
SPARE_SECONDS = 5
#: The token that GITLAB_TOKENS names.
TOKEN = "COM_GITLAB_TOKEN"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd-analyze accepts every line."""
    assert analyze(tmp_path, "verify", "--man=no") == (0, "")


def test_a_setting_that_there_is_not_is_noticed(tmp_path: Path) -> None:
    """The check finds an unknown setting."""
    wrong = UNIT.read_text().replace("ProtectHome=", "ProtectHouse=")
    assert "ProtectHouse" in analyze(tmp_path, "verify", "--man=no", text=wrong)[1]


def test_the_daemon_is_hardly_exposed(tmp_path: Path) -> None:
    """Systemd gives the unit a good score, and a worse one without one of its settings."""
    security = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}")
    code, said = analyze(tmp_path, *security)
    assert code == 0, said
    weaker = UNIT.read_text().replace("CapabilityBoundingSet=\n", "")
    assert analyze(tmp_path, *security, text=weaker)[0] != 0
    exposure = re.search(r"exposure level for \S+: ([\d.]+) OK", said)
    assert exposure is not None
    assert f"calls that {exposure[1]} of 10, OK" in " ".join(PAGE.read_text().split())


def test_it_is_as_confined_as_in_the_image() -> None:
    """The unit has no root, no writable files, no privileges, and Kubernetes' memory limit."""
    container, pod = overlay("production").container, overlay("production").pod
    assert pod["securityContext"]["runAsNonRoot"]
    assert setting("DynamicUser") == "yes"
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert setting("ProtectSystem") == "strict"
    assert not any(name.startswith(("ReadWrite", "StateDirectory")) for name in settings())
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert (setting("CapabilityBoundingSet"), setting("AmbientCapabilities")) == ("", "")
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert setting("NoNewPrivileges") == "yes"
    assert f"{setting('MemoryMax')}i" == container["resources"]["limits"]["memory"]
    dockerfile = (PROJECT / "Dockerfile").read_text()
    assert setting("ExecStart").startswith("/opt/cki-notifier/bin/")
    assert "PATH=/opt/cki-notifier/bin:" in dockerfile
    assert setting("Environment") in dockerfile


def test_it_has_time_to_end(tmp_path: Path) -> None:
    """The timeout is that of Kubernetes: for notifications in flight, closing, and a reserve."""
    config = read(with_secrets(tmp_path))
    seconds = int(setting("TimeoutStopSec").removesuffix("s"))
    assert seconds >= config.shutdown_seconds + CLOSING_SECONDS + SPARE_SECONDS
    assert seconds == overlay("production").pod["terminationGracePeriodSeconds"]
    assert f"STOPSIGNAL {setting('KillSignal')}\n" in (PROJECT / "Dockerfile").read_text()
    assert setting("KillMode") == "mixed"
    assert f"waits {seconds} seconds" in PAGE.read_text()


def test_it_is_started_again_unless_that_is_no_use() -> None:
    """Systemd restarts the daemon without a limit, after a pause, but not after exit code 2."""
    assert (setting("Restart"), setting("StartLimitIntervalSec")) == ("always", "0")
    assert int(setting("RestartSec").removesuffix("s")) >= 1
    assert setting("RestartPreventExitStatus") == "2"


def with_secrets(folder: Path) -> dict[str, str]:
    """Return the example's variables with existing files."""
    (folder / "secret").write_text("hush")
    return {
        name: str(folder / "secret") if name.endswith("_FILE") else value
        for name, value in environment().items()
    }


def test_the_environment_is_one_that_the_daemon_takes(tmp_path: Path) -> None:
    """The daemon knows all variables of the example, misses none, and would send messages."""
    secret = {variable.name for variable in VARIABLES if variable.is_secret} | {TOKEN}
    known = {variable.name for variable in VARIABLES} | {f"{name}_FILE" for name in secret}
    assert environment().keys() - known == set()
    assert not environment().keys() & secret
    config = read(with_secrets(tmp_path))
    assert config.sends
    assert config.kafka is not None


def test_secrets_are_where_systemd_puts_them() -> None:
    """Each file is a credential of the unit, named like its variable."""
    name, _, folder = setting("LoadCredential").partition(":")
    files = {key: value for key, value in environment().items() if key.endswith("_FILE")}
    assert files == {
        key: f"/run/credentials/{UNIT.name}/{name}_{key.removesuffix('_FILE')}" for key in files
    }
    assert len(files) > 3
    page = PAGE.read_text()
    assert f"install -d -m 700 {folder}\n" in page
    assert setting("EnvironmentFile") == f"/etc/cki-notifier/{ENVIRONMENT.name}"


def test_a_shell_reads_the_environment_as_systemd_does() -> None:
    """A shell reads the quotes in the file as systemd does, as the page needs."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"set -a; . {ENVIRONMENT}; env"],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert environment().items() <= seen.items()
