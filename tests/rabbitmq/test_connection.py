"""The edge to RabbitMQ: whatever pika raises means that the broker can't be had now."""

import inspect
import socket
import ssl
import threading
from typing import Any, Final

import pika.exceptions
import pytest
from pika.adapters.utils import connection_workflow

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.connection import connect, describe, translated
from tests.factories.environment import environment, read

#: What pika raises when it is called in a way that this project doesn't use: consuming from within
#: a callback, and fetching single messages. No broker can cause these.
MISUSE: Final = {
    pika.exceptions.ReentrancyError,
    pika.exceptions.ChannelError,
    pika.exceptions.DuplicateGetOkCallback,
}
#: What the operating system says of a connection.
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
    """A new exception of pika's is noticed here: each one means trying again, none a crash."""
    raised = instance(error)
    with pytest.raises(Unavailable, match=f"^rabbitmq: {error.__name__}") as caught, translated():
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
    """What the operating system says of the connection is no different."""
    with pytest.raises(Unavailable, match=error.__name__), translated():
        raise error(1, "the network is gone")


@pytest.mark.parametrize("error", [*by_name(MISUSE), ValueError, Unavailable])
def test_anything_else_passes(error: type[Exception]) -> None:
    """A bug stays one, and what is translated already is not translated again."""
    raised = Unavailable("kafka", "gone") if error is Unavailable else error("a bug")
    with pytest.raises(error) as caught, translated():
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (pika.exceptions.AMQPError("text"), "AMQPError"),
        (OSError(111, "refused"), "ConnectionRefusedError: [Errno 111] refused"),
        (TimeoutError(), "TimeoutError"),
        (
            pika.exceptions.AMQPConnectionError(ConnectionRefusedError()),
            "AMQPConnectionError: ConnectionRefusedError()",
        ),
    ],
)
def test_errors_are_described_in_a_line(error: Exception, text: str) -> None:
    """The name of the class is there even when it says nothing else."""
    assert describe(error).startswith(text)


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
