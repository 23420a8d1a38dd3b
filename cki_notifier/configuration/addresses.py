"""Names of hosts and lists of brokers, as RabbitMQ's and Kafka's clients take them."""

import re
from ipaddress import IPv6Address
from typing import Final

SECURITY_PROTOCOLS: Final = frozenset({"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"})
_MOST = 65_535


def host_names(text: str) -> tuple[str, ...]:
    """Return the names of hosts, which are separated by spaces."""
    names = tuple(text.split())
    if not names:
        raise ValueError("holds nothing but spaces; name a node of RabbitMQ")
    for name in names:
        _check_host(name)
    return names


def _check_host(name: str) -> None:
    if _is_ipv6(name):
        return
    if "@" in name:  # perhaps with a password, which is not shown
        raise ValueError("holds an @; it has to hold the names of hosts alone")
    if "://" in name:
        raise ValueError(f"{name!r} is an address; write the host's name alone, without ://")
    if re.search("[,;|]", name):
        raise ValueError(f"{name!r} is no name of a host; separate several by spaces")
    if _is_ipv6(re.sub(r"\A\[(.*)\]\Z", r"\1", name)):
        raise ValueError(f"{name!r} has brackets; write {name[1:-1]}")
    if re.fullmatch(r"\[.*\]:\d*|[^:]*:\d*", name):
        raise ValueError(
            f"{name!r} has a port; write the host's name alone, and the port in RABBITMQ_PORT"
        )
    _check_name(name, r"[\w.-]+")


def _check_name(name: str, form: str) -> None:
    """Check what is no address of IPv6."""
    if not re.fullmatch(form, name):
        raise ValueError(f"{name!r} can't be the name of a host")
    try:
        name.encode("idna")  # as whoever looks it up does
    except UnicodeError as error:
        raise ValueError(f"{name!r} can't be the name of a host: {error}") from error


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def brokers(text: str) -> tuple[str, ...]:
    """Return brokers as librdkafka reads them: what is wrong there, it leaves out.

    Each is host:port or host, perhaps behind the protocol; they are separated by commas.
    """
    found = tuple(_broker(it) for it in map(str.strip, text.split(",")) if it)
    if not found:
        raise ValueError(f"{text!r} names no broker; write host:port")
    return found


def _broker(text: str) -> str:
    if "@" in text:  # perhaps with a password, which is not shown
        raise ValueError("holds an @; write host:port, and who we are in KAFKA_SASL_USERNAME")
    scheme, separator, place = text.rpartition("://")
    if separator and scheme.upper() not in SECURITY_PROTOCOLS:
        raise ValueError(f"{text!r} is an address; write host:port, without {scheme}://")
    place = place.rstrip("/")
    if _is_ipv6(place):
        if found := re.fullmatch(r"(.*):(909\d)", place):  # which looks like Kafka's port
            raise ValueError(f"{text!r} has no brackets; write [{found[1]}]:{found[2]}")
        return text
    parts = re.fullmatch(r"(\[.*\]|[^:;|\s]*)(?:(:)\s*([^:;|\s]*))?", place)
    if not parts:
        raise ValueError(f"{text!r} is no broker; write host:port, and a comma before the next")
    host, colon, port = parts.groups("")
    if colon and not (re.fullmatch("[0-9]{1,9}", port) and 0 < int(port) <= _MOST):
        raise ValueError(f"{text!r} has no port between 1 and {_MOST} behind its colon")
    if not host:
        raise ValueError(f"{text!r} has no host; write localhost{place} if that is meant")
    if not (host.startswith("[") and _is_ipv6(host[1:-1])):
        _check_name(host, r"[A-Za-z0-9_.-]+")
    return f"{scheme}{separator}{host}{colon}{port}"
