"""Notifications of all kinds, each with what the services have to know about it."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tools.stand_ins import Gitlab, Services, documents
from tools.stand_ins.documents import Document

_PROJECT: Final = "group/kernel"

#: Has the services know a checkout, and returns a notification about it.
Make: TypeAlias = Callable[[Services, str], Document]


def store(services: Services, checkout: Document) -> None:
    """Have the warehouse know a checkout with one build."""
    services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))


def pre_test(services: Services, checkout_id: str) -> Document:
    """Tell of a checkout whose builds are there."""
    checkout = documents.checkout(checkout_id)
    store(services, checkout)
    return documents.notification(checkout, "build_setups_finished")


def tested(checkout_id: str) -> Document:
    """Tell that a checkout is tested whose builds were told of before."""
    return documents.notification(documents.checkout(checkout_id), "ready_to_report")


def post_test(services: Services, checkout_id: str) -> Document:
    """Tell of a checkout that is tested; all of it is to be loaded."""
    checkout = documents.checkout(checkout_id)
    store(services, checkout)
    return documents.notification(checkout, "ready_to_report")


def thin(services: Services, checkout_id: str) -> Document:
    """Tell of a checkout by its id alone, with a status that leaves all to its flags."""
    store(services, documents.checkout(checkout_id))
    return documents.notification(None, "unknown", checkout_id=checkout_id)


def with_merge_request(
    services: Services, checkout_id: str, gitlab: Gitlab | None = None, **changes: Any
) -> Document:
    """Tell of a checkout with a merge request, which has an issue in Jira.

    Args:
        services: are to know all of it.
        checkout_id: its own.
        gitlab: where the merge request is, when that is not the services' own.
        changes: to the merge request.
    """
    gitlab = gitlab or services.gitlab
    url = gitlab.merge_request_url(_PROJECT, documents.number(checkout_id))
    gitlab.add_merge_request(documents.merge_request(url, **changes))
    checkout = documents.checkout(checkout_id, merge_request=url)
    store(services, checkout)
    return documents.notification(checkout, "build_setups_finished")


def merged(services: Services, checkout_id: str) -> Document:
    """Tell of a checkout whose merge request is merged: ignored when that is read."""
    return with_merge_request(services, checkout_id, state="merged")


def superseded(services: Services, checkout_id: str) -> Document:
    """Tell of a checkout whose merge request has a newer pipeline: ignored when that is read."""
    newer = services.gitlab.pipeline_url(_PROJECT, documents.number(checkout_id))
    return with_merge_request(services, checkout_id, head_pipeline=newer)


def foreign(services: Services, checkout_id: str) -> Document:
    """Tell of a checkout that is not ours: ignored when it is loaded."""
    store(services, documents.checkout(checkout_id, origin="syzbot"))
    return documents.notification(None, "unknown", checkout_id=checkout_id)


def retriggered(_services: Services, checkout_id: str) -> Document:
    """Tell of what is ignored unseen: a repetition."""
    checkout = documents.checkout(checkout_id, misc={"retrigger": True})
    return documents.notification(checkout)


def triaging(_services: Services, checkout_id: str) -> Document:
    """Tell of what is ignored unseen: a status that does not concern us."""
    return documents.notification(documents.checkout(checkout_id), "needs_triage")


def build(_services: Services, checkout_id: str) -> Document:
    """Tell of what is ignored unseen: a build."""
    return documents.notification(documents.checkout(checkout_id), object_type="build")
