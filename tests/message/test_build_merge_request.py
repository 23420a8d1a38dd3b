"""The parts of the message that depend on a merge request."""

import pytest

from tests import factories
from tests.factories.contract import about

URL, DIFF = factories.MERGE_REQUEST_URL, f"{factories.MERGE_REQUEST_URL}.diff"
MR: dict[str, object] = {"url": URL, "diff_url": DIFF}


@pytest.mark.parametrize(
    ("patches", "misc", "urls"),
    [
        ([{"url": "b"}, {"url": None}, {"url": "a"}], {"mr": MR}, ["b", "a"]),
        ([], {"mr": MR}, [DIFF]),
        (None, {"mr": MR}, [DIFF]),
        ([{"name": "a"}], {"mr": None, "related_merge_request": MR}, [DIFF]),
        ([], {"mr": {"url": URL, "diff_url": None}}, []),
        ([], {"mr": {"url": None, "diff_url": DIFF}}, []),
        ([], {"mr": None}, []),
        ([{"url": "a"}], {"mr": None}, ["a"]),
        (None, None, []),
    ],
)
def test_patches_are_the_checkouts_or_the_merge_requests_diff(
    patches: list[dict[str, str]] | None, misc: dict[str, object] | None, urls: list[str]
) -> None:
    """The merge request's diff is used only if the checkout names no patch."""
    assert about(patchset_files=patches, misc=misc)["patch_urls"] == urls


@pytest.mark.parametrize(
    ("labels", "subsystems", "external_ci"),
    [
        (("Subsystem:net", "Subsystem:drivers-net"), ["drivers-net", "net"], []),
        (("ExternalCI::lnst::NeedsTesting", "ExternalCI::blk::OK"), [], ["blk", "lnst"]),
        (("ExternalCI::lnst::OK", "ExternalCI::lnst", "ExternalCI::lnst::"), [], ["lnst"]),
        (("ExternalCI::lnst::OK::really",), [], ["lnst"]),
        ((" subsystem : net ", "EXTERNALCI :: lnst :: ok"), ["net"], ["lnst"]),
        (("Subsystem:net", "SUBSYSTEM:net", "Subsystem:Net"), ["Net", "net"], []),
        (("ExternalCI::OK", "ExternalCI::NeedsTesting", " externalci :: ok "), [], []),
        (("ExternalCI::lnst::  ", "ExternalCI::lnst::::", "ExternalCI:: ::OK"), [], []),
        (("\u00a0ExternalCI\u00a0::\u00a0lnst\u00a0::\u00a0OK",), [], ["lnst"]),
        (
            ("ExternalCI::lnst::OK", "ExternalCI::lnst::Failed", "ExternalCI::LNST::OK"),
            [],
            ["LNST", "lnst"],
        ),
        (("Subsystem:", "Subsystem: ", "ExternalCI::", "ExternalCI::::OK"), [], []),
        (("Subsystem", "Subsystem::net", "My Subsystem:net", "ExternalCI:lnst", ""), [], []),
    ],
)
def test_labels_name_subsystems_and_outside_testers(
    labels: tuple[str, ...], subsystems: list[str], external_ci: list[str]
) -> None:
    """Names are sorted, each once. Surrounding spaces and the labels' case don't matter."""
    told = about(merge_request=factories.merge_request(labels=labels))["merge_request"]

    assert (told["subsystems"], told["external_ci"]) == (subsystems, external_ci)


def test_the_merge_request_is_told_as_it_was_read() -> None:
    """URL, draft state and links are copied, in the order of the links."""
    merge_request = factories.merge_request(is_draft=True, jira=("b", "a"), bugzilla=("d", "c"))

    assert about(merge_request=merge_request)["merge_request"] == {
        "merge_request_url": URL,
        "is_draft": True,
        "subsystems": [],
        "external_ci": [],
        "jira": ["b", "a"],
        "bugzilla": ["d", "c"],
    }


@pytest.mark.parametrize("keys", [("RHEL-2", "RHEL-1"), ()])
def test_issues_are_told_when_jira_answered(keys: tuple[str, ...]) -> None:
    """All of Jira's answer is there, in the order of the links, even an empty one."""
    issues = tuple(map(factories.jira_issue, keys))
    merge_request = factories.merge_request(jira_issues=issues)

    assert about(merge_request=merge_request)["merge_request"]["jira_issues"] == [
        {
            "key": key,
            "url": f"https://issues.example.com/browse/{key}",
            "summary": "ice: link flaps on resume",
            "status": "In Progress",
            "priority": "Major",
            "components": ["kernel / Networking"],
            "fix_versions": ["rhel-9.6"],
            "labels": ["kernel"],
        }
        for key in keys
    ]
