"""Asks a service over HTTP once, and tells what its answer means."""

import email.utils
import time
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct

from cki_notifier.doctor.finding import Finding, failed, ok, skipped, warning
from cki_notifier.notification.decoding import decode
from cki_notifier.sources.http import Server, is_object
from cki_notifier.sources.transfer import Response, TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

#: An answer that takes longer slows every message down, in seconds.
_SLOW_SECONDS = 5.0
#: Clocks that are further apart are worth a warning, in seconds.
_APART_SECONDS = 60.0
_MOST_REDIRECTS = 3
_LONGEST_REQUEST_SECONDS = 25.0
#: No answer that is asked for here is larger.
_LARGEST_BYTES = 4 * 1024 * 1024
_GRACE_SECONDS = 1.0
_REDIRECTS = range(300, 400)
_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Question(Struct, frozen=True):
    """What a service is asked, and how its answer is told from a login page.

    Attributes:
        name: of the findings.
        server: where, and with which token.
        path: from the server's address on, with the query.
        field: of the JSON object that is the proper answer.
        address_variable: where the address is configured.
        says: what is said of a proper answer; ``{}`` is the field's value.
        consequence: what it means for the daemon when there is no proper answer.
    """

    name: str
    server: Server
    path: str
    field: str
    address_variable: str
    says: str
    consequence: str


class Reply(Struct, frozen=True):
    """A response, and what it tells by the way.

    Attributes:
        seconds: how long it took.
        ahead: the seconds the service's clock is ahead of ours, None when it does not say.
    """

    response: Response
    seconds: float
    ahead: float | None


def findings(transfers: Transfers, question: Question, deadline: Deadline) -> Iterator[Finding]:
    """Yield whether a service answers properly, and whether its clock is right."""
    try:
        reply = ask(transfers, question.server, question.path, deadline)
    except TransferError as error:
        yield silent(question, error)
        return
    yield answered(question, reply)
    yield clock(question, reply)


def silent(question: Question, error: TransferError) -> Finding:
    """Tell that there is no answer."""
    return failed(
        question.name,
        f"no answer from {question.server.url}: {error}; {question.consequence}",
        f"check {question.address_variable}, whether the service is up, and whether something "
        "in between lets nobody through; SSL_CERT_FILE names other authorities to trust",
    )


def ask(transfers: Transfers, server: Server, path: str, deadline: Deadline) -> Reply:
    """Get a path; a redirect on the same server is followed, to another one it is the answer.

    Raises:
        TransferError: there is no response in time.
    """
    url = server.url + path
    for _ in range(_MOST_REDIRECTS):
        reply = _get(transfers, url, server.headers, deadline)
        target = redirected(reply.response, url)
        if not target.startswith(server.url + "/"):
            return reply
        url = target
    return reply


def document(reply: Reply) -> dict[str, Any]:
    """Return the JSON object of a reply, an empty one when it is none."""
    try:
        return decode(reply.response.body, dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _get(transfers: Transfers, url: str, headers: list[str], deadline: Deadline) -> Reply:
    seconds = min(deadline.remaining(), _LONGEST_REQUEST_SECONDS)
    began, now = time.monotonic(), time.time()
    try:
        response = transfers.start(url, headers, seconds, _LARGEST_BYTES).result(
            seconds + _GRACE_SECONDS
        )
    except FutureTimeoutError as error:
        raise TransferError(f"nothing within {seconds:g} s") from error
    took = time.monotonic() - began
    return Reply(response, took, _ahead(response, now + took / 2))


def redirected(response: Response, url: str) -> str:
    """Return where a redirect leads to, an empty string when it is none."""
    if response.code not in _REDIRECTS:
        return ""
    try:
        return urljoin(url, response.headers.get("location", ""))
    except ValueError:
        return ""


def answered(question: Question, reply: Reply) -> Finding:
    """Tell whether an answer is proper, and what to do if it is not."""
    code, variable = reply.response.code, question.server.token_variable
    if code in _REFUSED:
        doubt = "" if is_object(reply.response.body) else ", or a proxy refuses us: it is no JSON"
        text = f"the token is refused ({code}){doubt}; {question.consequence}"
        return failed(question.name, text, f"renew the token in {variable}, or see what it may do")
    told = document(reply)
    if code == HTTPStatus.OK and question.field in told:
        return _proper(question, reply, told)
    return failed(
        question.name,
        f"{question.server.url} {_improper(question, reply.response)}; {question.consequence}",
        f"check {question.address_variable}, and the service itself",
    )


def _proper(question: Question, reply: Reply, told: dict[str, Any]) -> Finding:
    text = question.says.format(told[question.field])
    if reply.seconds <= _SLOW_SECONDS:
        return ok(question.name, f"{text}; answered within {max(reply.seconds, 0.01):.2f} s")
    advice = "see why it is slow: every notification waits for it"
    return warning(question.name, f"{text}, but only after {reply.seconds:.1f} s", advice)


def _improper(question: Question, response: Response) -> str:
    """Say what is wrong with an answer."""
    if response.code in _REDIRECTS:
        target = urlsplit(redirected(response, question.server.url + question.path))
        where = f"{target.scheme}://{target.netloc}" if target.netloc else "nowhere"
        return f"leads to {where}, where no token is sent"
    if response.code == HTTPStatus.NOT_FOUND and not is_object(response.body):
        path = question.path
        return f"answers 404 without a JSON object to GET {path}: perhaps a proxy does, not it"
    if response.code != HTTPStatus.OK:
        return f"answers {response.code} to GET {question.path}"
    if response.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
        return "answers JSON, but of another kind: it is another service"
    return "answers no JSON, but perhaps a login page"


def _ahead(response: Response, now: float) -> float | None:
    """Return how far the server's clock is ahead of ours, by its ``Date`` (RFC 9110, 6.6.1)."""
    try:
        date = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
        age = float(response.headers.get("age", "0"))  # for how long a cache has kept it
    except (ValueError, OverflowError):
        return None
    return date.timestamp() + age - now


def clock(question: Question, reply: Reply) -> Finding:
    """Tell whether the service's clock is right."""
    name, ahead = f"{question.name} clock", reply.ahead
    if ahead is None:
        return skipped(name, "it does not say what time it is")
    if abs(ahead) <= _APART_SECONDS:
        return ok(name, "less than a minute from ours")
    which = "ahead of" if ahead > 0 else "behind"
    advice = "set the clock that is wrong; this machine's: timedatectl, chronyc tracking"
    return warning(name, f"{abs(ahead):,.0f} s {which} ours", advice)
