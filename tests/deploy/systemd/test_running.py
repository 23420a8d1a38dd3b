"""The unit allows all system calls and sockets of the daemon."""

import os
import re
import signal
import subprocess

from tests.brokers.stage import PATIENCE, Stage, eventually
from tests.deploy.systemd.unit import setting, settings
from tools.notifier import Notifier
from tools.processes import free_port
from tools.stand_ins import documents


def calls(group: str) -> set[str]:
    """Return the system calls of a group of systemd, and of the groups in it."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", group],  # noqa: S607  # wherever it is installed
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: set[str] = set()
    for line in (line.strip() for line in told.splitlines()[1:]):
        if line.startswith("@"):
            found |= calls(line)
        elif line and not line.startswith("#"):
            found.add(line)
    return found


def allowed() -> set[str]:
    """Return the system calls that the unit allows: one list without another."""
    (kept, refused) = settings()["SystemCallFilter"]
    assert refused.startswith("~")
    return calls(kept).difference(*map(calls, refused[1:].split()))


def traced(stage: Stage) -> str:
    """Run a daemon that sends a message and ends, and return its system calls."""
    services = stage.services
    url = services.gitlab.merge_request_url("group/kernel", 1)
    services.gitlab.add_merge_request(documents.merge_request(url))
    checkout = documents.checkout("redhat:1", merge_request=url)
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    folder = stage.folder / "traced"
    trace = folder / "trace"
    by_name = services.warehouse.url.replace("127.0.0.1", "localhost")
    more = {
        "DATAWAREHOUSE_URL": by_name,
        "CKI_METRICS_ENABLED": "true",
        "CKI_METRICS_PORT": str(free_port()),
    }
    daemon = Notifier(folder, stage.environment | more)
    daemon.command = ["strace", "-f", "-qq", "-o", str(trace), *daemon.command]
    with daemon:
        stage.publish(documents.notification(checkout, "build_setups_finished"), b"no json")
        outcomes = {"sent", "dead-lettered"}
        eventually(lambda: {line["outcome"] for line in daemon.settled()} == outcomes)
        # strace does not forward a signal, but ends with the daemon's exit code.
        os.kill(int(trace.read_text().partition(" ")[0]), signal.SIGTERM)
        assert daemon.wait(seconds=PATIENCE) == 0
    return trace.read_text()


def test_the_daemon_asks_for_nothing_that_the_unit_refuses(stage: Stage) -> None:
    """The unit refuses none of the daemon's system calls, sockets, memory and files."""
    trace = traced(stage)
    made = set(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))
    assert {"execve", "socket", "exit_group"} <= made
    assert made - allowed() == set()
    families = set(re.findall(r"\bsocket\((AF_\w+)", trace))
    assert "AF_INET" in families
    assert families <= set(setting("RestrictAddressFamilies").split())
    assert setting("MemoryDenyWriteExecute") == "yes"
    assert not re.search(r"\bmmap\([^)]*PROT_WRITE\|PROT_EXEC", trace)
    assert not re.search(r"\bmprotect\([^)]*PROT_EXEC", trace)
    written = re.findall(r'\bopenat\([^"]*"([^"]+)", [^)]*O_(?:WRONLY|RDWR|CREAT)', trace)
    assert set(written) <= {"/dev/null"}
