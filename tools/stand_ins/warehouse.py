"""A stand-in for DataWarehouse's REST API, as Django REST Framework answers it."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tools.stand_ins.documents import UNCHANGED, Changes, Document, changed

from .faults import NOT_FOUND
from .server import ANYWHERE, Answer, Place, Seen, Service, json_answer

T = TypeVar("T")

NO_ROUTE = Answer(
    404,
    b"<!doctype html>\n<title>Not Found</title>\n<h1>Not Found</h1>\n",
    {"Content-Type": "text/html; charset=utf-8"},
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """All documents of a checkout, and their encoded form. A change makes a new object."""

    document: Document
    everything: Answer
    #: The ids and iids of the checkout and of its builds, with "checkouts" or "builds".
    names: frozenset[tuple[str, str]]

    @property
    def checkout(self) -> Document:
        document: Document = self.document["checkouts"][0]
        return document

    def listed(self, name: str) -> list[Document]:
        items = self.document.get(name)
        return items if isinstance(items, list) else []


class Warehouse(Service):
    """Serves the `/all` documents that you add, and their parts.

    Requests need `token`; change it to rotate the token. The list of checkouts begins with the one
    added last. A page of a list has `page_size` items, or as many as the client asks for, but no
    more than `largest_page`.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        super().__init__(place)
        self.token = "warehouse-token"  # noqa: S105 - the stand-in's own
        self.page_size = 30
        self.largest_page: int | None = None
        #: By KCIDB id, in the order in which they were added.
        self._checkouts: dict[str, _Stored] = {}
        self._by_name: dict[tuple[str, str], _Stored] = {}

    def add(self, document: Mapping[str, Any], *, checkout_id: str | None = None) -> None:
        """Store a copy of an `/all` document with one checkout, or replace an older one.

        Give `checkout_id` for a document with a missing or wrong id.
        """
        answer = json_answer(document)
        copy = json.loads(answer.body)
        key = checkout_id or copy["checkouts"][0]["id"]
        names = {("checkouts", key), *_names(copy, "checkouts"), *_names(copy, "builds")}
        stored = _Stored(copy, answer, frozenset(names))
        older = self._checkouts.get(key, stored)
        self._checkouts[key] = stored
        self._by_name |= dict.fromkeys(stored.names, stored)
        self._forget(older.names - stored.names)

    def update_checkout(
        self, checkout_id: str, misc: Changes = UNCHANGED, **changes: object
    ) -> None:
        """Change fields of a stored checkout, see `documents.changed`."""
        document = self._checkouts[checkout_id].document
        checkout = changed(document["checkouts"][0], changes, misc)
        self.add({**document, "checkouts": [checkout]}, checkout_id=checkout_id)

    def remove(self, checkout_id: str) -> None:
        """Remove a checkout and its documents."""
        self._forget(self._checkouts.pop(checkout_id).names)

    def _forget(self, names: Iterable[tuple[str, str]]) -> None:
        for name in names:
            self._by_name.pop(name, None)

    def route(self, request: Seen) -> Answer:
        """Answer from the stored documents."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "token" or token != self.token:
            detail = "Invalid token." if token else "Authentication credentials were not provided."
            return json_answer({"detail": detail}, 401, {"WWW-Authenticate": "Token"})
        if request.method != "GET":
            detail = f'Method "{request.method}" not allowed.'
            return json_answer({"detail": detail}, 405, {"Allow": "GET"})
        parts = request.parts[:-1] if request.path.endswith("/") else request.parts
        match parts:
            case ["api", "1", "kcidb", "checkouts"]:
                newest_first = list(self._checkouts.values())[::-1]
                return self._page(newest_first, request, lambda it: it.checkout)
            case ["api", "1", "kcidb", ("checkouts" | "builds") as kind, name, *part]:
                stored = self._by_name.get((kind, name))
                return self._show(stored, [kind, *part], name, request) if stored else NOT_FOUND
        return NO_ROUTE

    def _show(self, stored: _Stored, part: list[str], name: str, request: Seen) -> Answer:
        match part:
            case ["checkouts"]:
                return json_answer(stored.checkout)
            case ["checkouts", "all"]:
                return stored.everything
            case ["checkouts", "builds"]:
                return self._page(stored.listed("builds"), request)
            case ["builds", "tests"]:
                builds = [it for it in stored.listed("builds") if name in _names_of(it)]
                ids = [build.get("id") for build in builds]
                tests = [it for it in stored.listed("tests") if it.get("build_id") in ids]
                return self._page(tests, request)
        return NO_ROUTE

    def _page(
        self,
        items: Sequence[T],
        request: Seen,
        show: Callable[[T], object] = lambda it: it,
    ) -> Answer:
        limit = request.number("limit") or self.page_size
        limit = min(limit, self.largest_page or limit)
        start = request.number("offset")
        end, before = start + limit, max(0, start - limit)

        def link(offset: int) -> str:
            return self.url + request.target_with(limit=limit, offset=offset or None)

        page = {
            "count": len(items),
            "next": link(end) if end < len(items) else None,
            "previous": link(before) if start else None,
            "results": [show(it) for it in items[start:end]],
        }
        return json_answer(page)


def _names(document: Document, kind: str) -> Iterator[tuple[str, str]]:
    listed = document.get(kind)
    for each in listed if isinstance(listed, list) else ():
        yield from ((kind, name) for name in _names_of(each))


def _names_of(document: object) -> list[str]:
    """Return the KCIDB id and the iid, as far as the document has them."""
    if not isinstance(document, dict):
        return []
    misc = document.get("misc")
    names = (document.get("id"), misc.get("iid") if isinstance(misc, dict) else None)
    return [str(name) for name in names if name is not None]
