"""Nobody who can't prove who they are gets a password, a token or a message."""

import contextlib
import secrets
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final, Self

import pytest
import trustme

from cki_notifier.configuration.secret import Secret
from cki_notifier.configuration.settings import KafkaConfig, read_operator_config
from cki_notifier.kafka.publish import Publisher
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import connect
from cki_notifier.sources.transfer import TransferError, Transfers

#: RabbitMQ's port for TLS has to be this one; each test has an address of its own.
AMQPS: Final = 5671
YESTERDAY: Final = datetime.now(UTC) - timedelta(days=1)
Connect = Callable[[str, str], None]


def address() -> str:
    """Return an address of the loopback that nobody else uses."""
    return ".".join(["127", *(str(2 + secrets.randbelow(250)) for _ in range(3))])


class Impostor:
    """A server that speaks TLS, and notes what it is told behind it.

    Args:
        address: where it listens.
        certificate: what it shows.
        newest: the newest TLS that it speaks.
    """

    def __init__(
        self,
        address: str,
        certificate: trustme.LeafCert,
        newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self.address = address
        self.told = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        if newest < ssl.TLSVersion.TLSv1_2:
            allow_old(self._context)
        self._listener = socket.create_server((address, AMQPS))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; all that clients sent is known after this."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(30)
            with contextlib.suppress(OSError), client:
                self._listen(client)

    def _listen(self, client: socket.socket) -> None:
        with self._context.wrap_socket(client, server_side=True) as secure:
            self.told += secure.recv(65_536)


def allow_old(context: ssl.SSLContext) -> None:
    """Have a context speak TLS 1.1 and nothing newer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def to_rabbitmq(address: str, authorities: str) -> None:
    """Connect as the consumer does."""
    environment = {"RABBITMQ_HOST": address, "RABBITMQ_PORT": str(AMQPS)}
    config = read_operator_config(environment | {"RABBITMQ_CAFILE": authorities}).rabbitmq
    connect(config, "test").close()


def to_kafka(address: str, authorities: str) -> None:
    """Connect as the publisher does."""
    settings: dict[str, str | Secret] = {
        "bootstrap.servers": f"{address}:{AMQPS}",
        "security.protocol": "SSL",
        "ssl.ca.location": authorities,
    }
    publisher = Publisher(KafkaConfig(topic="topic", settings=settings))
    try:
        publisher.check()
    finally:
        publisher.close(0)


def to_http(address: str, authorities: str) -> None:
    """Connect as the sources do, but once."""
    transfers = Transfers(authorities)
    try:
        transfers.start(f"https://{address}:{AMQPS}/", ["PRIVATE-TOKEN: hush"], 30).result()
    finally:
        transfers.close()


CLIENTS: Final = pytest.mark.parametrize("connect", [to_rabbitmq, to_kafka, to_http])


@CLIENTS
def test_who_proves_who_they_are_is_spoken_to(
    authority: trustme.CA, authorities: str, connect: Connect
) -> None:
    """Which shows that those below are refused for what is wrong with them, and nothing else."""
    place = address()
    with (
        Impostor(place, authority.issue_cert(place)) as server,
        pytest.raises((Unavailable, TransferError)),  # it does not say what it should
    ):
        connect(place, authorities)
    assert server.told


@CLIENTS
def test_nobody_else_is_told_anything(
    authority: trustme.CA, authorities: str, connect: Connect
) -> None:
    """Another host's certificate, a stranger's, an old one, and a TLS that is broken."""
    one, two, three, four = (address() for _ in range(4))
    servers = [
        Impostor(one, authority.issue_cert("127.0.0.1", "rabbitmq.example")),
        Impostor(two, trustme.CA().issue_cert(two)),
        Impostor(three, authority.issue_cert(three, not_after=YESTERDAY)),
        Impostor(four, authority.issue_cert(four), ssl.TLSVersion.TLSv1_1),
    ]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        for server in servers:
            stack.enter_context(server)
        tries = [pool.submit(connect, server.address, authorities) for server in servers]
        errors = [it.exception() for it in tries]
    assert all(isinstance(error, Unavailable | TransferError) for error in errors)
    assert [server.told for server in servers] == [b""] * 4


def test_the_old_tls_is_one_that_the_machine_can_speak(authority: trustme.CA) -> None:
    """Else it would be the server that refuses, and nothing would be shown above."""
    place = address()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    allow_old(context)
    with (
        Impostor(place, authority.issue_cert(place), ssl.TLSVersion.TLSv1_1) as server,
        socket.create_connection((place, AMQPS)) as plain,
        context.wrap_socket(plain, server_hostname=place) as secure,
    ):
        secure.sendall(b"hello")
    assert server.told == b"hello"
