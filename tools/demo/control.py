"""Plays with a node, a broker or the daemon: `python -m tools.demo.control kill rabbit-2`.

All that runs is a child of the demo. So the demo does what it is asked to through a socket in its
folder, and this program asks.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from threading import Thread

from tools.brokers.rabbitmq import RabbitMQ
from tools.processes import Process, ProcessError

#: The variable that names the socket.
SOCKET = "DEMO_CONTROL"

_ACTIONS = ("kill", "stop", "start", "freeze", "thaw")
_HELP = """actions:
  status         what is up, and where; all of it without names
  kill           SIGKILL
  stop           SIGTERM: it ends in order
  start          starts it again, and waits until it is ready
  freeze, thaw   SIGSTOP, SIGCONT: connections stay, and nobody answers
  ctl            runs rabbitmqctl on a node: ctl rabbit-1 cluster_status

Names are those that status shows. Several are done side by side; a RabbitMQ that was down as a
whole has to be started so.
"""


@dataclass
class Member:
    """Something that runs, until it is played with."""

    process: Process
    address: str
    frozen: bool = False
    code: int | None = None

    def do(self, action: str) -> None:
        """Do one of the actions; raises `ProcessError` when it does not start."""
        self.code = getattr(self.process, action)()
        self.frozen = action == "freeze"

    @property
    def state(self) -> str:
        """Whether it is up, frozen or down, and then its exit code, if it was ended from here."""
        if self.process.running:
            return "frozen" if self.frozen else "up"
        return "down" if self.code is None else f"down, exit code {self.code}"


class Control(ThreadingUnixStreamServer):
    """Does to members, by their names, what comes through the socket; tells what it did."""

    daemon_threads = True

    def __init__(
        self, path: Path, members: Mapping[str, Member], tell: Callable[[str], None]
    ) -> None:
        super().__init__(str(path), _Request)
        self._members = members
        self._tell = tell

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve until the end of this context."""
        with self:
            Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
            try:
                yield
            finally:
                self.shutdown()

    def do(self, action: str, words: Sequence[str]) -> str:
        """Do it and return what to print; raises `ProcessError` when it can't be done."""
        names = words[:1] if action == "ctl" else words or list(self._members)
        if unknown := [name for name in names if name not in self._members]:
            known = ", ".join(self._members)
            raise ProcessError(f"There is no {' or '.join(unknown)}. There are {known}.")
        members = {name: self._members[name] for name in names}
        if action == "ctl":
            node = members[names[0]].process
            if not isinstance(node, RabbitMQ):
                raise ProcessError(f"{names[0]} is no node of RabbitMQ.")
            return node.ctl(*words[1:]).rstrip()
        if action in _ACTIONS:
            with ThreadPoolExecutor(len(members)) as pool:
                list(pool.map(lambda member: member.do(action), members.values()))
            self._tell(f"{action}: {', '.join(names)}")
        return "\n".join(f"{name:<12}{it.state:<21}{it.address}" for name, it in members.items())


class _Request(StreamRequestHandler):
    """One request: a line of JSON, which is answered by an exit code in a line, and text."""

    server: Control

    def handle(self) -> None:
        """Answer it."""
        action, *words = json.loads(self.rfile.readline())
        try:
            code, text = 0, self.server.do(action, words)
        except ProcessError as error:
            code, text = 1, str(error)
        with contextlib.suppress(ConnectionError):  # nobody waits for it any more
            self.wfile.write(f"{code}\n{text}\n".encode())


def main() -> int:
    """Ask the demo for what the arguments say; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo.control",
        description="Plays with what `scripts/demo --cluster --keep` runs.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["status", *_ACTIONS, "ctl"], metavar="ACTION")
    parser.add_argument("names", nargs=argparse.REMAINDER, metavar="NAME")
    parsed = parser.parse_args()
    if parsed.action != "status" and not parsed.names:
        parser.error(f"name what to {parsed.action}")
    if not (path := os.environ.get(SOCKET)):
        parser.error(f"{SOCKET} is not set: read the file first that the demo names")
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(json.dumps([parsed.action, *parsed.names]).encode() + b"\n")
            code, _, text = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\n")
        except OSError as error:
            code, text = b"", f"{path}: {error}\n".encode()
    if not code:
        print("The demo does not run any more.", file=sys.stderr)
    print(text.decode(), end="", file=sys.stdout if code == b"0" else sys.stderr)
    return int(code or 1)


if __name__ == "__main__":
    sys.exit(main())
