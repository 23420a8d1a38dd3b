"""GitLab: each host's token with its scopes and expiry, and a merge request."""

import ipaddress
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from cki_notifier.checkout.documents import Checkout
from cki_notifier.checkout.links import merge_request_of, own_pipeline_id
from cki_notifier.configuration.secret import Secret
from cki_notifier.doctor import web
from cki_notifier.doctor.check import Check, Finding, failed, number, ok, skipped, warning
from cki_notifier.doctor.web import Question
from cki_notifier.notification.errors import NotifierError
from cki_notifier.sources import gitlab
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

MERGE_REQUEST = "gitlab merge request"
#: The advice for a request of the daemon that fails.
SEE = "find the error in docs/runbook.md; --timeout SECONDS gives the service more time"
_LET = "to stop this, let the token in GITLAB_TOKENS read the project's pipelines"
#: A token that expires in less time is a warning, in days.
_SOON_DAYS = 14
#: Each of these scopes lets a token read merge requests.
_READING = frozenset({"api", "read_api"})
_PATH = " (the part after the slash is the path that GitLab is installed under, not a group)"
_RENEW = "renew it in the variable that GITLAB_TOKENS names: see docs/rotate-a-token.md"


def gitlab_check(transfers: Transfers, host: str, token: Secret) -> Check:
    """Return the check of one host of GITLAB_TOKENS."""
    question = Question(
        name=f"gitlab {host}",
        server=gitlab.server_of(f"{_scheme(host)}://{host}", host, token),
        path=gitlab.PROBE,
        field="username",
        address_variable="the host in GITLAB_TOKENS" + (_PATH if "/" in host else ""),
        says="accepts the token of {}",
        consequence="until this works, the daemon delays notifications about its merge requests",
    )

    def look(deadline: Deadline) -> Iterator[Finding]:
        if (yield from web.findings(transfers, question, deadline)):
            code, told = web.told(transfers, question.server, gitlab.TOKEN, deadline)
            yield _token(f"{question.name} token", told if code == HTTPStatus.OK else {})

    return Check(question.name, look)


def _token(name: str, told: dict[str, Any]) -> Finding:
    """Check scopes and expiry, which GitLab does not show to every token."""
    if "scopes" not in told:
        return skipped(name, "GitLab does not describe this token")
    scopes = list(map(str, told["scopes"])) if isinstance(told["scopes"], list) else []
    text = f"scopes {', '.join(scopes) or 'none'}"
    if _READING.isdisjoint(scopes):
        advice = f"create a token with the scope {' or '.join(sorted(_READING))}"
        return warning(name, f"{text}: the token can't read private merge requests", advice)
    try:
        ends = date.fromisoformat(told.get("expires_at", ""))
    except (TypeError, ValueError):
        return ok(name, f"{text}; the token does not expire")
    days = (ends - datetime.now(UTC).date()).days
    text = f"{text}; the token expires in {number(days, 'day')}, on {ends}"
    return warning(name, text, _RENEW) if days < _SOON_DAYS else ok(name, text)


def _scheme(host: str) -> str:
    """Return the scheme to send the token with. The daemon uses that of the merge request's URL.

    A token is sent in plain text on this machine only.
    """
    name = urlsplit(f"//{host}").hostname or ""
    try:
        is_here = ipaddress.ip_address(name).is_loopback
    except ValueError:
        is_here = name == "localhost"
    return "http" if is_here else "https"


def merge_request(reader: gitlab.GitLab, checkout: Checkout, deadline: Deadline) -> Finding:
    """Check that a checkout's merge request can be read, with its downstream pipelines."""
    found = merge_request_of(checkout)
    if found is None:
        return skipped(MERGE_REQUEST, f"{checkout.id} has no merge request")
    field, url = found[0], found[1].url or ""
    try:
        _, head = reader.merge_request(url, field, deadline)
        if head is None:
            return ok(MERGE_REQUEST, f"{url} can be read; GitLab shows no pipeline of it")
        own = own_pipeline_id(checkout)
        downstream = reader.downstream_pipeline_ids(url, head, own, deadline)
    except NotifierError as error:
        return failed(MERGE_REQUEST, f"{url} can't be read: {error}", SEE)
    if downstream is None:
        text = f"{url} can be read, but not the downstream pipelines of its pipeline {head.id}"
        return warning(MERGE_REQUEST, f"{text}: superseded checkouts lead to messages, too", _LET)
    text = f"{url} can be read, with the downstream pipelines of its pipeline {head.id}"
    return ok(MERGE_REQUEST, text)
