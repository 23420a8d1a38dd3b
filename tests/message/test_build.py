"""The message, field by field. Each message is checked against the published schema."""

from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cki_notifier.checkout import documents
from cki_notifier.checkout.documents import Build, BuildMisc, Checkout, CheckoutMisc, OutputFile
from cki_notifier.checkout.triage import OverallStatus
from cki_notifier.notification.models import Loaded, MergeRequest, Stage
from tests import factories
from tests.factories.contract import about, sent
from tests.properties import PATIENT

T = TypeVar("T", bound=msgspec.Struct)

PIPELINES = "https://gitlab.com/group/kernel/-/pipelines"
#: The constants of every message, and its values for unknown ones.
BARE = {
    "ci": {
        "name": "CKI (Continuous Kernel Integration)",
        "team": "CKI",
        "docs": "https://cki-project.org",
        "url": "https://gitlab.com/cki-project",
        "email": "cki-project@redhat.com",
        "irc": "Slack #team-kernel-cki",
    },
    "run": {"url": ""},
    "artifact": {"type": "cki-build", "issuer": "CKI", "source_package_name": "kernel"},
    "system": [{"os": "", "stream": ""}],
    "checkout_id": "redhat:1",
    "tree_name": "",
    "build_info": [
        {
            "architecture": "",
            "build_id": "redhat:1-build",
            "package_name": "kernel",
            "kernel_package_url": "",
            "debug_kernel": False,
        }
    ],
    "patch_urls": [],
    "merge_request": {
        "merge_request_url": "",
        "is_draft": False,
        "subsystems": [],
        "external_ci": [],
        "jira": [],
        "bugzilla": [],
    },
    "branch": "",
    "modified_files": [],
    "pipelineid": 0,
    "cki_finished": False,
    "type": "build",
    "category": "kernel-build",
    "namespace": "cki",
    "generated_at": "2026-11-20T12:30:01.000000+00:00",
    "version": "0.1.0",
}
BARE_LOADED = Loaded(checkout=Checkout(id="redhat:1"), builds=(Build(id="redhat:1-build"),))


def test_a_pre_test_message_has_every_field_where_nothing_is_known() -> None:
    """Required fields have defaults, and optional ones are absent."""
    assert sent(BARE_LOADED) == BARE


@pytest.mark.parametrize("status", ["success", "fail", "error"])
def test_a_post_test_message_has_the_status_besides(status: OverallStatus) -> None:
    """It has the result of CKI's tests."""
    loaded = msgspec.structs.replace(BARE_LOADED, overall_status=status)

    assert sent(loaded, stage=Stage.POST_TEST) == BARE | {"cki_finished": True, "status": status}


def test_the_checkout_gives_its_own_fields() -> None:
    """Tree, branch, source package, files and pipeline are the checkout's."""
    message = about(pipeline=f"{PIPELINES}/34", tree_name="c10s", git_repository_branch="main-rt")

    assert message["checkout_id"] == factories.CHECKOUT_ID
    assert (message["tree_name"], message["branch"]) == ("c10s", "main-rt")
    assert message["artifact"] == {
        "type": "cki-build",
        "issuer": "CKI",
        "source_package_name": "kernel",
        "source_package_version": "5.14.0",
        "source_package_release": "503.5021_2167003491.el9",
    }
    assert message["modified_files"] == [
        "drivers/net/ethernet/intel/ice/ice_main.c",
        "redhat/kernel.changelog-9.6",
    ]
    assert message["run"] == {"url": f"{PIPELINES}/34"}
    assert message["pipelineid"] == 34


@pytest.mark.parametrize(
    ("pipeline", "number"),
    [(None, 0), (f"{PIPELINES}/latest", 0), (f"{PIPELINES}/34/", 34), (f"{PIPELINES}/{2**63}", 0)],
)
def test_the_pipelines_id_is_a_number_in_any_case(pipeline: str | None, number: int) -> None:
    """The id is 0 if the URL has none. The URL stays as it is."""
    message = about(pipeline=pipeline)

    assert (message["pipelineid"], message["run"]["url"]) == (number, pipeline or "")


@pytest.mark.parametrize(
    ("submitter", "merge_request", "issuer"),
    [
        ("someone", factories.merge_request(), "CKI"),
        ("someone", None, "someone"),
        ("", None, "CKI"),
        (None, None, "CKI"),
    ],
)
def test_the_issuer_is_who_submitted_unless_a_merge_request_did(
    submitter: str | None, merge_request: MergeRequest | None, issuer: str
) -> None:
    """CKI is the issuer for merge requests, and for checkouts without a submitter."""
    message = about(misc={"submitter": submitter}, merge_request=merge_request)

    assert message["artifact"]["issuer"] == issuer


@pytest.mark.parametrize(
    ("name", "expected"), [("kernel-rt", "kernel-rt"), ("", "kernel"), (None, "kernel")]
)
def test_a_package_without_a_name_is_the_kernel(name: str | None, expected: str) -> None:
    """The names of the source package and of the build's are always present."""
    message = about(
        factories.build(misc={"package_name": name}), misc={"source_package_name": name}
    )

    assert message["artifact"]["source_package_name"] == expected
    assert message["build_info"][0]["package_name"] == expected


def test_what_is_optional_is_left_out() -> None:
    """Known versions and releases are present."""
    nothing = {"source_package_version": None, "source_package_release": None}
    unknown = factories.build(misc={"package_version": None, "package_release": None})
    message = about(unknown, misc=nothing)

    assert set(message["artifact"]) == {"type", "issuer", "source_package_name"}
    assert {"package_version", "package_release"}.isdisjoint(message["build_info"][0])
    known = about(factories.build(misc={"package_version": "6.12.0"}))["build_info"][0]
    assert (known["package_version"], known["package_release"]) == (
        "6.12.0",
        "503.5021_2167003491.el9",
    )


def test_builds_come_by_architecture_then_kind_then_id() -> None:
    """Only testable builds come, in an order independent of DataWarehouse."""

    def named(build_id: str, architecture: str | None, *, debug: bool | None = None) -> Build:
        return Build(id=build_id, architecture=architecture, misc=BuildMisc(debug=debug))

    order = (
        named("9", None),
        named("8", "aarch64"),
        named("7", "aarch64", debug=True),
        named("5", "x86_64", debug=False),
        named("6", "x86_64"),
        named("3", "x86_64", debug=True),
        named("4", "x86_64", debug=True),
    )
    others = (Build(id="1", valid=False), Build(id="2", status="MISS"))
    message = about(*others, *reversed(order))

    assert [it["build_id"] for it in message["build_info"]] == [it.id for it in order]
    assert [it["debug_kernel"] for it in message["build_info"]] == [
        *(False, False, True),
        *(False, False, True, True),
    ]


@pytest.mark.parametrize(
    ("files", "url"),
    [
        ((OutputFile(name="log", url="log"), OutputFile(name="kernel_package_url", url="r")), "r"),
        ((OutputFile(name="kernel_package_url"),), ""),
        ((OutputFile(name="kernel_browse_url", url="log"), OutputFile()), ""),
        ((), ""),
        (None, ""),
    ],
)
def test_the_package_repository_is_the_file_of_that_name(
    files: tuple[OutputFile, ...] | None, url: str
) -> None:
    """Without one, the field is empty."""
    message = about(Build(id="1", output_files=files))

    assert message["build_info"][0]["kernel_package_url"] == url


def test_systems_are_the_different_pairs_of_the_builds() -> None:
    """Each comes once, in the order of the builds. The checkout's tree replaces a missing one."""

    def on(architecture: str, family: str | None, name: str | None, **changes: Any) -> Build:
        misc = {"kpet_tree_family": family, "kpet_tree_name": name}
        return factories.build(architecture, misc=misc, **changes)

    builds = (
        on("x86_64", "rhel9", "c9s"),
        on("aarch64", "rhel10", "c10s"),
        on("ppc64le", "rhel9", "c9s"),
        on("riscv64", None, None),
        on("s390x", "rhel9", ""),
        on("a", "left out", "left out", valid=False),
    )

    assert about(*builds, tree_name="tree")["system"] == [
        {"os": "rhel10", "stream": "c10s"},
        {"os": "rhel9", "stream": "c9s"},
        {"os": "", "stream": "tree"},
        {"os": "rhel9", "stream": "tree"},
    ]
    assert about(Build(id="1"), tree_name=None)["system"] == [{"os": "", "stream": ""}]


@pytest.mark.parametrize("files", [None, [], [{}, {"path": None}]])
def test_files_without_a_path_are_no_files(files: list[dict[str, None]] | None) -> None:
    """The list holds only texts."""
    assert about(misc={"patchset_modified_files": files})["modified_files"] == []


def anything(document: type[T], **known: SearchStrategy[Any]) -> SearchStrategy[T]:
    """Return a strategy for documents of a type, with any fields missing and any values."""
    fields = {it.name: st.from_type(it.type) for it in msgspec.structs.fields(document)}
    return st.builds(document, **(fields | known))


for part in (
    documents.PatchsetFile,
    documents.ModifiedFile,
    documents.MergeRequestLink,
    documents.Provenance,
    OutputFile,
):
    st.register_type_strategy(part, anything(part))
IDS = st.text(min_size=1)
CHECKOUTS = anything(Checkout, id=IDS, misc=st.none() | anything(CheckoutMisc))
BUILDS = anything(
    Build, id=IDS, misc=st.none() | anything(BuildMisc), valid=st.just(value=True), status=st.none()
)
MERGE_REQUESTS = st.none() | anything(MergeRequest)


@settings(PATIENT, max_examples=50)
@given(CHECKOUTS, st.lists(BUILDS, min_size=1, max_size=3), MERGE_REQUESTS, st.sampled_from(Stage))
def test_whatever_is_known_the_message_matches_the_schema(
    checkout: Checkout, builds: list[Build], merge_request: MergeRequest | None, stage: Stage
) -> None:
    """Documents of the right types never lead to an unreadable message."""
    loaded = Loaded(checkout=checkout, builds=tuple(builds), overall_status="error")
    message = sent(loaded, merge_request, stage)

    assert message["checkout_id"] == checkout.id
    assert len(message["build_info"]) == len(builds)
