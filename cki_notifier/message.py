"""The ``ready-for-test`` message, version 0.1.0: the contract with everybody who reads the topic.

Its JSON Schema is made from these types. Consumers index without checking, so a field without a
default is always there and never null; one with the default ``UNSET`` is left out when unknown.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

#: The version of the contract, not of this program: it grows only by additions.
VERSION: Final = "0.1.0"
SCHEMA_ID = "https://cki-project.org/schemas/ready-for-test-0.1.0.json"


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the message's parts: these fields and no others."""


class CI(Part, frozen=True, kw_only=True):
    """Who tells: the same in every message."""

    name: Literal["CKI (Continuous Kernel Integration)"] = "CKI (Continuous Kernel Integration)"
    team: Literal["CKI"] = "CKI"
    docs: Literal["https://cki-project.org"] = "https://cki-project.org"
    url: Literal["https://gitlab.com/cki-project"] = "https://gitlab.com/cki-project"
    email: Literal["cki-project@redhat.com"] = "cki-project@redhat.com"
    irc: Literal["Slack #team-kernel-cki"] = "Slack #team-kernel-cki"


class Run(Part, frozen=True, kw_only=True):
    """The pipeline that made the checkout."""

    url: Annotated[str, Meta(description="The pipeline's address, or an empty string.")]


class Artifact(Part, frozen=True, kw_only=True):
    """What there is to be tested."""

    type: Literal["cki-build"] = "cki-build"
    issuer: Annotated[
        str, Meta(description="CKI for a merge request, else who submitted the checkout, or CKI.")
    ]
    source_package_name: Annotated[str, Meta(description="The source package, mostly kernel.")]
    source_package_version: str | UnsetType = UNSET
    source_package_release: str | UnsetType = UNSET


class System(Part, frozen=True, kw_only=True):
    """An operating system the builds are for."""

    os: Annotated[str, Meta(description="The family of the kpet tree, as rhel9, or empty.")]
    stream: Annotated[str, Meta(description="The kpet tree's name, as c9s, or the checkout's.")]


class BuildInfo(Part, frozen=True, kw_only=True):
    """One build that can be tested."""

    architecture: Annotated[str, Meta(description="As RPM names it, as x86_64, or empty.")]
    build_id: Annotated[str, Meta(description="The build's KCIDB id.")]
    package_name: Annotated[str, Meta(description="The binary package, as kernel-debug.")]
    package_version: str | UnsetType = UNSET
    package_release: str | UnsetType = UNSET
    kernel_package_url: Annotated[
        str, Meta(description="The repository with the packages, or an empty string.")
    ]
    debug_kernel: Annotated[bool, Meta(description="Whether it is a debug kernel.")]


class JiraIssue(Part, frozen=True, kw_only=True):
    """An issue named in the merge request, as Jira told of it; empty where Jira was silent."""

    key: str
    url: Annotated[str, Meta(description="The link as the merge request has it.")]
    summary: str
    status: str
    priority: str
    components: tuple[str, ...]
    fix_versions: tuple[str, ...]
    labels: tuple[str, ...]


class MergeRequestInfo(Part, frozen=True, kw_only=True):
    """The merge request; all empty for a checkout without one."""

    merge_request_url: Annotated[str, Meta(description="Its address, or an empty string.")]
    is_draft: Annotated[bool, Meta(description="Read from GitLab when the message was made.")]
    subsystems: Annotated[tuple[str, ...], Meta(description="Subsystem: labels, sorted.")]
    external_ci: Annotated[
        tuple[str, ...], Meta(description="Names of the ExternalCI:: labels, sorted, each once.")
    ]
    jira: Annotated[tuple[str, ...], Meta(description="Links of its JIRA: trailers, in order.")]
    bugzilla: Annotated[
        tuple[str, ...], Meta(description="Links of its Bugzilla: trailers, in order.")
    ]
    jira_issues: Annotated[
        tuple[JiraIssue, ...] | UnsetType,
        Meta(description="An extra: there only when a Jira server was asked and answered."),
    ] = UNSET


class ReadyForTest(Part, frozen=True, kw_only=True):
    """A kernel is ready for outside testers: its builds are there, or CKI's testing is over."""

    ci: CI = CI()
    run: Run
    artifact: Artifact
    system: Annotated[
        tuple[System, ...],
        Meta(min_length=1, description="Each different system among the builds, in their order."),
    ]
    checkout_id: Annotated[str, Meta(min_length=1, description="The KCIDB id; also the key.")]
    tree_name: Annotated[str, Meta(description="The kernel tree, or an empty string.")]
    build_info: Annotated[
        tuple[BuildInfo, ...],
        Meta(min_length=1, description="By architecture, then debug_kernel, then build_id."),
    ]
    patch_urls: tuple[str, ...]
    merge_request: MergeRequestInfo
    branch: Annotated[str, Meta(description="The git branch, or an empty string.")]
    modified_files: tuple[str, ...]
    pipelineid: Annotated[int, Meta(ge=0, description="The pipeline's id, 0 when unknown.")]
    cki_finished: Annotated[
        bool, Meta(description="false: builds are ready (pre-test). true: CKI tested (post-test).")
    ]
    status: Annotated[
        Literal["success", "fail", "error"] | UnsetType,
        Meta(description="The worst untriaged finding; in a post-test message only."),
    ] = UNSET
    type: Literal["build"] = "build"
    category: Literal["kernel-build"] = "kernel-build"
    namespace: Literal["cki"] = "cki"
    generated_at: Annotated[
        str,
        Meta(
            description="When the message was made, ISO 8601 in UTC.",
            extra_json_schema={"format": "date-time"},
        ),
    ]
    version: Literal["0.1.0"] = VERSION


def encode(message: ReadyForTest) -> bytes:
    """Return the message as it is sent: JSON in UTF-8."""
    return msgspec.json.encode(message)


def schema() -> dict[str, Any]:
    """Return the contract as a JSON Schema (2020-12).

    Fields with a constant value are marked required as well: they have defaults here only so that
    nobody has to spell them out.
    """
    document = msgspec.json.schema(ReadyForTest)
    definitions = document.pop("$defs")
    for part in definitions.values():
        optional = _optional(part["title"])
        part["required"] = [name for name in part["properties"] if name not in optional]
        for described in part["properties"].values():
            described.pop("default", None)
    root = definitions.pop("ReadyForTest")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **root,
        "if": {"properties": {"cki_finished": {"const": True}}},
        "then": {"required": ["status"]},
        "else": {"properties": {"status": False}},
        "$defs": definitions,
    }


def _optional(title: str) -> set[str]:
    """Return the names of a part's fields that may be left out."""
    parts: dict[str, type[Part]] = {part.__name__: part for part in Part.__subclasses__()}
    return {field.name for field in msgspec.structs.fields(parts[title]) if field.default is UNSET}
