"""Sends a service one HTTP request, and judges the answer."""

import email.utils
import time
from collections.abc import Generator
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Struct

from cki_notifier.doctor.check import Finding, NoAnswer, State, failed, ok, skipped, warning
from cki_notifier.notification.decoding import decode
from cki_notifier.sources.http import Server, is_object
from cki_notifier.sources.transfer import Response, TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

#: A slower answer is a warning, in seconds.
_SLOW_SECONDS = 5.0
#: A larger difference of clocks is a warning, in seconds.
_APART_SECONDS = 60.0
_MOST_REDIRECTS = 3
_LONGEST_REQUEST_SECONDS = 25.0
#: The largest answer to accept.
_LARGEST_BYTES = 4 * 1024 * 1024
_REDIRECTS = range(300, 400)
#: The codes that refuse a login.
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Question(Struct, frozen=True):
    """A request to a service, and how to recognize the expected answer.

    Attributes:
        name: the name of the findings.
        server: the server, with the token.
        path: the path after the server's URL, with the query.
        field: a field of the expected JSON object. A login page has none.
        address_variable: the variable with the URL.
        says: the text for the expected answer; ``{}`` is the field's value.
        consequence: the text for the effect of any other answer on the daemon.
    """

    name: str
    server: Server
    path: str
    field: str
    address_variable: str
    says: str
    consequence: str


class Reply(Struct, frozen=True):
    """A response, its time and its clock.

    Attributes:
        document: the JSON object in the body; empty for anything else.
        seconds: the time that the response took.
        ahead: the seconds that the service's clock is ahead of ours; None if unknown.
    """

    response: Response
    document: dict[str, Any]
    seconds: float
    ahead: float | None


def findings(
    transfers: Transfers, question: Question, deadline: Deadline
) -> Generator[Finding, None, dict[str, Any]]:
    """Yield the findings about a service's answer and about its clock.

    Returns:
        The JSON object of the expected answer, else an empty one.

    Raises:
        NoAnswer: there is no answer.
    """
    reply = first(transfers, question, deadline)
    finding = answered(question, reply)
    yield finding
    yield clock(question.name, reply.ahead)
    return {} if finding.state == State.FAILED else reply.document


def first(transfers: Transfers, question: Question, deadline: Deadline) -> Reply:
    """Send the first request; raise :class:`NoAnswer` with an advice if there is no answer."""
    try:
        return ask(transfers, question.server, question.path, deadline)
    except TransferError as error:
        raise NoAnswer(
            f"no answer from {question.server.url}: {error}; {question.consequence}",
            f"check {question.address_variable}, whether the service runs, and whether a proxy "
            "(https_proxy), firewall or network policy blocks the connection; for an unknown "
            "certificate authority, set SSL_CERT_FILE",
        ) from error


def told(
    transfers: Transfers, server: Server, path: str, deadline: Deadline
) -> tuple[int, dict[str, Any]]:
    """Return the code and the JSON object of an optional answer; 0 and an empty one for none."""
    try:
        reply = ask(transfers, server, path, deadline)
    except TransferError:
        return 0, {}
    return reply.response.code, reply.document


def ask(transfers: Transfers, server: Server, path: str, deadline: Deadline) -> Reply:
    """Get a path. Follow redirects on the same server; return one to another server.

    Raises:
        TransferError: no response in time.
    """
    url = server.url + path
    for _ in range(_MOST_REDIRECTS):
        seconds = min(deadline.remaining(), _LONGEST_REQUEST_SECONDS)
        began, now = time.monotonic(), time.time()
        response = transfers.start(url, server.headers, seconds, _LARGEST_BYTES).result()
        took = time.monotonic() - began
        url = response.redirected_to
        if not url.startswith(server.url + "/"):
            break
    return Reply(response, _document(response), took, _ahead(response, now + took / 2))


def _document(response: Response) -> dict[str, Any]:
    try:
        return decode(response.body, dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _ahead(response: Response, now: float) -> float | None:
    """Return the seconds that the server's ``Date`` is ahead of our clock (RFC 9110, 6.6.1)."""
    try:
        date = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
        age = float(response.headers.get("age", "0"))  # the time that a cache has kept it
    except (ValueError, OverflowError):
        return None
    return date.timestamp() + age - now


def address(text: str) -> SplitResult:
    """Return the parts of a URL from a service; all empty for an invalid one."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def answered(question: Question, reply: Reply) -> Finding:
    """Return the finding about an answer."""
    code, name, told = reply.response.code, question.name, reply.document
    if code in REFUSED:
        doubt = (
            ""
            if is_object(reply.response.body)
            else ", or a proxy refuses the request: the answer is not JSON"
        )
        text = f"the token is refused ({code}){doubt}; {question.consequence}"
        advice = f"renew the token in {question.server.token_variable}, or give it read permission"
        return failed(name, text, advice)
    if code != HTTPStatus.OK or question.field not in told:
        text = _improper(question.path, reply.response)
        text = f"{question.server.url} {text}; {question.consequence}"
        return failed(name, text, f"check {question.address_variable} and the service")
    text = question.says.format(told[question.field])
    if reply.seconds <= _SLOW_SECONDS:
        return ok(name, f"{text}; answered within {max(reply.seconds, 0.01):.2f} s")
    advice = "find out why the service is slow: notifications wait for it"
    return warning(name, f"{text}, but answered only after {reply.seconds:.1f} s", advice)


def _improper(path: str, response: Response) -> str:
    """Describe an unexpected answer."""
    if response.code in _REDIRECTS:
        target = address(response.redirected_to)
        where = f"{target.scheme}://{target.netloc}" if target.netloc else "an invalid URL"
        return f"redirects to {where}, where cki-notifier sends no token"
    if response.code == HTTPStatus.NOT_FOUND and not is_object(response.body):
        return f"answers 404 without a JSON object to GET {path}: perhaps a proxy answers"
    if response.code != HTTPStatus.OK:
        return f"answers {response.code} to GET {path}"
    if response.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
        return "answers with unexpected JSON: perhaps it is another service"
    return "answers without JSON, perhaps with a login page"


def clock(service: str, ahead: float | None) -> Finding:
    """Return the finding about a service's clock."""
    name = f"{service} clock"
    if ahead is None:
        return skipped(name, "the answer has no usable Date header")
    if abs(ahead) <= _APART_SECONDS:
        return ok(name, "within a minute of this machine's clock")
    which = "ahead of" if ahead > 0 else "behind"
    advice = "correct the wrong clock; check this machine's with timedatectl or chronyc tracking"
    return warning(name, f"{abs(ahead):,.0f} s {which} this machine's clock", advice)
