"""The edge to RabbitMQ: connecting, declaring, and its errors. The only importer of pika.

What pika raises for a broker that is away, refuses or hangs up becomes :class:`Unavailable`: a
restart of the broker is normal, and even refused credentials may be on their way.
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

#: The names the broker's replies go by (AMQP 0-9-1, 1.2).
ACCESS_REFUSED, NOT_FOUND, PRECONDITION_FAILED, NOT_IMPLEMENTED = 403, 404, 406, 540
#: The argument of quorum queues for how often a message is handed out in vain at most.
DELIVERY_LIMIT = "x-delivery-limit"
#: A peer that says nothing for so long is dead, in seconds.
HEARTBEAT_SECONDS = 10
#: A broker out of memory or disk blocks who publishes; after so long we connect anew, in seconds.
_BLOCKED_SECONDS = 60.0
#: No queue has this name: it would be taken for one of the broker's own, which nobody may declare.
_NO_QUEUES_NAME = "amq.cki-notifier.nobody"
#: What pika and the socket below it raise.
_FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)
_LOGIN_REFUSED = (
    pika.exceptions.AuthenticationError,
    pika.exceptions.ProbableAuthenticationError,
)
#: What pika was seen to raise for headers with values that Python has no room for.
UNREADABLE = (OverflowError, ValueError)
#: Of properties, headers included, so much is read, in bytes: a copy of ours adds up to 8 KiB, and
#: all has to fit into one frame of 128 KiB.
_MOST_PROPERTIES = 64 * 1024
#: Of a frame with properties, what is none of them, in bytes (AMQP 0-9-1, 4.2.3 and 4.2.6).
_FRAME_OVERHEAD = 8 + 14
#: Headers in headers, so deep: the broker's own are two deep.
_DEEPEST_HEADERS = 16
#: How often a message may be handed out by a queue that has no other to give it up to.
_MOST_DELIVERIES = 1_000_000
#: Arguments that nothing of ours can have: the first is for streams alone and no length of time,
#: the second no name. With them the broker still compares what is there with what is asked for, but
#: refuses to make what is missing.
_NO_QUEUE = {"x-max-age": "never"}
_NO_EXCHANGE = {"alternate-exchange": 0}
#: Refused by every release, also by those older than streams.
_NO_NEW_QUEUE = {"x-expires": 0}

Arguments = Mapping[str, Any]


class Blocked(Unavailable):
    """The broker accepts no messages from anybody now: it is short of memory or disk."""


class Refused(Unavailable):
    """The broker does not take a message; the connection stays usable.

    Attributes:
        alone: whether that is about this message, and not about its queue.
    """

    def __init__(self, text: str, *, alone: bool) -> None:
        super().__init__("rabbitmq", text)
        self.alone = alone


class Refusal(msgspec.Struct, frozen=True):
    """Why the broker said no: the number of its reply, and its words."""

    code: int
    text: str


class Properties(BasicProperties):
    """The properties of a message that came in, without what nobody can handle.

    Whoever may publish may put anything into them. A header that can't be decoded would end the
    connection, and one that can't be copied would stop the republishing, each time the message is
    handed out again: so such headers are left out, all of them, and the body is handled as any
    other.
    """

    def decode(self, encoded: bytes, offset: int = 0) -> Self:
        """Read what pika hands over; nothing is raised."""
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
    """Tell whether a header can be published again."""
    if isinstance(value, dict):
        names_are_text = all(isinstance(name, str) for name in value)
        return names_are_text and _can_be_copied(list(value.values()), levels)
    if isinstance(value, list):
        return levels > 0 and all(_can_be_copied(inner, levels - 1) for inner in value)
    return True


@contextmanager
def translated() -> Iterator[None]:
    """Turn what pika raises into :class:`Unavailable`."""
    try:
        yield
    except _FAILURES as error:
        logger.debug("pika: %s%r", type(error).__name__, error.args)
        is_blocked = isinstance(error, pika.exceptions.ConnectionBlockedTimeout)
        raise (Blocked if is_blocked else Unavailable)("rabbitmq", describe(error)) from error


@contextmanager
def readable(what: str = "a frame") -> Iterator[None]:
    """Turn what pika raises for something that it can't decode into :class:`Unavailable`."""
    try:
        yield
    except UNREADABLE as error:
        text = f"{what} can't be decoded, {type(error).__name__}: {error}"
        raise Unavailable("rabbitmq", text) from error


class Obstacle(StrEnum):
    """What keeps us from a node."""

    LOGIN = "login"
    VIRTUAL_HOST = "virtual host"
    TLS = "TLS"
    PROTOCOL = "protocol"
    NETWORK = "network"


def obstacle(error: Unavailable) -> Obstacle:
    """Tell what :func:`connect` failed at."""
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
    """Connect to one of the nodes, which are tried in random order.

    Args:
        config: which nodes, and how.
        purpose: what the connection is for, as the broker shows it.
        before_each: called before each node is tried.
        blocked_seconds: the connection ends when the broker accepts nothing from it for so long.

    Raises:
        Unavailable: none of the nodes can be used; the text tells of the last one.
    """
    pika.spec.props[Properties.INDEX] = Properties  # what pika makes of the properties it receives
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
    """Connect as :func:`connect` does; the connection is closed in the end."""
    connection = connect(config, purpose, blocked_seconds=blocked_seconds)
    try:
        yield connection
    finally:
        close(connection)


def _heeded(connection: BlockingConnection) -> BlockingConnection:
    """Have it noted at once when the broker accepts nothing from a connection.

    pika's own callbacks would be called between two calls of ours, and the one that publishes does
    not return while the connection is blocked. Those of what is below it are called at once.
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
    """Declare the durable topic exchange unless there is one, whatever its arguments."""
    if _found(connection, lambda it: it.exchange_declare(name, passive=True)) is None:
        logger.warning("there is no exchange %s; declaring it", name)
        with connection.channel() as channel:
            channel.exchange_declare(name, "topic", durable=True)


def ensure_queue(connection: BlockingConnection, name: str, arguments: Arguments) -> None:
    """Declare a durable queue unless there is one, which is then used as it is.

    It becomes a quorum queue where the broker has them, and a classic one elsewhere.

    Args:
        connection: stays usable.
        name: the queue's.
        arguments: of the quorum queue, but for those that are the same for all.
    """
    if ready_messages(connection, name) is not None:
        return
    try:
        with connection.channel() as channel:
            channel.queue_declare(name, durable=True, arguments=of_quorum(arguments))
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code not in {PRECONDITION_FAILED, NOT_IMPLEMENTED}:
            raise
        logger.info("no quorum queues here (%s); %s becomes a classic one", error.reply_text, name)
        with connection.channel() as channel:
            channel.queue_declare(name, durable=True, arguments=of_classic(arguments))


def compare_queue(
    connection: BlockingConnection, name: str, arguments: Arguments
) -> Refusal | None:
    """Have the broker compare a durable queue with arguments; nothing is ever made.

    Returns:
        None when the queue has these arguments. Else why not: its words name what differs, or say
        that there is no such queue by finding fault with ``x-max-age``; its code is
        :data:`ACCESS_REFUSED` for who may not declare the queue.
    """
    asked = dict(arguments) | _NO_QUEUE
    return refused(
        connection, lambda it: it.queue_declare(name, durable=True, arguments=asked), *_NO_QUEUE
    )


def compare_exchange(connection: BlockingConnection, name: str, kind: str) -> Refusal | None:
    """Have the broker compare an exchange with a durable one of a type; see :func:`compare_queue`.

    That there is no such exchange it says by finding fault with ``alternate-exchange``.
    """
    return refused(
        connection,
        lambda it: it.exchange_declare(name, kind, durable=True, arguments=_NO_EXCHANGE),
        *_NO_EXCHANGE,
    )


def may_declare_queue(connection: BlockingConnection, name: str) -> bool:
    """Tell whether our user may declare a queue that is missing; nothing is made."""
    refusal = refused(
        connection, lambda it: it.queue_declare(name, durable=True, arguments=_NO_NEW_QUEUE)
    )
    return refusal is None or refusal.code != ACCESS_REFUSED


def refused(
    connection: BlockingConnection, ask: Callable[[BlockingChannel], Any], *impossible: str
) -> Refusal | None:
    """Ask for something on a channel of its own; return the broker's refusal, None when it did.

    It is as good as done when all that the broker finds fault with is an ``impossible`` argument.
    """
    try:
        with connection.channel() as channel:
            ask(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        if not any(f"inequivalent arg '{name}'" in error.reply_text for name in impossible):
            return Refusal(error.reply_code, error.reply_text)
    return None


def of_quorum(arguments: Arguments) -> dict[str, Any]:
    """Add what only quorum queues know."""
    quorum = {"x-queue-type": "quorum"} | dict(arguments)
    if "x-dead-letter-exchange" in arguments:
        # Else a message on its way from one queue to the next could get lost (RabbitMQ's
        # documentation of quorum queues, "at-least-once dead-lettering").
        return quorum | {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    # Else RabbitMQ 4 drops a message that was looked at 20 times. "No limit" would be -1 there, but
    # with that 3.10 was seen to drop a message at the first look.
    return quorum | {DELIVERY_LIMIT: _MOST_DELIVERIES}


def of_classic(arguments: Arguments) -> dict[str, Any]:
    """Leave out what only quorum queues know."""
    return {name: value for name, value in arguments.items() if name != DELIVERY_LIMIT}


def ready_messages(connection: BlockingConnection, name: str) -> int | None:
    """Return how many messages of a queue nobody holds, None when there is no such queue."""
    found = _found(connection, lambda it: it.queue_declare(name, passive=True))
    return None if found is None else found.method.message_count or 0


def acknowledge(channel: BlockingChannel, tag: int, *, multiple: bool = False) -> None:
    """Settle a delivery, here and nowhere else; ``multiple``: and all before it on its channel."""
    channel.basic_ack(tag, multiple)


def publish_to_queue(
    channel: BlockingChannel, queue: str, body: bytes, properties: BasicProperties
) -> None:
    """Publish through the default exchange; return when the queue has the message.

    Args:
        channel: has publisher confirms on.
        queue: its name.
        body: what is published.
        properties: its own.

    Raises:
        Blocked: the broker has accepted no messages for as long as the connection puts up with it.
        Refused: the queue is missing or takes nothing, or the broker takes no message like this.
        Unavailable: it is not known to be in the queue.
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
    """Return when the broker accepts messages; nothing is put into any queue.

    It is asked with a message for a queue that nobody can have, which it returns. While it accepts
    none, the connection can be used for nothing else.

    Raises:
        Blocked: it has accepted none for as long as the connection puts up with it.
        Unavailable: it can't be told, or our user may not publish.
    """
    began = time.monotonic()
    with translated(), connection.channel() as channel:
        channel.confirm_delivery()
        # With a body: what is empty is taken even by a broker that then takes nothing more.
        with suppress(pika.exceptions.UnroutableError):
            channel.basic_publish("", _NO_QUEUES_NAME, b"?", mandatory=True)
        acceptance.confirmed(connection, began)


def most_properties(channel: BlockingChannel) -> int:
    """Return how many bytes of properties fit into a frame, as it was agreed with the broker."""
    return int(_below(channel.connection).params.frame_max) - _FRAME_OVERHEAD


def release(connection: BlockingConnection) -> str:
    """Return the broker's release, such as ``4.0.5``, as it said when we connected."""
    return str((_below(connection).server_properties or {}).get("version", ""))


def bytes_received(connection: BlockingConnection) -> int:
    """Return how many bytes the broker has sent, heartbeats included."""
    return int(_below(connection).bytes_received)


def _below(connection: BlockingConnection) -> Any:
    """Return what is below a blocking connection: pika tells some of what it knows nowhere else."""
    return connection._impl  # type: ignore[attr-defined]  # noqa: SLF001  # there is no other way


def close(connection: BlockingConnection) -> None:
    """Close a connection that may be gone already; nothing depends on it."""
    try:
        with translated():
            if connection.is_open:
                connection.close()
    except Unavailable as error:
        logger.debug("closing: %s", error)


def _found(connection: BlockingConnection, ask: Callable[[BlockingChannel], T]) -> T | None:
    """Ask passively; return the answer, None when there is no such thing.

    That is on a channel of its own, because the broker closes it when there is none.
    """
    try:
        with connection.channel() as channel:
            return ask(channel)
    except pika.exceptions.ChannelClosedByBroker as error:
        if error.reply_code != NOT_FOUND:
            raise
        return None
