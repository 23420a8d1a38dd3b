"""Kill, stop, freeze or start a process of the demo: `python -m tools.demo.control kill rabbit-2`.

All processes are children of the demo. This program sends a request to a socket in the demo's
folder, and the demo carries it out.
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
  status         Shows state and address of each process. Without names, it shows all.
  kill           Sends SIGKILL.
  stop           Sends SIGTERM, for a clean end.
  start          Starts the process again, and waits until it is ready.
  freeze, thaw   Sends SIGSTOP or SIGCONT. A frozen process keeps its connections and is silent.
  ctl            Runs rabbitmqctl on a node: ctl rabbit-1 cluster_status.

Use the names that status shows. An action takes several names and runs for all at once. If all
nodes of RabbitMQ are down, start all of them with one command.
"""


@dataclass
class Member:
    """A process of the demo."""

    process: Process
    address: str
    frozen: bool = False
    code: int | None = None

    def do(self, action: str) -> None:
        """Do one of the actions; raise `ProcessError` if the process does not start."""
        self.code = getattr(self.process, action)()
        self.frozen = action == "freeze"

    @property
    def state(self) -> str:
        """The state: up, frozen or down, with an exit code if this program ended the process."""
        if self.process.running:
            return "frozen" if self.frozen else "up"
        return "down" if self.code is None else f"down, exit code {self.code}"


class Control(ThreadingUnixStreamServer):
    """Carries out requests from the socket, and reports each to `tell`."""

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
        """Carry out an action; return the text to print; raise `ProcessError` on failure."""
        names = words[:1] if action == "ctl" else words or list(self._members)
        if unknown := [name for name in names if name not in self._members]:
            known = ", ".join(self._members)
            raise ProcessError(
                f"No process is named {' or '.join(unknown)}. The names are {known}."
            )
        members = {name: self._members[name] for name in names}
        if action == "ctl":
            node = members[names[0]].process
            if not isinstance(node, RabbitMQ):
                raise ProcessError(f"{names[0]} is not a RabbitMQ node.")
            return node.ctl(*words[1:]).rstrip()
        if action in _ACTIONS:
            with ThreadPoolExecutor(len(members)) as pool:
                list(pool.map(lambda member: member.do(action), members.values()))
            self._tell(f"{action}: {', '.join(names)}")
        return "\n".join(f"{name:<12}{it.state:<21}{it.address}" for name, it in members.items())


class _Request(StreamRequestHandler):
    """One request: a line of JSON. The response is a line with the exit code, then text."""

    server: Control

    def handle(self) -> None:
        """Answer the request."""
        action, *words = json.loads(self.rfile.readline())
        try:
            code, text = 0, self.server.do(action, words)
        except ProcessError as error:
            code, text = 1, str(error)
        with contextlib.suppress(ConnectionError):  # the client is gone
            self.wfile.write(f"{code}\n{text}\n".encode())


def main() -> int:
    """Send the request to the demo; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = argparse.ArgumentParser(
        prog="python -m tools.demo.control",
        description="Kills, stops, freezes or starts processes of `scripts/demo --cluster --keep`.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["status", *_ACTIONS, "ctl"], metavar="ACTION")
    parser.add_argument("names", nargs=argparse.REMAINDER, metavar="NAME")
    parsed = parser.parse_args()
    if parsed.action != "status" and not parsed.names:
        parser.error(f"{parsed.action} needs a name, which status shows")
    if not (path := os.environ.get(SOCKET)):
        parser.error(
            f"{SOCKET} is not set: run the command first that the demo prints for another terminal"
        )
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(json.dumps([parsed.action, *parsed.names]).encode() + b"\n")
            code, _, text = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\n")
        except OSError as error:
            code, text = b"", f"{path}: {error}\n".encode()
    if not code:
        print("The demo is not running: start scripts/demo --cluster --keep.", file=sys.stderr)
    print(text.decode(), end="", file=sys.stdout if code == b"0" else sys.stderr)
    return int(code or 1)


if __name__ == "__main__":
    sys.exit(main())
