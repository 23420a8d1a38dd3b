"""A server has to prove who it is before it gets a token."""

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import pytest
import trustme

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.sources.transfer import TransferError, Transfers


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority of these tests' own."""
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path) -> Iterator[Transfers]:
    """Transfers that trust only that authority."""
    path = str(tmp_path / "authorité\udcff.pem")  # any bytes can be a file's name
    authority.cert_pem.write_to_path(path)
    transfers = Transfers(path)
    yield transfers
    transfers.close()


@pytest.fixture
def secure_url(authority: trustme.CA) -> Iterator[Callable[[str], str]]:
    """Start a server with a certificate for a host; its URL is returned."""
    servers: list[http.server.HTTPServer] = []

    def start(host: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return f"https://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_trusted_authoritys_server_is_asked(
    trusting: Transfers, secure_url: Callable[[str], str]
) -> None:
    """With the right certificate the request gets through (to a server that knows no GET)."""
    assert trusting.start(secure_url("127.0.0.1"), [], 5).result().code == 501


def test_another_authoritys_server_is_not_asked(
    transfers: Transfers, secure_url: Callable[[str], str]
) -> None:
    """Nobody but the authorities of the file is trusted."""
    with pytest.raises(TransferError, match="certificate"):
        transfers.start(secure_url("127.0.0.1"), [], 5).result()


def test_another_hosts_certificate_is_not_enough(
    trusting: Transfers, secure_url: Callable[[str], str]
) -> None:
    """The certificate has to be for the host that is asked."""
    with pytest.raises(TransferError, match="certificate"):
        trusting.start(secure_url("127.0.0.2"), [], 5).result()


def test_the_systems_authorities_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's file is found, also where OpenSSL's ``SSL_CERT_FILE`` moves it."""
    file = tmp_path / "authorities.pem"
    file.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert certificate_authorities() == str(file)


def test_without_a_system_file_certifis_authorities_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small image without such a file can use https as well."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    assert certificate_authorities() == certifi.where()
