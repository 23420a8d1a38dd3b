"""Asks a service over HTTP once, and tells what its answer means."""

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

#: An answer that takes longer slows every message down, in seconds.
_SLOW_SECONDS = 5.0
#: Clocks that are further apart are worth a warning, in seconds.
_APART_SECONDS = 60.0
_MOST_REDIRECTS = 3
_LONGEST_REQUEST_SECONDS = 25.0
#: No answer that is asked for here is larger.
_LARGEST_BYTES = 4 * 1024 * 1024
_REDIRECTS = range(300, 400)
#: These refuse the login.
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


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
        document: the JSON object that it is, an empty one when it is none.
        seconds: how long it took.
        ahead: the seconds the service's clock is ahead of ours, None when it does not say.
    """

    response: Response
    document: dict[str, Any]
    seconds: float
    ahead: float | None


def findings(
    transfers: Transfers, question: Question, deadline: Deadline
) -> Generator[Finding, None, dict[str, Any]]:
    """Yield whether a service answers properly, and whether its clock is right.

    Returns:
        The JSON object of a proper answer, else an empty one.

    Raises:
        NoAnswer: there is none.
    """
    reply = first(transfers, question, deadline)
    finding = answered(question, reply)
    yield finding
    yield clock(question.name, reply.ahead)
    return {} if finding.state == State.FAILED else reply.document


def first(transfers: Transfers, question: Question, deadline: Deadline) -> Reply:
    """Ask for the first time; raise :class:`NoAnswer` with what to do where nothing comes."""
    try:
        return ask(transfers, question.server, question.path, deadline)
    except TransferError as error:
        raise NoAnswer(
            f"no answer from {question.server.url}: {error}; {question.consequence}",
            f"check {question.address_variable}, whether the service is up, and whether something "
            "in between lets nobody through; SSL_CERT_FILE names other authorities to trust",
        ) from error


def told(
    transfers: Transfers, server: Server, path: str, deadline: Deadline
) -> tuple[int, dict[str, Any]]:
    """Return the code and the JSON object of an answer that can be done without; 0 for none."""
    try:
        reply = ask(transfers, server, path, deadline)
    except TransferError:
        return 0, {}
    return reply.response.code, reply.document


def ask(transfers: Transfers, server: Server, path: str, deadline: Deadline) -> Reply:
    """Get a path; a redirect on the same server is followed, to another one it is the answer.

    Raises:
        TransferError: there is no response in time.
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
    """Return how far the server's clock is ahead of ours, by its ``Date`` (RFC 9110, 6.6.1)."""
    try:
        date = email.utils.parsedate_to_datetime(response.headers.get("date", ""))
        age = float(response.headers.get("age", "0"))  # for how long a cache has kept it
    except (ValueError, OverflowError):
        return None
    return date.timestamp() + age - now


def address(text: str) -> SplitResult:
    """Return the parts of an address that others name, all of them empty when it is none."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def answered(question: Question, reply: Reply) -> Finding:
    """Tell whether an answer is proper, and what to do if it is not."""
    code, name, told = reply.response.code, question.name, reply.document
    if code in REFUSED:
        doubt = "" if is_object(reply.response.body) else ", or a proxy refuses us: it is no JSON"
        text = f"the token is refused ({code}){doubt}; {question.consequence}"
        advice = f"renew the token in {question.server.token_variable}, or see what it may do"
        return failed(name, text, advice)
    if code != HTTPStatus.OK or question.field not in told:
        text = _improper(question.path, reply.response)
        text = f"{question.server.url} {text}; {question.consequence}"
        return failed(name, text, f"check {question.address_variable}, and the service itself")
    text = question.says.format(told[question.field])
    if reply.seconds <= _SLOW_SECONDS:
        return ok(name, f"{text}; answered within {max(reply.seconds, 0.01):.2f} s")
    advice = "see why it is slow: every notification waits for it"
    return warning(name, f"{text}, but only after {reply.seconds:.1f} s", advice)


def _improper(path: str, response: Response) -> str:
    """Say what is wrong with an answer."""
    if response.code in _REDIRECTS:
        target = address(response.redirected_to)
        where = f"{target.scheme}://{target.netloc}" if target.netloc else "nowhere"
        return f"leads to {where}, where no token is sent"
    if response.code == HTTPStatus.NOT_FOUND and not is_object(response.body):
        return f"answers 404 without a JSON object to GET {path}: perhaps a proxy does, not it"
    if response.code != HTTPStatus.OK:
        return f"answers {response.code} to GET {path}"
    if response.body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
        return "answers JSON, but of another kind: it is another service"
    return "answers no JSON, but perhaps a login page"


def clock(service: str, ahead: float | None) -> Finding:
    """Tell whether the service's clock is right."""
    name = f"{service} clock"
    if ahead is None:
        return skipped(name, "it does not say what time it is")
    if abs(ahead) <= _APART_SECONDS:
        return ok(name, "less than a minute from ours")
    which = "ahead of" if ahead > 0 else "behind"
    advice = "set the clock that is wrong; this machine's: timedatectl, chronyc tracking"
    return warning(name, f"{abs(ahead):,.0f} s {which} ours", advice)
