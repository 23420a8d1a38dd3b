"""The ``ready-for-test`` message, version 0.1.0: the contract with everybody who reads the topic.

Its JSON Schema is made from these types. Consumers index without checking, so a field without a
default is always there and never null; one with the default ``UNSET`` is left out when unknown.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

#: The version of the contract, not of this program: it grows only by additions. Another field needs
#: another version here and in the types below, and its schema in docs/contracts/, which is kept for
#: good.
VERSION: Final = "0.1.0"
SCHEMA_ID = "https://cki-project.org/schemas/ready-for-test-0.1.0.json"


class Part(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Base of the message's parts: these fields and no others."""


_Version = Annotated[
    str | UnsetType, Meta(description="Its version; left out when unknown.", examples=["5.14.0"])
]
_Release = Annotated[
    str | UnsetType,
    Meta(description="Its release; left out when unknown.", examples=["503.5021_2167003491.el9"]),
]


class CI(Part, frozen=True, kw_only=True):
    """Who tells: the same in every message."""

    name: Annotated[
        Literal["CKI (Continuous Kernel Integration)"], Meta(description="Our name in full.")
    ] = "CKI (Continuous Kernel Integration)"
    team: Annotated[Literal["CKI"], Meta(description="Our name in short.")] = "CKI"
    docs: Annotated[Literal["https://cki-project.org"], Meta(description="Our documentation.")] = (
        "https://cki-project.org"
    )
    url: Annotated[
        Literal["https://gitlab.com/cki-project"], Meta(description="Our source code.")
    ] = "https://gitlab.com/cki-project"
    email: Annotated[
        Literal["cki-project@redhat.com"], Meta(description="Where to write to us.")
    ] = "cki-project@redhat.com"
    irc: Annotated[Literal["Slack #team-kernel-cki"], Meta(description="Where to talk to us.")] = (
        "Slack #team-kernel-cki"
    )


class Run(Part, frozen=True, kw_only=True):
    """The pipeline that made the checkout."""

    url: Annotated[
        str,
        Meta(
            description="The pipeline's address, or an empty string.",
            examples=["https://gitlab.com/cki/pipelines/-/pipelines/2167003491"],
        ),
    ]


class Artifact(Part, frozen=True, kw_only=True):
    """What there is to be tested."""

    type: Annotated[
        Literal["cki-build"], Meta(description="The kind of artifact: builds made by CKI.")
    ] = "cki-build"
    issuer: Annotated[
        str,
        Meta(
            description="CKI for a merge request, else who submitted the checkout, or CKI.",
            examples=["CKI"],
        ),
    ]
    source_package_name: Annotated[
        str, Meta(description="The source package, mostly kernel.", examples=["kernel"])
    ]
    source_package_version: _Version = UNSET
    source_package_release: _Release = UNSET


class System(Part, frozen=True, kw_only=True):
    """An operating system the builds are for."""

    os: Annotated[
        str,
        Meta(description="The family of the kpet tree, as rhel9, or empty.", examples=["rhel9"]),
    ]
    stream: Annotated[
        str,
        Meta(
            description="The kpet tree's name, as c9s, or the checkout's tree_name.",
            examples=["c9s"],
        ),
    ]


class BuildInfo(Part, frozen=True, kw_only=True):
    """One build that can be tested."""

    architecture: Annotated[
        str, Meta(description="As RPM names it, as x86_64, or empty.", examples=["x86_64"])
    ]
    build_id: Annotated[
        str,
        Meta(description="The build's KCIDB id.", examples=["redhat:2167003491-x86_64-kernel"]),
    ]
    package_name: Annotated[
        str, Meta(description="The binary package, as kernel-debug.", examples=["kernel"])
    ]
    package_version: _Version = UNSET
    package_release: _Release = UNSET
    kernel_package_url: Annotated[
        str,
        Meta(
            description="The repository with the packages, or an empty string.",
            examples=["https://s3.example.com/repo/5.14.0-503.el9.x86_64"],
        ),
    ]
    debug_kernel: Annotated[
        bool, Meta(description="Whether it is a debug kernel.", examples=[False])
    ]


class JiraIssue(Part, frozen=True, kw_only=True):
    """An issue named in the merge request, as Jira told of it; empty where Jira was silent."""

    key: Annotated[str, Meta(description="The issue's key.", examples=["RHEL-40001"])]
    url: Annotated[
        str,
        Meta(
            description="The link as the merge request has it.",
            examples=["https://redhat.atlassian.net/browse/RHEL-40001"],
        ),
    ]
    summary: Annotated[str, Meta(description="Its title.", examples=["ice: link flaps on resume"])]
    status: Annotated[
        str, Meta(description="Its status, in Jira's words.", examples=["In Progress"])
    ]
    priority: Annotated[str, Meta(description="Its priority.", examples=["Major"])]
    components: Annotated[
        tuple[str, ...], Meta(description="Its components.", examples=[["kernel / Networking"]])
    ]
    fix_versions: Annotated[
        tuple[str, ...], Meta(description="Where it is to be fixed.", examples=[["rhel-9.6"]])
    ]
    labels: Annotated[tuple[str, ...], Meta(description="Its labels.", examples=[["kernel"]])]


class MergeRequestInfo(Part, frozen=True, kw_only=True):
    """The merge request; all empty for a checkout without one."""

    merge_request_url: Annotated[
        str,
        Meta(
            description="Its address, or an empty string.",
            examples=["https://gitlab.com/group/kernel/-/merge_requests/5021"],
        ),
    ]
    is_draft: Annotated[
        bool, Meta(description="Read from GitLab when the message was made.", examples=[False])
    ]
    subsystems: Annotated[
        tuple[str, ...],
        Meta(description="Subsystem: labels, sorted.", examples=[["drivers-net", "net"]]),
    ]
    external_ci: Annotated[
        tuple[str, ...],
        Meta(
            description="Names of the ExternalCI:: labels, sorted, each once.", examples=[["lnst"]]
        ),
    ]
    jira: Annotated[
        tuple[str, ...],
        Meta(
            description="Links of its JIRA: trailers, in order.",
            examples=[["https://redhat.atlassian.net/browse/RHEL-40001"]],
        ),
    ]
    bugzilla: Annotated[
        tuple[str, ...],
        Meta(
            description="Links of its Bugzilla: trailers, in order.",
            examples=[["https://bugzilla.redhat.com/2210001"]],
        ),
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
    checkout_id: Annotated[
        str,
        Meta(
            min_length=1,
            description="The KCIDB id; also the key.",
            examples=["redhat:2167003491"],
        ),
    ]
    tree_name: Annotated[
        str, Meta(description="The kernel tree, or an empty string.", examples=["c9s"])
    ]
    build_info: Annotated[
        tuple[BuildInfo, ...],
        Meta(
            min_length=1,
            description="What can be tested; by architecture, then debug_kernel, then build_id.",
        ),
    ]
    patch_urls: Annotated[
        tuple[str, ...],
        Meta(
            description="The patches on top of the branch; without any, the merge request's diff.",
            examples=[["https://gitlab.com/group/kernel/-/merge_requests/5021.diff"]],
        ),
    ]
    merge_request: MergeRequestInfo
    branch: Annotated[
        str, Meta(description="The git branch, or an empty string.", examples=["main"])
    ]
    modified_files: Annotated[
        tuple[str, ...],
        Meta(
            description="What the patches change: paths in the kernel's source.",
            examples=[["drivers/net/ethernet/intel/ice/ice_main.c"]],
        ),
    ]
    pipelineid: Annotated[
        int, Meta(ge=0, description="The pipeline's id, 0 when unknown.", examples=[2167003491])
    ]
    cki_finished: Annotated[
        bool,
        Meta(
            description="false: builds are ready (pre-test). true: CKI tested (post-test).",
            examples=[True],
        ),
    ]
    status: Annotated[
        Literal["success", "fail", "error"] | UnsetType,
        Meta(
            description="The worst untriaged finding; in a post-test message only.",
            examples=["success"],
        ),
    ] = UNSET
    type: Annotated[
        Literal["build"], Meta(description="What it is about: a build, not its tests.")
    ] = "build"
    category: Annotated[Literal["kernel-build"], Meta(description="What was built: a kernel.")] = (
        "kernel-build"
    )
    namespace: Annotated[Literal["cki"], Meta(description="Who built it: CKI.")] = "cki"
    generated_at: Annotated[
        str,
        Meta(
            description="When the message was made, ISO 8601 in UTC.",
            extra_json_schema={"format": "date-time"},
            examples=["2026-11-20T12:30:01.000000+00:00"],
        ),
    ]
    version: Annotated[Literal["0.1.0"], Meta(description="The version of this contract.")] = (
        VERSION
    )


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
