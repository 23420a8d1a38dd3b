"""DataWarehouse, GitLab and Jira: whether they answer, and accept the tokens.

With the daemon's own requests, the check reads the first checkout in DataWarehouse's list and the
merge request of that checkout.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from cki_notifier.configuration.settings import Config
from cki_notifier.doctor import gitlab, web
from cki_notifier.doctor.check import Check, Finding, failed, number, ok, skipped
from cki_notifier.doctor.configuration import is_faulty, usable
from cki_notifier.doctor.jira import jira_check
from cki_notifier.notification.errors import NotifierError
from cki_notifier.sources import datawarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

_DATAWAREHOUSE, _GITLAB, _JIRA = "datawarehouse", "gitlab", "jira"
_CHECKOUT = "datawarehouse checkout"
_NONE = "not checked: DataWarehouse lists no checkout"


def checks(transfers: Transfers, config: Config, faults: Sequence[str]) -> Iterator[Check]:
    """Yield a check for each service.

    Args:
        transfers: makes the requests.
        config: the configuration of the services.
        faults: the faults of the configuration; they skip the checks that they concern.
    """
    asks_gitlab = not is_faulty(_GITLAB, faults)
    look = partial(_look_at_warehouse, transfers, config, asks_gitlab=asks_gitlab)
    yield from usable(_DATAWAREHOUSE, faults, [Check(_DATAWAREHOUSE, look)])
    hosts = [gitlab.gitlab_check(transfers, *it) for it in config.gitlab_tokens.items()]
    if not asks_gitlab:
        yield from hosts  # those with a valid token
    unset = "GITLAB_TOKENS is not set: the daemon reads merge requests anonymously"
    yield from usable(_GITLAB, faults, hosts, unset)
    site = [jira_check(transfers, config.jira)] if config.jira else []
    yield from usable(_JIRA, faults, site, "JIRA_SERVER is not set: messages have no issues")


def _look_at_warehouse(
    transfers: Transfers, config: Config, deadline: Deadline, *, asks_gitlab: bool
) -> Iterator[Finding]:
    """Check the token, then the requests of the daemon."""
    question = web.Question(
        name=_DATAWAREHOUSE,
        server=datawarehouse.server_of(config.datawarehouse),
        path=datawarehouse.PROBE,
        field="results",
        address_variable="DATAWAREHOUSE_URL",
        says="accepts the token",
        consequence="until this works, the daemon delays notifications",
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
            yield ok(_CHECKOUT, f"{checkout_id} can be read, with its {builds} and all other data")
    else:
        yield skipped(_CHECKOUT, _NONE)
    if not asks_gitlab:
        yield skipped(gitlab.MERGE_REQUEST, "not checked: GITLAB_TOKENS has faults")
    elif checkout is None:
        yield skipped(gitlab.MERGE_REQUEST, _NONE)
    else:
        yield gitlab.merge_request(GitLab(http, config.gitlab_tokens), checkout, deadline)


def _first_id(listed: dict[str, Any]) -> str:
    """Return the id of the first checkout in a list; ``""`` for none."""
    match listed:
        case {"results": [{"id": str(checkout_id)}, *_]}:
            return checkout_id
    return ""
