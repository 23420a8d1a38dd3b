"""Stand-ins for the services that the daemon reads from, in threads of this process.

By default they listen on free ports of the loopback. They serve the documents that you add, and
fail in planned ways::

    with Services() as services:
        services.warehouse.add(documents.everything(checkout, [build]))
        services.warehouse.answer("/all", Status(503), times=2)

The program `python -m tools.stand_ins` serves the documents of the demo.
"""

from typing import Self

from .faults import Dated as Dated
from .faults import Drip as Drip
from .faults import DripHeaders as DripHeaders
from .faults import Garbage as Garbage
from .faults import Hang as Hang
from .faults import Html as Html
from .faults import Late as Late
from .faults import NoBackend as NoBackend
from .faults import Paced as Paced
from .faults import Redirect as Redirect
from .faults import RedirectLoop as RedirectLoop
from .faults import Reset as Reset
from .faults import Status as Status
from .faults import Swollen as Swollen
from .faults import Truncated as Truncated
from .gitlab import Gitlab as Gitlab
from .jira import Jira as Jira
from .sentry import Sentry as Sentry
from .server import ANYWHERE as ANYWHERE
from .server import Answer as Answer
from .server import Exchange as Exchange
from .server import Fault as Fault
from .server import Place as Place
from .server import Seen as Seen
from .server import Service as Service
from .warehouse import Warehouse as Warehouse


class Services:
    """One of each service, up while the context lasts."""

    def __init__(
        self, warehouse: Place = ANYWHERE, gitlab: Place = ANYWHERE, jira: Place = ANYWHERE
    ) -> None:
        self.warehouse = Warehouse(warehouse)
        self.gitlab = Gitlab(gitlab)
        self.jira = Jira(jira)
        self.all: tuple[Service, ...] = (self.warehouse, self.gitlab, self.jira)

    def __enter__(self) -> Self:
        for service in self.all:
            service.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all requests, also hanging ones, and free the ports."""
        for service in self.all:
            service.stop()
