"""A stand-in for Jira's REST API v2: a Data Center, a site of the Cloud, or the Cloud's gateway.

It answers as each of them, see https://developer.atlassian.com/cloud/jira/platform/rest/v2/ and
https://docs.atlassian.com/software/jira/docs/api/REST/.
"""

import base64
import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from tools.stand_ins.documents import Document

from .server import ANYWHERE, Answer, Place, Seen, Service, json_answer

#: `key in (…)`, with or without an order.
KEYS_IN = re.compile(
    r"\s*(?:issue)?key\s+in\s*\(([^()]+)\)\s*(?:order\s+by\s.*)?", re.IGNORECASE | re.DOTALL
)
KEY = re.compile(r"[A-Z][A-Z0-9_]*-[0-9]+")

LARGEST_PAGE = 1000

MYSELF = {"name": "cki-bot", "displayName": "CKI Bot", "active": True}

#: The only site behind the gateway.
CLOUD_ID: Final = "11223344-a1b2-3b33-c444-def123456789"
SITE: Final = "https://redhat.atlassian.net"


class Kind(Enum):
    """The kind of Jira, by the value in `serverInfo` or the gateway's host."""

    SERVER = "Server"
    DATA_CENTER = "DataCenter"
    CLOUD = "Cloud"
    GATEWAY = "api.atlassian.com"

    @property
    def is_cloud(self) -> bool:
        """Whether it is the Cloud, at its site or its gateway."""
        return self in {Kind.CLOUD, Kind.GATEWAY}


UNAUTHORIZED = json_answer(
    {"message": "Client must be authenticated to access this resource.", "status-code": 401},
    401,
    {"WWW-Authenticate": "Bearer"},
)
#: The answer of a Cloud site to a bearer token.
NO_SESSION = json_answer({"error": "Failed to parse Connect Session Auth Token"}, 403)
#: The answer of the gateway without a valid token.
NO_SCOPE = json_answer({"code": 401, "message": "Unauthorized; scope does not match"}, 401)
NO_ROUTE = json_answer({"message": "null for uri", "status-code": 404}, 404)
NOT_ALLOWED = json_answer({"message": "HTTP 405 Method Not Allowed", "status-code": 405}, 405)


class _RefusedError(Exception):
    """Jira refuses the request with this status and these messages."""

    def __init__(self, status: int, *messages: str) -> None:
        super().__init__()
        self.answer = json_answer({"errorMessages": messages, "errors": {}}, status)


class Jira(Service):
    """Finds issues by their keys. With a `token`, a request needs it.

    Attributes:
        kind: may change at any time.
        token, email: the credentials. A Cloud site needs both, all others only the token.
        names_unknown_keys: whether the Cloud refuses a query with an unknown key and names the key,
            or leaves the key out.
    """

    def __init__(self, place: Place = ANYWHERE, kind: Kind = Kind.SERVER) -> None:
        super().__init__(place)
        self.kind = kind
        self.token: str | None = None
        self.email: str | None = None
        self.names_unknown_keys = True
        self._issues: dict[str, Document] = {}
        self._moved: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The address for clients: `url`, at the gateway with the site's id."""
        return f"{self.url}/ex/jira/{CLOUD_ID}" if self.kind == Kind.GATEWAY else self.url

    def add_issue(self, document: Mapping[str, Any]) -> None:
        """Store an issue, or replace an older one with its key."""
        self._issues[document["key"]] = json.loads(json.dumps(document))

    def move_issue(self, old: str, new: str) -> None:
        """Give an issue a new key. The old key finds it, too."""
        self.add_issue({**self._issues.pop(old), "key": new})
        self._moved[old] = new

    def route(self, request: Seen) -> Answer:
        """Answer from the stored issues."""
        prefix = self.address.removeprefix(self.url) + "/rest/api/2/"
        if not request.path.startswith(prefix):
            return NO_ROUTE
        resource = request.path.removeprefix(prefix)
        try:
            return self._refusal(request, resource) or self._route(request, resource)
        except _RefusedError as refused:
            return refused.answer

    def _refusal(self, request: Seen, resource: str) -> Answer | None:
        """Return the refusal of a request without the right credentials, or None."""
        given = request.headers.get("authorization", "")
        pair = base64.b64encode(f"{self.email}:{self.token}".encode()).decode()
        expected = f"Basic {pair}" if self.kind == Kind.CLOUD else f"Bearer {self.token}"
        if self.token is None or given == expected:
            return None
        if self.kind == Kind.GATEWAY:
            return NO_SCOPE
        if resource == "serverInfo" and not given:
            return None  # public
        if self.kind == Kind.CLOUD and given.startswith("Bearer "):
            return NO_SESSION
        return UNAUTHORIZED

    def _route(self, request: Seen, resource: str) -> Answer:  # a table
        match request.method, resource.split("/"):
            case "GET" | "POST", ["search", *jql]:
                if jql == (["jql"] if self.kind.is_cloud else []):
                    return json_answer(self._find(_asked(request)))
                if self.kind.is_cloud:
                    hint = "Please migrate to the /rest/api/3/search/jql API."
                    raise _RefusedError(410, f"The requested API has been removed. {hint}")
            case "GET", ["serverInfo"]:
                return json_answer(self._server_info())
            case "GET", ["myself"]:
                return json_answer(MYSELF)
            case "GET", ["issue", key]:
                if (issue := self._issue(key.upper())) is not None:
                    return json_answer(_narrow(issue, _asked(request)))
                message = "Issue does not exist or you do not have permission to see it."
                raise _RefusedError(404, message)
            case _, ["search" | "serverInfo"]:
                return NOT_ALLOWED
        return NO_ROUTE

    def _issue(self, key: str) -> Document | None:
        return self._issues.get(self._moved.get(key, key))

    def _find(self, asked: Mapping[str, Any]) -> Document:
        keys = _read_keys(str(asked.get("jql", "")))
        unknown = [
            f"An issue with key '{key}' does not exist for field 'key'."
            for key in keys
            if self._issue(key) is None
        ]
        validates = str(asked.get("validateQuery", True)).lower() != "false"
        if unknown and (self.names_unknown_keys if self.kind.is_cloud else validates):
            raise _RefusedError(400, *unknown)
        # Without an order, Jira returns the newest issue first and ignores the order of the keys.
        found = {issue["key"]: issue for key in keys if (issue := self._issue(key))}
        order = sorted(found, key=_place, reverse=True)
        start = int(asked.get("startAt", 0))
        limit = min(int(asked.get("maxResults", 50)), LARGEST_PAGE)
        page = order[start : start + limit]
        issues = [_narrow(found[key], asked) for key in page]
        if self.kind.is_cloud:
            return {"issues": issues, "isLast": len(page) == len(order)}
        return {
            "expand": "schema,names",
            "startAt": start,
            "maxResults": limit,
            "total": len(found),
            "issues": issues,
            **({"warningMessages": unknown} if unknown else {}),
        }

    def _server_info(self) -> Document:
        cloud = self.kind.is_cloud
        return {
            "baseUrl": SITE if cloud else self.url,
            "version": "1001.0.0-SNAPSHOT" if cloud else "9.12.15",
            "versionNumbers": [1001, 0, 0] if cloud else [9, 12, 15],
            "deploymentType": (Kind.CLOUD if cloud else self.kind).value,
            "serverTitle": "Jira",
        }


def _asked(request: Seen) -> dict[str, Any]:
    """Return the parameters of a search: the query of a GET, or the body of a POST."""
    if request.method == "POST":
        return dict(json.loads(request.body))
    asked = {name: values[0] for name, values in request.query.items()}
    return {**asked, "fields": ",".join(request.query.get("fields", [])).split(",")}


def _read_keys(jql: str) -> list[str]:
    """Return the keys in a query, in upper case; the only kind of query is `key in (…)`."""
    match = KEYS_IN.fullmatch(jql)
    if not match:
        message = f"Error in the JQL Query: this stand-in knows 'key in (…)' only, not '{jql}'."
        raise _RefusedError(400, message)
    keys = [part.strip().strip("\"'").upper() for part in match[1].split(",")]
    if invalid := [key for key in keys if not KEY.fullmatch(key)]:
        messages = (f"The issue key '{key}' for field 'key' is invalid." for key in invalid)
        raise _RefusedError(400, *messages)
    return keys


def _place(key: str) -> tuple[str, int]:
    project, _, number = key.rpartition("-")
    return project, int(number)


def _narrow(issue: Document, asked: Mapping[str, Any]) -> Document:
    """Return an issue with the requested fields; all for none or `*all`."""
    names = set(asked.get("fields", ())) - {""}
    if not names or names & {"*all", "*navigable"}:
        return issue
    fields = {name: value for name, value in issue["fields"].items() if name in names}
    return {**issue, "fields": fields}
