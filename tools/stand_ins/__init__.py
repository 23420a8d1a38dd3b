"""Stand-ins for the services that the notifier reads from, in threads of this process.

They listen on free ports of the loopback unless told otherwise, tell the truth about the documents
they were given, and misbehave when they're told to::

    with Services() as services:
        services.warehouse.add(documents.everything(checkout, [build]))
        services.warehouse.answer("/all", Status(503), times=2)

As a program of its own, `python -m tools.stand_ins`, they have what the demo tells of.
"""

from types import TracebackType
from typing import Self

from .connection import Answer, Connection, Seen
from .faults import (
    Dated,
    Drip,
    DripHeaders,
    Exchange,
    Fault,
    Garbage,
    Hang,
    Html,
    Late,
    NoBackend,
    Paced,
    Redirect,
    RedirectLoop,
    Reset,
    Status,
    Swollen,
    Truncated,
)
from .gitlab import Gitlab
from .jira import Jira
from .sentry import Sentry
from .server import ANYWHERE, Place, Service
from .warehouse import Warehouse

__all__ = [
    "ANYWHERE",
    "Answer",
    "Connection",
    "Dated",
    "Drip",
    "DripHeaders",
    "Exchange",
    "Fault",
    "Garbage",
    "Gitlab",
    "Hang",
    "Html",
    "Jira",
    "Late",
    "NoBackend",
    "Paced",
    "Place",
    "Redirect",
    "RedirectLoop",
    "Reset",
    "Seen",
    "Sentry",
    "Service",
    "Services",
    "Status",
    "Swollen",
    "Truncated",
    "Warehouse",
]


class Services:
    """One of each service, up for as long as the context lasts."""

    def __init__(
        self, warehouse: Place = ANYWHERE, gitlab: Place = ANYWHERE, jira: Place = ANYWHERE
    ) -> None:
        """Reserve the ports."""
        self.warehouse = Warehouse(warehouse)
        self.gitlab = Gitlab(gitlab)
        self.jira = Jira(jira)

    def __enter__(self) -> Self:
        """Listen."""
        for service in self._all():
            service.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        self.close()

    def close(self) -> None:
        """End whatever still goes on, hanging requests included, and free the ports."""
        for service in self._all():
            service.stop()

    def _all(self) -> tuple[Service, ...]:
        return self.warehouse, self.gitlab, self.jira
