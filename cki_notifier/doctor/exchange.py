"""The exchange that notifications arrive at."""

from cki_notifier.doctor.finding import Finding, failed, ok, skipped, warning
from cki_notifier.rabbitmq.connection import (
    ACCESS_REFUSED,
    NOT_FOUND,
    BlockingConnection,
    compare_exchange,
    refused,
)

_NAME = "rabbitmq exchange"
_TYPE = "topic"
_VARIABLE = "WEBHOOK_RECEIVER_EXCHANGE"


def finding(connection: BlockingConnection, exchange: str) -> Finding:
    """Tell whether the exchange is there, and is a durable topic exchange."""
    missing = refused(connection, lambda it: it.exchange_declare(exchange, passive=True))
    unlike = compare_exchange(connection, exchange, _TYPE)
    may_not = unlike is not None and unlike.code == ACCESS_REFUSED
    if missing is not None and missing.code != NOT_FOUND:
        return failed(_NAME, missing.text, "see RabbitMQ's log")
    if missing is not None and may_not:
        return failed(
            _NAME,
            f"there is no {exchange}, and the user may not make it",
            f"check {_VARIABLE} and RABBITMQ_VIRTUAL_HOST, or let the user declare it",
        )
    if missing is not None:
        return warning(
            _NAME,
            f"there is no {exchange} yet; the daemon makes it when it starts, but who publishes "
            "notifications has to know it, too",
            f"check {_VARIABLE} and RABBITMQ_VIRTUAL_HOST",
        )
    if unlike is None:
        return ok(_NAME, f"{exchange}: a durable {_TYPE} exchange")
    if may_not:
        return skipped(
            _NAME, f"{exchange} is there; its type can't be seen, as the user may not declare it"
        )
    return _other(exchange, unlike.text)


def _other(exchange: str, text: str) -> Finding:
    if "inequivalent arg 'type'" in text:
        return failed(
            _NAME,
            f"{exchange} is no {_TYPE} exchange, so the routing keys select the wrong "
            f"notifications or none: {text}",
            f"check {_VARIABLE}",
        )
    return warning(
        _NAME,
        f"{exchange} is used as it is, but is not what the daemon would make: {text}",
        "have whoever made it look",
    )
