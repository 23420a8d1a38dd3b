"""Jira: whether it answers the daemon's own search, and the owner of the token."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import SplitResult

from msgspec.structs import replace

from cki_notifier.configuration.settings import JiraConfig
from cki_notifier.doctor import web
from cki_notifier.doctor.check import Check, Finding, State, failed
from cki_notifier.sources import jira
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

_NAME = "jira"
#: The issue that the search names; it need not exist.
_KEY = "RHEL-1"
_NO_SUCH_ISSUE = re.compile(r"\bissue\b.*does not exist", re.IGNORECASE)
_CONSEQUENCE = "until this works, messages have no jira_issues"


def jira_check(transfers: Transfers, config: JiraConfig) -> Check:
    """Return the check of Jira."""
    return Check(_NAME, lambda deadline: _Look(transfers, config, deadline).findings())


class _Look:
    """A check of Jira."""

    def __init__(self, transfers: Transfers, config: JiraConfig, deadline: Deadline) -> None:
        self._transfers = transfers
        self._config = config
        self._deadline = deadline
        self._server = jira.server_of(config)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings about the search and about Jira's clock."""
        config = self._config
        question, reply = self._searched(is_cloud=config.is_cloud)
        if reply.response.code == HTTPStatus.GONE and not config.is_cloud:
            question, reply = self._searched(is_cloud=True)
        finding = web.answered(question, _understood(reply))
        if finding.state != State.FAILED:
            yield self._with_owner(finding) if config.token else finding
        else:
            if config.token is None and "token is refused" in finding.text:
                text = finding.text.replace("the token is refused", "Jira requires a token", 1)
                finding = failed(_NAME, text, "set JIRA_TOKEN_AUTH")
            yield replace(finding, advice=self._advice(reply) or finding.advice)
        yield web.clock(_NAME, reply.ahead)

    def _searched(self, *, is_cloud: bool) -> tuple[web.Question, web.Reply]:
        question = web.Question(
            name=_NAME,
            server=self._server,
            path=jira.search_path([_KEY], is_cloud=is_cloud),
            field="issues",
            address_variable="JIRA_SERVER",
            says="answers the search" + ("" if self._config.token else " anonymously"),
            consequence=_CONSEQUENCE,
        )
        return question, web.first(self._transfers, question, self._deadline)

    def _with_owner(self, finding: Finding) -> Finding:
        """Add the owner of the token, or fail without one: some Jiras search for anybody."""
        code, told = web.told(self._transfers, self._server, jira.PROBE, self._deadline)
        if code == HTTPStatus.OK and (name := told.get("displayName")):
            search = f"the search and accepts the token of {name}"
            return replace(finding, text=finding.text.replace("the search", search, 1))
        if code == HTTPStatus.UNAUTHORIZED and not self._config.is_gateway:
            text = "the token is refused (401): searches and messages have public issues only"
            return failed(_NAME, text, "renew the token in JIRA_TOKEN_AUTH")
        return replace(finding, text=f"{finding.text}; Jira does not name the owner of the token")

    def _advice(self, reply: web.Reply) -> str:
        """Return the advice for variables that don't fit the kind of Jira; ``""`` if they do."""
        target = web.address(reply.response.redirected_to)
        if _is_site(target):
            return _as_site(f"https://{target.netloc}")
        if reply.response.code not in jira.LASTING or self._config.is_gateway:
            return ""
        open_to_all = replace(self._server, headers=["Accept: application/json"])
        _, info = web.told(self._transfers, open_to_all, jira.SERVER_INFO, self._deadline)
        kind, email = info.get("deploymentType"), self._config.email
        if kind == "Cloud" and not email:
            site = str(info.get("baseUrl"))
            is_known = _is_site(web.address(site))
            return _as_site(site if is_known else "https://NAME.atlassian.net")
        if kind in {"Server", "DataCenter"} and email:
            what = f"this is a Jira {kind}, which takes personal access tokens"
            return f"unset JIRA_EMAIL: {what}"
        return ""


def _understood(reply: web.Reply) -> web.Reply:
    """Return a reply as the daemon reads it: Jira Cloud's "no such issue" is a search result."""
    said = str(reply.document.get("errorMessages"))
    if reply.response.code != HTTPStatus.BAD_REQUEST or not _NO_SUCH_ISSUE.search(said):
        return reply
    return replace(reply, response=replace(reply.response, code=200), document={"issues": []})


def _is_site(address: SplitResult) -> bool:
    return (address.hostname or "").endswith(".atlassian.net")


def _as_site(site: str) -> str:
    return (
        f"this is Jira Cloud: set JIRA_SERVER to {site}, JIRA_TOKEN_AUTH to an API token and "
        "JIRA_EMAIL to the email address of its owner"
    )
