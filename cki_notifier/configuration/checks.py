"""What a variable may hold: each check returns the value or raises ValueError, saying why not."""

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
#: RabbitMQ's prefetch count is a 16-bit number, and four times this many are fetched.
_MOST_IN_FLIGHT = 16_383
_LARGEST_PORT = 65_535
#: What merge requests' addresses can have for a host, and the path that a GitLab may be under.
_HOST = re.compile(r"(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_GITLAB_PATH = re.compile(r"(?!\.)[A-Za-z0-9_.-]+(?:/(?!\.)[A-Za-z0-9_.-]+)*+")


def _http(text: str) -> SplitResult | None:
    """Take an http(s) address with a host apart; return None for anything else."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
    except ValueError:
        return None
    return parts if valid else None


def http_url(text: str) -> str:
    """Return an address without the slash at its end."""
    parts = _http(text)
    if parts and (parts.username is not None or parts.password is not None):
        raise ValueError("holds a user name or a password; it must be a plain http(s) address")
    if not parts or parts.query or parts.fragment or re.search(r"[^!-~]", text):
        what = "what it holds" if "@" in text else repr(text)  # a password in it is not shown
        raise ValueError(f"{what} is no http(s) address like https://host/path")
    return text.rstrip("/")


def email_address(text: str) -> str:
    """Return an e-mail address, in the form that a header can hold beside a token."""
    if not re.fullmatch(r"[!-9;-?A-~]+@[!-9;-?A-~]+", text):
        raise ValueError("is no e-mail address like cki@example.com")  # perhaps the token, unshown
    return text


def warehouse_url(text: str) -> str:
    """Return DataWarehouse's address, to which the paths of its interface are added."""
    url = http_url(text)
    if found := re.search(r"/api/[0-9]+(?=/|\Z)", url):
        without = url[: found.start()]
        raise ValueError(f"{text!r} has {found[0]} in it, which is added anyway; write {without}")
    return url


def sentry_dsn(text: str) -> Secret:
    """Return a Sentry DSN, the secret address where errors are reported."""
    parts, project = _http(text), text.rpartition("/")[2]
    if not parts or not parts.username or not re.fullmatch("[0-9]{1,18}", project):
        raise ValueError("is no DSN of Sentry's like https://KEY@sentry.example.com/42")
    return Secret(text)


def token_names(text: str) -> dict[str, str]:
    """Return the names of variables with tokens, by host as :func:`gitlab_host` has it."""
    try:
        msgspec.json.decode(text, type=dict[str, str])
        # A name that is there twice is dropped by msgspec without a word.
        pairs: list[tuple[str, str]] = json.loads(text, object_pairs_hook=list)
    except (msgspec.DecodeError, ValueError) as error:
        raise ValueError(
            "is no JSON object from host to the name of the variable with its token, like "
            f'{{"gitlab.com": "COM_GITLAB_TOKEN"}}: {error}'
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
    """Return the host of a GitLab as merge requests' addresses have it, with a path it is under.

    Like ``gitlab.com``, ``host:8443`` or ``host/gitlab``; ``https://`` before it and a slash
    behind it don't matter.
    """
    key = re.sub(r"\A(?i:https)://", "", text.strip()).rstrip("/")
    what = "a host of it" if "@" in text else repr(text)  # a password in it is not shown
    name, slash, path = key.partition("/")
    name = re.sub(r"(?<=[^:]):0*443\Z", "", name.lower())
    if not _HOST.fullmatch(name) or (slash and not _GITLAB_PATH.fullmatch(path)):
        raise ValueError(
            f"{what} is no host like gitlab.com, host:8443 or, for a GitLab under a path, "
            "host/gitlab"
        )
    number = name.rpartition("]")[2].partition(":")[2]
    if number and not 1 <= int(number) <= _LARGEST_PORT:
        raise ValueError(f"{what} names a port that is not between 1 and {_LARGEST_PORT}")
    if path and name == "gitlab.com":
        raise ValueError(f"{what} names a group: a token is for all of gitlab.com, the host alone")
    if {"api", "-"} & set(path.split("/")):
        raise ValueError(f"{what} goes too far: name the host, and a path that GitLab is under")
    return f"{name}{slash}{path}"


def port(text: str) -> int:
    """Return the number of a port."""
    return _number(text, int, 1, _LARGEST_PORT)


def in_flight(text: str) -> int:
    """Return how many notifications are handled at once."""
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
        raise ValueError(f"{text!r} is no number") from error
    if not least <= value <= most:  # type: ignore[operator]  # an int or a float, whichever was asked
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
    """Return the form of the log."""
    return _one_of(("text", "json"), text)


def _one_of(allowed: Collection[str], text: str) -> str:
    if text not in allowed:
        raise ValueError(f"{text!r} is none of {', '.join(allowed)}")
    return text


def ca_file(text: str) -> str:
    """Return the path of a file with certificate authorities."""
    try:
        ssl.create_default_context(cafile=text)
    except OSError as error:
        why = error.strerror or error
        raise ValueError(f"the file {text!r} can't be used for its certificates: {why}") from error
    return text


def token(text: str) -> Secret:
    """Return a token that goes into a header."""
    if re.search(r"[^ -~]", text):
        raise ValueError("holds a character that no header can hold: ASCII alone is sent")
    return Secret(text)


def short_name(text: str, longest: int = 255) -> str:
    """Return a name as AMQP can hold it."""
    if len(text.encode()) > longest:
        raise ValueError(f"is longer than {longest} bytes")
    return text


def virtual_host(text: str) -> str:
    """Return the name of a virtual host."""
    if re.search("%2f", text, re.IGNORECASE):
        plain = re.sub("%2f", "/", text, flags=re.IGNORECASE)
        raise ValueError(f"{text!r} is how an address has it; write {plain}")
    return short_name(text)


def routing_keys(text: str) -> tuple[str, ...]:
    """Return routing keys, which are separated by spaces."""
    keys = tuple(text.split())
    if not keys:
        raise ValueError("holds nothing but spaces; name a routing key")
    for key in keys:
        short_name(key)
        if re.search("[,;]", key):
            raise ValueError(f"{key!r} is no routing key; separate several by spaces")
        if any(re.search("[*#]", word) and len(word) > 1 for word in key.split(".")):
            raise ValueError(
                f"{key!r} matches nothing: * and # stand for whole words between dots, as in "
                "datawarehouse.checkout.*"
            )
    return keys


def queue_name(text: str) -> str:
    """Return the name of a queue."""
    if text.startswith("amq."):
        raise ValueError(f"{text!r} begins with amq., which RabbitMQ keeps for itself")
    return short_name(text, 200)  # `.dead-letter` and the like come behind it


def topic(text: str) -> str:
    """Return the name of a topic."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", text) or text in {".", ".."}:
        raise ValueError(f"{text!r} is no name of a Kafka topic")
    return text
