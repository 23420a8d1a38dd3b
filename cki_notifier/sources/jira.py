"""Jira's issues: an extra of the message that nobody's testing waits for longer than a few seconds.

One query asks for all issues of a message. What it did not find is asked for one by one: an issue
that was moved is found by its old key and comes with its new one. A Jira Cloud has a search of its
own. Where neither the address nor an e-mail tells that it is one, its 410 for the other one does.

Why not the ``jira`` package: its time limits end with each piece of an answer that arrives, and its
answers have no bound; so each look-up would need a thread that is given up.
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
#: No more issues than this are looked up for one message: the query has to fit into an address.
_MOST_ISSUES = 100
#: So many of those that the query did not find are asked for one by one.
_MOST_SINGLE = 10
#: No answer is larger, as decoded; far more than so many issues need.
_LARGEST_BODY_BYTES = 8 * 1024 * 1024
#: Who has the token; and what everybody may ask.
PROBE, SERVER_INFO = "/rest/api/2/myself", "/rest/api/2/serverInfo"
_FIELDS = ("summary", "status", "priority", "components", "fixVersions", "labels")
#: A search that is answered so is answered so until somebody changes something.
LASTING = TOKEN_REFUSED | {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_UNKNOWN: frozenset[int] = frozenset({HTTPStatus.NOT_FOUND})
#: A Data Center answers so for an issue that one may not see.
_UNSEEN = _UNKNOWN | TOKEN_REFUSED
#: What may be an issue's key, in whatever an answer says. No part of it is looked at twice.
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
    """Jira did not answer as it should; the text says in words what it did.

    Attributes:
        code: HTTP's status code, 0 without a response.
        keys: what may be keys of issues in the answer.
        leads_to: the other server that it redirects to, ``""`` for none.
    """

    def __init__(
        self, text: str, code: int = 0, keys: frozenset[str] = frozenset(), leads_to: str = ""
    ) -> None:
        super().__init__(text)
        self.code = code
        self.keys = keys
        self.leads_to = leads_to


class JiraIssues:
    """Looks up the issues that a merge request names; used by all threads.

    Args:
        transfers: carry the requests.
        config: how to reach Jira.
        seconds: the longest a message waits for Jira.
    """

    def __init__(
        self, transfers: Transfers, config: JiraConfig, seconds: float = LOOK_UP_SECONDS
    ) -> None:
        self.transfers = transfers
        self.server = server_of(config)
        self.gate = Gate("jira")
        #: As far as is known; the first search may tell.
        self.is_cloud = config.is_cloud
        self._config = config
        self._seconds = seconds

    def find(self, links: Iterable[str], deadline: Deadline) -> tuple[JiraIssue, ...] | None:
        """Return the issues that links lead to, in the order of the links.

        Args:
            links: as the merge request has them.
            deadline: for all that is done for the message.

        Returns:
            None when no link names an issue, and when Jira did not answer properly.
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
        """Look issues up, and tell the gate how Jira does; return what went wrong, if anything."""
        if not self.gate.may_ask():
            return "it is down, and asked about once a second"
        started = time.monotonic()
        try:
            look_up.run(keys)
        except _FailedError as error:
            lasting = _what_to_do(self._config, error)
            if lasting:  # perhaps it was taken for a Cloud for nothing
                self.is_cloud = self._config.is_cloud
            if deadline.remaining():  # else it did not have its time
                self.gate.failed(
                    keys[0],
                    whole=error.code != HTTPStatus.BAD_REQUEST,  # which tells of one query alone
                    since=started,
                    retry_after=LONGEST_PROBE_SECONDS if lasting else 0,
                    trouble=Trouble(lasting or str(error), refuses=error.code in TOKEN_REFUSED),
                )
            return str(error)
        self.gate.passed()
        return ""

    @staticmethod
    def _warn(text: str, keys: Iterable[str]) -> None:
        """Count a failure, and say it unless the log knows of the outage."""
        metrics.enrichment_failures.labels("jira").inc()
        level = logging.INFO if metrics.connected.affects("jira") else logging.WARNING
        logger.log(level, "jira: %s; the message goes without %s", text, ", ".join(keys))


class _LookUp:
    """One look-up, which ends after its time.

    Attributes:
        issues: by the keys they were asked for, as far as they are found.
    """

    def __init__(self, jira: JiraIssues, deadline: Deadline, seconds: float) -> None:
        self.issues: dict[str, _Issue] = {}
        self._jira = jira
        self._deadline = deadline
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def run(self, keys: Sequence[str]) -> None:
        """Find what there is.

        Raises:
            _FailedError: Jira did not answer properly; what was found until then stays.
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
        """Return what one query finds, without the keys for which a Cloud refuses it."""
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
        """Return a document; nothing is asked for any more when the time is over."""
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
    """Return Jira as the HTTP edge knows it."""
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
    """Return what is asked for to find issues."""
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
    """Read a response, in the thread of the transfers."""
    code = 0 if isinstance(outcome, TransferError) else outcome.code
    told = HTTPStatus.NOT_FOUND if code in unseen else code  # a 401 is about a good token here
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
    """Say what an answer means that Jira will give again and again, ``""`` for one that passes."""
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
