"""A stand-in for Jira's REST API v2, as a server of one's own (not the cloud) answers it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.stand_ins.documents import Document

from .connection import Answer, Seen, json_answer
from .server import ANYWHERE, Place, Service

#: `key in (…)`, with or without an order.
KEYS_IN = re.compile(
    r"\s*(?:issue)?key\s+in\s*\(([^()]+)\)\s*(?:order\s+by\s.*)?", re.IGNORECASE | re.DOTALL
)
KEY = re.compile(r"[A-Z][A-Z0-9_]*-[0-9]+")

LARGEST_PAGE = 1000

MYSELF = {"name": "cki-bot", "displayName": "CKI Bot", "active": True}

#: By id, as in the documents. The `jira` package asks for them before its first search.
FIELDS = {
    "summary": "Summary",
    "status": "Status",
    "priority": "Priority",
    "components": "Component/s",
    "fixVersions": "Fix Version/s",
    "labels": "Labels",
}

UNAUTHORIZED = json_answer(
    {"message": "Client must be authenticated to access this resource.", "status-code": 401},
    401,
    {"WWW-Authenticate": "Bearer"},
)
NO_ROUTE = json_answer({"message": "null for uri", "status-code": 404}, 404)
NOT_ALLOWED = json_answer({"message": "HTTP 405 Method Not Allowed", "status-code": 405}, 405)


class _RefusedError(Exception):
    """A search that is answered with 400 and this list of messages."""

    def __init__(self, *messages: str) -> None:
        super().__init__()
        self.messages = messages


@dataclass(frozen=True, slots=True)
class _Search:
    """What is searched for."""

    jql: str
    validate: bool
    fields: frozenset[str]
    start: int
    limit: int


class Jira(Service):
    """Finds the issues that were added by their keys. With a `token`, a request needs it."""

    def __init__(self, place: Place = ANYWHERE) -> None:
        """Start without any issue."""
        super().__init__(place)
        self.token: str | None = None
        self._issues: dict[str, Document] = {}

    def add_issue(self, document: Mapping[str, Any]) -> None:
        """Store an issue, in place of an older one with its key."""
        self._issues[document["key"]] = json.loads(json.dumps(document))

    def route(self, request: Seen) -> Answer:
        """Answer from what is stored."""
        if (
            self.token is not None
            and request.headers.get("authorization") != f"Bearer {self.token}"
        ):
            return UNAUTHORIZED
        match request.method, request.path:
            case "GET" | "POST", "/rest/api/2/search":
                return self._answer_search(request)
            case "GET", "/rest/api/2/serverInfo" | "/rest/api/2/myself" as path:
                return json_answer(MYSELF if path.endswith("myself") else self._server_info())
            case "GET", "/rest/api/2/field":
                return json_answer(
                    [{"id": name, "name": label, "custom": False} for name, label in FIELDS.items()]
                )
            case _, "/rest/api/2/search" | "/rest/api/2/serverInfo" | "/rest/api/2/field":
                return NOT_ALLOWED
        return NO_ROUTE

    def _answer_search(self, request: Seen) -> Answer:
        try:
            return json_answer(self._find(_read_search(request)))
        except _RefusedError as refused:
            return json_answer({"errorMessages": refused.messages, "errors": {}}, 400)

    def _find(self, search: _Search) -> Document:
        keys = _read_keys(search.jql)
        unknown = [
            f"An issue with key '{key}' does not exist for field 'key'."
            for key in keys
            if key not in self._issues
        ]
        if unknown and search.validate:
            raise _RefusedError(*unknown)
        # Without an order the newest issue comes first, whatever the order of the keys.
        found = sorted({key for key in keys if key in self._issues}, key=_place, reverse=True)
        page = found[search.start : search.start + search.limit]
        document: Document = {
            "expand": "schema,names",
            "startAt": search.start,
            "maxResults": search.limit,
            "total": len(found),
            "issues": [_narrow(self._issues[key], search.fields) for key in page],
        }
        if unknown:
            document["warningMessages"] = unknown
        return document

    def _server_info(self) -> Document:
        return {
            "baseUrl": self.url,
            "version": "9.12.15",
            "versionNumbers": [9, 12, 15],
            "deploymentType": "Server",
            "buildNumber": 9120015,
            "serverTitle": "Jira",
        }


def _read_search(request: Seen) -> _Search:
    """Return the search in the query of a GET or in the body of a POST."""
    asked: dict[str, Any]
    try:
        if request.method == "GET":
            asked = {name: values[0] for name, values in request.query.items()}
            asked["fields"] = ",".join(request.query.get("fields", [])).split(",")
        else:
            asked = dict(json.loads(request.body))
        return _Search(
            jql=str(asked.get("jql", "")),
            validate=str(asked.get("validateQuery", True)).lower() != "false",
            fields=frozenset(asked.get("fields") or ()) - {""},
            start=max(0, int(asked.get("startAt", 0))),
            limit=max(0, min(int(asked.get("maxResults", 50)), LARGEST_PAGE)),
        )
    except (TypeError, ValueError) as error:
        message = "Invalid request payload. Refer to the REST API documentation and try again."
        raise _RefusedError(message) from error


def _read_keys(jql: str) -> list[str]:
    """Return the keys in a query, in upper case; the only kind of query is `key in (…)`."""
    match = KEYS_IN.fullmatch(jql)
    if not match:
        message = f"Error in the JQL Query: this stand-in knows 'key in (…)' only, not '{jql}'."
        raise _RefusedError(message)
    keys = [part.strip().strip("\"'").upper() for part in match[1].split(",")]
    if invalid := [key for key in keys if not KEY.fullmatch(key)]:
        raise _RefusedError(
            *(f"The issue key '{key}' for field 'key' is invalid." for key in invalid)
        )
    return keys


def _place(key: str) -> tuple[str, int]:
    project, _, number = key.rpartition("-")
    return project, int(number)


def _narrow(issue: Document, names: Iterable[str]) -> Document:
    """Return an issue with the fields asked for, or with all when none or `*all` is."""
    wanted = set(names)
    if not wanted or wanted & {"*all", "*navigable"}:
        return issue
    fields = {name: value for name, value in issue["fields"].items() if name in wanted}
    return {**issue, "fields": fields}
