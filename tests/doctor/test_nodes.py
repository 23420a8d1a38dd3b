"""The doctor's findings about a RabbitMQ node with TLS, or without it on a TLS port."""

import secrets
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from socket import SHUT_RDWR, create_server, socket

import pytest
import trustme

from cki_notifier.configuration.settings import read_operator_config
from cki_notifier.doctor import rabbitmq
from cki_notifier.doctor.check import Finding, examine

#: The port that has to be this one, on an address of the loopback nobody else uses.
AMQPS = 5671
PATIENCE = 60.0
Serve = Callable[[socket], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Serve], str]]:
    """Return what starts a server that treats each client in one way, and tells its address."""
    with ExitStack() as stack:

        def start(treat: Serve) -> str:
            address = ".".join(["127", *(str(2 + secrets.randbelow(250)) for _ in range(3))])
            listener = stack.enter_context(create_server((address, AMQPS)))
            thread = threading.Thread(target=_accept, args=(listener, treat))
            thread.start()
            stack.callback(thread.join)
            stack.callback(listener.shutdown, SHUT_RDWR)
            return address

        yield start


def _accept(listener: socket, treat: Serve) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            try:
                treat(client)
            except OSError:
                continue  # the client did not like it


def finding(address: str) -> Finding:
    """Return what is found about the one node."""
    config = read_operator_config({"RABBITMQ_HOST": address, "RABBITMQ_PORT": str(AMQPS)})
    found, _ = examine(list(rabbitmq.checks(config.rabbitmq, sends=False)), PATIENCE)
    return found


def test_a_certificate_that_nobody_trusts_fails(serve: Callable[[Serve], str]) -> None:
    """The row has OpenSSL's words, the advice the variable that holds whom to trust."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def shake_hands(client: socket) -> None:
        context.wrap_socket(client, server_side=True).close()

    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    row = finding(serve(shake_hands))
    assert row.state == "failed"
    assert row.text.startswith("no TLS connection: certificate verify failed: ")
    assert "RABBITMQ_CAFILE" in row.advice


def test_a_port_that_should_speak_tls_and_does_not_fails(serve: Callable[[Serve], str]) -> None:
    """The advice says on which ports TLS is spoken."""

    def refuse(client: socket) -> None:
        client.recv(8)
        client.sendall(b"AMQP\0\0\x09\x01")

    row = finding(serve(refuse))
    assert row.text.startswith("no TLS connection: ")
    assert "443 and 5671" in row.advice
