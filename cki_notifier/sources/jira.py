"""Looks up Jira issues: an optional part of the message, which waits for them a few seconds.

One query asks for all issues of a message. Missing ones are requested one by one: a moved issue
answers to its old key, with its new one. Jira Cloud has another search. It is recognized by its
address, by an email in the configuration, or by its 410 for the older search.

Why not the ``jira`` package: its timeouts restart with each piece of an answer, and it has no size
limit. So each lookup would need a thread that may never end.
"""

import logging
import re
import time
from collections.abc import Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from cki_notifier.checkout.documents import Document
from cki_notifier.checkout.links import issue_key
from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.notification.decoding import decode
from cki_notifier.notification.models import JiraIssue
from cki_notifier.sources.http import TOKEN_REFUSED, Server, other_server
from cki_notifier.sources.transfer import Response, TransferError, Transfers, Wanted
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import LONGEST_PROBE_SECONDS, Gate

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The longest a message waits for Jira, in seconds.
LOOK_UP_SECONDS = 5.0
#: Limit of issues of one message, because the query has to fit into an address.
_MOST_ISSUES = 100
#: Limit of missing issues that are requested one by one.
_MOST_SINGLE = 10
#: Limit of a decompressed answer, far above the size of these issues.
_LARGEST_BODY_BYTES = 8 * 1024 * 1024
#: The token's user; and a request without a token.
PROBE, SERVER_INFO = "/rest/api/2/myself", "/rest/api/2/serverInfo"
_FIELDS = ("summary", "status", "priority", "components", "fixVersions", "labels")
#: Codes of a search that last until the configuration or Jira changes.
LASTING = TOKEN_REFUSED | {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_UNKNOWN: frozenset[int] = frozenset({HTTPStatus.NOT_FOUND})
#: A Data Center's codes for a hidden issue.
_UNSEEN = _UNKNOWN | TOKEN_REFUSED
#: Possible keys of issues in any answer. The pattern reads no part of it twice.
_KEY = re.compile(rb"(?<![A-Z0-9_])[A-Z0-9_]++-[0-9]++")


class _Named(Document, frozen=True):
    name: str | None = None


class _Fields(Document, frozen=True, rename={"fix_versions": "fixVersions"}):
    summary: str | None = None
    status: _Named | None = None
    priority: _Named | None = None
    components: tuple[_Named, ...] | None = None
    fix_versions: tuple[_Named, ...] | None = None
    labels: tuple[str, ...] | None = None


class _Issue(Document, frozen=True):
    key: str
    fields: _Fields = _Fields()


class _Found(Document, frozen=True):
    issues: tuple[_Issue, ...]


class _FailedError(Exception):
    """A failed request to Jira.

    Attributes:
        code: HTTP's status code, 0 without a response.
        keys: possible keys of issues in the answer.
        leads_to: another server that it redirects to, ``""`` for none.
    """

    def __init__(
        self, text: str, code: int = 0, keys: frozenset[str] = frozenset(), leads_to: str = ""
    ) -> None:
        super().__init__(text)
        self.code = code
        self.keys = keys
        self.leads_to = leads_to


class JiraIssues:
    """Looks up the issues of merge requests; all threads share it.

    Args:
        transfers: carry the requests.
        config: of Jira.
        seconds: the longest a message waits for Jira.
    """

    def __init__(
        self, transfers: Transfers, config: JiraConfig, seconds: float = LOOK_UP_SECONDS
    ) -> None:
        self.transfers = transfers
        self.server = server_of(config)
        self.gate = Gate("jira")
        #: The first search may change it.
        self.is_cloud = config.is_cloud
        self._config = config
        self._seconds = seconds

    def find(self, links: Iterable[str], deadline: Deadline) -> tuple[JiraIssue, ...] | None:
        """Return the issues of links, in the order of the links.

        Args:
            links: from the merge request.
            deadline: of the message.

        Returns:
            None if no link names an issue, or if Jira failed.
        """
        named = {link: key for link in links if (key := issue_key(link))}
        keys = list(dict.fromkeys(named.values()))[:_MOST_ISSUES]
        if not keys:
            return None
        look_up = _LookUp(self, deadline, min(self._seconds, deadline.remaining()))
        failure = self._failure(look_up, sorted(keys), deadline)
        if failure:
            self._warn(failure, [key for key in keys if key not in look_up.issues])
            if not look_up.issues:
                return None
        return tuple(
            _jira_issue(look_up.issues[key], link)
            for link, key in named.items()
            if key in look_up.issues
        )

    def _failure(self, look_up: "_LookUp", keys: list[str], deadline: Deadline) -> str:
        """Look up issues, and report to the gate; return the failure, ``""`` for none."""
        if not self.gate.may_ask():
            return "it is down, and retried about once a second"
        started = time.monotonic()
        try:
            look_up.run(keys)
        except _FailedError as error:
            lasting = _what_to_do(self._config, error)
            if lasting:  # the 410 may not have meant a Cloud
                self.is_cloud = self._config.is_cloud
            if deadline.remaining():  # else Jira did not get its time
                self.gate.failed(
                    keys[0],
                    whole=error.code != HTTPStatus.BAD_REQUEST,  # which is about one query
                    since=started,
                    retry_after=LONGEST_PROBE_SECONDS if lasting else 0,
                    trouble=Trouble(lasting or str(error), refuses=error.code in TOKEN_REFUSED),
                )
            return str(error)
        self.gate.passed()
        return ""

    @staticmethod
    def _warn(text: str, keys: Iterable[str]) -> None:
        """Count a failure, and log it, as INFO during an outage."""
        metrics.enrichment_failures.labels("jira").inc()
        level = logging.INFO if metrics.connected.affects("jira") else logging.WARNING
        logger.log(level, "jira: %s; the message goes without %s", text, ", ".join(keys))


class _LookUp:
    """One lookup, with a timeout.

    Attributes:
        issues: found so far, by the requested keys.
    """

    def __init__(self, jira: JiraIssues, deadline: Deadline, seconds: float) -> None:
        self.issues: dict[str, _Issue] = {}
        self._jira = jira
        self._deadline = deadline
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def run(self, keys: Sequence[str]) -> None:
        """Find the issues.

        Raises:
            _FailedError: a request failed; the issues found before stay.
        """
        unseen = _UNSEEN
        try:
            found = {issue.key.upper(): issue for issue in self._search(keys)}
        except _FailedError as error:
            if error.code != HTTPStatus.BAD_REQUEST:
                raise
            found, unseen = {}, _UNKNOWN
        else:
            self._jira.gate.passed()
        self.issues.update({key: found.pop(key) for key in keys if key in found})
        missing = [key for key in keys if key not in self.issues]
        if len(missing) == len(found) == 1:  # it was moved
            self.issues[missing[0]] = found.popitem()[1]
            return
        for key in missing[:_MOST_SINGLE]:
            try:
                self.issues[key] = self._get(_issue_path(key), _Issue, unseen)
            except _FailedError as error:
                if error.code not in unseen:
                    raise

    def _search(self, keys: Sequence[str], *, again: bool = True) -> tuple[_Issue, ...]:
        """Return the result of one query, without keys that a Cloud refuses."""
        if not keys:
            return ()
        is_cloud = self._jira.is_cloud
        try:
            return self._get(search_path(keys, is_cloud=is_cloud), _Found).issues
        except _FailedError as error:
            if error.code == HTTPStatus.GONE and not is_cloud:
                self._jira.is_cloud = True
            elif error.code == HTTPStatus.BAD_REQUEST and again and error.keys.intersection(keys):
                keys, again = [key for key in keys if key not in error.keys], False
            else:
                raise
        return self._search(keys, again=again)

    def _get(self, path: str, type_: type[T], unseen: frozenset[int] = frozenset()) -> T:
        """Return a document, within the lookup's timeout."""
        server, seconds = self._jira.server, max(0.0, self._until - time.monotonic())
        wanted = Wanted(
            server.url + path,
            server.headers,
            seconds=seconds,
            patience=seconds,
            most_bytes=_LARGEST_BODY_BYTES,
            line=server.name,
            server=server.url,
        )
        digest = partial(_digest, server, type_, unseen, time.monotonic())
        future = self._jira.transfers.digest(wanted, digest)
        try:
            return self._deadline.wait_for(future, seconds, "an answer of jira")
        except TimeoutError as error:
            raise _FailedError(f"no answer within {self._seconds:g} s") from error


def server_of(config: JiraConfig) -> Server:
    """Return Jira as a server of the HTTP client."""
    headers = ["Accept: application/json"]
    if config.basic is not None:
        headers.append(f"Authorization: Basic {config.basic.reveal()}")
    elif config.token is not None:
        headers.append(f"Authorization: Bearer {config.token.reveal()}")
    return Server(
        name="jira",
        url=config.url,
        headers=headers,
        token_variable="JIRA_TOKEN_AUTH",  # noqa: S106  # the name of one
    )


def search_path(keys: Sequence[str], *, is_cloud: bool) -> str:
    """Return the path and query that find issues."""
    asked = {"jql": f"key in ({', '.join(keys)})", "maxResults": len(keys), "fields": _FIELDS}
    if is_cloud:
        return f"/rest/api/2/search/jql?{urlencode(asked, doseq=True)}"
    asked["validateQuery"] = "false"  # one unknown key must not cost the others
    return f"/rest/api/2/search?{urlencode(asked, doseq=True)}"


def _issue_path(key: str) -> str:
    return f"/rest/api/2/issue/{key}?fields={','.join(_FIELDS)}"


def _digest(
    server: Server,
    type_: type[T],
    unseen: frozenset[int],
    started: float,
    outcome: Response | TransferError,
) -> T:
    """Read a response, in the transfers' thread."""
    code = 0 if isinstance(outcome, TransferError) else outcome.code
    told = (
        HTTPStatus.NOT_FOUND if code in unseen else code
    )  # a 401 here is about the issue, not the token
    metrics.answered("jira", str(int(told)) if told else "none", time.monotonic() - started)
    if isinstance(outcome, TransferError):
        raise _FailedError(f"no response: {outcome}")
    if code != HTTPStatus.OK:
        keys = frozenset(key.decode() for key in _KEY.findall(outcome.body))
        raise _FailedError(f"it answered {code}", code, keys, other_server(outcome, server))
    try:
        return decode(outcome.body, type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _FailedError(f"its answer can't be used: {error}", code) from None


def _what_to_do(config: JiraConfig, error: _FailedError) -> str:
    """Return what to do about a lasting refusal, ``""`` for a passing failure."""
    if error.leads_to:
        text = (
            f"JIRA_SERVER redirects to {error.leads_to}, which gets no token; set the final address"
        )
    elif error.code in TOKEN_REFUSED:
        text = "check JIRA_TOKEN_AUTH and JIRA_EMAIL: a site of Jira Cloud needs both"
        text += ", a Data Center only the token"
    elif error.code in LASTING:
        text = "check JIRA_SERVER: it has no search"
        text += ". Unset JIRA_EMAIL if it is no Jira Cloud" if config.email else ""
    else:
        return ""
    return f"it answers {error.code}: {text}"


def _jira_issue(issue: _Issue, link: str) -> JiraIssue:
    fields = issue.fields
    return JiraIssue(
        key=issue.key,
        url=link,
        summary=fields.summary or "",
        status=_name(fields.status),
        priority=_name(fields.priority),
        components=_names(fields.components),
        fix_versions=_names(fields.fix_versions),
        labels=fields.labels or (),
    )


def _name(named: _Named | None) -> str:
    return (named.name if named else None) or ""


def _names(named: tuple[_Named, ...] | None) -> tuple[str, ...]:
    return tuple(it.name for it in named or () if it.name)
