"""A stand-in for DataWarehouse's REST API, as Django REST Framework answers it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from tools.stand_ins.documents import UNCHANGED, Changes, Document, changed

from .connection import Answer, Seen, json_answer
from .faults import NOT_FOUND
from .server import ANYWHERE, Place, Service

T = TypeVar("T")

NO_ROUTE = Answer(
    404,
    b"<!doctype html>\n<title>Not Found</title>\n<h1>Not Found</h1>\n",
    {"Content-Type": "text/html; charset=utf-8"},
)


@dataclass(frozen=True, slots=True)
class _Stored:
    """All of a checkout, and the same encoded once for all requests. A change makes a new one."""

    document: Document
    everything: Answer

    @property
    def checkout(self) -> Document:
        document: Document = self.document["checkouts"][0]
        return document

    def listed(self, name: str) -> list[Document]:
        items = self.document.get(name)
        return items if isinstance(items, list) else []


class Warehouse(Service):
    """Serves the `/all` documents that were added, and the parts of them, one by one.

    Only requests with `token` are answered; a change of it is a token rotation. Checkouts are
    listed with the newest first: the one that was added last. Lists come
    `page_size` a page, or as many as asked for, but no more than `largest_page`.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        """Start without any checkout."""
        super().__init__(place)
        self.token = "warehouse-token"  # noqa: S105 - the stand-in's own
        self.page_size = 30
        self.largest_page: int | None = None
        #: By KCIDB id; Python keeps them in the order in which they were added.
        self._checkouts: dict[str, _Stored] = {}
        #: The KCIDB id of the checkout, by the ids and iids of checkouts and of builds.
        self._checkout_names: dict[str, str] = {}
        self._build_names: dict[str, str] = {}

    def add(self, document: Mapping[str, Any], *, checkout_id: str | None = None) -> None:
        """Store a copy of an `/all` document with one checkout, in place of an older one.

        `checkout_id` is where to find a checkout whose own id is missing or another one.
        """
        answer = json_answer(document)
        stored = _Stored(json.loads(answer.body), answer)
        key = checkout_id or stored.checkout["id"]
        self._checkout_names |= dict.fromkeys([key, *_names(stored.checkout)], key)
        for build in stored.listed("builds"):
            self._build_names |= dict.fromkeys(_names(build), key)
        self._checkouts[key] = stored

    def update_checkout(
        self,
        checkout_id: str,
        misc: Changes = UNCHANGED,
        **changes: object,
    ) -> None:
        """Change fields of a stored checkout, as the factory does: see `documents.changed`."""
        document = self._checkouts[checkout_id].document
        checkout = changed(document["checkouts"][0], changes, misc)
        self.add({**document, "checkouts": [checkout]}, checkout_id=checkout_id)

    def remove(self, checkout_id: str) -> None:
        """Forget a checkout with all that belongs to it."""
        del self._checkouts[checkout_id]

    def route(self, request: Seen) -> Answer:
        """Answer from what is stored."""
        if refusal := self._refuse(request):
            return refusal
        parts = request.parts[:-1] if request.path.endswith("/") else request.parts
        match parts:
            case ["api", "1", "kcidb", "checkouts"]:
                stored_ones = list(self._checkouts.values())[::-1]
                return self._page(stored_ones, request, lambda it: it.checkout)
            case ["api", "1", "kcidb", "checkouts", name, *part]:
                stored = self._find_checkout(name)
                return self._show(stored, part, request) if stored else NOT_FOUND
            case ["api", "1", "kcidb", "builds", name, "tests"]:
                tests = self._find_tests(name)
                return NOT_FOUND if tests is None else self._page(tests, request)
        return NO_ROUTE

    def _show(self, stored: _Stored, part: list[str], request: Seen) -> Answer:
        match part:
            case []:
                return json_answer(stored.checkout)
            case ["all"]:
                return stored.everything
            case ["builds"]:
                return self._page(stored.listed("builds"), request)
        return NO_ROUTE

    def _refuse(self, request: Seen) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "token" or token != self.token:
            detail = "Invalid token." if token else "Authentication credentials were not provided."
            return json_answer({"detail": detail}, 401, {"WWW-Authenticate": "Token"})
        if request.method != "GET":
            detail = f'Method "{request.method}" not allowed.'
            return json_answer({"detail": detail}, 405, {"Allow": "GET"})
        return None

    def _find_checkout(self, name: str) -> _Stored | None:
        key = self._checkout_names.get(name, "")
        stored = self._checkouts.get(key)
        return stored if stored and name in [key, *_names(stored.checkout)] else None

    def _find_tests(self, name: str) -> list[Document] | None:
        stored = self._checkouts.get(self._build_names.get(name, ""))
        for build in stored.listed("builds") if stored else ():
            if stored and name in _names(build):
                tests = stored.listed("tests")
                return [test for test in tests if test.get("build_id") == build.get("id")]
        return None

    def _page(
        self,
        items: Sequence[T],
        request: Seen,
        show: Callable[[T], object] = lambda it: it,
    ) -> Answer:
        limit = _positive(request.first("limit")) or self.page_size
        limit = min(limit, self.largest_page or limit)
        start = _positive(request.first("offset"))
        end = start + limit
        page = {
            "count": len(items),
            "next": self._link(request, limit, end) if end < len(items) else None,
            "previous": self._link(request, limit, max(0, start - limit)) if start else None,
            "results": [show(it) for it in items[start:end]],
        }
        return json_answer(page)

    def _link(self, request: Seen, limit: int, offset: int) -> str:
        parameters = dict(parse_qsl(request.target.partition("?")[2]))
        parameters |= {"limit": str(limit), "offset": str(offset)}
        if not offset:
            del parameters["offset"]
        return f"{self.url}{request.path}?{urlencode(sorted(parameters.items()))}"


def _names(document: object) -> list[str]:
    """Return the KCIDB id and the iid; a document that was spoilt for a test may lack them."""
    if not isinstance(document, dict):
        return []
    misc = document.get("misc")
    names = (document.get("id"), misc.get("iid") if isinstance(misc, dict) else None)
    return [str(name) for name in names if name is not None]


def _positive(text: str) -> int:
    return int(text) if text.isdecimal() else 0
