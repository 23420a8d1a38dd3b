"""Describes RabbitMQ's errors for people; pika's own texts go to the debug log.

pika has one importer, so this file knows its exceptions by their class names.
"""

import errno
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any

from cki_notifier.rabbitmq.acceptance import acceptance

#: The timeouts of a node, in seconds: for the connection, and for the handshake with the login.
CONNECT_SECONDS = 5.0
HANDSHAKE_SECONDS = 2 * CONNECT_SECONDS
_NO_ANSWER = f"no answer within {CONNECT_SECONDS:g} s"

_ERRNOS: Mapping[int, str] = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "reset by the other side",
    errno.ECONNABORTED: "aborted by the network",
    errno.EPIPE: "closed by the other side",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network is unreachable",
    errno.EMFILE: "no file descriptors left",
}
_NAMES: Mapping[int, str] = {
    socket.EAI_NONAME: "the name can't be resolved: it is not known",
    socket.EAI_AGAIN: "the name can't be resolved: no name server answers",
}
#: An error of the operating system or of RabbitMQ in a text of pika's, in the form of ``repr``.
_OS_ERROR = re.compile(r"\w+\((?P<number>-?\d+), (?P<quote>['\"])(?P<text>.*)(?P=quote)\)")
_REPLY = re.compile(r"\((?P<code>\d+)\) (?P<quote>['\"])(?P<text>.*)(?P=quote)")
_EOF = "Transport indicated EOF"
#: Source locations of OpenSSL and Python around OpenSSL's text.
_OPENSSL = re.compile(r"^\[[^\]]*\] *| *\(_ssl\.c:\d+\)$")

Detail = Callable[[Any], str]


def describe(error: BaseException) -> str:
    """Describe in a sentence an error of pika or of its socket."""
    kind, text = _told(error)
    return f"{kind}: {text}" if kind and text else kind or text


def detail(error: BaseException) -> str:
    """Describe an error without its kind, in RabbitMQ's or the network's words."""
    kind, text = _told(error)
    return text or kind


def _told(error: BaseException) -> tuple[str, str]:
    """Return the kind of an error, and its detail."""
    error = _innermost(error)
    for each in type(error).__mro__:
        if each.__name__ in WORDS:
            kind, tell = WORDS[each.__name__]
            return kind, tell(error)
    return "", f"{type(error).__name__}: {error}".removesuffix(": ")


def _innermost(error: BaseException) -> BaseException:
    """Unwrap the error that pika wraps into others while it connects."""
    while True:
        wrapped = getattr(error, "exception", None) or (
            error.args[0] if error.args else next(iter(getattr(error, "exceptions", ())), None)
        )
        if not isinstance(wrapped, BaseException):
            return error
        error = wrapped


def _of_reply(error: Any) -> str:
    return f"{error.reply_text} ({error.reply_code})"


def _of_text(error: BaseException) -> str:
    """Extract the quoted part of pika's text, which is the useful part."""
    text = " ".join(str(it) for it in error.args)
    if _EOF in text:
        return "the other side closed the connection"
    if reply := _REPLY.search(text):
        return f"{reply['text']} ({reply['code']})"
    if (found := _OS_ERROR.search(text)) and "SSL" in text:
        return f"TLS: {_of_openssl(found['text'])}"
    if found:
        return _ERRNOS.get(int(found["number"]), found["text"])
    return text


def _of_system(error: Any) -> str:
    text = error.strerror or str(error)
    return _ERRNOS.get(error.errno, text) or "the connection failed"


def _of_name(error: Any) -> str:
    return _NAMES.get(error.errno, f"the name can't be resolved: {error.strerror or error}")


def _of_tls(error: Any) -> str:
    told = getattr(error, "verify_message", "")
    text = _of_openssl(error.strerror or str(error))
    return told if told and told in text and len(told) > len(text) else text


def _of_openssl(text: str) -> str:
    return _OPENSSL.sub("", _OPENSSL.sub("", text)) or "no reason given"


def _nothing(_error: BaseException) -> str:
    return ""


def _refusal(_error: BaseException) -> str:
    return acceptance.refusal or "RabbitMQ accepts no messages"


_ABORTED = "the attempt to connect was aborted"
_LOST = "the connection was lost"
_NOT_UNDERSTOOD = "RabbitMQ sent unreadable data"
_OURS = "a bug in cki-notifier"
#: By the name of the class: the kind of error, and the function that describes it further.
WORDS: Mapping[str, tuple[str, Detail]] = {
    # Of the operating system
    "OSError": ("", _of_system),
    "TimeoutError": (_NO_ANSWER, _nothing),
    "gaierror": ("", _of_name),
    "SSLError": ("TLS", _of_tls),
    # While it connects
    "AMQPConnectorException": ("no connection", _of_text),
    "AMQPConnectorStackTimeout": (f"no answer within {HANDSHAKE_SECONDS:g} s", _nothing),
    "AMQPConnectorAborted": (_ABORTED, _of_text),
    "AMQPConnectorWrongState": (_ABORTED, _of_text),
    "AMQPConnectorPhaseErrorBase": ("no connection", _of_text),
    "AMQPConnectorSocketConnectError": ("no connection", _of_text),
    "AMQPConnectorTransportSetupError": ("no connection", _of_text),
    "AMQPConnectorAMQPHandshakeError": ("no connection", _of_text),
    "AMQPConnectionWorkflowAborted": (_ABORTED, _of_text),
    "AMQPConnectionWorkflowWrongState": (_ABORTED, _of_text),
    "AMQPConnectionWorkflowFailed": ("no connection", _of_text),
    # Of a connection
    "AMQPError": ("AMQP failed", _of_text),
    "AMQPConnectionError": ("no connection", _of_text),
    "ConnectionOpenAborted": (_ABORTED, _of_text),
    "StreamLostError": (_LOST, _of_text),
    "IncompatibleProtocolError": ("the server does not speak AMQP", _of_text),
    "AuthenticationError": ("RabbitMQ does not support this kind of login", _of_text),
    "ProbableAuthenticationError": ("RabbitMQ refuses the login", _of_text),
    "ProbableAccessDeniedError": ("no access to the virtual host", _of_text),
    "NoFreeChannels": ("the connection has no channel left", _of_text),
    "ConnectionWrongStateError": ("the connection is closed", _nothing),
    "ConnectionClosed": ("the connection was closed", _of_reply),
    "ConnectionClosedByBroker": ("RabbitMQ closed the connection", _of_reply),
    "ConnectionClosedByClient": ("we closed the connection", _of_reply),
    "ConnectionBlockedTimeout": ("", _refusal),
    "AMQPHeartbeatTimeout": (f"{_LOST}: no heartbeat from RabbitMQ", _of_text),
    # Of a channel
    "AMQPChannelError": ("the channel failed", _of_text),
    "ChannelWrongStateError": ("the channel is closed", _nothing),
    "ChannelClosed": ("the channel was closed", _of_reply),
    "ChannelClosedByBroker": ("RabbitMQ refuses", _of_reply),
    "ChannelClosedByClient": ("we closed the channel", _of_reply),
    "DuplicateConsumerTag": (f"{_OURS}: two consumers with the same name", _of_text),
    "ConsumerCancelled": ("RabbitMQ ended the consumer", _of_text),
    "UnroutableError": ("no queue takes the message", _of_text),
    "NackError": ("the queue refuses the message", _of_text),
    # Of data sent and received
    "InvalidChannelNumber": (f"{_OURS}: no such channel", _of_text),
    "ProtocolSyntaxError": (_NOT_UNDERSTOOD, _of_text),
    "UnexpectedFrameError": (f"{_NOT_UNDERSTOOD}: an unexpected frame", _of_text),
    "ProtocolVersionMismatch": ("RabbitMQ speaks another version of AMQP", _of_text),
    "BodyTooLongError": (f"{_NOT_UNDERSTOOD}: more bytes than it announced", _of_text),
    "InvalidFrameError": (f"{_NOT_UNDERSTOOD}: not a frame", _of_text),
    "InvalidFieldTypeException": (f"{_NOT_UNDERSTOOD}: a field of an unknown type", _of_text),
    "UnsupportedAMQPFieldException": ("a header has a value that AMQP can't hold", _of_text),
    "MethodNotImplemented": (f"{_OURS}: pika does not know this method", _of_text),
    "ShortStringTooLong": ("a name is longer than AMQP's 255 bytes", _of_text),
}
