"""The services that notifications are looked up in: do they answer, and are the tokens good?"""

from collections.abc import Iterator, Sequence
from functools import partial

from cki_notifier.configuration.settings import Config
from cki_notifier.doctor import web
from cki_notifier.doctor.configuration import is_faulty
from cki_notifier.doctor.examine import Check
from cki_notifier.doctor.finding import skipped
from cki_notifier.doctor.gitlab import gitlab_check
from cki_notifier.doctor.jira import jira_check
from cki_notifier.doctor.web import Question
from cki_notifier.sources import datawarehouse
from cki_notifier.sources.transfer import Transfers

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
        yield Check(_DATAWAREHOUSE, partial(web.findings, transfers, _about_warehouse(config)))
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
