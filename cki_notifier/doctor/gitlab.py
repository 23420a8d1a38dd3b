"""GitLab: is each host's token good, what may it read, and when does it end?"""

import ipaddress
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from cki_notifier.configuration.secret import Secret
from cki_notifier.doctor import web
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, State, ok, skipped, warning
from cki_notifier.doctor.queue import number
from cki_notifier.doctor.web import Question
from cki_notifier.sources import gitlab
from cki_notifier.sources.transfer import TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

#: A token that ends sooner is worth a warning, in days.
_SOON_DAYS = 14
#: Any of these lets a token read merge requests.
_READING = frozenset({"api", "read_api"})
_PATH = " (what is behind its slash is a path that a GitLab is under, and no group)"
_RENEW = "renew it in time, in the variable that GITLAB_TOKENS names for this host"


def gitlab_check(transfers: Transfers, host: str, token: Secret) -> Check:
    """Return the check of one host of GITLAB_TOKENS."""
    name = f"gitlab {host}"
    question = Question(
        name=name,
        server=gitlab.server_of(f"{_scheme(host)}://{host}", host, token),
        path=gitlab.PROBE,
        field="username",
        address_variable="the host in GITLAB_TOKENS" + (_PATH if "/" in host else ""),
        says="takes the token, as that of {}",
        consequence="notifications about its merge requests are delayed meanwhile",
    )
    return Check(name, lambda deadline: _look(transfers, question, deadline))


def _look(transfers: Transfers, question: Question, deadline: Deadline) -> Iterator[Finding]:
    for finding in web.findings(transfers, question, deadline):
        yield finding
        if finding.name == question.name and finding.state != State.FAILED:
            yield _token(transfers, question, deadline)


def _token(transfers: Transfers, question: Question, deadline: Deadline) -> Finding:
    """Look at the token itself, which GitLab does not show to every token."""
    name = f"{question.name} token"
    try:
        reply = web.ask(transfers, question.server, gitlab.TOKEN, deadline)
    except TransferError:
        return skipped(name, "it does not tell about the token")
    told = web.document(reply)
    if reply.response.code != HTTPStatus.OK or "scopes" not in told:
        return skipped(name, "it does not tell about the token")
    return _about(name, told)


def _about(name: str, told: dict[str, Any]) -> Finding:
    scopes = told["scopes"] if isinstance(told["scopes"], list) else []
    texts = [f"scopes {', '.join(map(str, scopes)) or 'none'}"]
    if _READING.isdisjoint(map(str, scopes)):
        advice = f"give it one of the scopes {', '.join(sorted(_READING))}"
        return warning(
            name, f"{texts[0]}: it can't read merge requests that are not public", advice
        )
    ends = _date(told.get("expires_at"))
    if ends is None:
        return ok(name, f"{texts[0]}; no end is set")
    days = (ends - datetime.now(UTC).date()).days
    text = f"{texts[0]}; it ends in {number(days, 'day')}, on {ends}"
    return warning(name, text, _RENEW) if days < _SOON_DAYS else ok(name, text)


def _date(text: Any) -> date | None:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _scheme(host: str) -> str:
    """Return the scheme the token is tried with; the daemon takes that of the merge request.

    In plain text a token goes no further than this machine.
    """
    name = urlsplit(f"//{host}").hostname or ""
    try:
        is_here = ipaddress.ip_address(name).is_loopback
    except ValueError:
        is_here = name == "localhost"
    return "http" if is_here else "https"
