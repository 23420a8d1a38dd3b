"""A private RabbitMQ broker on the loopback.

The broker has its own folder, ports, Erlang cookie and Erlang port mapper (epmd), and does not
touch a system-wide node. It runs Debian's installed package `rabbitmq-server`. With
`PRIVATE_RABBITMQ=4` in the environment it runs that of a newer Debian, in a file system of its own.
`scripts/setup.sh` installs both.
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

#: The release of RabbitMQ that the private brokers run.
RELEASE = os.environ.get("PRIVATE_RABBITMQ", "3")

#: The file system with RabbitMQ 4.
_NEWER = PROJECT / ".cache" / "rabbitmq-4"

#: RabbitMQ's own programs. Debian's in /usr/sbin switch to the user of the system-wide node.
_PROGRAMS = Path("/usr/lib/rabbitmq/bin")

_PATH = "/usr/local/bin:/usr/bin:/bin"

#: Without it, Erlang's own connections between nodes and tools would listen on all interfaces.
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"

#: RabbitMQ loads some 800 modules one by one while it starts. Several threads load them ahead in
#: half the time. Erlang splits flags at spaces, so this has none.
_PRELOAD = (
    "-eval spawn(fun()->code:ensure_modules_loaded("
    "[list_to_atom(filename:basename(F,[$.,$b,$e,$a,$m]))||"
    "A<-[rabbit,rabbit_common,rabbitmq_prelaunch,ra,osiris,ranch,mnesia,ssl,public_key,asn1,"
    "compiler,syntax_tools,xmerl,tools,inets,os_mon,kernel,stdlib,seshat,aten,recon,syslog,"
    "sysmon_handler,credentials_obfuscation,jsx],"
    "D<-[code:lib_dir(A)],is_list(D),"
    "F<-filelib:wildcard(filename:join([D,ebin,[$*,$.,$b,$e,$a,$m]]))])end)."
)

#: The management plugin shows queues as of its last sample, by default 5 seconds late. This is the
#: shortest interval.
_EACH_SECOND = ", ".join(f"{{{kind}, [{{60, 1}}]}}" for kind in ("global", "basic", "detailed"))
_EAGER_STATISTICS = (
    "{rabbit, [{quorum_tick_interval, 200}, {collect_statistics_interval, 200}]}, "
    f"{{rabbitmq_management, [{{sample_retention_policies, [{_EACH_SECOND}]}}]}}"
)

#: Limits of a node: one that raises the alarm, and RabbitMQ's default.
_ALARMS = {
    "memory": ("set_vm_memory_high_watermark", "0.00001", "0.4"),
    "disk": ("set_disk_free_limit", "999999GB", "50MB"),
}

#: Timeout for one command of `ctl`.
_CTL_SECONDS = 30.0


@dataclass(frozen=True)
class TLSFiles:
    """PEM files for a TLS listener."""

    #: The server's certificate, with the chain behind it if there is one.
    certificate: Path
    #: The certificate's private key.
    key: Path
    #: The authority that signed it, and that signs clients' certificates.
    authority: Path


@dataclass(frozen=True)
class Seat:
    """A node's place: alone, or in a cluster, whose nodes share cookie and port mapper."""

    #: Known only to the node's port mapper.
    name: str = "sandbox@localhost"
    #: An address of 127.0.0.0/8.
    host: str = "127.0.0.1"
    #: Where clients connect; 0 for a free port.
    port: int = 0
    #: The port mapper's; 0 for a free port.
    epmd_port: int = 0
    #: The names of all nodes of the cluster, this one included.
    peers: Sequence[str] = ()
    #: The Erlang cookie that nodes of a cluster share; empty for a random one.
    cookie: str = ""


class RabbitMQ(Process):
    """A RabbitMQ node with all its files in `folder`.

    Ports and durable queues survive a restart. With `tls` it has a second listener on `tls_port`,
    where a client certificate is optional. With `management` its HTTP API is at `management_url`,
    and shows changes after some two seconds. `seat` is its place in a cluster.
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
            # Holds the Erlang cookie, so that only our tools reach the node.
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
        """The URL of the HTTP API."""
        return f"http://{self.host}:{self._management_port}"

    def parameters(self, **options: Any) -> Sequence[pika.ConnectionParameters]:
        """Return pika's parameters for a connection, with options of pika's."""
        return [pika.ConnectionParameters(self.host, self.port, **options)]

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` with these arguments; return its output, without headings.

        Raises `ProcessError` with the command's output if it fails.
        """
        if not self.running:
            raise ProcessError("RabbitMQ does not run: start it before rabbitmqctl")
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
        """Raise the alarm for `memory` or `disk`: the node accepts no messages in this context."""
        command, on, off = _ALARMS[resource]
        try:
            self.ctl(command, on)
            yield
        finally:
            self.ctl(command, off)

    def _node_settings(self, tls: TLSFiles | None) -> dict[str, str]:
        return {
            # Replace all files with a system-wide default by files in the folder.
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
        """Return whether an AMQP connection opens."""
        options = {"blocked_connection_timeout": 5, "socket_timeout": 5}
        with suppress(AMQPError):
            if listens(self.port, host=self.host):
                pika.BlockingConnection(self.parameters(**options)).close()
                return True
        return False


def port_mapper(folder: Path, port: int) -> Process:
    """Return an Erlang port mapper (epmd) for a cluster; it outlives each node."""
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
    """Return the words before a command that run it in a newer Debian, with the folder."""
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
