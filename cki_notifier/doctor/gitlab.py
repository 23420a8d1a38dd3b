"""GitLab: is each host's token good, what may it read, when does it end; and a merge request."""

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
#: What to do about what the daemon's own requests fail at.
SEE = "see what docs/runbook.md says of this error; --timeout gives the service more time"
_LET = "if these are to be told, let the token of GITLAB_TOKENS read the pipelines"
#: A token that ends sooner is worth a warning, in days.
_SOON_DAYS = 14
#: Any of these lets a token read merge requests.
_READING = frozenset({"api", "read_api"})
_PATH = " (what is behind its slash is a path that a GitLab is under, and no group)"
_RENEW = "renew it in time, in the variable that GITLAB_TOKENS names for this host"


def gitlab_check(transfers: Transfers, host: str, token: Secret) -> Check:
    """Return the check of one host of GITLAB_TOKENS."""
    question = Question(
        name=f"gitlab {host}",
        server=gitlab.server_of(f"{_scheme(host)}://{host}", host, token),
        path=gitlab.PROBE,
        field="username",
        address_variable="the host in GITLAB_TOKENS" + (_PATH if "/" in host else ""),
        says="takes the token, as that of {}",
        consequence="notifications about its merge requests are delayed meanwhile",
    )

    def look(deadline: Deadline) -> Iterator[Finding]:
        if (yield from web.findings(transfers, question, deadline)):
            code, told = web.told(transfers, question.server, gitlab.TOKEN, deadline)
            yield _token(f"{question.name} token", told if code == HTTPStatus.OK else {})

    return Check(question.name, look)


def _token(name: str, told: dict[str, Any]) -> Finding:
    """Look at the token itself, which GitLab does not show to every token."""
    if "scopes" not in told:
        return skipped(name, "it does not tell about the token")
    scopes = list(map(str, told["scopes"])) if isinstance(told["scopes"], list) else []
    text = f"scopes {', '.join(scopes) or 'none'}"
    if _READING.isdisjoint(scopes):
        advice = f"give it one of the scopes {', '.join(sorted(_READING))}"
        return warning(name, f"{text}: it can't read merge requests that are not public", advice)
    try:
        ends = date.fromisoformat(told.get("expires_at", ""))
    except (TypeError, ValueError):
        return ok(name, f"{text}; no end is set")
    days = (ends - datetime.now(UTC).date()).days
    text = f"{text}; it ends in {number(days, 'day')}, on {ends}"
    return warning(name, text, _RENEW) if days < _SOON_DAYS else ok(name, text)


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


def merge_request(reader: gitlab.GitLab, checkout: Checkout, deadline: Deadline) -> Finding:
    """Tell whether a checkout's merge request can be read, with what its pipeline triggered."""
    found = merge_request_of(checkout)
    if found is None:
        return skipped(MERGE_REQUEST, f"{checkout.id} has none")
    field, url = found[0], found[1].url or ""
    try:
        _, head = reader.merge_request(url, field, deadline)
        if head is None:
            return ok(MERGE_REQUEST, f"{url} can be read; it has no pipeline that is shown")
        own = own_pipeline_id(checkout)
        downstream = reader.downstream_pipeline_ids(url, head, own, deadline)
    except NotifierError as error:
        return failed(MERGE_REQUEST, f"{url} can't be read: {error}", SEE)
    if downstream is None:
        text = f"{url} can be read, but not what its pipeline {head.id} triggered: checkouts that"
        return warning(MERGE_REQUEST, f"{text} are superseded are not told from others", _LET)
    return ok(MERGE_REQUEST, f"{url} can be read, with what its pipeline {head.id} triggered")
