"""The edge to RabbitMQ: connecting, declaring, and its errors. The only importer of pika.

pika's errors become :class:`Unavailable`. A restart of RabbitMQ is normal, and even refused
credentials may become valid soon.
"""

import logging
import random
import ssl
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any, Self, TypeVar

import msgspec
import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.spec import Basic, BasicProperties

from cki_notifier import __version__
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.notification.errors import Unavailable
from cki_notifier.rabbitmq.acceptance import acceptance
from cki_notifier.rabbitmq.failures import CONNECT_SECONDS, HANDSHAKE_SECONDS, describe

__all__ = ["Basic", "BasicProperties", "BlockingChannel", "BlockingConnection"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Reply codes (AMQP 0-9-1, 1.2).
ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, NOT_IMPLEMENTED = 403, 404, 406, 540
#: The argument of quorum queues for the most deliveries without an acknowledgement.
DELIVERY_LIMIT = "x-delivery-limit"
#: AMQP's heartbeat interval, in seconds.
HEARTBEAT_SECONDS = 10
#: After this long blocked by RabbitMQ (low on memory or disk), a publisher reconnects, in seconds.
_BLOCKED_SECONDS = 60.0
#: No queue has this name: the prefix is RabbitMQ's, so nobody may declare it.
_NO_QUEUES_NAME = "amq.cki-notifier.nobody"
#: Errors of pika and of the socket below it.
_FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)
_LOGIN_REFUSED = (
    pika.exceptions.AuthenticationError,
    pika.exceptions.ProbableAuthenticationError,
)
#: Errors of pika for header values that Python can't represent.
UNREADABLE = (OverflowError, ValueError)
#: The most properties to read, headers included, in bytes. A copy adds up to 8 KiB, and all of it
#: has to fit into one frame of 128 KiB.
_MOST_PROPERTIES = 64 * 1024
#: The other bytes of a frame with properties (AMQP 0-9-1, 4.2.3 and 4.2.6).
_FRAME_OVERHEAD = 8 + 14
#: The deepest nesting of headers; RabbitMQ's own are two deep.
_DEEPEST_HEADERS = 16
#: The delivery limit of a queue without a dead-letter queue.
_MOST_DELIVERIES = 1_000_000
#: Invalid arguments: the first is for streams and no duration, the second no name. With them,
#: RabbitMQ compares an existing queue or exchange with a request, and never creates a missing one.
_NO_QUEUE = {"x-max-age": "never"}
_NO_EXCHANGE = {"alternate-exchange": 0}
#: Every release refuses this one, also those older than streams.
_NO_NEW_QUEUE = {"x-expires": 0}

Arguments = Mapping[str, Any]


class Blocked(Unavailable):
    """RabbitMQ accepts no messages: it is low on memory or disk."""


class Refused(Unavailable):
    """RabbitMQ refuses a message; the connection stays usable.

    Attributes:
        alone: whether the reason is this message, and not its queue.
    """

    def __init__(self, text: str, *, alone: bool) -> None:
        super().__init__("rabbitmq", text)
        self.alone = alone


class Refusal(msgspec.Struct, frozen=True):
    """RabbitMQ's reason for a refusal: the code of its reply, and its text."""

    code: int
    text: str


class Properties(BasicProperties):
    """The properties of a received message, without headers that break the daemon.

    A publisher can put anything into headers. One that can't be decoded would end the connection at
    each redelivery. One that can't be copied would stop the republisher. In both cases the daemon
    ignores all headers and handles the body as usual.
    """

    def decode(self, encoded: bytes, offset: int = 0) -> Self:
        """Decode the properties; raise nothing."""
        try:
            super().decode(encoded, offset)
        except (*UNREADABLE, *_FAILURES, RecursionError, struct.error) as error:
            self._leave_out_headers(f"they can't be decoded ({type(error).__name__})")
        if len(encoded) > _MOST_PROPERTIES:
            self._leave_out_headers(f"they are larger than {_MOST_PROPERTIES} bytes")
        elif not _can_be_copied(self.headers or {}):
            self._leave_out_headers("they are nested too deeply, or have names that are no text")
        return self

    def _leave_out_headers(self, why: str) -> None:
        self.headers = None
        logger.warning("a message's headers are left out: %s", why)


def _can_be_copied(value: Any, levels: int = _DEEPEST_HEADERS) -> bool:
    """Return whether a header can be copied."""
    if isinstance(value, dict):
        names_are_text = all(isinstance(name, str) for name in value)
        return names_are_text and _can_be_copied(list(value.values()), levels)
    if isinstance(value, list):
        return levels > 0 and all(_can_be_copied(inner, levels - 1) for inner in value)
    return True


@contextmanager
def translated() -> Iterator[None]:
    """Turn pika's errors into :class:`Unavailable`."""
    try:
        yield
    except _FAILURES as error:
        logger.debug("pika: %s%r", type(error).__name__, error.args)
        is_blocked = isinstance(error, pika.exceptions.ConnectionBlockedTimeout)
        raise (Blocked if is_blocked else Unavailable)("rabbitmq", describe(error)) from error


@contextmanager
def readable(what: str = "a frame") -> Iterator[None]:
    """Turn pika's decoding errors into :class:`Unavailable`."""
    try:
        yield
    except UNREADABLE as error:
        text = f"{what} can't be decoded, {type(error).__name__}: {error}"
        raise Unavailable("rabbitmq", text) from error


class Obstacle(StrEnum):
    """The step at which a connection to a node fails."""

    LOGIN = "login"
    VIRTUAL_HOST = "virtual host"
    TLS = "TLS"
    PROTOCOL = "protocol"
    NETWORK = "network"


def obstacle(error: Unavailable) -> Obstacle:
    """Return the step at which :func:`connect` failed."""
    cause = error.__cause__
    if isinstance(cause, _LOGIN_REFUSED):
        return Obstacle.LOGIN
    if isinstance(cause, pika.exceptions.ProbableAccessDeniedError):
        return Obstacle.VIRTUAL_HOST
    if isinstance(cause, pika.exceptions.IncompatibleProtocolError):
        return Obstacle.PROTOCOL
    return Obstacle.TLS if "SSL" in repr((cause or error).args) else Obstacle.NETWORK


def connect(
    config: RabbitMQConfig,
    purpose: str,
    before_each: Callable[[], None] = lambda: None,
    *,
    blocked_seconds: float = _BLOCKED_SECONDS,
) -> BlockingConnection:
    """Connect to one of the nodes, in random order.

    Args:
        config: the nodes and the login.
        purpose: of the connection, as RabbitMQ shows it.
        before_each: called before each attempt.
        blocked_seconds: how long RabbitMQ may block the connection before it ends.

    Raises:
        Unavailable: no node can be used; the text is about the last one.
    """
    pika.spec.props[Properties.INDEX] = Properties  # the class for received properties
    failure = Unavailable("rabbitmq", "no node to connect to")
    for host in random.sample(config.hosts, len(config.hosts)):
        before_each()
        try:
            with translated():
                parameters = _parameters(config, host, purpose, blocked_seconds)
                return _heeded(BlockingConnection(parameters))
        except Unavailable as error:
            is_login = obstacle(error) in {Obstacle.LOGIN, Obstacle.VIRTUAL_HOST}
            who = f" as {config.user!r}" if is_login else ""
            why = str(error).removeprefix("rabbitmq: ")
            failure = Unavailable("rabbitmq", f"can't connect to {host}:{config.port}{who}: {why}")
            failure.__cause__ = error.__cause__
            logger.debug("%s", failure)
    raise failure


@contextmanager
def connected(
    config: RabbitMQConfig, purpose: str, *, blocked_seconds: float = _BLOCKED_SECONDS
) -> Iterator[BlockingConnection]:
    """Connect as :func:`connect` does, and close the connection at the end."""
    connection = connect(config, purpose, blocked_seconds=blocked_seconds)
    try:
        yield connection
    finally:
        close(connection)


def _heeded(connection: BlockingConnection) -> BlockingConnection:
    """Note at once when RabbitMQ blocks or unblocks a connection.

    A blocking connection runs its callbacks between two calls, and publishing does not return while
    the connection is blocked. The implementation below runs its callbacks at once.
    """
    implementation = _below(connection)
    implementation.add_on_connection_blocked_callback(
        lambda _, frame: acceptance.blocked(connection, frame.method.reason)
    )
    implementation.add_on_connection_unblocked_callback(lambda *_: acceptance.unblocked(connection))
    return connection


def _parameters(
    config: RabbitMQConfig, host: str, purpose: str, blocked_seconds: float
) -> pika.ConnectionParameters:
    options = None
    if config.tls:
        context = ssl.create_default_context(cafile=config.ca_file)
        options = pika.SSLOptions(context, server_hostname=host)
    return pika.ConnectionParameters(
        host=host,
        port=config.port,
        virtual_host=config.virtual_host,
        credentials=pika.PlainCredentials(config.user, config.password.reveal()),
        ssl_options=options,
        heartbeat=HEARTBEAT_SECONDS,
        socket_timeout=CONNECT_SECONDS,
        stack_timeout=HANDSHAKE_SECONDS,
        blocked_connection_timeout=blocked_seconds,
        client_properties={
            "connection_name": f"cki-notifier {purpose}",
            "version": __version__,
        },
    )


def ensure_exchange(connection: BlockingConnection, name: str) -> None:
    """Declare the durable topic exchange unless one exists, with any arguments."""
    if _found(connection, lambda it: it.exchange_declare(name, passive=True)) is None:
        logger.warning("the exchange %s is missing; declaring it", name)
        with connection.channel() as channel:
            channel.exchange_declare(name, "topic", durable=True)


def ensure_queue(connection: BlockingConnection, name: str, arguments: Arguments) -> None:
    """Declare a durable queue unless one exists, which is used as it is.

    It becomes a quorum queue where RabbitMQ has them, else a classic queue.

    Args:
        connection: stays usable.
        name: the queue's.
        arguments: of the quorum queue, without those that all have.
    """
    if ready_messages(connection, name) is not None:
        return
    try:
        with connection.channel() as channel:
            channel.queue_declare(name, durable=True, arguments=of_quorum(arguments))
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code not in {PRECONDITION_FAILED, NOT_IMPLEMENTED}:
            raise
        text = "RabbitMQ has no quorum queues (%s); declaring %s as a classic queue"
        logger.info(text, error.reply_text, name)
        with connection.channel() as channel:
            channel.queue_declare(name, durable=True, arguments=of_classic(arguments))


def compare_queue(
    connection: BlockingConnection, name: str, arguments: Arguments
) -> Refusal | None:
    """Have RabbitMQ compare a durable queue with arguments; create nothing.

    Returns:
        None when the queue has these arguments, else the refusal. Its text names the argument that
        differs, or ``x-max-age`` when there is no such queue. Its code is :data:`ACCESS_REFUSED`
        for a user who may not declare the queue.
    """
    asked = dict(arguments) | _NO_QUEUE
    return refused(
        connection, lambda it: it.queue_declare(name, durable=True, arguments=asked), *_NO_QUEUE
    )


def compare_exchange(connection: BlockingConnection, name: str, kind: str) -> Refusal | None:
    """Have RabbitMQ compare an exchange with a durable one of a type; see :func:`compare_queue`.

    The refusal names ``alternate-exchange`` when there is no such exchange.
    """
    return refused(
        connection,
        lambda it: it.exchange_declare(name, kind, durable=True, arguments=_NO_EXCHANGE),
        *_NO_EXCHANGE,
    )


def may_declare_queue(connection: BlockingConnection, name: str) -> bool:
    """Return whether our user may declare a missing queue; create nothing."""
    refusal = refused(
        connection, lambda it: it.queue_declare(name, durable=True, arguments=_NO_NEW_QUEUE)
    )
    return refusal is None or refusal.code != ACCESS_REFUSED


def refused(
    connection: BlockingConnection, ask: Callable[[BlockingChannel], Any], *impossible: str
) -> Refusal | None:
    """Send a request on a channel of its own; return RabbitMQ's refusal, None for a success.

    A refusal of an ``impossible`` argument alone counts as a success.
    """
    try:
        with connection.channel() as channel:
            ask(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        if not any(f"inequivalent arg '{name}'" in error.reply_text for name in impossible):
            return Refusal(error.reply_code, error.reply_text)
    return None


def of_quorum(arguments: Arguments) -> dict[str, Any]:
    """Add the arguments of quorum queues."""
    quorum = {"x-queue-type": "quorum"} | dict(arguments)
    if "x-dead-letter-exchange" in arguments:
        # Else RabbitMQ could lose a message between two queues (its documentation of quorum
        # queues, "at-least-once dead-lettering").
        return quorum | {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    # Else RabbitMQ 4 drops a message after 20 reads. It takes -1 for no limit, but with -1
    # RabbitMQ 3.10 drops a message at the first read.
    return quorum | {DELIVERY_LIMIT: _MOST_DELIVERIES}


def of_classic(arguments: Arguments) -> dict[str, Any]:
    """Remove the arguments of quorum queues."""
    return {name: value for name, value in arguments.items() if name != DELIVERY_LIMIT}


def ready_messages(connection: BlockingConnection, name: str) -> int | None:
    """Return the number of a queue's ready messages, None when there is no such queue."""
    found = _found(connection, lambda it: it.queue_declare(name, passive=True))
    return None if found is None else found.method.message_count or 0


def acknowledge(channel: BlockingChannel, tag: int, *, multiple: bool = False) -> None:
    """Acknowledge a delivery; with ``multiple``, also all before it on its channel."""
    channel.basic_ack(tag, multiple)


def publish_to_queue(
    channel: BlockingChannel, queue: str, body: bytes, properties: BasicProperties
) -> None:
    """Publish through the default exchange; return when the queue has the message.

    Args:
        channel: with publisher confirms.
        queue: its name.
        body: of the message.
        properties: of the message.

    Raises:
        Blocked: RabbitMQ blocked the connection for its longest time.
        Refused: the queue is missing or takes nothing, or RabbitMQ refuses this message.
        Unavailable: the message may be in the queue or not.
    """
    began = time.monotonic()
    with translated():
        try:
            channel.basic_publish("", queue, body, properties, mandatory=True)
        except pika.exceptions.UnroutableError as error:
            acceptance.confirmed(channel.connection, began)
            raise Refused(f"there is no queue {queue}", alone=False) from error
        except pika.exceptions.NackError as error:
            raise Refused(f"the queue {queue} takes no more messages", alone=False) from error
        except pika.exceptions.ChannelClosedByBroker as error:
            text = f"a copy for {queue} is refused: {error.reply_text}"
            raise Refused(text, alone=error.reply_code == PRECONDITION_FAILED) from error
    acceptance.confirmed(channel.connection, began)


def ensure_accepting(connection: BlockingConnection) -> None:
    """Return when RabbitMQ accepts messages.

    The request is a message for a queue that can't exist, which RabbitMQ returns. During a block
    the connection is good for nothing else.

    Raises:
        Blocked: RabbitMQ blocked the connection for its longest time.
        Unavailable: the check failed, or our user may not publish.
    """
    began = time.monotonic()
    with translated(), connection.channel() as channel:
        channel.confirm_delivery()
        # With a body: RabbitMQ still accepts an empty message when it begins to block.
        with suppress(pika.exceptions.UnroutableError):
            channel.basic_publish("", _NO_QUEUES_NAME, b"?", mandatory=True)
        acceptance.confirmed(connection, began)


def most_properties(channel: BlockingChannel) -> int:
    """Return how many bytes of properties fit into a frame of this connection."""
    return int(_below(channel.connection).params.frame_max) - _FRAME_OVERHEAD


def release(connection: BlockingConnection) -> str:
    """Return RabbitMQ's release, such as ``4.0.5``."""
    return str((_below(connection).server_properties or {}).get("version", ""))


def bytes_received(connection: BlockingConnection) -> int:
    """Return how many bytes RabbitMQ has sent, heartbeats included."""
    return int(_below(connection).bytes_received)


def _below(connection: BlockingConnection) -> Any:
    """Return the implementation of a blocking connection: some facts are only there."""
    return connection._impl  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other way


def close(connection: BlockingConnection) -> None:
    """Close a connection; an error of one that is already gone does not matter."""
    try:
        with translated():
            if connection.is_open:
                connection.close()
    except Unavailable as error:
        logger.debug("closing: %s", error)


def _found(connection: BlockingConnection, ask: Callable[[BlockingChannel], T]) -> T | None:
    """Declare passively; return the answer, None when there is no such object.

    The channel is its own, because RabbitMQ closes it when there is no such object.
    """
    try:
        with connection.channel() as channel:
            return ask(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return None
