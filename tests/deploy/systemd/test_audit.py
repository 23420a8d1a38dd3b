"""systemd accepts the audit's unit and timer, and they have the daemon's restrictions."""

import subprocess
from pathlib import Path

from cki_notifier.audit.arguments import gateway
from tests.deploy.systemd.test_unit import MOST_EXPOSED
from tests.deploy.systemd.unit import UNIT, analyze, environment, setting, settings
from tests.factories.environment import read
from tools import PROJECT

FOLDER = UNIT.parent
AUDIT = FOLDER / "cki-notifier-audit.service"
TIMER = FOLDER / "cki-notifier-audit.timer"
ENVIRONMENT = FOLDER / "cki-notifier-audit.env"
PAGE = PROJECT / "docs" / "audit.md"
#: The settings of a service that does not end by itself.
OF_THE_DAEMON = {
    *("Type", "ExecStart", "EnvironmentFile", "Description", "Documentation", "WantedBy"),
    *("Restart", "RestartSec", "RestartPreventExitStatus", "StartLimitIntervalSec"),
    *("KillSignal", "KillMode", "TimeoutStopSec"),
}


def test_systemd_takes_the_unit_and_the_timer(tmp_path: Path) -> None:
    """systemd-analyze accepts every line, and finds an unknown setting."""
    assert analyze(tmp_path, "verify", "--man=no", unit=AUDIT) == (0, "")
    assert analyze(tmp_path, "verify", "--man=no", unit=TIMER) == (0, "")
    wrong = TIMER.read_text().replace("OnCalendar=", "OnCalender=")
    assert "OnCalender" in analyze(tmp_path, "verify", "--man=no", text=wrong, unit=TIMER)[1]


def test_it_is_as_confined_as_the_daemon(tmp_path: Path) -> None:
    """The audit has each restriction of the daemon's unit, and a good score of systemd."""
    audit, daemon = settings(AUDIT), settings()
    assert daemon.keys() - audit.keys() <= OF_THE_DAEMON
    for name in daemon.keys() & audit.keys() - OF_THE_DAEMON:
        assert audit[name] == daemon[name], name
    security = ("security", "--offline=true", f"--threshold={MOST_EXPOSED}")
    code, said = analyze(tmp_path, *security, unit=AUDIT)
    assert code == 0, said


def test_it_runs_once_an_hour_and_ends_before_the_next() -> None:
    """The timer starts its unit at minute 23 of every hour, and itself at each boot."""
    assert (setting("Type", AUDIT), setting("TimeoutStartSec", AUDIT)) == ("oneshot", "30min")
    assert TIMER.stem == AUDIT.stem
    assert setting("WantedBy", TIMER) == "timers.target"
    assert setting("Persistent", TIMER) == "yes"
    told = subprocess.run(
        ["systemd-analyze", "calendar", "--iterations=2", setting("OnCalendar", TIMER)],  # noqa: S607  # wherever it is installed
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Normalized form: *-*-* *:23:00" in told


def test_it_has_the_daemon_s_environment_with_secrets_of_its_own(tmp_path: Path) -> None:
    """The second file names the path of each secret in this unit, and no other secrets."""
    files = [it.rpartition("/")[2] for it in settings(AUDIT)["EnvironmentFile"]]
    assert files == ["cki-notifier.env", ENVIRONMENT.name]
    daemon, audit = environment(), environment(ENVIRONMENT)
    url = audit.pop("PUSHGATEWAY_URL")
    assert gateway(url) == url
    assert audit == {
        name: path.replace(UNIT.name, AUDIT.name)
        for name, path in daemon.items()
        if name.endswith("_FILE")
    }
    (tmp_path / "secret").write_text("hush")
    secrets = dict.fromkeys(audit, str(tmp_path / "secret"))
    assert read({**daemon, **audit, **secrets}).sends


def test_it_asks_about_a_day_and_pushes() -> None:
    """The unit runs the daemon's command, and systemd fills in the address."""
    program, *words = setting("ExecStart", AUDIT).split()
    assert program == setting("ExecStart")
    assert words == ["audit", "--since", "24h", "--push", "${PUSHGATEWAY_URL}"]


def test_the_page_installs_every_file() -> None:
    """The page installs the units and the environment into the right folders."""
    text = PAGE.read_text()
    assert f"deploy/systemd/{ENVIRONMENT.name} /etc/cki-notifier/" in text
    units = " ".join(f"deploy/systemd/{it.name}" for it in (AUDIT, TIMER))
    assert f"{units} /etc/systemd/system/" in text
    assert f"systemctl enable --now {TIMER.name}" in text
