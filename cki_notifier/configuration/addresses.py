"""Host names and lists of brokers, as the clients of RabbitMQ and Kafka read them."""

import re
from ipaddress import IPv6Address
from typing import Final

SECURITY_PROTOCOLS: Final = frozenset({"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"})
_MOST = 65_535


def host_names(text: str) -> tuple[str, ...]:
    """Return the host names, which spaces separate."""
    names = tuple(text.split())
    if not names:
        raise ValueError("contains only spaces; write the host name of a RabbitMQ node")
    for name in names:
        _check_host(name)
    return names


def _check_host(name: str) -> None:
    if _is_ipv6(name):
        return
    if "@" in name:  # don't show it: there may be a password
        raise ValueError("contains an @; write host names only")
    if "://" in name:
        raise ValueError(f"{name!r} is a URL; write the host name only, without ://")
    if re.search("[,;|]", name):
        raise ValueError(f"{name!r} is not a host name; separate host names by spaces")
    if _is_ipv6(re.sub(r"\A\[(.*)\]\Z", r"\1", name)):
        raise ValueError(f"{name!r} has brackets; write {name[1:-1]}")
    if re.fullmatch(r"\[.*\]:\d*|[^:]*:\d*", name):
        raise ValueError(
            f"{name!r} contains a port; write the host name only, and the port in RABBITMQ_PORT"
        )
    _check_name(name, r"[\w.-]+")


def _check_name(name: str, form: str) -> None:
    """Check a host name that is not an IPv6 address."""
    if not re.fullmatch(form, name):
        raise ValueError(f"{name!r} is not a valid host name")
    try:
        name.encode("idna")  # as a resolver does
    except UnicodeError as error:
        raise ValueError(f"{name!r} is not a valid host name: {error}") from error


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def brokers(text: str) -> tuple[str, ...]:
    """Return the brokers, which commas separate, as librdkafka reads them.

    Each is ``host:port`` or ``host``, with an optional ``protocol://``. Raises ValueError for a
    broker that librdkafka would silently ignore.
    """
    found = tuple(_broker(it) for it in map(str.strip, text.split(",")) if it)
    if not found:
        raise ValueError(f"{text!r} names no broker; write host:port")
    return found


def _broker(text: str) -> str:
    if "@" in text:  # don't show it: there may be a password
        raise ValueError("contains an @; write host:port, and the user in KAFKA_SASL_USERNAME")
    scheme, separator, place = text.rpartition("://")
    if separator and scheme.upper() not in SECURITY_PROTOCOLS:
        raise ValueError(f"{text!r} is a URL; write host:port, without {scheme}://")
    place = place.rstrip("/")
    if _is_ipv6(place):
        if found := re.fullmatch(r"(.*):(909\d)", place):  # the end looks like Kafka's port
            raise ValueError(f"{text!r} needs brackets; write [{found[1]}]:{found[2]}")
        return text
    parts = re.fullmatch(r"(\[.*\]|[^:;|\s]*)(?:(:)\s*([^:;|\s]*))?", place)
    if not parts:
        raise ValueError(f"{text!r} is not a broker like host:port; separate brokers by commas")
    host, colon, port = parts.groups("")
    if colon and not (re.fullmatch("[0-9]{1,9}", port) and 0 < int(port) <= _MOST):
        raise ValueError(f"{text!r} needs a port between 1 and {_MOST} after the colon")
    if not host:
        raise ValueError(f"{text!r} has no host; write localhost{place} for this machine")
    if not (host.startswith("[") and _is_ipv6(host[1:-1])):
        _check_name(host, r"[A-Za-z0-9_.-]+")
    return f"{scheme}{separator}{host}{colon}{port}"
