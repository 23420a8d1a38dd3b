"""Jira: does it answer the daemon's own search, whose is the token, and if not, what to do?"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlsplit

import msgspec

from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.doctor import web
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, State, failed, ok
from cki_notifier.doctor.web import Question, Reply
from cki_notifier.sources import jira
from cki_notifier.sources.transfer import TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

_NAME = "jira"
#: Asked for as the daemon asks; it matters little whether there is such an issue.
_KEY = "RHEL-1"
_NO_SUCH_ISSUE = re.compile(r"\bissue\b.*does not exist", re.IGNORECASE)
_CONSEQUENCE = "messages go without jira_issues meanwhile"


def jira_check(transfers: Transfers, config: JiraConfig) -> Check:
    """Return the check of Jira."""
    return Check(_NAME, lambda deadline: _look(transfers, config, deadline))


def _look(transfers: Transfers, config: JiraConfig, deadline: Deadline) -> Iterator[Finding]:
    question = _question(config, is_cloud=config.is_cloud)
    try:
        reply = web.ask(transfers, question.server, question.path, deadline)
        if reply.response.code == HTTPStatus.GONE and not config.is_cloud:
            question = _question(config, is_cloud=True)
            reply = web.ask(transfers, question.server, question.path, deadline)
    except TransferError as error:
        yield web.silent(question, error)
        return
    finding = web.answered(question, _understood(reply))
    if finding.state == State.FAILED:
        text, advice = finding.text, finding.advice
        if config.token is None and "token is refused" in text:
            text = text.replace("the token is refused", "a token is asked for", 1)
            advice = "set JIRA_TOKEN_AUTH"
        yield failed(_NAME, text, _advice(transfers, config, question, reply, deadline) or advice)
    elif config.token is None:
        yield finding
    else:
        yield _owner(transfers, config, finding, deadline)
    yield web.clock(question, reply)


def _question(config: JiraConfig, *, is_cloud: bool) -> Question:
    return Question(
        name=_NAME,
        server=jira.server_of(config),
        path=jira.search_path([_KEY], is_cloud=is_cloud),
        field="issues",
        address_variable="JIRA_SERVER",
        says="answers the search" + ("" if config.token else ", read anonymously"),
        consequence=_CONSEQUENCE,
    )


def _understood(reply: Reply) -> Reply:
    """Return a reply as the daemon takes it: a Cloud that knows no such issue has searched."""
    said = str(web.document(reply).get("errorMessages"))
    if reply.response.code != HTTPStatus.BAD_REQUEST or not _NO_SUCH_ISSUE.search(said):
        return reply
    response = msgspec.structs.replace(reply.response, code=200, body=b'{"issues": []}')
    return msgspec.structs.replace(reply, response=response)


def _owner(
    transfers: Transfers, config: JiraConfig, finding: Finding, deadline: Deadline
) -> Finding:
    """Say whose the token is, or that it is none: a Jira may search for anybody."""
    unknown = ok(_NAME, f"{finding.text}; it does not tell whose the token is")
    try:
        reply = web.ask(transfers, jira.server_of(config), jira.PROBE, deadline)
    except TransferError:
        return unknown
    name = web.document(reply).get("displayName")
    if reply.response.code == HTTPStatus.OK and name:
        text = finding.text.replace(
            "the search", f"the search, takes the token as that of {name}", 1
        )
        return msgspec.structs.replace(finding, text=text)
    if reply.response.code == HTTPStatus.UNAUTHORIZED and not config.is_gateway:
        text = f"the token is refused (401), and the search answered as for anybody; {_CONSEQUENCE}"
        return failed(_NAME, text, "renew the token in JIRA_TOKEN_AUTH")
    return unknown


def _advice(
    transfers: Transfers, config: JiraConfig, question: Question, reply: Reply, deadline: Deadline
) -> str:
    """Return what to do about a kind of Jira that is not asked as it has to be, "" if it is."""
    target = urlsplit(web.redirected(reply.response, question.server.url + question.path))
    if (target.hostname or "").endswith(".atlassian.net"):
        return _as_site(f"https://{target.netloc}")
    if reply.response.code not in jira.LASTING or config.is_gateway:
        return ""
    open_to_all = msgspec.structs.replace(question.server, headers=["Accept: application/json"])
    try:
        info = web.document(web.ask(transfers, open_to_all, jira.SERVER_INFO, deadline))
    except TransferError:
        return ""
    kind = info.get("deploymentType")
    if kind == "Cloud" and not config.email:
        site = str(info.get("baseUrl"))
        known = (urlsplit(site).hostname or "").endswith(".atlassian.net")
        return _as_site(site if known else "https://NAME.atlassian.net")
    if kind in {"Server", "DataCenter"} and config.email:
        return f"unset JIRA_EMAIL: this is no Jira Cloud but a {kind}, with personal access tokens"
    return ""


def _as_site(site: str) -> str:
    return (
        f"it is a Jira Cloud: set JIRA_SERVER to {site}, JIRA_TOKEN_AUTH to an API token and "
        "JIRA_EMAIL to the e-mail address of its owner"
    )
