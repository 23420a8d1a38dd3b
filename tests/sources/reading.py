"""Helpers for the tests of several sources."""

import threading
from typing import Final, Protocol

import msgspec

from cki_notifier.notification.models import JiraIssue
from cki_notifier.telemetry.metrics import REGISTRY

CHECKOUTS: Final = "/api/1/kcidb/checkouts"
PATH: Final = f"{CHECKOUTS}/redhat:1"

#: In another order than Jira would give them.
LINKS: Final = tuple(f"https://redhat.atlassian.net/browse/RHEL-{number}" for number in (2, 1, 3))


class Item(msgspec.Struct):
    """As much of the checkout as the tests read."""

    id: str


class Get(Protocol):
    """Reads the checkout, or another path, within a number of seconds."""

    def __call__(
        self, seconds: float = 20, *, path: str = PATH, stopping: threading.Event | None = None
    ) -> Item:
        """Return it, or raise what the HTTP edge raises."""


class Find(Protocol):
    """Looks up the issues that links lead to."""

    def __call__(self, *links: str) -> tuple[JiraIssue, ...] | None:
        """Return them, or None when Jira did not answer."""


def failed_look_ups() -> float:
    """Return how many lookups failed so far, by the metric."""
    name = "cki_notifier_enrichment_failures_total"
    return REGISTRY.get_sample_value(name, {"service": "jira"}) or 0
