"""GitLab: the trailers in a merge request's description."""

import pytest

from cki_notifier.sources.gitlab import Trailers, trailers
from tools.stand_ins import documents

ONE = "https://issues.redhat.com/browse/RHEL-1"
TWO = "https://issues.redhat.com/browse/RHEL-2"
BUG = "https://bugzilla.redhat.com/2210001"


def test_the_links_of_both_kinds_are_found() -> None:
    """Other lines, and other trailers, don't matter."""
    assert trailers(documents.DESCRIPTION) == Trailers(
        jira=("https://redhat.atlassian.net/browse/RHEL-40001",), bugzilla=(BUG,)
    )


@pytest.mark.parametrize("description", [None, "", "JIRA", "\n\n"])
def test_without_trailers_there_are_no_links(description: str | None) -> None:
    """A merge request may have no description at all."""
    assert trailers(description) == Trailers(jira=(), bugzilla=())


@pytest.mark.parametrize("name", ["Bugzilla", "bugzilla", "BUGZILLA ", " BugZilla\t"])
def test_bugzilla_is_read_alike(name: str) -> None:
    """Case and spaces matter as little as for Jira."""
    assert trailers(f"{name}: {BUG}\r\n") == Trailers(jira=(), bugzilla=(BUG,))


def test_links_keep_their_order_and_come_once() -> None:
    """The order is the description's, over all the lines of a kind."""
    text = f"JIRA: {TWO}\nBugzilla: {BUG}\nJIRA: {ONE}\nmore\nJIRA: {TWO}\nBugzilla: {BUG}"
    assert trailers(text) == Trailers(jira=(TWO, ONE), bugzilla=(BUG,))


@pytest.mark.parametrize(
    "line",
    [
        f"JIRA:{ONE}",
        f"jira: {ONE}",
        f"Jira : {ONE}",
        f"  \tjIRA\t:\t  {ONE} \t ",
        f"before\nJIRA: {ONE}\nafter",
        f"before\r\nJIRA: {ONE}\r\nafter\r\n",
        f"JIRA: {ONE}  \r\n",
        f"JIRA: INTERNAL\nJIRA: {ONE}",
        f"Bugzilla: 2210001\nJIRA: {ONE}",
    ],
)
def test_case_spaces_and_line_ends_do_not_matter(line: str) -> None:
    """Descriptions are written by hand, and by browsers that end lines their own way."""
    assert trailers(line) == Trailers(jira=(ONE,), bugzilla=())


@pytest.mark.parametrize(
    "line",
    [
        "JIRA: INTERNAL",
        "JIRA:",
        "JIRA: RHEL-1",
        "JIRA: ftp://issues.redhat.com/browse/RHEL-1",
        "JIRA: https://",
        f"JIRA: {ONE} and {TWO}",
        f"JIRA:\n{ONE}",
        f"JIRA {ONE}",
        f"See JIRA: {ONE}",
        f"> JIRA: {ONE}",
        f"NOJIRA: {ONE}",
        f"JIRA-ID: {ONE}",
    ],
)
def test_what_is_no_link_on_a_line_of_its_own_is_left_out(line: str) -> None:
    """Neither the merge request nor the message is worse for it."""
    assert trailers(line) == Trailers(jira=(), bugzilla=())
