"""Jira's issues: an extra of the message that nobody's testing waits for.

The only importer of the ``jira`` package. A look-up has a thread of its own and is given up after
a few seconds, because the package's time limits end with each piece of an answer that arrives.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import jira
import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from cki_notifier.checkout.documents import Document
from cki_notifier.checkout.links import issue_key
from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.notification.decoding import decode
from cki_notifier.notification.models import JiraIssue
from cki_notifier.sources.http import Server
from cki_notifier.telemetry import metrics
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import Gate

logger = logging.getLogger(__name__)

#: The longest a message waits for Jira, in seconds.
LOOK_UP_SECONDS = 5.0
#: More look-ups at once than this are not begun, so that a Jira that hangs binds no more threads.
_MOST_AT_ONCE = 64
_MOST_REDIRECTS = 3
#: No more issues than this are looked up for one message: the query has to fit into an address.
_MOST_ISSUES = 100
#: No answer is larger, as decoded; far more than so many issues need.
_LARGEST_BODY_BYTES = 8 * 1024 * 1024
#: Tells of one query alone.
_OK, _BAD_REQUEST = 200, 400
#: Who has the token; and what everybody may ask.
PROBE, ANONYMOUS_PROBE = "/rest/api/2/myself", "/rest/api/2/serverInfo"
_FIELDS = "summary,status,priority,components,fixVersions,labels"


#: All that the package and ``requests`` below it were seen to raise, for bad answers too.
_FAILURES = (
    jira.JIRAError,
    requests.RequestException,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


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


class _Bounded:
    """An answer's body, up to a size; stands in for urllib3's response, whose cookies are lost."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def stream(self, size: int, *, decode_content: bool) -> Iterator[bytes]:
        """Yield it piece by piece, as decoded."""
        left = _LARGEST_BODY_BYTES
        for chunk in self._raw.stream(size, decode_content=decode_content):
            left -= len(chunk)
            if left < 0:
                self.close()
                raise OSError(f"the answer is larger than {_LARGEST_BODY_BYTES} bytes")
            yield chunk

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    def release_conn(self) -> None:
        """Keep the connection for the next request."""
        self._raw.release_conn()


class _Adapter(HTTPAdapter):
    """Bounds the bodies of all answers, those of redirects too."""

    def send(self, *arguments: Any, **settings: Any) -> requests.Response:
        """Return an answer whose body is not read yet."""
        response = super().send(*arguments, **settings)
        response.raw = _Bounded(response.raw)
        return response


class _Jira(jira.JIRA):
    """The client, without the question for the names of all fields before the first search.

    Of the environment it takes the proxies alone: no ``.netrc``, whose passwords would go along
    with redirects, and no other certificate authorities than ours.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._session.max_redirects = _MOST_REDIRECTS
        self._session.trust_env = False
        self._session.proxies = dict(get_environ_proxies(url))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())

    def fields(self) -> list[dict[str, Any]]:
        """Return the fields we ask for, which we name by their ids anyway."""
        return [{"id": name, "clauseNames": [name]} for name in _FIELDS.split(",")]


class JiraIssues:
    """Looks up the issues that a merge request names.

    Args:
        config: how to reach Jira.
        certificates: a file with the certificate authorities to trust for https.
        seconds: the longest a message waits for Jira.
    """

    def __init__(
        self, config: JiraConfig, certificates: str, seconds: float = LOOK_UP_SECONDS
    ) -> None:
        options: dict[str, Any] = {"server": config.url, "verify": certificates}
        self._jira = _Jira(
            config.url,
            options=options,
            token_auth=config.token.reveal() if config.token else None,
            get_server_info=False,  # else it asks the server right here
            max_retries=0,
            timeout=seconds,
            logging=False,  # else it logs bodies that it can't read, as errors
        )
        self._seconds = seconds
        self._gate = Gate("jira")
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)

    def start(self, links: Iterable[str]) -> "LookUp | None":
        """Start to look up the issues that links lead to; None when none of them names an issue."""
        named = {link: key for link in links if (key := issue_key(link))}
        asked = list(dict.fromkeys(named.values()))[:_MOST_ISSUES]
        if not asked:
            return None
        keys = {link: key for link, key in named.items() if key in asked}
        future: Future[_Found] = Future()
        if not self._gate.may_ask():
            future.set_exception(ConnectionError("it is down, and asked about once a second"))
        elif self._free.acquire(blocking=False):
            threading.Thread(target=self._run, args=(future, sorted(asked)), daemon=True).start()
        else:
            future.set_exception(BlockingIOError("earlier look-ups still wait for an answer"))
        return LookUp(keys, future, self._seconds, self._gate)

    def _run(self, future: Future[_Found], keys: list[str]) -> None:
        started = time.monotonic()
        code: int | None = _OK
        try:
            found = self._search(keys)
        except _FAILURES as error:
            code = error.status_code if isinstance(error, jira.JIRAError) else None
            self._gate.failed(keys[0], whole=code != _BAD_REQUEST, since=started)
            future.set_exception(error)
        else:
            self._gate.passed()
            future.set_result(found)
        finally:
            self._free.release()
            seconds = time.monotonic() - started
            metrics.answered("jira", str(code or "none"), seconds)

    def _search(self, keys: list[str]) -> _Found:
        answer = self._jira.search_issues(
            f"key in ({', '.join(keys)})",
            maxResults=len(keys),
            validate_query=False,  # one unknown key must not cost the others
            fields=_FIELDS,
            json_result=True,
        )
        found = msgspec.convert(answer, _Found)
        # Python's own decoder, which the package uses, lets in what no message can hold.
        return decode(json.dumps(msgspec.to_builtins(found)).encode(), _Found)


class LookUp:
    """A look-up on its way."""

    def __init__(
        self, keys: Mapping[str, str], future: Future[_Found], seconds: float, gate: Gate
    ) -> None:
        self._keys = keys
        self._future = future
        self._seconds = seconds
        self._gate = gate
        self._started = time.monotonic()

    def result(self, deadline: Deadline) -> tuple[JiraIssue, ...] | None:
        """Return the issues in the order of their links, None when Jira did not answer properly."""
        seconds = min(self._seconds, deadline.remaining())
        try:
            found = deadline.wait_for(self._future, seconds)
        except FutureTimeoutError:
            if seconds == self._seconds:  # else it did not have its time
                self._gate.failed(next(iter(self._keys)), whole=True, since=self._started)
            self._warn(f"no answer within {seconds:g} s")
        except jira.JIRAError as error:
            self._warn(f"it answered {error.status_code}")
        except requests.RequestException as error:
            # Its own text quotes addresses, which may be what Jira made up for a redirect.
            reason = getattr(next(iter(error.args), None), "reason", None)
            self._warn(type(error).__name__ + (f": {reason}" if reason else ""))
        except _FAILURES as error:
            self._warn(f"{type(error).__name__}: {error}")
        else:
            issues = {issue.key.upper(): issue for issue in found.issues}
            return tuple(
                _jira_issue(issues[key], link) for link, key in self._keys.items() if key in issues
            )
        return None

    def _warn(self, text: str) -> None:
        metrics.enrichment_failures.labels("jira").inc()
        logger.warning(
            "jira: %s; the message goes without %s", text, ", ".join(self._keys.values())
        )


def server_of(config: JiraConfig) -> Server:
    """Return Jira as the HTTP edge knows it, for whoever asks without the package."""
    headers = ["Accept: application/json"]
    if config.token is not None:
        headers.append(f"Authorization: Bearer {config.token.reveal()}")
    return Server(
        name="jira",
        url=config.url,
        headers=headers,
        token_variable="JIRA_TOKEN_AUTH",  # noqa: S106  # the name of one
    )


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
