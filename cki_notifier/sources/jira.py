"""Jira's issues: an extra of the message that nobody's testing waits for.

The only importer of the ``jira`` package. A look-up has a thread of its own and is given up after
a few seconds, because the package's time limits end with each piece of an answer that arrives.

One query asks for all issues of a message. What it did not find is asked for one by one: an issue
that was moved is found by its old key and comes with its new one. A Jira Cloud has a search of its
own. Where neither the address nor an e-mail tells that it is one, its 410 for the other one does.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

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
from cki_notifier.telemetry.connections import Trouble
from cki_notifier.workers.deadline import Deadline
from cki_notifier.workers.gate import LONGEST_PROBE_SECONDS, Gate

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: The longest a message waits for Jira, in seconds.
LOOK_UP_SECONDS = 5.0
#: More look-ups at once than this are not begun, so that a Jira that hangs binds no more threads.
_MOST_AT_ONCE = 64
_MOST_REDIRECTS = 3
#: No more issues than this are looked up for one message: the query has to fit into an address.
_MOST_ISSUES = 100
#: So many of those that the query did not find are asked for one by one.
_MOST_SINGLE = 10
#: No answer is larger, as decoded; far more than so many issues need.
_LARGEST_BODY_BYTES = 8 * 1024 * 1024
#: Who has the token; and what everybody may ask.
PROBE, SERVER_INFO = "/rest/api/2/myself", "/rest/api/2/serverInfo"
_FIELDS = "summary,status,priority,components,fixVersions,labels"
_TOKEN_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: A search that is answered so is answered so until somebody changes something.
LASTING = _TOKEN_REFUSED | {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_UNKNOWN: frozenset[int] = frozenset({HTTPStatus.NOT_FOUND})
#: A Data Center answers so for an issue that one may not see.
_UNSEEN = _UNKNOWN | {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


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
        self.close, self.release_conn = raw.close, raw.release_conn

    def stream(self, size: int, *, decode_content: bool) -> Iterator[bytes]:
        """Yield it piece by piece, as decoded."""
        left = _LARGEST_BODY_BYTES
        for chunk in self._raw.stream(size, decode_content=decode_content):
            left -= len(chunk)
            if left < 0:
                self.close()
                raise OSError(f"the answer is larger than {_LARGEST_BODY_BYTES} bytes")
            yield chunk


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

    def __init__(self, config: JiraConfig, certificates: str, seconds: float) -> None:
        token = config.token.reveal() if config.token else None
        super().__init__(
            options={"server": config.url, "verify": certificates},
            basic_auth=(config.email, token) if config.email and token else None,
            token_auth=token,
            get_server_info=False,  # else it asks the server right here
            max_retries=0,
            timeout=seconds,
            logging=False,  # else it logs bodies that it can't read, as errors
        )
        self.deploymentType = "Cloud" if config.is_cloud else None
        self._session.max_redirects = _MOST_REDIRECTS
        self._session.trust_env = False
        self._session.proxies = dict(get_environ_proxies(config.url))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())

    def fields(self) -> list[dict[str, Any]]:
        """Return the fields we ask for, which we name by their ids anyway."""
        return [{"id": name, "clauseNames": [name]} for name in _FIELDS.split(",")]

    def query(self, keys: Sequence[str]) -> tuple[_Issue, ...]:
        """Return the issues that a query finds, in any order."""
        answer = self.search_issues(
            _query(keys),
            maxResults=len(keys),
            validate_query=False,  # one unknown key must not cost the others
            fields=_FIELDS,
            json_result=True,
        )
        return _usable(answer, _Found).issues

    def read(self, key: str) -> _Issue:
        """Return one issue."""
        return _usable(self._get_json(f"issue/{key}", {"fields": _FIELDS}), _Issue)


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
        self._config = config
        self._jira = _Jira(config, certificates, seconds)
        self._seconds = seconds
        self.gate = Gate("jira")
        self._free = threading.BoundedSemaphore(_MOST_AT_ONCE)
        self._lasting = ""  # what it will answer again and again, while it does

    def start(self, links: Iterable[str]) -> "LookUp | None":
        """Start to look up the issues that links lead to; None when none of them names an issue."""
        named = {link: key for link in links if (key := issue_key(link))}
        asked = list(dict.fromkeys(named.values()))[:_MOST_ISSUES]
        if not asked:
            return None
        keys = {link: key for link, key in named.items() if key in asked}
        look_up = LookUp(self, keys, self._seconds)
        if not self.gate.may_ask():
            down = ConnectionError("it is down, and asked about once a second")
            look_up.future.set_exception(down)
        elif self._free.acquire(blocking=False):
            asking = (look_up, sorted(asked))
            threading.Thread(target=self._run, args=asking, name="jira", daemon=True).start()
        else:
            look_up.future.set_exception(
                BlockingIOError("earlier look-ups still wait for an answer")
            )
        return look_up

    @staticmethod
    def warn(text: str, keys: Iterable[str]) -> None:
        """Count a failure, and say it unless the log knows of the outage."""
        metrics.enrichment_failures.labels("jira").inc()
        level = logging.INFO if metrics.connected.affects("jira") else logging.WARNING
        logger.log(level, "jira: %s; the message goes without %s", text, ", ".join(keys))

    def _run(self, look_up: "LookUp", keys: list[str]) -> None:
        started = time.monotonic()
        try:
            self._look_up(look_up, keys)
        except _FAILURES as error:
            code = error.status_code if isinstance(error, jira.JIRAError) else None
            self._lasting = _what_to_do(self._config, error) if code in LASTING else ""
            if self._lasting:  # perhaps it was taken for a Cloud for nothing
                self._jira.deploymentType = "Cloud" if self._config.is_cloud else None
            self.gate.failed(
                keys[0],
                whole=code != HTTPStatus.BAD_REQUEST,  # which tells of one query alone
                since=started,
                retry_after=LONGEST_PROBE_SECONDS if self._lasting else 0,
                trouble=Trouble(self._lasting or _said(error), refuses=code in _TOKEN_REFUSED),
            )
            look_up.future.set_exception(error)
        else:
            look_up.future.set_result(None)
        finally:
            self._free.release()

    def _look_up(self, look_up: "LookUp", keys: list[str]) -> None:
        unseen = _UNSEEN
        try:
            found = {issue.key.upper(): issue for issue in self._search(keys)}
        except jira.JIRAError as error:
            if error.status_code != HTTPStatus.BAD_REQUEST:
                raise
            found, unseen = {}, _UNKNOWN
        else:
            self._lasting = ""
            self.gate.passed()
        look_up.issues.update({key: found.pop(key) for key in keys if key in found})
        missing = [key for key in keys if key not in look_up.issues]
        if len(missing) == len(found) == 1:  # it was moved
            look_up.issues[missing[0]] = found.popitem()[1]
            return
        for key in missing[:_MOST_SINGLE]:
            if look_up.is_late:
                return
            if issue := self._ask(partial(self._jira.read, key), unseen):
                look_up.issues[key] = issue
        self.gate.passed()

    def _search(self, keys: Sequence[str], *, again: bool = True) -> tuple[_Issue, ...]:
        """Return what one query finds, without the keys for which a Cloud refuses it."""
        kind = self._jira.deploymentType
        try:
            return self._ask(partial(self._jira.query, keys)) or () if keys else ()
        except jira.JIRAError as error:
            named = set(re.findall(r"[A-Z0-9_]+-[0-9]+", error.text or ""))
            if error.status_code == HTTPStatus.GONE and kind is None:
                self._jira.deploymentType = "Cloud"
            elif error.status_code == HTTPStatus.BAD_REQUEST and again and named.intersection(keys):
                keys, again = [key for key in keys if key not in named], False
            else:
                raise
        return self._search(keys, again=again)

    @staticmethod
    def _ask(ask: Callable[[], T], unseen: frozenset[int] = frozenset()) -> T | None:
        started = time.monotonic()
        code: int | None = None
        try:
            answer = ask()
            code = HTTPStatus.OK
        except jira.JIRAError as error:
            code = error.status_code
            if code not in unseen:
                raise
            code = HTTPStatus.NOT_FOUND  # 401 or 403 would alert somebody about a good token
            return None
        finally:
            seconds = time.monotonic() - started
            metrics.answered("jira", str(int(code)) if code else "none", seconds)
        return answer


class LookUp:
    """A look-up on its way.

    Attributes:
        issues: by the keys they were asked for, as far as they are found.
        future: done when all are.
    """

    def __init__(self, jira: JiraIssues, keys: Mapping[str, str], seconds: float) -> None:
        self.issues: dict[str, _Issue] = {}
        self.future: Future[None] = Future()
        self._jira = jira
        self._keys = keys
        self._seconds = seconds
        self._started = time.monotonic()

    @property
    def is_late(self) -> bool:
        """Whether nobody waits for it any more."""
        return time.monotonic() - self._started > self._seconds

    def result(self, deadline: Deadline) -> tuple[JiraIssue, ...] | None:
        """Return the issues in the order of their links, None when Jira did not answer properly."""
        failure = ""
        seconds = min(self._seconds, deadline.remaining())
        try:
            deadline.wait_for(self.future, seconds, "an answer of jira")
        except FutureTimeoutError:
            failure = f"no answer within {seconds:g} s"
            if seconds == self._seconds:  # else it did not have its time
                about = next(iter(self._keys))
                trouble = Trouble(failure)
                self._jira.gate.failed(about, whole=True, since=self._started, trouble=trouble)
        except _FAILURES as error:
            failure = _said(error)
        issues = dict(self.issues)  # a look-up that is late may still add some
        if failure:
            missing = [key for key in self._keys.values() if key not in issues]
            self._jira.warn(failure, missing)
            if not issues:
                return None
        return tuple(
            _jira_issue(issues[key], link) for link, key in self._keys.items() if key in issues
        )


def server_of(config: JiraConfig) -> Server:
    """Return Jira as the HTTP edge knows it, for whoever asks without the package."""
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


def search_path(key: str, *, is_cloud: bool) -> str:
    """Return what the package asks for to find one issue, for whoever asks without it."""
    fields = {"fields": _FIELDS.split(","), "maxResults": 1}
    if is_cloud:
        where, asked = "search/jql", {"jql": _query([key]), **fields}
    else:
        where = "search"
        asked = {"jql": _query([key]), "startAt": 0, "validateQuery": False, **fields}
    return f"/rest/api/2/{where}?{urlencode(asked, doseq=True)}"


def _query(keys: Sequence[str]) -> str:
    return f"key in ({', '.join(keys)})"


def _usable(answer: Any, type_: type[T]) -> T:
    """Return what is read of an answer, without what no message can hold.

    The package has Python's own decoder, which lets it in.
    """
    found = msgspec.convert(answer, type_)
    return decode(json.dumps(msgspec.to_builtins(found)).encode(), type_)


def _said(error: Exception) -> str:
    """Say in words what became of a request."""
    if isinstance(error, jira.JIRAError):
        return f"it answered {error.status_code}"
    if isinstance(error, requests.RequestException):
        # Its own text quotes addresses, which may be what Jira made up for a redirect.
        cause: BaseException = error
        while (deeper := cause.__cause__ or cause.__context__) is not None:
            cause = deeper
        is_own = isinstance(cause, requests.RequestException)
        return (
            f"no response: {_words(cause) if is_own else getattr(cause, 'strerror', '') or cause}"
        )
    return str(error) if isinstance(error, OSError) else f"its answer can't be used: {error}"


def _words(error: BaseException) -> str:
    """Return an error's name as people write it: ``read timeout``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


def _what_to_do(config: JiraConfig, error: Exception) -> str:
    """Say what an answer means that Jira will give again and again."""
    code = getattr(error, "status_code", None)
    answered = urlsplit(getattr(error, "url", None) or config.url)
    elsewhere = f"{answered.scheme}://{answered.netloc}"
    if answered.netloc != urlsplit(config.url).netloc:
        text = f"JIRA_SERVER leads to {elsewhere}, where no token is sent; name what is right"
    elif code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        text = "check JIRA_SERVER: there is no search"
        text += ", nor should JIRA_EMAIL be set if it is no Jira Cloud" if config.email else ""
    else:
        text = "check JIRA_TOKEN_AUTH and JIRA_EMAIL: a site of Jira Cloud takes both together"
        text += ", a Data Center the token alone"
    return f"it answers {code}: {text}"


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
