"""Child processes that never outlive the process that started them.

Between this process and each child runs a keeper: this file as a script. The keeper is the "child
subreaper" of all processes below it. So it also reaches a daemon that detaches itself, as Erlang's
epmd does. The keeper kills all of them when the command ends, and when its standard input closes.
The kernel closes that when this process dies, even by SIGKILL. If SIGKILL ends the keeper, the
command dies, too, but a detached daemon survives.

Needs Linux 5.3 or newer: subreapers, process file descriptors and /proc.
"""

import contextlib
import ctypes
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

#: Below the range from which Linux picks the local ports of outgoing connections. In that range, a
#: client that retries while a broker is down could take the broker's port, or connect to itself.
_PORTS = range(20_000, 32_000)

#: How much of a log an error quotes.
_TAIL_LINES = 25

#: Pause between two checks whether a process is ready.
_PROBE_SECONDS = 0.02

#: Pause between two checks of `wait_until`.
_PAUSE_SECONDS = 0.05

#: Timeout for the end of a killed process. Only a process stuck in the kernel needs longer.
_KILL_SECONDS = 10.0

_handed_out: set[int] = set()


class ProcessError(Exception):
    """A child process did not start, or failed; the message has the end of its log."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 on which nothing listens, a different one at each call."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port
    raise ProcessError(f"no free port from {_PORTS.start} to {_PORTS.stop - 1}")


def listens(port: int, *, host: str = "127.0.0.1") -> bool:
    """Return whether a server accepts TCP connections on this port."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(reached: Callable[[], bool], *, seconds: float = 10, what: str = "it") -> None:
    """Wait until `reached` returns True; raise `ProcessError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise ProcessError(f"{what} is not so after {seconds:g} s")
        time.sleep(_PAUSE_SECONDS)


def run(
    name: str,
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    seconds: float,
) -> str:
    """Run a command to its end in `folder`; return its standard output.

    Raises `ProcessError` if the exit code is not 0. After `seconds`, kills the command and raises
    `ProcessError`. The message starts with `name`.
    """
    keeper = _launch(command, environment, folder, subprocess.PIPE)
    # Hidden from `communicate`, which would close it, and so end the command.
    control, keeper.stdin = keeper.stdin, None
    assert control is not None  # it is a pipe
    with control:
        try:
            output, errors = keeper.communicate(timeout=seconds)
            fault = f"ended with exit code {keeper.returncode}" if keeper.returncode else ""
        except subprocess.TimeoutExpired:
            control.close()
            output, errors = keeper.communicate(timeout=_KILL_SECONDS)
            fault = f"took longer than {seconds:g} s"
    if fault:
        raise ProcessError(f"{name} {fault}:\n{output.decode()}{errors.decode()}")
    return output.decode()


class Process:
    """A child process and its descendants. As a context manager, it starts and stops them.

    The process runs in its own session, so Ctrl-C on the terminal reaches only its parent. Its
    standard output and standard error are appended to the file `log`.

    Args:
        name: in messages.
        command: to run.
        log: the file for its output.
        ready: returns True when the process is ready; `start` waits for that.
        seconds: how long `start` waits.
        environment: the whole environment; None for that of this process.
        folder: the working folder.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        ready: Callable[[], bool],
        seconds: float = 60,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.command: Sequence[str | Path] = command
        self.log = log
        self._ready = ready
        self._seconds = seconds
        self._environment = environment
        self._folder = folder
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the process has started and not ended."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> None:
        """Start the process, also after its end; return when it is ready.

        Raises `ProcessError` if it ends before, or is not ready in time. Then it kills the process.
        """
        if self.running:
            raise ProcessError(f"{self.name} runs already")
        self.wait(seconds=0)  # for a process that ended before
        with self.log.open("ab") as log:
            self._keeper = _launch(self.command, self._environment, self._folder, log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def terminate(self) -> None:
        """Send SIGTERM to the process."""
        if self._keeper is not None:
            self._keeper.terminate()  # the keeper passes it on

    def freeze(self) -> None:
        """Suspend the process and its descendants (SIGSTOP). Their connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def stop(self, *, seconds: float = 15) -> int | None:
        """Send SIGTERM, kill the process after `seconds`, and return its exit code.

        The exit code is 128 + n after signal n, and None if the process never started. Thaws a
        frozen process first.
        """
        self.thaw()
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(seconds=seconds)
        return self.kill()

    def kill(self) -> int | None:
        """Send SIGKILL to the process and its descendants; return the exit code like `stop`."""
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
        return self.wait(seconds=_KILL_SECONDS)

    def wait(self, *, seconds: float) -> int | None:
        """Wait for the end of the process; return the exit code like `stop`.

        Raises `subprocess.TimeoutExpired` after `seconds`.
        """
        if self._keeper is None:
            return None
        code = self._keeper.wait(timeout=seconds)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        return _exit_code(code)

    def tail(self) -> str:
        """Return the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-_TAIL_LINES:])

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._seconds
        while not self._ready():
            if not self.running:
                raise self._error(f"ended with exit code {self.wait(seconds=0)}")
            if time.monotonic() > deadline:
                raise self._error(f"was not ready after {self._seconds:g} s")
            time.sleep(_PROBE_SECONDS)

    def _error(self, fault: str) -> ProcessError:
        return ProcessError(f"{self.name} {fault}; the end of {self.log}:\n{self.tail()}")

    def _signal(self, number: signal.Signals) -> None:
        if self._keeper is not None and self.running:
            _signal(_descendants(self._keeper.pid), number)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        # As servers do: lingering connections of an earlier run don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _launch(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None,
    folder: Path | None,
    output: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start a keeper, which runs a command while its standard input is open."""
    return subprocess.Popen(
        # Isolated and without site-packages, so that it starts fast in any environment.
        [sys.executable, "-I", "-S", __file__, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=environment,
        cwd=folder,
        start_new_session=True,
    )


def _exit_code(code: int) -> int:
    """Return 128 + n for signal n."""
    return code if code >= 0 else 128 - code


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # A process may end meanwhile.
        with contextlib.suppress(OSError):
            # "pid (name) state parent ...", and the name may hold anything.
            parent = stat.read_text(errors="replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(stat.parent.name))
    found = [ancestor]
    for process in found:  # the list grows meanwhile
        found += children.get(process, [])
    return found[1:]


# The keeper: everything below runs only in the keeper's process.

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

#: Pause between two rounds of killing.
_SWEEP_SECONDS = 0.005


def _keep(command: Sequence[str]) -> int:
    """Run the command until it ends or standard input closes; return its exit code.

    Passes SIGTERM on to the command.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no child subreaper")
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # PR_SET_PDEATHSIG is bound to the thread that starts the child; it is the only one.
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509  # one thread
        )
        signal.signal(signal.SIGTERM, lambda *_: _terminate(child.pid))
        ended = os.pidfd_open(child.pid)
        readable, _, _ = select.select([sys.stdin.fileno(), ended], [], [])
        return _exit_code(child.wait() if ended in readable else -signal.SIGKILL)
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error}\n")
        return 127
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _kill_descendants()


def _terminate(pid: int) -> None:
    """Send SIGTERM to a process, or to the child of bubblewrap, which passes no signal on."""
    with contextlib.suppress(OSError):  # it may have ended
        if Path(f"/proc/{pid}/comm").read_text() == "bwrap\n":
            pid = next(iter(_descendants(pid)), pid)
        os.kill(pid, signal.SIGTERM)


def _kill_descendants() -> None:
    """Kill until no descendant is left: one may start another meanwhile."""
    while True:
        _signal(_descendants(os.getpid()), signal.SIGKILL)
        try:
            # Orphans become children of this process, so without children there are no descendants.
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(_SWEEP_SECONDS)


if __name__ == "__main__":
    sys.exit(_keep(sys.argv[1:]))
