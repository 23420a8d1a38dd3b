"""The addresses in documents."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.checkout.documents import Checkout, CheckoutMisc, MergeRequestLink, Provenance
from cki_notifier.checkout.links import (
    ProjectLink,
    issue_key,
    merge_request_link,
    merge_request_of,
    pipeline_id,
    pipeline_link,
    pipeline_url,
)
from tests.properties import PATIENT

PIPELINES = "https://gitlab.com/group/kernel/-/pipelines"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://gitlab.com/group/sub/project/-/merge_requests/1234",
            ProjectLink("https://gitlab.com", "gitlab.com", "group/sub/project", 1234),
        ),
        (
            "http://127.0.0.1:8080/group/project.name/-/merge_requests/1/",
            ProjectLink("http://127.0.0.1:8080", "127.0.0.1:8080", "group/project.name", 1),
        ),
        (
            "https://GitLab.example.com/a_b/c-d/merge_requests/12?tab=changes#note_1",
            ProjectLink("https://gitlab.example.com", "gitlab.example.com", "a_b/c-d", 12),
        ),
        (
            "http://[::1]:8080/group/project/-/merge_requests/1",
            ProjectLink("http://[::1]:8080", "[::1]:8080", "group/project", 1),
        ),
    ],
)
def test_a_merge_requests_address_is_taken_apart(url: str, expected: ProjectLink) -> None:
    """Scheme, host and port are the API's too; the path names the project and the number."""
    assert merge_request_link(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "5021",
        "gitlab.com/group/project/-/merge_requests/1",
        "ftp://gitlab.com/group/project/-/merge_requests/1",
        "https:///group/project/-/merge_requests/1",
        "https://user:secret@gitlab.com/group/project/-/merge_requests/1",
        "https://gitlab.com:https/group/project/-/merge_requests/1",
        "https://gitlab.com:99999/group/project/-/merge_requests/1",
        "https://[::1/group/project/-/merge_requests/1",
        "https://gitlab.com/project/-/merge_requests/1",
        "https://gitlab.com/group/project",
        "https://gitlab.com/group/project/-/merge_requests/",
        "https://gitlab.com/group/project/-/merge_requests/new",
        "https://gitlab.com/group/project/-/merge_requests/1.diff",
        "https://gitlab.com/group/project/-/merge_requests/1/diffs",
        "https://gitlab.com/group/project/-/merge_requests/١",  # noqa: RUF001  # a digit, too
        "https://gitlab.com/group/project/-/issues/1",
        "https://gitlab.com/group/../-/merge_requests/1",
        "https://gitlab.com/./project/-/merge_requests/1",
        "https://gitlab.com/group%2Fproject/-/merge_requests/1",
        "https://gitlab.com/group/a project/-/merge_requests/1",
        "https://gitlab.com//project/-/merge_requests/1",
    ],
)
def test_no_other_address_is_a_merge_requests(url: str) -> None:
    """The error names the address."""
    with pytest.raises(ValueError, match="is not the address of a merge request") as caught:
        merge_request_link(url)
    assert repr(url) in str(caught.value)


@PATIENT
@given(st.text() | st.text().map("https://{}/-/merge_requests/1".format))
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    """Nothing else comes of a text, and the other functions raise nothing at all."""
    with suppress(ValueError):
        assert merge_request_link(text).project
    assert pipeline_id(text) >= 0
    pipeline_link(text)
    assert issue_key(text) != ""


@pytest.mark.parametrize(
    ("url", "project"),
    [
        (f"{PIPELINES}/34", "group/kernel"),
        ("https://gitlab.com/fork/of/kernel/pipelines/34", "fork/of/kernel"),
        (f"{PIPELINES}/latest", None),
        ("https://gitlab.com/group/kernel/-/merge_requests/34", None),
        ("", None),
        (None, None),
    ],
)
def test_a_pipelines_address_names_its_project(url: str | None, project: str | None) -> None:
    """Any other address gives no pipeline."""
    link = pipeline_link(url)
    assert (link.project if link else None) == project


@pytest.mark.parametrize(
    ("url", "number"),
    [
        (f"{PIPELINES}/2167003491", 2167003491),
        (f"{PIPELINES}/34/", 34),
        (f"{PIPELINES}/34?page=1#top", 34),
        (f"{PIPELINES}/{2**63 - 1}", 2**63 - 1),
        (f"{PIPELINES}/{2**63}", 0),
        (f"{PIPELINES}/{'9' * 5000}", 0),
        (f"{PIPELINES}/latest", 0),
        (f"{PIPELINES}/-34", 0),
        (f"{PIPELINES}/3.4", 0),
        (f"{PIPELINES}/٣", 0),  # a digit, but no number in JSON
        (f"{PIPELINES}/34/builds", 0),
        (PIPELINES, 0),
        ("https://[::1/pipelines/34", 0),
        ("", 0),
    ],
)
def test_a_pipelines_id_is_the_last_part_of_its_address(url: str, number: int) -> None:
    """It is 0 when that is no number, or none that a 64-bit integer holds."""
    assert pipeline_id(url) == number


COORDINATOR = Provenance(function="coordinator", url=f"{PIPELINES}/34", service_name="gitlab")


@pytest.mark.parametrize(
    ("misc", "url"),
    [
        (CheckoutMisc(provenance=(COORDINATOR,)), f"{PIPELINES}/34"),
        (
            CheckoutMisc(
                provenance=(
                    Provenance(function="executor", url="job", service_name="gitlab"),
                    Provenance(function="coordinator", url="beaker", service_name="beaker"),
                    Provenance(function="coordinator", service_name="gitlab"),
                    Provenance(),
                    COORDINATOR,
                )
            ),
            f"{PIPELINES}/34",
        ),
        (CheckoutMisc(provenance=(Provenance(function="coordinator", url="beaker"),)), ""),
        (CheckoutMisc(provenance=()), ""),
        (CheckoutMisc(), ""),
        (None, ""),
    ],
)
def test_the_pipeline_is_what_coordinated_at_gitlab(misc: CheckoutMisc | None, url: str) -> None:
    """Other functions and services are passed over, and so is an entry without an address."""
    assert pipeline_url(Checkout(id="redhat:1", misc=misc)) == url


MR, RELATED = MergeRequestLink(url="mr"), MergeRequestLink(url="related")


@pytest.mark.parametrize(
    ("misc", "expected"),
    [
        (CheckoutMisc(mr=MR, related_merge_request=RELATED), ("misc.mr.url", MR)),
        (CheckoutMisc(mr=MR), ("misc.mr.url", MR)),
        (CheckoutMisc(related_merge_request=RELATED), ("misc.related_merge_request.url", RELATED)),
        (
            CheckoutMisc(mr=MergeRequestLink(url=""), related_merge_request=RELATED),
            ("misc.related_merge_request.url", RELATED),
        ),
        (CheckoutMisc(mr=MergeRequestLink(), related_merge_request=MergeRequestLink()), None),
        (CheckoutMisc(), None),
        (None, None),
    ],
)
def test_the_merge_request_is_ours_or_the_related_one(
    misc: CheckoutMisc | None, expected: tuple[str, MergeRequestLink] | None
) -> None:
    """An entry without an address is none; the field is named for errors."""
    assert merge_request_of(Checkout(id="redhat:1", misc=misc)) == expected


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://redhat.atlassian.net/browse/RHEL-40001", "RHEL-40001"),
        ("https://issues.redhat.com/browse/RHEL-40001", "RHEL-40001"),
        ("https://issues.redhat.com/browse/RHEL-1//?focusedCommentId=2&page=x#comment-2", "RHEL-1"),
        ("https://issues.redhat.com/projects/RHEL/issues/RHEL-1", "RHEL-1"),
        ("https://issues.redhat.com/projects/RHEL/issues/RHEL-1/?filter=allissues", "RHEL-1"),
        ("https://redhat.atlassian.net/jira/software/c/projects/RHEL/issues/rhel-1#x", "RHEL-1"),
        ("https://redhat.atlassian.net/issues/RHEL-1?jql=project%20%3D%20X", "RHEL-1"),
        ("https://redhat.atlassian.net/jira/boards/7?selectedIssue=RHEL-1", "RHEL-1"),
        ("https://x.example/secure/RapidBoard.jspa?view=1&selectedIssue=rhel-1&y#z", "RHEL-1"),
        ("https://issues.redhat.com/browse/RHEL-1?selectedIssue=RHEL-2", "RHEL-1"),
        ("https://issues.redhat.com/browse/RHEL?selectedIssue=RHEL-2", "RHEL-2"),
        ("https://x.example/boards/7?selectedIssue=RHEL-1)%20OR%20key%20in%20(A-1", None),
        ("https://x.example/boards/7?selectedIssue=", None),
        ("https://x.example/boards/7#selectedIssue=RHEL-1", None),
        ("https://issues.redhat.com/projects/RHEL/issues/", None),
        ("https://github.example/group/project/issues/12", None),
        ("https://issues.example.com/jira/browse/rhel-1/?focused=1#comment", "RHEL-1"),
        ("https://issues.example.com/browse/A_B2-34", "A_B2-34"),
        ("https://issues.example.com/browse/RHEL", None),
        ("https://issues.example.com/browse/RHEL-1/edit", None),
        ("https://issues.example.com/browse/RHEL-1) OR (key = A-1", None),
        ("https://issues.example.com/issues/?jql=key=RHEL-1", None),
        ("https://issues.example.com/", None),
        ("https://[::1/browse/RHEL-1", None),
        ("", None),
    ],
)
def test_an_issues_address_names_its_key(url: str, key: str | None) -> None:
    """Keys are in upper case; what names none, or would be more than a key, has none."""
    assert issue_key(url) == key
