"""Builds the ready-for-test message from a checkout and its stage, without I/O.

Source: the design's table of the message.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from cki_notifier.checkout.documents import Build, Checkout, CheckoutMisc, testable_builds
from cki_notifier.checkout.links import merge_request_of, pipeline_id, pipeline_url
from cki_notifier.message.contract import (
    Artifact,
    BuildInfo,
    JiraIssue,
    MergeRequestInfo,
    ReadyForTest,
    Run,
    System,
)
from cki_notifier.notification.models import Loaded, MergeRequest, Stage

T = TypeVar("T")


def build_message(
    loaded: Loaded, merge_request: MergeRequest | None, stage: Stage, now: datetime
) -> ReadyForTest:
    """Build the message.

    Args:
        loaded: has at least one testable build and, for a post-test message, the overall status.
        merge_request: None for a checkout without one.
        stage: pre-test or post-test.
        now: the time in UTC, for ``generated_at``.
    """
    checkout = loaded.checkout
    misc = checkout.misc or CheckoutMisc()
    builds = sorted(testable_builds(loaded.builds or ()), key=_order)
    finished = stage is Stage.POST_TEST
    run_url = pipeline_url(checkout)
    return ReadyForTest(
        run=Run(url=run_url),
        artifact=_artifact(misc, is_merge_request=merge_request is not None),
        system=tuple(dict.fromkeys(_system(build, checkout) for build in builds)),
        checkout_id=checkout.id,
        tree_name=checkout.tree_name or "",
        build_info=tuple(_build_info(build) for build in builds),
        patch_urls=_patch_urls(checkout),
        merge_request=_merge_request(merge_request),
        branch=checkout.git_repository_branch or "",
        modified_files=tuple(file.path for file in misc.patchset_modified_files or () if file.path),
        pipelineid=pipeline_id(run_url),
        cki_finished=finished,
        status=_optional(loaded.overall_status) if finished else UNSET,
        generated_at=now.isoformat(timespec="microseconds"),
    )


def _order(build: Build) -> tuple[str, bool, str]:
    return (build.architecture or "", _is_debug(build), build.id)


def _is_debug(build: Build) -> bool:
    return build.misc is not None and build.misc.debug is True


def _artifact(misc: CheckoutMisc, *, is_merge_request: bool) -> Artifact:
    return Artifact(
        issuer="CKI" if is_merge_request else misc.submitter or "CKI",
        source_package_name=misc.source_package_name or "kernel",
        source_package_version=_optional(misc.source_package_version),
        source_package_release=_optional(misc.source_package_release),
    )


def _system(build: Build, checkout: Checkout) -> System:
    family = build.misc.kpet_tree_family if build.misc else None
    name = build.misc.kpet_tree_name if build.misc else None
    return System(os=family or "", stream=name or checkout.tree_name or "")


def _build_info(build: Build) -> BuildInfo:
    misc = build.misc
    repositories = (
        file.url for file in build.output_files or () if file.name == "kernel_package_url"
    )
    return BuildInfo(
        architecture=build.architecture or "",
        build_id=build.id,
        package_name=(misc.package_name if misc else None) or "kernel",
        package_version=_optional(misc.package_version if misc else None),
        package_release=_optional(misc.package_release if misc else None),
        kernel_package_url=next(repositories, None) or "",
        debug_kernel=_is_debug(build),
    )


def _patch_urls(checkout: Checkout) -> tuple[str, ...]:
    patches = tuple(file.url for file in checkout.patchset_files or () if file.url)
    if patches:
        return patches
    found = merge_request_of(checkout)
    return (found[1].diff_url,) if found and found[1].diff_url else ()


def _merge_request(merge_request: MergeRequest | None) -> MergeRequestInfo:
    told = merge_request or MergeRequest(url="", state="", is_draft=False)
    issues = told.jira_issues
    return MergeRequestInfo(
        merge_request_url=told.url,
        is_draft=told.is_draft,
        subsystems=_sorted_once(map(_subsystem, told.labels)),
        external_ci=_sorted_once(map(_external_ci, told.labels)),
        jira=told.jira,
        bugzilla=told.bugzilla,
        jira_issues=UNSET
        if issues is None
        else msgspec.convert(issues, tuple[JiraIssue, ...], from_attributes=True),
    )


def _subsystem(label: str) -> str:
    """Return the name behind ``Subsystem:``, or ``""`` for other labels."""
    kind, _, rest = label.partition(":")
    is_scoped = rest.startswith(":")
    return rest.strip() if kind.strip().lower() == "subsystem" and not is_scoped else ""


def _external_ci(label: str) -> str:
    """Return the name in ``ExternalCI::<name>::<state>``, or ``""`` for other labels.

    ``ExternalCI::<state>`` is the combined state of all external CIs and has no name.
    """
    kind, name, state = map(str.strip, [*label.split("::", 2), "", ""][:3])
    return name if kind.lower() == "externalci" and state.strip(": ") else ""


def _sorted_once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - {""}))


def _optional(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
