"""A stand-in for GitLab's REST API v4: merge requests and the trigger jobs of pipelines."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tools.stand_ins.documents import Document

from .server import ANYWHERE, Answer, Place, Seen, Service, json_answer

UNAUTHORIZED = json_answer({"message": "401 Unauthorized"}, 401)
NO_PROJECT = json_answer({"message": "404 Project Not Found"}, 404)
NOT_FOUND = json_answer({"message": "404 Not found"}, 404)
NO_ROUTE = json_answer({"error": "404 Not Found"}, 404)
#: For a project whose pipelines only members may read.
FORBIDDEN = json_answer({"message": "403 Forbidden"}, 403)
NOT_ALLOWED = json_answer({"error": "405 Not Allowed"}, 405, {"Allow": "GET, HEAD"})

USER = {"id": 7, "username": "cki-bot", "name": "CKI Bot"}
TOKEN = {"id": 11, "name": "notifier", "active": True, "revoked": False}
PAGE_SIZE = 20
LARGEST_PAGE = 100
#: GitLab's names for the list of a pipeline's trigger jobs: until 19.1, now, and in future.
BRIDGES_ALONE = frozenset({"bridges"})
BOTH_NAMES = frozenset({"bridges", "trigger_jobs"})
TRIGGER_JOBS_ALONE = frozenset({"trigger_jobs"})
VERSIONS = {
    **dict.fromkeys(("15", "16", "17", "18", "19.1"), BRIDGES_ALONE),
    "19.2": BOTH_NAMES,
    "without bridges": TRIGGER_JOBS_ALONE,
}


class Gitlab(Service):
    """Serves the merge requests that you add, of any number of projects.

    Without a `token` all clients may read. With one, a request needs it as `PRIVATE-TOKEN` or as a
    bearer token. The stand-in answers 401 to other requests, the real GitLab 404 for a private
    project. A pipeline that a bridge names exists, without bridges until you add some.
    """

    def __init__(self, place: Place = ANYWHERE) -> None:
        super().__init__(place)
        self.token: str | None = None
        #: The day on which the token expires, in GitLab's format, and its scopes.
        self.token_ends: str | None = None
        self.token_scopes = ["read_api"]
        #: The path on its host, like "/gitlab". Set it before you add documents.
        self.path = ""
        #: The names of the list of trigger jobs.
        self.names = BRIDGES_ALONE
        #: Projects whose pipelines only members may read (403), and private projects (404).
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
        self, document: Mapping[str, Any], bridges: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """Store a merge request, or replace an older one, with its head pipeline's bridges.

        The paths of their `web_url` say where they are.
        """
        project, _ = self._place(document["web_url"])
        self._projects.add(project)
        self._merge_requests[project, str(document["iid"])] = json_answer(document)
        if pipeline := document.get("head_pipeline"):
            self.add_bridges(pipeline["web_url"], bridges)

    def add_bridges(self, pipeline_url: str, bridges: Iterable[Mapping[str, Any]]) -> None:
        """Store a pipeline with its bridges, or replace its older ones."""
        listed = [dict(bridge) for bridge in bridges]
        triggered = (it["downstream_pipeline"] for it in listed if it.get("downstream_pipeline"))
        for url in [pipeline_url, *(it["web_url"] for it in triggered if "web_url" in it)]:
            self._projects.add(self._place(url)[0])
            self._bridges.setdefault(self._place(url), [])
        self._bridges[self._place(pipeline_url)] = listed

    def route(self, request: Seen) -> Answer:  # noqa: PLR0911  # a table of routes
        """Answer from the stored documents."""
        sent = (request.headers.get("private-token"), request.headers.get("authorization"))
        if self.token is not None and self.token != sent[0] and f"Bearer {self.token}" != sent[1]:
            return UNAUTHORIZED
        if request.method not in {"GET", "HEAD"}:
            return NOT_ALLOWED
        base = [*filter(None, self.path.split("/")), "api", "v4"]
        if request.parts[: len(base)] != base:
            return NO_ROUTE
        match request.parts[len(base) :]:
            case ["user"]:
                return json_answer(USER)
            case ["personal_access_tokens", "self"]:
                ends, scopes = self.token_ends, self.token_scopes
                return json_answer(TOKEN | {"scopes": scopes, "expires_at": ends})
            case ["projects", project, *_] if project not in self._projects - self.private:
                return NO_PROJECT
            case ["projects", project, "merge_requests", iid]:
                return self._merge_requests.get((project, iid), NOT_FOUND)
            case ["projects", project, "pipelines", pipeline_id, name] if name in self.names:
                if project in self.members_only:
                    return FORBIDDEN
                bridges = self._bridges.get((project, pipeline_id))
                return NOT_FOUND if bridges is None else self._page(bridges, request)
        return NO_ROUTE

    def _page(self, items: list[Document], request: Seen) -> Answer:
        """Return a page with GitLab's headers of offset-based pagination."""
        size = min(request.number("per_page") or PAGE_SIZE, LARGEST_PAGE)
        page = request.number("page") or 1
        pages = max(1, -(-len(items) // size))
        numbers = {"prev": page - 1, "next": page + 1, "first": 1, "last": pages}
        links = {
            rel: self.url + request.target_with(page=number, per_page=size)
            for rel, number in numbers.items()
            if 1 <= number <= pages
        }
        headers = {
            "Link": ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links.items()),
            "x-next-page": str(page + 1) if "next" in links else "",
            "x-page": str(page),
            "x-per-page": str(size),
            "x-prev-page": str(page - 1) if "prev" in links else "",
            "x-total": str(len(items)),
            "x-total-pages": str(pages),
        }
        return json_answer(items[(page - 1) * size : page * size], headers=headers)

    def _place(self, url: str) -> tuple[str, str]:
        """Return the project and the number in a URL."""
        project, _, place = urlsplit(url).path.removeprefix(self.path).strip("/").partition("/-/")
        return project, place.rpartition("/")[2]
