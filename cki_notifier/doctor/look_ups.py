"""What the daemon reads for a message, tried with one checkout: by the very requests it makes.

Which objects there are nobody can know beforehand, so it is the first checkout of the warehouse's
list, and the merge request of that.
"""

from collections.abc import Iterator

from cki_notifier.checkout.documents import Checkout
from cki_notifier.checkout.links import merge_request_of, own_pipeline_id
from cki_notifier.configuration.settings import Config
from cki_notifier.doctor import web
from cki_notifier.doctor.finding import Finding, failed, ok, skipped, warning
from cki_notifier.doctor.queue import number
from cki_notifier.notification.errors import NotifierError
from cki_notifier.sources import datawarehouse
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

_CHECKOUT, _MERGE_REQUEST = "datawarehouse checkout", "gitlab merge request"
_NONE = "there is no checkout to try"
_SEE = "see what docs/runbook.md says of this error; --timeout gives the service more time"
_LET = "if these are to be told, let the token of GITLAB_TOKENS read the pipelines"


def findings(
    transfers: Transfers, config: Config, deadline: Deadline, *, asks_gitlab: bool
) -> Iterator[Finding]:
    """Yield whether a checkout can be read, and its merge request.

    Args:
        transfers: makes the requests.
        config: which services, and how.
        deadline: for all requests.
        asks_gitlab: whether GitLab's tokens can be used.
    """
    http, checkout = HTTP(transfers), None
    if checkout_id := _any_checkout(transfers, config, deadline):
        warehouse = DataWarehouse(http, config.datawarehouse)
        try:
            loaded = warehouse.checkout_with_builds(checkout_id, deadline)
            warehouse.everything(checkout_id, deadline)
        except NotifierError as error:
            yield failed(_CHECKOUT, f"{checkout_id} can't be read: {error}", _SEE)
        else:
            checkout = loaded.checkout
            builds = number(len(loaded.builds or ()), "build")
            yield ok(_CHECKOUT, f"{checkout_id} can be read, with its {builds}, and all of it")
    else:
        yield skipped(_CHECKOUT, _NONE)
    if not asks_gitlab:
        yield skipped(_MERGE_REQUEST, "the configuration of gitlab has faults")
    elif checkout is None:
        yield skipped(_MERGE_REQUEST, _NONE)
    else:
        yield _merge_request(GitLab(http, config.gitlab_tokens), checkout, deadline)


def _any_checkout(transfers: Transfers, config: Config, deadline: Deadline) -> str:
    """Return the id of some checkout, ``""`` when the warehouse names none."""
    server = datawarehouse.server_of(config.datawarehouse)
    try:
        listed = web.document(web.ask(transfers, server, datawarehouse.PROBE, deadline))
    except TransferError:
        return ""
    results = listed.get("results")
    first = results[0] if isinstance(results, list) and results else None
    checkout_id = first.get("id") if isinstance(first, dict) else None
    return checkout_id if isinstance(checkout_id, str) else ""


def _merge_request(gitlab: GitLab, checkout: Checkout, deadline: Deadline) -> Finding:
    """Tell whether a checkout's merge request can be read, with what its pipeline triggered."""
    found = merge_request_of(checkout)
    if found is None:
        return skipped(_MERGE_REQUEST, f"{checkout.id} has none")
    field, url = found[0], found[1].url or ""
    try:
        _, head = gitlab.merge_request(url, field, deadline)
        if head is None:
            return ok(_MERGE_REQUEST, f"{url} can be read; it has no pipeline that is shown")
        own = own_pipeline_id(checkout)
        downstream = gitlab.downstream_pipeline_ids(url, head, own, deadline)
    except NotifierError as error:
        return failed(_MERGE_REQUEST, f"{url} can't be read: {error}", _SEE)
    if downstream is None:
        text = f"{url} can be read, but not what its pipeline {head.id} triggered: checkouts that"
        return warning(_MERGE_REQUEST, f"{text} are superseded are not told from others", _LET)
    return ok(_MERGE_REQUEST, f"{url} can be read, with what its pipeline {head.id} triggered")
