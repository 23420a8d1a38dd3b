"""The ``ready-for-test`` message, version 0.1.0: the contract with the labs that read the topic.

These types generate its JSON Schema. A field without a default is always present and never null,
because consumers index without checking. A field with the default ``UNSET`` is absent if unknown.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

#: The version of the contract, not of this program. The contract grows only by additions. A new
#: field needs a new version, here and in the types below, and a new schema in docs/contracts/.
VERSION: Final = "0.1.0"
SCHEMA_ID = "https://cki-project.org/schemas/ready-for-test-0.1.0.json"


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the message's parts, which forbid unknown fields."""


_Version = Annotated[
    str | UnsetType,
    Meta(description="The package's version. Absent if unknown.", examples=["5.14.0"]),
]
_Release = Annotated[
    str | UnsetType,
    Meta(
        description="The package's release. Absent if unknown.",
        examples=["503.5021_2167003491.el9"],
    ),
]


class CI(Part, frozen=True, kw_only=True):
    """The sender. The same in every message."""

    name: Annotated[
        Literal["CKI (Continuous Kernel Integration)"], Meta(description="CKI's full name.")
    ] = "CKI (Continuous Kernel Integration)"
    team: Annotated[Literal["CKI"], Meta(description="CKI's short name.")] = "CKI"
    docs: Annotated[
        Literal["https://cki-project.org"], Meta(description="CKI's documentation.")
    ] = "https://cki-project.org"
    url: Annotated[
        Literal["https://gitlab.com/cki-project"], Meta(description="CKI's source code.")
    ] = "https://gitlab.com/cki-project"
    email: Annotated[
        Literal["cki-project@redhat.com"], Meta(description="CKI's email address.")
    ] = "cki-project@redhat.com"
    irc: Annotated[Literal["Slack #team-kernel-cki"], Meta(description="CKI's chat channel.")] = (
        "Slack #team-kernel-cki"
    )


class Run(Part, frozen=True, kw_only=True):
    """The pipeline of the checkout."""

    url: Annotated[
        str,
        Meta(
            description="The pipeline's URL. Empty if unknown.",
            examples=["https://gitlab.com/cki/pipelines/-/pipelines/2167003491"],
        ),
    ]


class Artifact(Part, frozen=True, kw_only=True):
    """The artifact to test."""

    type: Annotated[
        Literal["cki-build"], Meta(description="The kind of artifact: a CKI build.")
    ] = "cki-build"
    issuer: Annotated[
        str,
        Meta(
            description="CKI, or the submitter of a checkout without a merge request.",
            examples=["CKI"],
        ),
    ]
    source_package_name: Annotated[
        str, Meta(description="The source package's name, usually kernel.", examples=["kernel"])
    ]
    source_package_version: _Version = UNSET
    source_package_release: _Release = UNSET


class System(Part, frozen=True, kw_only=True):
    """An operating system that builds are for."""

    os: Annotated[
        str,
        Meta(description="The kpet tree's family. Empty if unknown.", examples=["rhel9"]),
    ]
    stream: Annotated[
        str,
        Meta(
            description="The kpet tree's name. If unknown, the checkout's tree_name.",
            examples=["c9s"],
        ),
    ]


class BuildInfo(Part, frozen=True, kw_only=True):
    """A build to test."""

    architecture: Annotated[
        str,
        Meta(description="The architecture's name in RPM. Empty if unknown.", examples=["x86_64"]),
    ]
    build_id: Annotated[
        str,
        Meta(description="The build's KCIDB id.", examples=["redhat:2167003491-x86_64-kernel"]),
    ]
    package_name: Annotated[
        str,
        Meta(
            description="The binary package's name, for example kernel-debug.", examples=["kernel"]
        ),
    ]
    package_version: _Version = UNSET
    package_release: _Release = UNSET
    kernel_package_url: Annotated[
        str,
        Meta(
            description="The package repository's URL. Empty if unknown.",
            examples=["https://s3.example.com/repo/5.14.0-503.el9.x86_64"],
        ),
    ]
    debug_kernel: Annotated[
        bool, Meta(description="Whether the kernel is a debug kernel.", examples=[False])
    ]


class JiraIssue(Part, frozen=True, kw_only=True):
    """A Jira issue of the merge request. Details that Jira doesn't give are empty."""

    key: Annotated[str, Meta(description="The issue's key.", examples=["RHEL-40001"])]
    url: Annotated[
        str,
        Meta(
            description="The link from the merge request.",
            examples=["https://redhat.atlassian.net/browse/RHEL-40001"],
        ),
    ]
    summary: Annotated[
        str, Meta(description="The issue's title.", examples=["ice: link flaps on resume"])
    ]
    status: Annotated[str, Meta(description="The status's name in Jira.", examples=["In Progress"])]
    priority: Annotated[str, Meta(description="The priority's name in Jira.", examples=["Major"])]
    components: Annotated[
        tuple[str, ...],
        Meta(description="The issue's components.", examples=[["kernel / Networking"]]),
    ]
    fix_versions: Annotated[
        tuple[str, ...], Meta(description="The versions that get the fix.", examples=[["rhel-9.6"]])
    ]
    labels: Annotated[
        tuple[str, ...], Meta(description="The issue's labels.", examples=[["kernel"]])
    ]


class MergeRequestInfo(Part, frozen=True, kw_only=True):
    """The merge request. Without one, all values are empty or false."""

    merge_request_url: Annotated[
        str,
        Meta(
            description="The merge request's URL.",
            examples=["https://gitlab.com/group/kernel/-/merge_requests/5021"],
        ),
    ]
    is_draft: Annotated[
        bool,
        Meta(
            description="Whether the merge request is a draft, read from GitLab for this message.",
            examples=[False],
        ),
    ]
    subsystems: Annotated[
        tuple[str, ...],
        Meta(
            description="Names in Subsystem: labels, sorted, each once.",
            examples=[["drivers-net", "net"]],
        ),
    ]
    external_ci: Annotated[
        tuple[str, ...],
        Meta(description="Names in ExternalCI:: labels, sorted, each once.", examples=[["lnst"]]),
    ]
    jira: Annotated[
        tuple[str, ...],
        Meta(
            description="Links in JIRA: trailers, in order.",
            examples=[["https://redhat.atlassian.net/browse/RHEL-40001"]],
        ),
    ]
    bugzilla: Annotated[
        tuple[str, ...],
        Meta(
            description="Links in Bugzilla: trailers, in order.",
            examples=[["https://bugzilla.redhat.com/2210001"]],
        ),
    ]
    jira_issues: Annotated[
        tuple[JiraIssue, ...] | UnsetType,
        Meta(
            description="Issues in jira. Present only if cki-notifier asked Jira and got an answer."
        ),
    ] = UNSET


class ReadyForTest(Part, frozen=True, kw_only=True):
    """A kernel is ready for labs to test: its builds are ready, or CKI's own tests are over."""

    ci: CI = CI()
    run: Run
    artifact: Artifact
    system: Annotated[
        tuple[System, ...],
        Meta(min_length=1, description="The builds' systems, each once, in the builds' order."),
    ]
    checkout_id: Annotated[
        str,
        Meta(
            min_length=1,
            description="The checkout's KCIDB id, also the record's key.",
            examples=["redhat:2167003491"],
        ),
    ]
    tree_name: Annotated[
        str, Meta(description="The kernel tree. Empty if unknown.", examples=["c9s"])
    ]
    build_info: Annotated[
        tuple[BuildInfo, ...],
        Meta(
            min_length=1,
            description="The builds to test, sorted by architecture, debug_kernel and build_id.",
        ),
    ]
    patch_urls: Annotated[
        tuple[str, ...],
        Meta(
            description="URLs of patches on top of the branch, or of the merge request's diff.",
            examples=[["https://gitlab.com/group/kernel/-/merge_requests/5021.diff"]],
        ),
    ]
    merge_request: MergeRequestInfo
    branch: Annotated[str, Meta(description="The git branch. Empty if unknown.", examples=["main"])]
    modified_files: Annotated[
        tuple[str, ...],
        Meta(
            description="Paths in the kernel's source that the patches change.",
            examples=[["drivers/net/ethernet/intel/ice/ice_main.c"]],
        ),
    ]
    pipelineid: Annotated[
        int, Meta(ge=0, description="The pipeline's id. 0 if unknown.", examples=[2167003491])
    ]
    cki_finished: Annotated[
        bool,
        Meta(
            description="true in a post-test message, false in a pre-test message.",
            examples=[True],
        ),
    ]
    status: Annotated[
        Literal["success", "fail", "error"] | UnsetType,
        Meta(
            description="The worst result without a known issue. Only in a post-test message.",
            examples=["success"],
        ),
    ] = UNSET
    type: Annotated[Literal["build"], Meta(description="The subject: a build, not its tests.")] = (
        "build"
    )
    category: Annotated[
        Literal["kernel-build"], Meta(description="The kind of build: a kernel.")
    ] = "kernel-build"
    namespace: Annotated[Literal["cki"], Meta(description="The builder: CKI.")] = "cki"
    generated_at: Annotated[
        str,
        Meta(
            description="When cki-notifier built the message: ISO 8601, UTC.",
            extra_json_schema={"format": "date-time"},
            examples=["2026-11-20T12:30:01.000000+00:00"],
        ),
    ]
    version: Annotated[Literal["0.1.0"], Meta(description="The version of this contract.")] = (
        VERSION
    )


def encode(message: ReadyForTest) -> bytes:
    """Return the message as JSON in UTF-8, as published."""
    return msgspec.json.encode(message)


def schema() -> dict[str, Any]:
    """Return the contract as a JSON Schema (2020-12).

    Constant fields are required, too. They have defaults here only for convenience.
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
    """Return the names of a part's optional fields."""
    parts: dict[str, type[Part]] = {part.__name__: part for part in Part.__subclasses__()}
    return {field.name for field in msgspec.structs.fields(parts[title]) if field.default is UNSET}
