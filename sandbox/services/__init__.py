"""Stand-ins for the services that the notifier reads from, in threads of this process.

They listen on free ports of the loopback, tell the truth about the documents they were given, and
misbehave when they're told to::

    with Services() as services:
        services.warehouse.add(documents.everything(checkout, [build]))
        services.warehouse.answer("/all", Status(503), times=2)
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
    Redirect,
    RedirectLoop,
    Reset,
    Status,
    Truncated,
)
from .gitlab import Gitlab
from .jira import Jira
from .sentry import Sentry
from .server import Service
from .warehouse import Warehouse

__all__ = [
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
    "Redirect",
    "RedirectLoop",
    "Reset",
    "Seen",
    "Sentry",
    "Service",
    "Services",
    "Status",
    "Truncated",
    "Warehouse",
]


class Services:
    """One of each service, up for as long as the context lasts."""

    def __init__(self) -> None:
        """Reserve the ports."""
        self.warehouse = Warehouse()
        self.gitlab = Gitlab()
        self.jira = Jira()

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
        """End whatever still goes on, hanging requests included, and free the ports."""
        for service in self._all():
            service.stop()

    def _all(self) -> tuple[Service, ...]:
        return self.warehouse, self.gitlab, self.jira
