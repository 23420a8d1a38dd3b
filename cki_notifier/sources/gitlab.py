"""GitLab's REST API (v4) at the host of a merge request, and nothing else knows its endpoints."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, Struct

from cki_notifier.checkout.documents import Document
from cki_notifier.checkout.links import ProjectLink, merge_request_link, pipeline_project
from cki_notifier.configuration.secret import Secret
from cki_notifier.notification.errors import InvalidDocument, Unavailable
from cki_notifier.sources.hosts import Hosts
from cki_notifier.sources.http import HTTP, MOST_PAGES, Page, Reading, Server
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.shares import USUAL, Shares

logger = logging.getLogger(__name__)

_MERGE_REQUEST_PATH = "/api/v4/projects/{}/merge_requests/{}"
_BRIDGES_PATH = "/api/v4/projects/{}/pipelines/{}/bridges"
#: Who has the token, and the token itself.
PROBE, TOKEN = "/api/v4/user", "/api/v4/personal_access_tokens/self"
#: The pages of a list are numbered; GitLab gives up to so many entries each.
_PER_PAGE = 100
#: None of the documents is waited for longer, in seconds: they are small.
_REQUEST_SECONDS = 30.0
#: No more trailers are looked at, and no longer link is one, in characters.
_MOST_TRAILERS, _LONGEST_LINK = 1_000, 2_000
#: One link of the header. Whatever a server sends, no part of it is looked at twice.
_LINK = re.compile(r"<([^<>]*+)>\s*+;([^,<]*+)")
_IS_NEXT = re.compile(r'\brel="?next\b')
#: ASCII letters alone: Unicode has an i without a dot and a long s, of the same upper case as ours.
_TRAILER = re.compile(
    r"^[ \t]*(?P<name>(?ai:jira|bugzilla))[ \t]*:[ \t]*(?P<link>(?ai:https?)://[^\s<>]+)[ \t]*\r?$",
    re.MULTILINE,
)


class Pipeline(Document, frozen=True):
    """A pipeline as other documents refer to it."""

    id: int
    web_url: str | None = None


class Bridge(Document, frozen=True):
    """A trigger job, and the pipeline it triggered, perhaps in another project."""

    downstream_pipeline: Pipeline | None = None


#: GitLab's own labels have up to 255 characters, and nobody gives a merge request hundreds.
_Labels = Annotated[tuple[Annotated[str, Meta(max_length=1_000)], ...], Meta(max_length=1_000)]


class MergeRequestDocument(Document, frozen=True):
    """A merge request, as GitLab tells of it."""

    state: Annotated[str, Meta(max_length=100)]
    draft: bool | None = None
    labels: _Labels | None = None
    description: str | None = None
    head_pipeline: Pipeline | None = None


class _BridgePage(Struct, frozen=True):
    """What a page of bridges says: the triggered pipelines' ids, and where the next page is."""

    ids: tuple[int, ...]
    next_query: str | None


class Trailers(Struct, frozen=True):
    """The links on lines of their own in a description, in their order, each once."""

    jira: tuple[str, ...]
    bugzilla: tuple[str, ...]


class ReadMergeRequest(Struct, frozen=True):
    """What is wanted of a merge request; its description is not kept."""

    state: str
    is_draft: bool
    labels: tuple[str, ...]
    links: Trailers
    head_pipeline: Pipeline | None


class GitLab:
    """Reads merge requests and the pipelines that belong to them.

    Args:
        http: our HTTP edge.
        tokens: by host.
        shares: of one host.
    """

    def __init__(self, http: HTTP, tokens: Mapping[str, Secret], shares: Shares = USUAL) -> None:
        self._http = http
        self._tokens = tokens
        self._hosts = Hosts("gitlab", shares, http.is_full)

    def check(self, checkout_id: str) -> None:
        """Raise at once where a checkout's merge request is known to be out of reach now.

        Raises:
            Unavailable: its host is down, and enough checkouts wait for it already.
        """
        self._hosts.check(checkout_id)

    def place(self, checkout_id: str, url: str, deadline: Deadline) -> AbstractContextManager[None]:
        """Have a place before the host of a merge request, for all that is asked of it.

        Raises:
            Unavailable: the host gets nobody ready, and enough checkouts wait for it already.
            Interrupted: the process is stopping.
        """
        try:
            link = merge_request_link(url)
        except ValueError:
            return nullcontext()  # as whoever asks for the merge request finds out
        return self._hosts.place(checkout_id, link, deadline)

    def merge_request(self, url: str, field: str, deadline: Deadline) -> ReadMergeRequest:
        """Read a merge request; errors as :meth:`HTTP.get`.

        Args:
            url: as the warehouse gave it.
            field: where the warehouse gave it, for the error.
            deadline: for all tries together.

        Raises:
            InvalidDocument: besides, when the address is none of a merge request.
        """
        try:
            link = merge_request_link(url)
        except ValueError as error:
            raise InvalidDocument(f"datawarehouse: `{field}`: {error}") from error
        path = _MERGE_REQUEST_PATH.format(quote(link.project, safe=""), link.number)
        return self._http.get(self._server(link), path, _DOCUMENT, deadline, url).result()

    def downstream_pipeline_ids(
        self, url: str, head: Pipeline, deadline: Deadline
    ) -> Iterator[int]:
        """Yield the ids of the pipelines that a merge request's head pipeline triggered.

        They are asked of the project the head pipeline lives in: for a merge request from a fork
        that is the fork. Errors as :meth:`HTTP.get`.

        Args:
            url: the merge request's, a valid one; its server is asked, and no other.
            head: the merge request's head pipeline.
            deadline: for all tries together.
        """
        link = merge_request_link(url)
        project = pipeline_project(head.web_url) or link.project
        path = _BRIDGES_PATH.format(quote(project, safe=""), head.id)
        query: str | None = f"per_page={_PER_PAGE}"
        seen: set[str] = set()
        count = 0
        while query:
            if query in seen or len(seen) >= MOST_PAGES or count > MOST_PAGES * _PER_PAGE:
                raise Unavailable("gitlab", f"the pages of GET {path} never end")
            seen.add(query)
            page = self._http.get(
                self._server(link), f"{path}?{query}", _BRIDGES, deadline, url
            ).result()
            count += len(page.ids)
            yield from page.ids
            query = page.next_query

    def _server(self, link: ProjectLink) -> Server:
        """Return the server of a link, with the token that is meant for it.

        A host without a port in GITLAB_TOKENS stands for https: else a document that says http
        would have the token sent in plain text. With a port it is as the address says.
        """
        token = self._tokens.get(link.host)
        if token is not None and link.origin.startswith("http://") and not link.has_port:
            logger.warning("gitlab: no token is sent to %s, only over https", link.origin)
            token = None
        return server_of(link.origin, link.host, token)


def server_of(origin: str, host: str, token: Secret | None) -> Server:
    """Return a GitLab as the HTTP edge knows it; without a token it is read anonymously."""
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


def trailers(description: str | None) -> Trailers:
    """Find the links of a description's ``JIRA:`` and ``Bugzilla:`` trailers."""
    links: dict[str, dict[str, None]] = {"jira": {}, "bugzilla": {}}
    for found in islice(_TRAILER.finditer(description or ""), _MOST_TRAILERS):
        if found["link"].isprintable() and len(found["link"]) <= _LONGEST_LINK:
            links[found["name"].lower()][found["link"]] = None
    return Trailers(tuple(links["jira"]), tuple(links["bugzilla"]))


def _next_query(headers: Mapping[str, str]) -> str | None:
    """Return the query of a list's next page, None after the last one.

    Source: GitLab's documentation of offset-based pagination, by which the ``link`` header is to
    be preferred to ``x-next-page``.
    """
    for address, parameters in _LINK.findall(headers.get("link", "")):
        if _IS_NEXT.search(parameters):
            return str(address).partition("?")[2].partition("#")[0] or None
    number = headers.get("x-next-page", "")
    return f"per_page={_PER_PAGE}&page={number}" if number.isdecimal() else None


def _bridge_page(page: Page[tuple[Bridge, ...]]) -> _BridgePage:
    triggered = (bridge.downstream_pipeline for bridge in page.document)
    return _BridgePage(tuple(it.id for it in triggered if it), _next_query(page.headers))


def _read(page: Page[MergeRequestDocument]) -> ReadMergeRequest:
    document = page.document
    return ReadMergeRequest(
        state=document.state,
        is_draft=document.draft is True,
        labels=document.labels or (),
        links=trailers(document.description),
        head_pipeline=document.head_pipeline,
    )


_DOCUMENT = Reading(MergeRequestDocument, _read, seconds=_REQUEST_SECONDS)
_BRIDGES = Reading(tuple[Bridge, ...], _bridge_page, wants_headers=True, seconds=_REQUEST_SECONDS)
