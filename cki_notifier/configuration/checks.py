"""Checks of values: each returns the parsed value, or raises ValueError with the reason."""

import json
import re
import ssl
from collections.abc import Callable, Collection
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from cki_notifier.configuration.secret import Secret

T = TypeVar("T")

_LEVELS = ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL")
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
#: AMQP's prefetch count has 16 bits, and the daemon prefetches four times this many.
_MOST_IN_FLIGHT = 16_383
_LARGEST_PORT = 65_535
#: The host in a merge request's URL, and the path that a GitLab is installed under.
_HOST = re.compile(r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_GITLAB_PATH = re.compile(r"(?!\.)[A-Za-z0-9_.-]+(?:/(?!\.)[A-Za-z0-9_.-]+)*+")


def _http(text: str) -> SplitResult | None:
    """Split an http(s) URL with a host; return None for anything else."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        return None
    return parts if valid else None


def http_url(text: str) -> str:
    """Return a URL without its trailing slash."""
    parts = _http(text)
    if parts and (parts.username is not None or parts.password is not None):
        raise ValueError("contains a user name or a password; remove it from the URL")
    if not parts or parts.query or parts.fragment or re.search(r"[^!-~]", text):
        what = "the value" if "@" in text else repr(text)  # don't show a password in it
        raise ValueError(f"{what} is not an http(s) URL like https://host/path")
    return text.rstrip("/")


def email_address(text: str) -> str:
    """Return an email address that fits into a header beside a token."""
    if not re.fullmatch(r"[!-9;-?A-~]+@[!-9;-?A-~]+", text):
        raise ValueError("is not an email address like cki@example.com")  # may be the token
    return text


def warehouse_url(text: str) -> str:
    """Return DataWarehouse's URL, to which requests add the path of its REST interface."""
    url = http_url(text)
    if found := re.search(r"/api/[0-9]+(?=/|\Z)", url):
        without = url[: found.start()]
        raise ValueError(f"{text!r} contains {found[0]}, which cki-notifier adds; write {without}")
    return url


def sentry_dsn(text: str) -> Secret:
    """Return a Sentry DSN."""
    parts, project = _http(text), text.rpartition("/")[2]
    if not parts or not parts.username or not re.fullmatch("[0-9]{1,18}", project):
        raise ValueError("is not a Sentry DSN like https://KEY@sentry.example.com/42")
    return Secret(text)


def token_names(text: str) -> dict[str, str]:
    """Return the names of variables with tokens, by :func:`gitlab_host`."""
    try:
        msgspec.json.decode(text, type=dict[str, str])
        # msgspec drops a repeated name silently.
        pairs: list[tuple[str, str]] = json.loads(text, object_pairs_hook=list)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(
            "is not a JSON object that maps each host to the name of the variable with its "
            f'token, like {{"gitlab.com": "COM_GITLAB_TOKEN"}}: {error}'
        ) from error
    names: dict[str, str] = {}
    faults: list[str] = []
    for key, name in pairs:
        try:
            host = gitlab_host(key)
        except ValueError as error:
            faults.append(str(error))
        else:
            if names.setdefault(host, name) != name:
                faults.append(f"names {host} twice, with two tokens")
    if faults:
        raise ValueError("; ".join(faults))
    return names


def gitlab_host(text: str) -> str:
    """Return a GitLab's host as in the URLs of its merge requests, with the path it is under.

    Like ``gitlab.com``, ``host:8443`` or ``host/gitlab``. A leading ``https://`` and a trailing
    slash don't matter.
    """
    key = re.sub(r"\A(?i:https)://", "", text.strip()).rstrip("/")
    what = "one of the hosts" if "@" in text else repr(text)  # don't show a password in it
    name, slash, path = key.partition("/")
    name = re.sub(r"(?<=[^:]):0*443\Z", "", name.lower())
    if not _HOST.fullmatch(name) or (slash and not _GITLAB_PATH.fullmatch(path)):
        raise ValueError(
            f"{what} is not a host like gitlab.com, host:8443 or, for a GitLab under a path, "
            "host/gitlab"
        )
    number = name.rpartition("]")[2].partition(":")[2]
    if number and not 1 <= int(number) <= _LARGEST_PORT:
        raise ValueError(f"{what} has a port that is not between 1 and {_LARGEST_PORT}")
    if path and name == "gitlab.com":
        raise ValueError(f"{what} names a group; write gitlab.com, as a token is for the host")
    if {"api", "-"} & set(path.split("/")):
        raise ValueError(f"{what} is not the root of a GitLab; write the host, and its path if any")
    return f"{name}{slash}{path}"


def port(text: str) -> int:
    """Return a port number."""
    return _number(text, int, 1, _LARGEST_PORT)


def in_flight(text: str) -> int:
    """Return the number of notifications to handle at once."""
    return _number(text, int, 1, _MOST_IN_FLIGHT)


def positive(text: str) -> float:
    """Return a number above 0."""
    value = _number(text, float, 0, 1_000_000)
    if value <= 0:
        raise ValueError(f"{text!r} is not a positive number")
    return value


def _number(text: str, kind: Callable[[str], T], least: int, most: int) -> T:
    try:
        value = kind(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not least <= value <= most:  # type: ignore[operator]  # an int or a float
        raise ValueError(f"{text!r} is not between {least} and {most}")
    return value


def boolean(text: str) -> bool:
    """Return true or false."""
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(f"{text!r} is neither true nor false")


def level(text: str) -> str:
    """Return a logging level's name."""
    level = _one_of(_LEVELS, text.upper())
    return "WARNING" if level == "WARN" else level


def log_format(text: str) -> str:
    """Return the format of the log."""
    return _one_of(("text", "json"), text)


def _one_of(allowed: Collection[str], text: str) -> str:
    if text not in allowed:
        raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
    return text


def ca_file(text: str) -> str:
    """Return the path of a PEM file with certificate authorities."""
    try:
        ssl.create_default_context(cafile=text)
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"can't load certificates from the file {text!r}: {why}") from error
    return text


def token(text: str) -> Secret:
    """Return a token for an HTTP header."""
    if re.search(r"[^ -~]", text):
        raise ValueError("contains a character that HTTP can't send; write printable ASCII only")
    return Secret(text)


def short_name(text: str, longest: int = 255) -> str:
    """Return a name that is short enough for AMQP."""
    if len(text.encode()) > longest:
        raise ValueError(f"is longer than {longest} bytes")
    return text


def virtual_host(text: str) -> str:
    """Return the name of a virtual host."""
    if re.search("%2f", text, re.IGNORECASE):
        plain = re.sub("%2f", "/", text, flags=re.IGNORECASE)
        raise ValueError(f"{text!r} is percent-encoded; write {plain}")
    return short_name(text)


def routing_keys(text: str) -> tuple[str, ...]:
    """Return the routing keys, which spaces separate."""
    keys = tuple(text.split())
    if not keys:
        raise ValueError("contains only spaces; write a routing key")
    for key in keys:
        short_name(key)
        if re.search("[,;]", key):
            raise ValueError(f"{key!r} is not a routing key; separate routing keys by spaces")
        if any(re.search("[*#]", word) and len(word) > 1 for word in key.split(".")):
            raise ValueError(
                f"{key!r} matches nothing: * and # stand for whole words between dots, as in "
                "datawarehouse.checkout.*"
            )
    return keys


def queue_name(text: str) -> str:
    """Return the name of a queue."""
    if text.startswith("amq."):
        raise ValueError(f"{text!r} begins with amq., which RabbitMQ reserves for itself")
    return short_name(text, 200)  # the other queues append `.dead-letter` and the like


def topic(text: str) -> str:
    """Return the name of a topic."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        what = f"{text!r} is not the name of a Kafka topic"
        raise ValueError(f"{what}; write up to 249 letters, digits, dots, _ and -")
    return text
