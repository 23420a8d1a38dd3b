"""A stand-in for GitLab's REST API v4: merge requests and the trigger jobs of pipelines."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tools.stand_ins.documents import Document

from .connection import Answer, Seen, json_answer
from .server import ANYWHERE, Place, Service

UNAUTHORIZED = json_answer({"message": "401 Unauthorized"}, 401)
NO_PROJECT = json_answer({"message": "404 Project Not Found"}, 404)
NOT_FOUND = json_answer({"message": "404 Not found"}, 404)
NO_ROUTE = json_answer({"error": "404 Not Found"}, 404)
#: Of a project whose pipelines are for its members alone.
FORBIDDEN = json_answer({"message": "403 Forbidden"}, 403)
NOT_ALLOWED = json_answer({"error": "405 Not Allowed"}, 405, {"Allow": "GET, HEAD"})

USER = {"id": 7, "username": "cki-bot", "name": "CKI Bot"}
PAGE_SIZE = 20
LARGEST_PAGE = 100
#: What GitLab called the list of a pipeline's trigger jobs: until 19.1, now, and at last.
BRIDGES_ALONE = frozenset({"bridges"})
BOTH_NAMES = frozenset({"bridges", "trigger_jobs"})
TRIGGER_JOBS_ALONE = frozenset({"trigger_jobs"})
VERSIONS = {
    **dict.fromkeys(("15", "16", "17", "18", "19.1"), BRIDGES_ALONE),
    "19.2": BOTH_NAMES,
    "without bridges": TRIGGER_JOBS_ALONE,
}


class Gitlab(Service):
    """Serves the merge requests that were added, of any number of projects.

    Without a `token` everybody may read; with one, a request needs it as `PRIVATE-TOKEN` or as a
    bearer token. (The real GitLab answers 404, not 401, to who reads a private project without a
    token.) A pipeline that a bridge names is known, with no bridges of its own until it gets some.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        """Start without any project."""
        super().__init__(place)
        self.token: str | None = None
        #: When the token ends, as GitLab writes a day, and what it may be used for.
        self.token_ends: str | None = None
        self.token_scopes = ["read_api"]
        #: Where it is on its host, like "/gitlab"; set before anything is added.
        self.path = ""
        #: The names under which trigger jobs are listed.
        self.names = BRIDGES_ALONE
        #: Projects whose pipelines are for members alone (403), and those that are private (404).
        self.members_only: set[str] = set()
        self.private: set[str] = set()
        self._projects: set[str] = set()
        #: By project and iid.
        self._merge_requests: dict[tuple[str, str], Answer] = {}
        #: By project and the pipeline's id.
        self._bridges: dict[tuple[str, str], list[Document]] = {}

    def merge_request_url(self, project: str, iid: int) -> str:
        """Return the URL of a merge request on this stand-in."""
        return f"{self.url}{self.path}/{project}/-/merge_requests/{iid}"

    def pipeline_url(self, project: str, pipeline_id: int) -> str:
        """Return the URL of a pipeline on this stand-in."""
        return f"{self.url}{self.path}/{project}/-/pipelines/{pipeline_id}"

    def add_merge_request(
        self,
        document: Mapping[str, Any],
        bridges: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Store a merge request, in place of an older one, and its head pipeline's bridges.

        Both are found where their `web_url` says; its host doesn't matter.
        """
        project = self._project(document["web_url"])
        self._projects.add(project)
        self._merge_requests[project, str(document["iid"])] = json_answer(document)
        if pipeline := document.get("head_pipeline"):
            self.add_bridges(pipeline["web_url"], bridges)

    def add_bridges(self, pipeline_url: str, bridges: Iterable[Mapping[str, Any]]) -> None:
        """Store a pipeline with its bridges, in place of those it had."""
        listed = [dict(bridge) for bridge in bridges]
        triggered = (it["downstream_pipeline"] for it in listed if it.get("downstream_pipeline"))
        for url in [pipeline_url, *(it["web_url"] for it in triggered if "web_url" in it)]:
            project = self._project(url)
            self._projects.add(project)
            self._bridges.setdefault((project, url.rpartition("/")[2]), [])
        self._bridges[self._project(pipeline_url), pipeline_url.rpartition("/")[2]] = listed

    def route(self, request: Seen) -> Answer:
        """Answer from what is stored."""
        if not self._allowed(request):
            return UNAUTHORIZED
        if request.method not in {"GET", "HEAD"}:
            return NOT_ALLOWED
        parts, base = request.parts, [it for it in self.path.split("/") if it]
        if parts[: len(base)] != base:
            return NO_ROUTE
        parts = parts[len(base) :]
        return self._about_token(parts) or self._about_project(parts, request)

    def _about_token(self, parts: list[str]) -> Answer | None:
        match parts:
            case ["api", "v4", "user"]:
                return json_answer(USER)
            case ["api", "v4", "personal_access_tokens", "self"]:
                return json_answer(self._token())
        return None

    def _about_project(self, parts: list[str], request: Seen) -> Answer:
        known = self._projects - self.private
        match parts:
            case ["api", "v4", "projects", project, *_] if project not in known:
                return NO_PROJECT
            case ["api", "v4", "projects", project, "merge_requests", iid]:
                return self._merge_requests.get((project, iid), NOT_FOUND)
            case ["api", "v4", "projects", project, "pipelines", pipeline_id, name] if (
                name in self.names
            ):
                if project in self.members_only:
                    return FORBIDDEN
                bridges = self._bridges.get((project, pipeline_id))
                return NOT_FOUND if bridges is None else self._page(bridges, request)
        return NO_ROUTE

    def _token(self) -> Document:
        return {
            "id": 11,
            "name": "notifier",
            "scopes": self.token_scopes,
            "active": True,
            "revoked": False,
            "expires_at": self.token_ends,
        }

    def _allowed(self, request: Seen) -> bool:
        sent = (request.headers.get("private-token"), request.headers.get("authorization"))
        return self.token is None or sent[0] == self.token or sent[1] == f"Bearer {self.token}"

    def _page(self, items: list[Document], request: Seen) -> Answer:
        """Return a page with the headers of offset-based pagination, as GitLab documents them."""
        size = min(_positive(request.first("per_page")) or PAGE_SIZE, LARGEST_PAGE)
        page = _positive(request.first("page")) or 1
        pages = max(1, -(-len(items) // size))
        links = {"prev": page - 1, "next": page + 1, "first": 1, "last": pages}
        links = {rel: number for rel, number in links.items() if 1 <= number <= pages}
        headers = {
            "Link": ", ".join(
                f'<{self._link(request, number, size)}>; rel="{rel}"'
                for rel, number in links.items()
            ),
            "x-next-page": str(links.get("next", "")),
            "x-page": str(page),
            "x-per-page": str(size),
            "x-prev-page": str(links.get("prev", "")),
            "x-total": str(len(items)),
            "x-total-pages": str(pages),
        }
        return json_answer(items[(page - 1) * size : page * size], headers=headers)

    def _link(self, request: Seen, page: int, size: int) -> str:
        parameters = dict(parse_qsl(request.target.partition("?")[2]))
        parameters |= {"page": str(page), "per_page": str(size)}
        return f"{self.url}{request.path}?{urlencode(parameters)}"

    def _project(self, url: str) -> str:
        path = urlsplit(url).path.removeprefix(self.path)
        return path.strip("/").partition("/-/")[0]


def _positive(text: str) -> int:
    return int(text) if text.isdecimal() else 0
