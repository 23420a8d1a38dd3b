"""Parses and checks addresses of merge requests, pipelines and issues.

Forms: GitLab's ``https://host/group/sub/project/-/merge_requests/12`` and ``…/-/pipelines/34``
(the ``/-`` may be missing in old ones), Jira's ``https://host/browse/KEY-1``,
``…/projects/KEY/issues/KEY-1`` and ``…?selectedIssue=KEY-1``.
"""

import re
from urllib.parse import SplitResult, parse_qs, urlsplit

from msgspec import Struct

from cki_notifier.checkout.documents import Checkout, MergeRequestLink

#: GitLab's own rule for the names of groups and projects, a path of two or more.
_PROJECT = r"(?P<project>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+?)"
_MERGE_REQUEST = re.compile(rf"/{_PROJECT}(?:/-)?/merge_requests/(?P<number>[0-9]{{1,18}})/?")
_PIPELINE = re.compile(rf"/{_PROJECT}(?:/-)?/pipelines/(?P<number>[0-9]{{1,18}})/?")
_KEY = r"(?P<key>[A-Za-z][A-Za-z0-9_]{0,49}-[0-9]{1,18})"
_ISSUE_PATH = re.compile(rf".*/(?:browse|issues)/{_KEY}/*")
_ISSUE_KEY = re.compile(_KEY)
_LARGEST_ID = 2**63 - 1


class ProjectLink(Struct, frozen=True):
    """A merge request or a pipeline of a project.

    Attributes:
        origin: scheme, host and port, as ``https://gitlab.com``; the path of a GitLab under one.
        host: the same without the scheme and https's port: the key of its token.
        project: the project's path, as ``group/sub/project``.
        number: the merge request's iid or the pipeline's id.
    """

    origin: str
    host: str
    project: str
    number: int

    @property
    def has_port(self) -> bool:
        """Whether the address names a port."""
        return ":" in self.host.rpartition("]")[2]


def merge_request_link(url: str) -> ProjectLink:
    """Parse a merge request's address.

    Raises:
        ValueError: it is another address; the text says why.
    """
    return _project_link(url, _MERGE_REQUEST, "merge request")


def pipeline_link(url: str | None) -> ProjectLink | None:
    """Parse a pipeline's address; return None for any other."""
    try:
        return _project_link(url or "", _PIPELINE, "pipeline")
    except ValueError:
        return None


def pipeline_id(url: str) -> int:
    """Return the number at the end of a pipeline's address, 0 for none."""
    last = _split(url).path.rstrip("/").rpartition("/")[2]
    number = int(last) if re.fullmatch("[0-9]{1,19}", last) else 0
    return number if number <= _LARGEST_ID else 0


def pipeline_url(checkout: Checkout) -> str:
    """Return the address of the GitLab pipeline that coordinated the checkout, or ``""``."""
    for entry in (checkout.misc and checkout.misc.provenance) or ():
        if entry.function == "coordinator" and entry.service_name == "gitlab" and entry.url:
            return entry.url
    return ""


def own_pipeline_id(checkout: Checkout) -> int:
    """Return the id of the pipeline that made the checkout, 0 if unknown."""
    return pipeline_id(pipeline_url(checkout))


def merge_request_of(checkout: Checkout) -> tuple[str, MergeRequestLink] | None:
    """Return the checkout's merge request and the name of its field, or None."""
    misc = checkout.misc
    if misc is not None and misc.mr is not None and misc.mr.url:
        return "misc.mr.url", misc.mr
    if misc is not None and misc.related_merge_request and misc.related_merge_request.url:
        return "misc.related_merge_request.url", misc.related_merge_request
    return None


def merge_request_url(checkout: Checkout) -> str:
    """Return the address of the checkout's merge request in DataWarehouse, or ``""``."""
    found = merge_request_of(checkout)
    return found[1].url or "" if found else ""


def issue_key(url: str) -> str | None:
    """Return the key of the Jira issue in an address, in upper case, None for none."""
    parts = _split(url)
    found = _ISSUE_PATH.fullmatch(parts.path)
    if found is None:  # a board, or a list, in which one issue is open
        selected = parse_qs(parts.query).get("selectedIssue", [""])
        found = _ISSUE_KEY.fullmatch(selected[0])
    return found["key"].upper() if found else None


def _project_link(url: str, form: re.Pattern[str], what: str) -> ProjectLink:
    if " " in url or not url.isprintable():  # urlsplit would pass over some of these
        raise ValueError(
            f"{url!r} is not the address of a {what}: it has spaces or control characters"
        )
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is no number
    except ValueError as error:
        raise ValueError(f"{url!r} is not the address of a {what}: {error}") from error
    found = form.fullmatch(parts.path)
    safe = re.fullmatch(r"[A-Za-z0-9_.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", parts.netloc)
    if parts.scheme not in {"http", "https"} or not safe or not found:
        raise ValueError(f"{url!r} is not the address of a {what}")
    if {".", "..", "-"} & set(found["project"].split("/")):
        raise ValueError(f"{url!r} is not the address of a {what}: its path names no project")
    host = parts.netloc.lower()
    if parts.scheme == "https":
        host = host.removesuffix(":443")
    return ProjectLink(f"{parts.scheme}://{host}", host, found["project"], int(found["number"]))


def _split(url: str) -> SplitResult:
    """Parse an address; an invalid one has no parts."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
