"""Notifications of all kinds, each with its documents in the services."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tools.stand_ins import Gitlab, Services, documents
from tools.stand_ins.documents import Document

_PROJECT: Final = "group/kernel"

#: Adds a checkout to the services, and returns a notification about it.
Make: TypeAlias = Callable[[Services, str], Document]


def store(services: Services, checkout: Document) -> None:
    """Add a checkout with one build to DataWarehouse."""
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))


def pre_test(services: Services, checkout_id: str) -> Document:
    """Return a notification about a checkout whose builds are ready."""
    checkout = documents.checkout(checkout_id)
    store(services, checkout)
    return documents.notification(checkout, "build_setups_finished")


def tested(checkout_id: str) -> Document:
    """Return the post-test notification of a checkout that had a pre-test one."""
    return documents.notification(documents.checkout(checkout_id), "ready_to_report")


def post_test(services: Services, checkout_id: str) -> Document:
    """Return a notification about a tested checkout, for which the daemon loads `/all`."""
    checkout = documents.checkout(checkout_id)
    store(services, checkout)
    return documents.notification(checkout, "ready_to_report")


def thin(services: Services, checkout_id: str) -> Document:
    """Return a thin notification with the status unknown."""
    store(services, documents.checkout(checkout_id))
    return documents.notification(None, "unknown", checkout_id=checkout_id)


def with_merge_request(
    services: Services, checkout_id: str, gitlab: Gitlab | None = None, **changes: Any
) -> Document:
    """Return a notification about a checkout with a merge request and an issue in Jira.

    Args:
        services: get all documents.
        checkout_id: of the checkout.
        gitlab: has the merge request; None for the services' GitLab.
        changes: to the merge request.
    """
    gitlab = gitlab or services.gitlab
    url = gitlab.merge_request_url(_PROJECT, documents.number(checkout_id))
    gitlab.add_merge_request(documents.merge_request(url, **changes))
    checkout = documents.checkout(checkout_id, merge_request=url)
    store(services, checkout)
    return documents.notification(checkout, "build_setups_finished")


def merged(services: Services, checkout_id: str) -> Document:
    """Return a notification that the daemon ignores: the merge request is merged."""
    return with_merge_request(services, checkout_id, state="merged")


def superseded(services: Services, checkout_id: str) -> Document:
    """Return a notification that the daemon ignores: the merge request has a newer pipeline."""
    newer = services.gitlab.pipeline_url(_PROJECT, documents.number(checkout_id))
    return with_merge_request(services, checkout_id, head_pipeline=newer)


def foreign(services: Services, checkout_id: str) -> Document:
    """Return a notification that the daemon ignores once it has the checkout: not CKI's."""
    store(services, documents.checkout(checkout_id, origin="syzbot"))
    return documents.notification(None, "unknown", checkout_id=checkout_id)


def retriggered(_services: Services, checkout_id: str) -> Document:
    """Return a notification that the daemon ignores at once: a retrigger."""
    checkout = documents.checkout(checkout_id, misc={"retrigger": True})
    return documents.notification(checkout)


def triaging(_services: Services, checkout_id: str) -> Document:
    """Return a notification that the daemon ignores at once: its status."""
    return documents.notification(documents.checkout(checkout_id), "needs_triage")


def build(_services: Services, checkout_id: str) -> Document:
    """Return a notification that the daemon ignores at once: a build."""
    return documents.notification(documents.checkout(checkout_id), object_type="build")
