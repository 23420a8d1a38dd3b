"""GitLab's REST API (v4), the only module that knows its endpoints."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import quote

from msgspec import Meta

from cki_notifier.checkout.documents import Document
from cki_notifier.checkout.links import ProjectLink, merge_request_link, pipeline_link
from cki_notifier.checkout.trailers import trailers
from cki_notifier.configuration.secret import Secret
from cki_notifier.notification.errors import InvalidDocument, NotFound, Refused, Unavailable
from cki_notifier.notification.models import MergeRequest
from cki_notifier.sources.http import HTTP, MOST_PAGES, Reading, Server
from cki_notifier.workers.deadline import Deadline

logger = logging.getLogger(__name__)

T = TypeVar("T")

_MERGE_REQUEST_PATH = "/api/v4/projects/{}/merge_requests/{}"
_PIPELINE_PATH = "/api/v4/projects/{}/pipelines/{}"
#: Names of the list of trigger jobs: the older one, and the one since GitLab 19.2.
_TRIGGERS = ("bridges", "trigger_jobs")
#: Limits of the search for downstream pipelines: levels, and pipelines. Two levels, because a
#: fork's pipeline may trigger one of the project, which triggers that of the build.
_LEVELS, _MOST_PIPELINES = 2, 50
#: Limit of remembered hosts (their name of the list) and checkouts (their host). Beyond it, all are
#: forgotten.
_MOST_REMEMBERED = 10_000
#: The token's user, and the token itself.
PROBE, TOKEN = "/api/v4/user", "/api/v4/personal_access_tokens/self"
#: GitLab's limit of entries on a page.
_PER_PAGE = 100
#: The timeout of a request, in seconds. The documents are small.
_REQUEST_SECONDS = 30.0
#: One link of the header. The pattern reads no part of it twice.
_LINK = re.compile(r"<([^<>]*+)>\s*+;([^,<]*+)")
_IS_NEXT = re.compile(r'\brel="?next\b')


class Pipeline(Document, frozen=True):
    """A pipeline in other documents."""

    id: int
    web_url: str | None = None


class Bridge(Document, frozen=True):
    """A trigger job, and the pipeline it triggered, perhaps in another project."""

    downstream_pipeline: Pipeline | None = None


#: GitLab's labels have up to 255 characters, and real merge requests have few of them.
_Labels = Annotated[tuple[Annotated[str, Meta(max_length=1_000)], ...], Meta(max_length=1_000)]


class MergeRequestDocument(Document, frozen=True):
    """A merge request in GitLab."""

    state: Annotated[str, Meta(max_length=100)]
    draft: bool | None = None
    labels: _Labels | None = None
    description: str | None = None
    head_pipeline: Pipeline | None = None


#: Of a page of trigger jobs: the triggered pipelines, and the query of the next page.
_BridgePage = tuple[tuple[Pipeline, ...], str | None]


class GitLab:
    """Reads merge requests and the pipelines that belong to them.

    Args:
        http: the client.
        tokens: by host.
    """

    def __init__(self, http: HTTP, tokens: Mapping[str, Secret]) -> None:
        self._http = http
        self._tokens = tokens
        #: By checkout.
        self._needed: dict[str, ProjectLink] = {}
        #: By origin, if it is not the usual name.
        self._triggers: dict[str, str] = {}

    def check(self, checkout_id: str) -> None:
        """Check that a checkout can wait for the host of its merge request, if known.

        Raises:
            Unavailable: the host is down, and enough checkouts wait for it.
        """
        link = self._needed.get(checkout_id)
        if link and self._http.is_full(link.origin):
            text = f"{link.host} is down, and enough notifications wait for it"
            raise Unavailable("gitlab", text, held=True)

    def place(self, checkout_id: str, url: str, deadline: Deadline) -> AbstractContextManager[None]:
        """Hold a place at the host of a merge request, for all requests about it.

        Raises:
            Unavailable: the host is stuck, and enough checkouts wait for it.
            Interrupted: the process is stopping.
        """
        try:
            link = self._link(url)
        except ValueError:
            return nullcontext()  # merge_request() raises for it
        _remember(self._needed, checkout_id, link)
        return self._http.place(server_of(link.origin, link.host, None), deadline)

    def merge_request(
        self, url: str, field: str, deadline: Deadline
    ) -> tuple[MergeRequest, Pipeline | None]:
        """Read a merge request and its head pipeline; errors as :meth:`HTTP.get`.

        Args:
            url: from DataWarehouse.
            field: DataWarehouse's field with the address, for the error.
            deadline: for all tries together.

        Raises:
            InvalidDocument: also if the address is not that of a merge request.
        """
        try:
            link = self._link(url)
        except ValueError as error:
            raise InvalidDocument(f"datawarehouse: `{field}`: {error}") from error
        path = _MERGE_REQUEST_PATH.format(quote(link.project, safe=""), link.number)
        reading = Reading(
            MergeRequestDocument,
            partial(_merge_request, url),
            seconds=_REQUEST_SECONDS,
            absent="merge request",
        )
        return self._http.get(self._server(link), path, reading, deadline, url).result()

    def downstream_pipeline_ids(
        self, url: str, head: Pipeline, wanted: int, deadline: Deadline
    ) -> frozenset[int] | None:
        """Return the ids of the pipelines downstream of a merge request's head pipeline.

        Reads each pipeline from the project in its address, such as a fork. Errors as
        :meth:`HTTP.get`, except refusals and invalid documents: these give None, because the
        message does not depend on them.

        Args:
            url: the valid address of the merge request. Only its server is asked.
            head: the merge request's head pipeline.
            wanted: the search ends when it finds this id.
            deadline: for all tries together.

        Returns:
            The ids found so far; None if unknown.
        """
        found: set[int] = set()
        try:
            for pipelines in self._downstream(self._link(url), head, url, deadline):
                found |= {it.id for it in pipelines}
                if wanted in found:
                    break
        except (NotFound, Refused, InvalidDocument) as error:
            text = (
                "%s; the pipelines downstream of the merge request's pipeline %d are unknown, so "
            )
            text += "the checkout of pipeline %d counts as not superseded"
            logger.warning(text, error, head.id, wanted)
            return None
        return frozenset(found)

    def _downstream(
        self, link: ProjectLink, head: Pipeline, about: str, deadline: Deadline
    ) -> Iterator[tuple[Pipeline, ...]]:
        """Yield the pipelines downstream of one, level by level, a page at a time.

        Raises:
            Refused: also for too many pipelines, or one at another host.
        """
        pages = pipelines_seen = 0
        home = pipeline_link(head.web_url)
        hosts = {it.host for it in (link, home) if it}
        seen: set[int] = set()
        level = {head.id: self._based(home).project if home else link.project}
        for depth in range(1, _LEVELS + 1):
            seen |= level.keys()
            below: dict[int, Pipeline] = {}
            for number, project in level.items():
                for pipelines in self._triggered(link, (project, number), about, deadline):
                    yield pipelines
                    pages, pipelines_seen = pages + 1, pipelines_seen + len(pipelines)
                    if pages == MOST_PAGES or pipelines_seen > MOST_PAGES * _PER_PAGE:
                        raise Refused("gitlab", f"the list of pipelines below {head.id} never ends")
                    below |= {it.id: it for it in pipelines if it.id not in seen}
            if depth < _LEVELS:
                if len(below) > _MOST_PIPELINES:
                    raise Refused(
                        "gitlab",
                        f"pipeline {head.id} triggered {len(below)} pipelines, too many to check",
                    )
                level = {it.id: self._project(it, hosts) for it in below.values()}

    def _project(self, pipeline: Pipeline, hosts: set[str]) -> str:
        """Return the path of a pipeline's project."""
        link = pipeline_link(pipeline.web_url)
        if link is None or link.host not in hosts:
            raise Refused("gitlab", f"pipeline {pipeline.id} has an address on another host")
        return self._based(link).project

    def _triggered(
        self, link: ProjectLink, pipeline: tuple[str, int], about: str, deadline: Deadline
    ) -> Iterator[tuple[Pipeline, ...]]:
        """Yield the pipelines that one triggered, a page at a time.

        Args:
            link: at the server to ask.
            pipeline: its project and its id.
            about: see :meth:`HTTP.get`.
            deadline: for all tries together.
        """
        server = self._server(link)
        path = _PIPELINE_PATH.format(quote(pipeline[0], safe=""), pipeline[1])

        def get(name: str, query: str) -> _BridgePage:
            target = f"{path}/{name}?{query}"
            return self._http.get(server, target, _BRIDGES, deadline, about).result()

        first = f"per_page={_PER_PAGE}"
        name = self._triggers.get(link.origin, _TRIGGERS[0])
        try:
            pipelines, query = get(name, first)
        except NotFound:
            (name,) = {*_TRIGGERS} - {name}
            pipelines, query = get(name, first)
            _remember(self._triggers, link.origin, name)
        asked = {first}
        yield pipelines
        while query:
            if query in asked:
                raise Refused("gitlab", f"the pages of GET {path}/{name} never end")
            asked.add(query)
            pipelines, query = get(name, query)
            yield pipelines

    def _link(self, url: str) -> ProjectLink:
        """Parse a merge request's address, as :func:`merge_request_link` does."""
        return self._based(merge_request_link(url))

    def _based(self, link: ProjectLink) -> ProjectLink:
        """Return a link with the path of its GitLab as part of the host.

        Only GITLAB_TOKENS tells such a path from a group's.
        """
        whole = f"{link.host}/{link.project}"
        keys = (it for it in self._tokens if "/" in it and whole.startswith(f"{it}/"))
        bases = [it for it in keys if "/" in whole.removeprefix(f"{it}/")]
        if not bases:
            return link
        base = max(bases, key=len)
        origin = link.origin + base.removeprefix(link.host)
        return ProjectLink(origin, base, whole.removeprefix(f"{base}/"), link.number)

    def _server(self, link: ProjectLink) -> Server:
        """Return the server of a link, with its token.

        A host without a port in GITLAB_TOKENS means https: a document with an http address must not
        make us send the token in plain text. With a port, the address decides.
        """
        token = self._tokens.get(link.host)
        if token is not None and link.origin.startswith("http://") and not link.has_port:
            logger.warning("gitlab: %s gets no token, because it does not use https", link.origin)
            token = None
        return server_of(link.origin, link.host, token)


def server_of(origin: str, host: str, token: Secret | None) -> Server:
    """Return a GitLab as a server of the HTTP client, anonymous without a token."""
    headers = ["Accept: application/json"]
    if token is not None:
        headers.append(f"PRIVATE-TOKEN: {token.reveal()}")
    return Server(
        name="gitlab",
        url=origin,
        headers=headers,
        token_variable=f"GITLAB_TOKENS for {host}",
        host=host,
    )


def _remember(kept: dict[str, T], key: str, value: T) -> None:
    if len(kept) >= _MOST_REMEMBERED:
        kept.clear()
    kept[key] = value


def _next_query(headers: Mapping[str, str]) -> str | None:
    """Return the query of a list's next page, None after the last one.

    Source: GitLab's documentation of offset-based pagination, which prefers the ``link`` header to
    ``x-next-page``.
    """
    for address, parameters in _LINK.findall(headers.get("link", "")):
        if _IS_NEXT.search(parameters):
            return str(address).partition("?")[2].partition("#")[0] or None
    number = headers.get("x-next-page", "")
    return f"per_page={_PER_PAGE}&page={number}" if number.isdecimal() else None


def _bridge_page(bridges: tuple[Bridge, ...], headers: Mapping[str, str]) -> _BridgePage:
    triggered = (bridge.downstream_pipeline for bridge in bridges)
    return tuple(it for it in triggered if it), _next_query(headers)


def _merge_request(
    url: str, document: MergeRequestDocument, _headers: Mapping[str, str]
) -> tuple[MergeRequest, Pipeline | None]:
    """Return the wanted fields of a merge request, without its description."""
    head, links = document.head_pipeline, trailers(document.description)
    merge_request = MergeRequest(
        url=url,
        state=document.state,
        is_draft=document.draft is True,
        labels=document.labels or (),
        jira=links.jira,
        bugzilla=links.bugzilla,
        head_pipeline_id=head.id if head else None,
    )
    return merge_request, head


_BRIDGES = Reading(
    tuple[Bridge, ...],
    _bridge_page,
    wants_headers=True,
    seconds=_REQUEST_SECONDS,
    is_needed=False,
)
