"""The services that notifications are looked up in: do they answer, and are the tokens good?

Of DataWarehouse a checkout is read too, by the very requests that the daemon makes. Which ones
there are nobody can know beforehand, so it is the first of its list, and the merge request of that.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from cki_notifier.configuration.settings import Config
from cki_notifier.doctor import gitlab, web
from cki_notifier.doctor.check import Check, Finding, failed, number, ok, skipped
from cki_notifier.doctor.configuration import is_faulty
from cki_notifier.doctor.jira import jira_check
from cki_notifier.notification.errors import NotifierError
from cki_notifier.sources import datawarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

_DATAWAREHOUSE, _GITLAB, _JIRA = "datawarehouse", "gitlab", "jira"
_CHECKOUT = "datawarehouse checkout"
_FAULTY = "its configuration has faults"
_NONE = "there is no checkout to try"


def checks(transfers: Transfers, config: Config, faults: Sequence[str]) -> Iterator[Check]:
    """Yield a check for each service.

    Args:
        transfers: makes the requests.
        config: which services, and how.
        faults: of the configuration; what they concern is skipped.
    """
    asks_gitlab = not is_faulty(_GITLAB, faults)
    if is_faulty(_DATAWAREHOUSE, faults):
        yield _skip(_DATAWAREHOUSE, _FAULTY)
    else:
        look = partial(_look_at_warehouse, transfers, config, asks_gitlab=asks_gitlab)
        yield Check(_DATAWAREHOUSE, look)
    for host, token in config.gitlab_tokens.items():
        yield gitlab.gitlab_check(transfers, host, token)
    if not asks_gitlab:
        yield _skip(_GITLAB, _FAULTY)
    elif not config.gitlab_tokens:
        yield _skip(_GITLAB, "GITLAB_TOKENS is not set: merge requests are read anonymously")
    if config.jira is not None:
        yield jira_check(transfers, config.jira)
    else:
        unset = "JIRA_SERVER is not set: no issues are looked up"
        yield _skip(_JIRA, _FAULTY if is_faulty(_JIRA, faults) else unset)


def _skip(name: str, text: str) -> Check:
    return Check(name, lambda _: [skipped(name, text)])


def _look_at_warehouse(
    transfers: Transfers, config: Config, deadline: Deadline, *, asks_gitlab: bool
) -> Iterator[Finding]:
    """Ask whether it takes the token, and then for what the daemon asks for."""
    question = web.Question(
        name=_DATAWAREHOUSE,
        server=datawarehouse.server_of(config.datawarehouse),
        path=datawarehouse.PROBE,
        field="results",
        address_variable="DATAWAREHOUSE_URL",
        says="takes the token",
        consequence="notifications are delayed meanwhile",
    )
    listed = yield from web.findings(transfers, question, deadline)
    if not listed:
        return
    http, checkout = HTTP(transfers), None
    if checkout_id := _first_id(listed):
        warehouse = datawarehouse.DataWarehouse(http, config.datawarehouse)
        try:
            loaded = warehouse.checkout_with_builds(checkout_id, deadline)
            warehouse.everything(checkout_id, deadline)
        except NotifierError as error:
            yield failed(_CHECKOUT, f"{checkout_id} can't be read: {error}", gitlab.SEE)
        else:
            checkout = loaded.checkout
            builds = number(len(loaded.builds or ()), "build")
            yield ok(_CHECKOUT, f"{checkout_id} can be read, with its {builds}, and all of it")
    else:
        yield skipped(_CHECKOUT, _NONE)
    if not asks_gitlab:
        yield skipped(gitlab.MERGE_REQUEST, "the configuration of gitlab has faults")
    elif checkout is None:
        yield skipped(gitlab.MERGE_REQUEST, _NONE)
    else:
        yield gitlab.merge_request(GitLab(http, config.gitlab_tokens), checkout, deadline)


def _first_id(listed: dict[str, Any]) -> str:
    """Return the id of the first checkout of a list, ``""`` when it names none."""
    match listed:
        case {"results": [{"id": str(checkout_id)}, *_]}:
            return checkout_id
    return ""
