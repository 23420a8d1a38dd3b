"""DataWarehouse's REST API, the only module that knows its endpoints.

Source: DataWarehouse is a Django REST Framework service; ``{id}`` is a KCIDB id or an iid.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from cki_notifier.checkout.documents import (
    Build,
    BuildPage,
    Checkout,
    CheckoutPage,
    Everything,
    Listed,
)
from cki_notifier.checkout.triage import Evidence, overall_status
from cki_notifier.configuration.settings import DataWarehouseConfig
from cki_notifier.notification.decoding import decode, decoded
from cki_notifier.notification.digests import Digests
from cki_notifier.notification.errors import InvalidDocument, Unavailable
from cki_notifier.notification.models import Loaded
from cki_notifier.sources.http import HTTP, MOST_PAGES, Pending, Reading, Server, whole
from cki_notifier.workers.deadline import Deadline

P = TypeVar("P", BuildPage, CheckoutPage)

_CHECKOUT_PATH = "/api/1/kcidb/checkouts/{}"
_BUILDS_PATH = "/api/1/kcidb/checkouts/{}/builds?limit=100"
_EVERYTHING_PATH = "/api/1/kcidb/checkouts/{}/all"
_CHECKOUTS_PATH = "/api/1/kcidb/checkouts?limit=30"
_CHECKOUT, _BUILD_PAGE = whole(Checkout, "checkout"), whole(BuildPage, "checkout")
#: Pages of the list of all checkouts that a search reads, the newest first.
_RECENT_PAGES = 20
#: Limits of the largest documents: bytes and objects.
_LARGEST_BYTES, _MOST_OBJECTS = 64 * 1024 * 1024, 500_000
#: Checkouts of a list are decoded one by one, so that the objects of a page don't add up.
_CHECKOUT_PAGE = replace(
    whole(CheckoutPage), most_bytes=_LARGEST_BYTES, most_objects=_LARGEST_BYTES
)
#: The same list over a span of time, of at most this many pages: a million checkouts.
_LIST_PATH = "/api/1/kcidb/checkouts?limit=100"
_MOST_LIST_PAGES = 10_000
#: The newest come first. This many pages in a row that are older than the span end the search,
#: because checkouts may be a little out of order.
_OLD_PAGES = 3
#: A larger number of checkouts is not plausible.
_MANY = 10**12
#: No checkout has more builds.
_MOST_BUILDS = 20_000
_IID = re.compile("[0-9]{1,18}")
#: A small answer, for a valid token only.
PROBE = "/api/1/kcidb/checkouts?limit=1"


class Unreadable(Struct, frozen=True):
    """An unreadable checkout of the list.

    Attributes:
        checkout_id: ``""`` if unreadable, too.
        error: the cause.
    """

    checkout_id: str
    error: str


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
        """Read a checkout and its builds in parallel; errors as :meth:`HTTP.get`."""
        first = self._first_builds(checkout_id, deadline)
        loaded = self.checkout(checkout_id, deadline)
        return replace(loaded, builds=self._all_builds(checkout_id, first, deadline))

    def builds(self, checkout_id: str, deadline: Deadline) -> tuple[Build, ...]:
        """Read a checkout's builds, page by page; errors as :meth:`HTTP.get`."""
        return self._all_builds(checkout_id, self._first_builds(checkout_id, deadline), deadline)

    def everything(self, checkout_id: str, deadline: Deadline) -> Loaded:
        """Read the document with everything of a checkout; errors as :meth:`HTTP.get`."""
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
        """Yield the newest checkouts, page by page, up to the search limit.

        Skips unreadable checkouts. Errors as :meth:`HTTP.get`.
        """
        first = self._http.get(self._server, _CHECKOUTS_PATH, _CHECKOUT_PAGE, deadline)
        for page in islice(self._pages(first, _CHECKOUT_PAGE, deadline), _RECENT_PAGES):
            for document in page.results:
                checkout = _checkout(document, Listed())
                if isinstance(checkout, Checkout):
                    yield checkout

    def checkouts_since(
        self,
        since: datetime,
        until: datetime,
        deadline: Deadline,
        progress: Callable[[int, int], object] = lambda _seen, _total: None,
    ) -> Iterator[Checkout | Unreadable]:
        """Yield the checkouts that began in a span of time, each once.

        Checkouts without a time count as in the span. Reads the list page by page, the newest
        first, until several pages in a row are older than the span. If the list goes on to newer
        checkouts, no page counts as older. New checkouts may push others to the next page
        meanwhile. Errors as :meth:`HTTP.get`.

        Args:
            since: the start of the span, with a zone.
            until: its end, with a zone.
            deadline: for all pages together.
            progress: called after each page with the number of checkouts read, and the number of
                checkouts in the whole list, 0 if unknown.
        """
        seen, looked_at, total, old, before = Digests(), 0, 0, 0, datetime.max.replace(tzinfo=UTC)
        first = self._http.get(self._server, _LIST_PATH, _CHECKOUT_PAGE, deadline)
        for page in self._pages(first, _CHECKOUT_PAGE, deadline, most=_MOST_LIST_PAGES):
            times = []
            for document in page.results:
                listed = decoded(document, Listed) or Listed()
                at = _time(listed.start_time)
                if at is not None:
                    times.append(at)
                if at is None or since <= at < until:
                    checkout = _checkout(document, listed)
                    if seen.add(_name(checkout, document)):
                        yield checkout
            looked_at, total = looked_at + len(page.results), total or _count(page)
            progress(looked_at, total)
            newest = max(times, default=None)
            if newest is not None:
                old = old + 1 if newest < since and newest <= before else 0
                before = newest
            if old == _OLD_PAGES:
                return

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
        self,
        first: Pending[P],
        reading: Reading[P],
        deadline: Deadline,
        about: str = "",
        most: int = MOST_PAGES,
    ) -> Iterator[P]:
        """Follow the pages by the query of ``next``: its host may be internal to a proxy."""
        page = first.result()
        path = first.path.partition("?")[0]
        seen = {""}
        yield page
        while page.next:
            query = page.next.partition("?")[2].partition("#")[0]
            if query in seen or len(seen) >= most:
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
    """Return DataWarehouse as a server of the HTTP client."""
    return Server(
        name="datawarehouse",
        url=config.url,
        headers=["Accept: application/json", f"Authorization: Token {config.token.reveal()}"],
        token_variable="DATAWAREHOUSE_TOKEN",  # noqa: S106  # the name of one
    )


def _time(document: Raw) -> datetime | None:
    """Return the time of a field (ISO 8601), in UTC without a zone; None for none."""
    try:
        at = datetime.fromisoformat(decoded(document, str) or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _count(page: CheckoutPage) -> int:
    """Return the number of all checkouts, 0 for an implausible one."""
    count = decoded(page.count, int) or 0
    return count if 0 < count < _MANY else 0


def _checkout(document: Raw, listed: Listed) -> Checkout | Unreadable:
    """Decode a checkout of the list."""
    try:
        if bytes(document).count(b"{") > _MOST_OBJECTS:
            return Unreadable(
                decoded(listed.id, str) or "", f"it has more than {_MOST_OBJECTS} objects"
            )
        return decode(document, Checkout)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unreadable(decoded(listed.id, str) or "", str(error))


def _name(checkout: Checkout | Unreadable, document: Raw) -> str:
    """Return the id of a checkout, or its whole document without one."""
    if isinstance(checkout, Checkout):
        return checkout.id
    return checkout.checkout_id or bytes(document).decode(errors="replace")


def _encoded(checkout_id: str) -> str:
    """Percent-encode an id as one segment of a path, even an id of dots."""
    return quote(checkout_id, safe="") if checkout_id.strip(".") else "%2E" * len(checkout_id)


def _expected(checkout: Checkout, checkout_id: str) -> Checkout:
    """Return the checkout, if it is the requested one.

    Raises:
        InvalidDocument: it is another one.
    """
    iid = checkout.misc.iid if checkout.misc else None
    asked_by_iid = _IID.fullmatch(checkout_id) and iid in {None, int(checkout_id)}
    if checkout.id != checkout_id and not asked_by_iid:
        raise InvalidDocument(
            f"datawarehouse: `id` is {checkout.id!r}, but {checkout_id!r} was asked for"
        )
    return checkout


def _loaded(
    checkout_id: str, path: str, document: Everything, _headers: Mapping[str, str]
) -> Loaded:
    """Return the checkout, its builds, and the overall status of its tests.

    Raises:
        InvalidDocument: the document has no checkout, or another one.
    """
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
