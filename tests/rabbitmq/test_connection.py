"""The edge to RabbitMQ: every error of pika means that RabbitMQ is unavailable."""

import errno
import inspect
import logging
import socket
import ssl
import threading
from typing import Any, Final

import pika.exceptions
import pytest
from pika.adapters.utils import connection_workflow

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import connect, translated
from cki_notifier.rabbitmq.failures import WORDS, describe
from tests.factories.environment import environment, read

#: pika's errors for calls that this project does not make: consuming from within a callback, and
#: fetching single messages. No broker can cause these.
MISUSE: Final = {
    pika.exceptions.ReentrancyError,
    pika.exceptions.ChannelError,
    pika.exceptions.DuplicateGetOkCallback,
}
#: The operating system's errors of a connection.
BELOW: Final = [ConnectionResetError, TimeoutError, socket.gaierror, ssl.SSLError]


def exceptions_of(module: object) -> set[type[Exception]]:
    """Return the exception classes that a module has."""
    return {
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception)
    }


def instance(error: type[Exception]) -> Exception:
    """Make an exception with the arguments that its class takes."""
    values: dict[str, Any] = {
        "reply_code": 320,
        "reply_text": "CONNECTION_FORCED",
        "messages": [],
        "exception": OSError("the cause"),
        "exceptions": [OSError("the cause")],
    }
    taken = [name for name in inspect.signature(error.__init__).parameters if name in values]
    return error(*(values[name] for name in taken))


def by_name(errors: set[type[Exception]]) -> list[type[Exception]]:
    """Return classes in an order that is the same in every run."""
    return sorted(errors, key=lambda error: error.__name__)


def rabbitmq(**changes: str) -> RabbitMQConfig:
    """Return how to reach RabbitMQ."""
    config = read(environment(**changes)).rabbitmq
    assert config is not None
    return config


@pytest.mark.parametrize("error", by_name(exceptions_of(pika.exceptions) - MISUSE))
def test_everything_pika_raises_is_unavailable(error: type[Exception]) -> None:
    """This test notices a new exception of pika's: each one means a retry, none a crash."""
    raised = instance(error)
    with pytest.raises(Unavailable, match=r"^rabbitmq: ") as caught, translated():
        raise raised
    assert caught.value.service == "rabbitmq"
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("error", by_name(exceptions_of(connection_workflow)))
def test_everything_connecting_raises_is_unavailable(error: type[Exception]) -> None:
    """While it connects pika has exceptions of another family, for a broker that hangs, say."""
    raised = instance(error)
    with pytest.raises(Unavailable), translated():
        raise raised


@pytest.mark.parametrize("error", BELOW)
def test_a_failing_socket_is_unavailable(error: type[OSError]) -> None:
    """An error of the operating system is no different."""
    with pytest.raises(Unavailable), translated():
        raise error(1, "the network is gone")


@pytest.mark.parametrize("error", [*by_name(MISUSE), ValueError, Unavailable])
def test_anything_else_passes(error: type[Exception]) -> None:
    """A bug stays one, and what is translated already is not translated again."""
    raised = Unavailable("kafka", "gone") if error is Unavailable else error("a bug")
    with pytest.raises(error) as caught, translated():
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize(
    "error", by_name((exceptions_of(pika.exceptions) | exceptions_of(connection_workflow)) - MISUSE)
)
def test_each_of_pikas_exceptions_is_said_in_words(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Each for itself, and not for the class it comes from; pika's name for it is in the log."""
    caplog.set_level(logging.DEBUG)
    assert error.__name__ in WORDS
    raised = instance(error)
    with pytest.raises(Unavailable) as caught, translated():
        raise raised
    text = str(caught.value).removeprefix("rabbitmq: ")
    assert text
    assert error.__name__ not in text
    assert "Error" not in text
    assert error.__name__ in caplog.text


def test_no_exception_is_said_in_words_that_is_not_there() -> None:
    """An exception that pika no longer has has no text here."""
    names = {it.__name__ for it in exceptions_of(pika.exceptions)}
    names |= {it.__name__ for it in exceptions_of(connection_workflow)}
    assert WORDS.keys() - names == {"OSError", "TimeoutError", "gaierror", "SSLError"}


def while_connecting(error: BaseException) -> Exception:
    """Wrap an error as pika does."""
    return pika.exceptions.AMQPConnectionError(
        connection_workflow.AMQPConnectorSocketConnectError(error)
    )


SHUTDOWN = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
NOT_TRUSTED = "certificate verify failed: self-signed certificate"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (while_connecting(ConnectionRefusedError(111, "x")), "connection refused"),
        (while_connecting(TimeoutError()), "no answer within 5 s"),
        (
            while_connecting(socket.gaierror(socket.EAI_NONAME, "Name or service not known")),
            "the name can't be resolved: it is not known",
        ),
        (
            while_connecting(ssl.SSLError(1, f"[SSL: FAILED] {NOT_TRUSTED} (_ssl.c:1006)")),
            f"TLS: {NOT_TRUSTED}",
        ),
        (
            while_connecting(connection_workflow.AMQPConnectorStackTimeout("Timeout")),
            "no answer within 10 s",
        ),
        (
            pika.exceptions.StreamLostError(f"Stream connection lost: {ConnectionResetError(104)}"),
            "the connection was lost: Stream connection lost: 104",
        ),
        (
            pika.exceptions.StreamLostError(
                f"Stream connection lost: {ConnectionResetError(104, 'Connection reset by peer')!r}"
            ),
            "the connection was lost: reset by the other side",
        ),
        (
            pika.exceptions.StreamLostError(
                f"lost: {ssl.SSLEOFError(8, 'EOF occurred (_ssl.c:2426)')!r}"
            ),
            "the connection was lost: TLS: EOF occurred",
        ),
        (
            pika.exceptions.StreamLostError("Transport indicated EOF"),
            "the connection was lost: the other side closed the connection",
        ),
        (
            pika.exceptions.ConnectionClosedByBroker(320, SHUTDOWN),
            f"RabbitMQ closed the connection: {SHUTDOWN} (320)",
        ),
        (
            pika.exceptions.ProbableAuthenticationError(
                repr(pika.exceptions.ConnectionClosedByBroker(403, "ACCESS_REFUSED - Login"))
            ),
            "RabbitMQ refuses the login: ACCESS_REFUSED - Login (403)",
        ),
        (
            pika.exceptions.ProbableAccessDeniedError(
                repr(pika.exceptions.ConnectionClosedByBroker(530, "access to '/' refused"))
            ),
            "no access to the virtual host: access to '/' refused (530)",
        ),
        (OSError(errno.EHOSTUNREACH, "x"), "no route to the host"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (pika.exceptions.AMQPConnectionError(), "no connection"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_errors_are_described_in_words(error: Exception, text: str) -> None:
    """Those that an operator meets; reply codes and others' own words stay."""
    assert describe(error) == text


def test_a_node_that_is_away_is_unavailable() -> None:
    """The text says which node could not be reached, and why."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        config = rabbitmq(RABBITMQ_HOST="127.0.0.1 127.0.0.1", RABBITMQ_PORT=str(port))
        with pytest.raises(Unavailable, match=rf"can't connect to 127\.0\.0\.1:{port}: ") as caught:
            connect(config, "test")
    assert caught.value.service == "rabbitmq"


def test_a_node_that_hangs_up_is_unavailable() -> None:
    """A broker that takes the connection and ends it is one that is away."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.close()

        config = rabbitmq(RABBITMQ_HOST="127.0.0.1", RABBITMQ_PORT=str(server.getsockname()[1]))
        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(Unavailable):
            connect(config, "test")
