"""The services that notifications are looked up in: do they answer, and are the tokens good?"""

from collections.abc import Iterator, Sequence
from functools import partial

from cki_notifier.configuration.settings import Config
from cki_notifier.doctor import look_ups, web
from cki_notifier.doctor.configuration import is_faulty
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import Finding, State, skipped
from cki_notifier.doctor.gitlab import gitlab_check
from cki_notifier.doctor.jira import jira_check
from cki_notifier.doctor.web import Question
from cki_notifier.sources import datawarehouse
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

_DATAWAREHOUSE, _GITLAB, _JIRA = "datawarehouse", "gitlab", "jira"
_FAULTY = "its configuration has faults"


def checks(transfers: Transfers, config: Config, faults: Sequence[str]) -> Iterator[Check]:
    """Yield a check for each service.

    Args:
        transfers: makes the requests.
        config: which services, and how.
        faults: of the configuration; what they concern is skipped.
    """
    if is_faulty(_DATAWAREHOUSE, faults):
        yield _skip(_DATAWAREHOUSE, _FAULTY)
    else:
        asks_gitlab = not is_faulty(_GITLAB, faults)
        look = partial(_look_at_warehouse, transfers, config, asks_gitlab=asks_gitlab)
        yield Check(_DATAWAREHOUSE, look)
    yield from _gitlab(transfers, config, faults)
    if config.jira is not None:
        yield jira_check(transfers, config.jira)
    else:
        unset = "JIRA_SERVER is not set: no issues are looked up"
        yield _skip(_JIRA, _FAULTY if is_faulty(_JIRA, faults) else unset)


def _gitlab(transfers: Transfers, config: Config, faults: Sequence[str]) -> Iterator[Check]:
    for host, token in config.gitlab_tokens.items():
        yield gitlab_check(transfers, host, token)
    if is_faulty(_GITLAB, faults):
        yield _skip(_GITLAB, _FAULTY)
    elif not config.gitlab_tokens:
        yield _skip(_GITLAB, "GITLAB_TOKENS is not set: merge requests are read anonymously")


def _look_at_warehouse(
    transfers: Transfers, config: Config, deadline: Deadline, *, asks_gitlab: bool
) -> Iterator[Finding]:
    """Ask whether it takes the token, and then for what the daemon asks for."""
    is_fine = True
    for finding in web.findings(transfers, _about_warehouse(config), deadline):
        is_fine = is_fine and finding.state != State.FAILED
        yield finding
    if is_fine:
        yield from look_ups.findings(transfers, config, deadline, asks_gitlab=asks_gitlab)


def _about_warehouse(config: Config) -> Question:
    return Question(
        name=_DATAWAREHOUSE,
        server=datawarehouse.server_of(config.datawarehouse),
        path=datawarehouse.PROBE,
        field="results",
        address_variable="DATAWAREHOUSE_URL",
        says="takes the token",
        consequence="notifications are delayed meanwhile",
    )


def _skip(name: str, text: str) -> Check:
    return Check(name, lambda _: [skipped(name, text)])
