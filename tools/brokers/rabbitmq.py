"""A private RabbitMQ broker on the loopback.

It has a folder, ports, an Erlang cookie and an Erlang port mapper (epmd) of its own, so nothing of
a system-wide node is touched. It is the one of Debian's installed package `rabbitmq-server`, or,
with `PRIVATE_RABBITMQ=4` in the environment, that of a newer Debian in a file system of its own.
`scripts/setup.sh` sees to either.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import pika
from pika.exceptions import AMQPError

from tools import PROJECT
from tools.processes import Process, ProcessError, free_port, listens, run

#: Which of RabbitMQ's releases the private brokers are of.
RELEASE = os.environ.get("PRIVATE_RABBITMQ", "3")

#: The file system with RabbitMQ 4.
_NEWER = PROJECT / ".cache" / "rabbitmq-4"

#: RabbitMQ's own programs. Debian's in /usr/sbin switch to the user of the system-wide node.
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")

_PATH = "/usr/local/bin:/usr/bin:/bin"

#: Without it, Erlang's own connections between nodes and tools would listen on all interfaces.
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"

#: RabbitMQ looks into each of some 800 modules while it starts, which loads them one by one. Loaded
#: ahead, by several threads, they cost half the time. Flags are split at spaces, so this has none.
_PRELOAD = (
    "-eval spawn(fun()->code:ensure_modules_loaded("
    "[list_to_atom(filename:basename(F,[$.,$b,$e,$a,$m]))||"
    "A<-[rabbit,rabbit_common,rabbitmq_prelaunch,ra,osiris,ranch,mnesia,ssl,public_key,asn1,"
    "compiler,syntax_tools,xmerl,tools,inets,os_mon,kernel,stdlib,seshat,aten,recon,syslog,"
    "sysmon_handler,credentials_obfuscation,jsx],"
    "D<-[code:lib_dir(A)],is_list(D),"
    "F<-filelib:wildcard(filename:join([D,ebin,[$*,$.,$b,$e,$a,$m]]))])end)."
)

#: The management shows queues as their last sample has them, by default 5 seconds late; this is the
#: shortest it can do.
_EACH_SECOND = ", ".join(f"{{{kind}, [{{60, 1}}]}}" for kind in ("global", "basic", "detailed"))
_EAGER_STATISTICS = (
    "{rabbit, [{quorum_tick_interval, 200}, {collect_statistics_interval, 200}]}, "
    f"{{rabbitmq_management, [{{sample_retention_policies, [{_EACH_SECOND}]}}]}}"
)

#: How much a node may need: what it does not have, and RabbitMQ's default.
_ALARMS = {
    "memory": ("set_vm_memory_high_watermark", "0.00001", "0.4"),
    "disk": ("set_disk_free_limit", "999999GB", "50MB"),
}

#: How long one command of `ctl` may take.
_CTL_SECONDS = 30.0


@dataclass(frozen=True)
class TLSFiles:
    """PEM files for a TLS listener."""

    #: The server's certificate, with the chain behind it if there is one.
    certificate: Path
    #: The certificate's private key.
    key: Path
    #: The authority that signed it, and that clients' certificates are checked against.
    authority: Path


@dataclass(frozen=True)
class Seat:
    """A node's place: alone, or in a cluster, whose nodes have cookie and port mapper in common."""

    #: As private as the port mapper that knows it.
    name: str = "sandbox@localhost"
    #: An address of 127.0.0.0/8.
    host: str = "127.0.0.1"
    #: Where clients connect; one of its own when it is 0.
    port: int = 0
    #: The port mapper's; one of its own when it is 0.
    epmd_port: int = 0
    #: The names of all nodes of the cluster, this one included.
    peers: Sequence[str] = ()
    #: Lets the nodes of a cluster talk to each other; one that nobody else knows when it is empty.
    cookie: str = ""


class RabbitMQ(Process):
    """A RabbitMQ node with everything it keeps in `folder`.

    Ports stay the same over restarts, and so does what is durable. With `tls` there is a second
    listener on `tls_port`; clients may but need not show a certificate. With `management` its HTTP
    API is at `management_url`, and knows of changes within some two seconds. `seat` is its place in
    a cluster.
    """

    user = "guest"
    password = "guest"  # noqa: S105 - every new node's own, and for loopback connections only
    vhost = "/"

    def __init__(
        self,
        folder: Path,
        *,
        tls: TLSFiles | None = None,
        management: bool = False,
        seat: Seat | None = None,
    ) -> None:
        self.seat = seat = seat or Seat()
        self.host = seat.host
        self.port = seat.port or free_port()
        self.tls_port = free_port() if tls else None
        self._management_port = free_port() if management else None
        self.folder = folder.absolute()
        self._inside = _inside(self.folder, tls) if RELEASE == "4" else []
        self._settings = {
            "PATH": _PATH,
            "LANG": "C.UTF-8",
            # The Erlang cookie is in here: only our own tools can talk to the node.
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(seat.epmd_port or free_port()),
            "RABBITMQ_NODENAME": seat.name,
            # An empty file keeps /etc/rabbitmq/rabbitmq-env.conf out.
            "RABBITMQ_CONF_ENV_FILE": self._write("rabbitmq-env.conf", ""),
        }
        if seat.cookie:
            Path(self._write(".erlang.cookie", seat.cookie)).chmod(0o400)
        super().__init__(
            f"RabbitMQ's node {seat.name}",
            [*self._inside, _PROGRAMS / "rabbitmq-server"],
            log=self.folder / "rabbitmq.log",
            ready=self._is_ready,
            environment=self._settings | self._node_settings(tls),
            folder=self.folder,
        )

    @property
    def management_url(self) -> str:
        """Where the HTTP API is."""
        return f"http://{self.host}:{self._management_port}"

    def parameters(self, **options: Any) -> Sequence[pika.ConnectionParameters]:
        """Return what leads pika to it, with options of pika's."""
        return [pika.ConnectionParameters(self.host, self.port, **options)]

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` with these arguments and return its output, without headings.

        Raises `ProcessError` with the command's own words when it fails.
        """
        if not self.running:
            raise ProcessError("RabbitMQ does not run, so rabbitmqctl has nothing to talk to")
        port = str(free_port())
        return run(
            " ".join(["rabbitmqctl", *arguments]),
            [*self._inside, _PROGRAMS / "rabbitmqctl", "--silent", *arguments],
            environment=self._settings
            | {
                "ERL_AFLAGS": _LOOPBACK_ONLY,
                "RABBITMQ_CTL_DIST_PORT_MIN": port,
                "RABBITMQ_CTL_DIST_PORT_MAX": port,
            },
            folder=self.folder,
            seconds=_CTL_SECONDS,
        )

    @contextmanager
    def alarm(self, resource: str = "memory") -> Iterator[None]:
        """Have the node be short of `memory` or `disk`: it accepts no messages until the end."""
        command, on, off = _ALARMS[resource]
        try:
            self.ctl(command, on)
            yield
        finally:
            self.ctl(command, off)

    def _node_settings(self, tls: TLSFiles | None) -> dict[str, str]:
        return {
            # Whatever has a system-wide default gets one in the folder.
            "RABBITMQ_CONFIG_FILE": self._write("rabbitmq.conf", self._configuration(tls)),
            "RABBITMQ_ADVANCED_CONFIG_FILE": self._write(
                "advanced.config", f"[{_EAGER_STATISTICS if self._management_port else ''}].\n"
            ),
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._write(
                "enabled_plugins", f"[{'rabbitmq_management' if self._management_port else ''}].\n"
            ),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOG": "info,-color",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_AFLAGS": f"{_LOOPBACK_ONLY} {_PRELOAD}",
            # The script replaces itself by the node instead of waiting for it as a shell.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _configuration(self, tls: TLSFiles | None) -> str:
        lines = [
            f"listeners.tcp.1 = {self.host}:{self.port}",
            "log.file = false",
            "log.console = true",
        ]
        if tls:
            lines += [
                f"listeners.ssl.1 = {self.host}:{self.tls_port}",
                f"ssl_options.certfile = {tls.certificate.absolute()}",
                f"ssl_options.keyfile = {tls.key.absolute()}",
                f"ssl_options.cacertfile = {tls.authority.absolute()}",
                "ssl_options.verify = verify_peer",
                "ssl_options.fail_if_no_peer_cert = false",
            ]
        if self.seat.peers:
            peers = enumerate(self.seat.peers, start=1)
            lines += [
                "cluster_partition_handling = pause_minority",
                "cluster_formation.peer_discovery_backend = classic_config",
                *(f"cluster_formation.classic_config.nodes.{n} = {name}" for n, name in peers),
            ]
        if self._management_port:
            lines += [
                f"management.tcp.ip = {self.host}",
                f"management.tcp.port = {self._management_port}",
            ]
        return "\n".join([*lines, ""])

    def _write(self, name: str, text: str) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def _is_ready(self) -> bool:
        """Tell whether an AMQP connection opens."""
        options = {"blocked_connection_timeout": 5, "socket_timeout": 5}
        with suppress(AMQPError):
            if listens(self.port, host=self.host):
                pika.BlockingConnection(self.parameters(**options)).close()
                return True
        return False


def port_mapper(folder: Path, port: int) -> Process:
    """Return an Erlang port mapper (epmd) for the nodes of a cluster, which outlives each."""
    folder.mkdir(parents=True, exist_ok=True)
    inside = _inside(folder.absolute(), None) if RELEASE == "4" else []
    return Process(
        "Erlang's port mapper",
        [*inside, "epmd", "-address", "127.0.0.1", "-port", str(port)],
        log=folder / "epmd.log",
        ready=lambda: listens(port),
        environment={"PATH": _PATH, "HOME": str(folder)},
        folder=folder,
    )


def _inside(folder: Path, tls: TLSFiles | None) -> list[str]:
    """Return what runs a command in the file system of a newer Debian, with the folder in it."""
    certificates = {path.absolute().parent for path in astuple(tls)} if tls else set()
    seen = [Path("/etc/hosts"), *certificates]
    return [
        *("bwrap", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),  # noqa: S108  # its own
        *("--ro-bind", str(_NEWER / "usr"), "/usr"),
        *("--symlink", "usr/bin", "/bin", "--symlink", "usr/sbin", "/sbin"),
        *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
        *(word for path in seen for word in ("--ro-bind-try", str(path), str(path))),
        *("--bind", str(folder), str(folder), "--"),
    ]
