"""A proxy that is every host there is, and notes what reaches whom. Nothing leaves the machine."""

import contextlib
import io
import socket
import ssl
import threading
from typing import NamedTuple, Self

import trustme

_ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
#: A client that says nothing for longer has nothing to say, on the slowest machine, in seconds.
_PATIENCE = 30.0


class Request(NamedTuple):
    """A request as a host would have got it.

    Attributes:
        host: with the port, as the client named it to the proxy.
        is_secret: whether it came through TLS.
        target: path and query.
        headers: by their names in lower case.
    """

    host: str
    is_secret: bool
    target: str
    headers: dict[str, str]


class Everybody:
    """Answers for any host, over HTTP and HTTPS, always with the same document.

    Args:
        authority: signs a certificate for each host.
        document: the body of each answer.
    """

    def __init__(self, authority: trustme.CA, document: bytes) -> None:
        self.requests: list[Request] = []
        self._authority = authority
        self._document = document
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        with contextlib.suppress(OSError), connection:
            method, target, headers = _read(connection)
            if method != "CONNECT":
                host, _, path = target.removeprefix("http://").partition("/")
                self._answer(
                    connection, Request(host, is_secret=False, target=f"/{path}", headers=headers)
                )
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            name = target.rpartition(":")[0].strip("[].")
            self._authority.issue_cert(name).configure_cert(context)
            with context.wrap_socket(connection, server_side=True) as secure:
                _, path, headers = _read(secure)
                self._answer(secure, Request(target, is_secret=True, target=path, headers=headers))

    def _answer(self, connection: socket.socket, request: Request) -> None:
        self.requests.append(request)
        connection.sendall(_ANSWER % (len(self._document), self._document))


def _read(connection: socket.socket) -> tuple[str, str, dict[str, str]]:
    """Read a request's head: method, target and headers."""
    head = io.BytesIO()
    while not head.getvalue().endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError("the client hung up")
        head.write(byte)
    first, *lines = head.getvalue().decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    return method, target, {name.lower(): value.strip() for name, _, value in pairs}
