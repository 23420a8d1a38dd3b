"""Addresses and commands that lead from the page to all there is to know, with nothing secret."""

import shlex
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from cki_notifier.checkout.links import merge_request_link
from cki_notifier.configuration.settings import Config, KafkaConfig
from cki_notifier.notification.models import Position

#: A text longer than this is cut where it is shown, as :class:`Outcomes` does it, in characters.
_LONGEST = 500
#: What stands for an id where there is none.
NAMELESS = "without an id"
#: Settings of the Kafka client that somebody else needs as well, and that tell nothing secret.
_PUBLIC_SETTINGS = ("security.protocol", "sasl.mechanism", "sasl.mechanisms")


class Links:
    """Knows where each thing is.

    Args:
        config: of the process.
    """

    def __init__(self, config: Config) -> None:
        self._warehouse = config.datawarehouse.url
        self._kafka = config.kafka

    def checkout(self, checkout_id: str) -> str:
        """Return a checkout's address at the warehouse, ``""`` where it can't be known."""
        if not _is_whole(checkout_id):
            return ""
        encoded = quote(checkout_id, safe="", errors="replace")
        return f"{self._warehouse}/kcidb/checkouts/{encoded}"

    def record(self, position: Position | None) -> str:
        """Return the command that shows a record of our topic, ``""`` where there is none."""
        if position is None or self._kafka is None:
            return ""
        return command(
            *("kcat", "-C", "-e", "-b", str(self._kafka.settings["bootstrap.servers"])),
            *_public(self._kafka),
            *("-t", self._kafka.topic, "-p", str(position.partition), "-o", str(position.offset)),
            *("-c", "1", "-f", r"%k\n%h\n%s\n"),
        )


def checkout_page(checkout_id: str) -> str:
    """Return the address of a checkout's own page with us; what has no id shares one."""
    return f"checkout?id={quote(cut(checkout_id), safe='', errors='replace')}"


def dry_run(checkout_id: str) -> str:
    """Return the command that asks the rules about a checkout, ``""`` where it can't be named."""
    if not _is_whole(checkout_id):
        return ""
    return command("cki-notifier", f"--checkout-id={checkout_id}", "--dry-run")


def command(*words: str) -> str:
    """Return a command to be copied into a shell; ``""`` when something in it can't be shown."""
    line = shlex.join(words)
    return line if line.isprintable() else ""


def cut(text: str) -> str:
    """Cut a text that may have any length."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def short(url: str) -> str:
    """Return a merge request's name as people say it, as ``kernel!12``; else the address."""
    try:
        link = merge_request_link(url)
    except ValueError:
        return url
    return f"{link.project.rpartition('/')[2]}!{link.number}"


def http_only(url: str) -> str:
    """Return an address that may be followed, ``""`` for any other."""
    try:
        is_web = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        is_web = False
    return url if is_web and url.isprintable() and not url.endswith("…") else ""


def _is_whole(checkout_id: str) -> bool:
    """Tell whether there is an id, and it was not cut."""
    return checkout_id != "" and not checkout_id.endswith("…")


def _public(kafka: KafkaConfig) -> list[str]:
    settings: Mapping[str, object] = kafka.settings
    found = [(name, settings[name]) for name in _PUBLIC_SETTINGS if name in settings]
    return [word for name, value in found for word in ("-X", f"{name}={value}")]
