"""DataWarehouse's REST API, and nothing else knows its endpoints.

Source: the warehouse is a Django REST Framework service; ``{id}`` is a KCIDB id or an iid.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from cki_notifier.checkout.documents import Build, BuildPage, Checkout, CheckoutPage, Everything
from cki_notifier.checkout.triage import Evidence, overall_status
from cki_notifier.configuration.settings import DataWarehouseConfig
from cki_notifier.notification.decoding import decode
from cki_notifier.notification.errors import InvalidDocument, Unavailable
from cki_notifier.notification.models import Loaded
from cki_notifier.sources.http import HTTP, MOST_PAGES, Page, Pending, Reading, Server, whole
from cki_notifier.workers.deadline import Deadline

P = TypeVar("P", BuildPage, CheckoutPage)

_CHECKOUT_PATH = "/api/1/kcidb/checkouts/{}"
_BUILDS_PATH = "/api/1/kcidb/checkouts/{}/builds?limit=100"
_EVERYTHING_PATH = "/api/1/kcidb/checkouts/{}/all"
_CHECKOUTS_PATH = "/api/1/kcidb/checkouts?limit=30"
_CHECKOUT, _BUILD_PAGE = whole(Checkout, "checkout"), whole(BuildPage, "checkout")
#: So many pages of the list of all checkouts are looked through, the newest first.
_RECENT_PAGES = 20
#: Of the documents that reach tens of megabytes: so many bytes and objects.
_LARGEST_BYTES, _MOST_OBJECTS = 64 * 1024 * 1024, 500_000
_CHECKOUT_PAGE = replace(whole(CheckoutPage), most_bytes=_LARGEST_BYTES, most_objects=_MOST_OBJECTS)
#: No checkout has more builds.
_MOST_BUILDS = 20_000
_IID = re.compile("[0-9]{1,18}")
#: Answered with little, and to a good token alone.
PROBE = "/api/1/kcidb/checkouts?limit=1"


class DataWarehouse:
    """Reads checkouts."""

    def __init__(self, http: HTTP, config: DataWarehouseConfig) -> None:
        self._http = http
        self._server = server_of(config)

    def checkout(self, checkout_id: str, deadline: Deadline) -> Loaded:
        """Read a checkout alone; errors as :meth:`HTTP.get`."""
        path = _CHECKOUT_PATH.format(_encoded(checkout_id))
        checkout = self._http.get(self._server, path, _CHECKOUT, deadline, checkout_id).result()
        return Loaded(checkout=_expected(checkout, checkout_id))

    def checkout_with_builds(self, checkout_id: str, deadline: Deadline) -> Loaded:
        """Read a checkout and its builds, side by side; errors as :meth:`HTTP.get`."""
        builds = self._first_builds(checkout_id, deadline)
        loaded = self.checkout(checkout_id, deadline)
        return Loaded(
            checkout=loaded.checkout, builds=self._all_builds(checkout_id, builds, deadline)
        )

    def builds(self, checkout_id: str, deadline: Deadline) -> tuple[Build, ...]:
        """Read a checkout's builds, page by page; errors as :meth:`HTTP.get`."""
        return self._all_builds(checkout_id, self._first_builds(checkout_id, deadline), deadline)

    def everything(self, checkout_id: str, deadline: Deadline) -> Loaded:
        """Read the one document with all of a checkout; errors as :meth:`HTTP.get`."""
        path = _EVERYTHING_PATH.format(_encoded(checkout_id))
        reading = Reading(
            Everything,
            partial(_loaded, checkout_id, path),
            most_bytes=_LARGEST_BYTES,
            most_objects=_MOST_OBJECTS,
            absent="checkout",
        )
        return self._http.get(self._server, path, reading, deadline, checkout_id).result()

    def recent_checkouts(self, deadline: Deadline) -> Iterator[Checkout]:
        """Yield the newest checkouts, page by page, as many as are looked through.

        One that can't be read is passed over. Errors as :meth:`HTTP.get`.
        """
        first = self._http.get(self._server, _CHECKOUTS_PATH, _CHECKOUT_PAGE, deadline)
        for page in islice(self._pages(first, _CHECKOUT_PAGE, deadline), _RECENT_PAGES):
            for document in page.results:
                with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    yield decode(document, Checkout)

    def _first_builds(self, checkout_id: str, deadline: Deadline) -> Pending[BuildPage]:
        path = _BUILDS_PATH.format(_encoded(checkout_id))
        return self._http.get(self._server, path, _BUILD_PAGE, deadline, checkout_id)

    def _all_builds(
        self, checkout_id: str, first: Pending[BuildPage], deadline: Deadline
    ) -> tuple[Build, ...]:
        builds: dict[str, Build] = {}
        for page in self._pages(first, _BUILD_PAGE, deadline, checkout_id):
            builds |= {build.id: build for build in page.results}
            if page.next and len(builds) > _MOST_BUILDS:
                raise _endless(first)
        return tuple(builds.values())

    def _pages(
        self, first: Pending[P], reading: Reading[P], deadline: Deadline, about: str = ""
    ) -> Iterator[P]:
        """Follow the pages, by the query of ``next`` alone: its host may be a proxy's inner one."""
        page = first.result()
        path = first.path.partition("?")[0]
        seen = {""}
        yield page
        while page.next:
            query = page.next.partition("?")[2].partition("#")[0]
            if query in seen or len(seen) >= MOST_PAGES:
                raise _endless(first)
            seen.add(query)
            page = self._http.get(
                self._server, f"{path}?{query}", reading, deadline, about
            ).result()
            yield page


def _endless(first: Pending[Any]) -> Unavailable:
    path = first.path.partition("?")[0]
    return Unavailable("datawarehouse", f"the pages of GET {path} never end")


def server_of(config: DataWarehouseConfig) -> Server:
    """Return the warehouse as the HTTP edge knows it."""
    return Server(
        name="datawarehouse",
        url=config.url,
        headers=["Accept: application/json", f"Authorization: Token {config.token.reveal()}"],
        token_variable="DATAWAREHOUSE_TOKEN",  # noqa: S106  # the name of one
    )


def _encoded(checkout_id: str) -> str:
    """Percent-encode an id as one segment of a path, even one that is made of dots."""
    return quote(checkout_id, safe="") if checkout_id.strip(".") else "%2E" * len(checkout_id)


def _expected(checkout: Checkout, checkout_id: str) -> Checkout:
    """Make sure that the warehouse answered for the checkout that was asked for.

    Raises:
        InvalidDocument: it answered for another one.
    """
    iid = checkout.misc.iid if checkout.misc else None
    asked_by_iid = _IID.fullmatch(checkout_id) and iid in {None, int(checkout_id)}
    if checkout.id != checkout_id and not asked_by_iid:
        raise InvalidDocument(
            f"datawarehouse: `id` is {checkout.id!r}, but {checkout_id!r} was asked for"
        )
    return checkout


def _loaded(checkout_id: str, path: str, page: Page[Everything]) -> Loaded:
    """Take what we want of everything: tests, their results and occurrences end in one word.

    Raises:
        InvalidDocument: it has no checkout, or another one.
    """
    document = page.document
    if not document.checkouts:
        raise InvalidDocument(f"datawarehouse: the answer to GET {path} has no `checkouts[0]`")
    checkout = next(
        (it for it in document.checkouts if it.id == checkout_id), document.checkouts[0]
    )
    checkout = _expected(checkout, checkout_id)
    builds = tuple(it for it in document.builds if it.checkout_id in {None, checkout.id})
    return Loaded(
        checkout=checkout,
        builds=builds,
        overall_status=overall_status(
            Evidence(
                builds=builds,
                tests=document.tests,
                testresults=document.testresults or (),
                issueoccurrences=document.issueoccurrences or (),
            )
        ),
    )
