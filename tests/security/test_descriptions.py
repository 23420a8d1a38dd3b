"""The cost of a merge request's description and labels is linear in their length."""

import time
from collections.abc import Callable

import pytest

from cki_notifier.checkout.links import issue_key, merge_request_link, pipeline_id, pipeline_link
from cki_notifier.checkout.trailers import trailers
from tests import factories
from tests.factories.contract import about

#: Texts of any length, which would make a careless pattern look at each part again and again.
ADVERSARIAL: dict[str, Callable[[int], str]] = {
    "letters": lambda size: "a" * size,
    "spaces": lambda size: " " * size + "x",
    "spaces behind the name": lambda size: "jira" + " " * size + "x",
    "spaces behind the colon": lambda size: "jira:" + " " * size + "x",
    "spaces behind the link": lambda size: "jira: https://x/browse/A-1" + " " * size + "x",
    "a link without an end": lambda size: "jira: https://" + "a" * size + " x",
    "links": lambda size: "jira: https://x/browse/A-1\n" * (size // 27),
    "line ends": lambda size: "\n" * size,
    "carriage returns": lambda size: "jira: https://x" + "\r" * size,
    "names": lambda size: "jira:" * (size // 5),
    "angles": lambda size: "jira: https://" + "<>" * (size // 2),
    "slashes": lambda size: "jira: https://" + "/" * size,
    "keys": lambda size: "https://x" + "/browse/A" * (size // 9),
    "one key": lambda size: "https://x/browse/" + "A" * size,
    "projects": lambda size: "https://x" + "/a" * (size // 2),
    "hyphens": lambda size: "https://x" + "/-" * (size // 2) + "/merge_requests/1x",
    "merge requests": lambda size: "https://x" + "/a/-/merge_requests/1" * (size // 21) + "!",
    "pipelines": lambda size: "https://x" + "/a/-/pipelines/1" * (size // 16) + "!",
    "digits": lambda size: "https://x/a/b/-/pipelines/" + "1" * size,
    "a label of spaces": lambda size: "subsystem:" + " " * size + "a\nb",
    "a label of spaces and letters": lambda size: "subsystem:" + "a " * (size // 2) + "\n",
    "a label of colons": lambda size: "externalci" + "::" * (size // 2),
    "a label of spaces at both ends": lambda size: "externalci::" + " " * size + "a" + " " * size,
}


def read_link(text: str) -> None:
    """Read a text as an address of anything."""
    issue_key(text)
    pipeline_id(text)
    pipeline_link(text)
    try:
        merge_request_link(text)
    except ValueError:
        return


def read_label(text: str) -> None:
    """Make a message of a merge request with a label."""
    about(merge_request=factories.merge_request(labels=(text,)))


@pytest.mark.parametrize("read", [trailers, read_link, read_label])
@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_the_work_grows_no_faster_than_the_text(read: Callable[[str], object], kind: str) -> None:
    """Four times the text may take four times the time, and not sixteen times."""
    before = 0.0
    for size in (1_000, 4_000, 16_000):
        now = cpu_seconds(read, ADVERSARIAL[kind](size))
        assert now < 10 * max(before, 0.002)
        before = now


def cpu_seconds(read: Callable[[str], object], text: str) -> float:
    """Return the least this thread works on a text, in several tries; what others do is not in."""
    tries = []
    for _ in range(3):
        started = time.thread_time()
        read(text)
        tries.append(time.thread_time() - started)
    return min(tries)


@pytest.mark.parametrize(
    "name", ["j\u0131ra", "J\u0130RA", "bugz\u0131lla", "jira\u200b", "j\uff49ra"]
)
def test_a_name_that_only_looks_like_a_trailers_is_none(name: str) -> None:
    """Unicode's cases once made one of these a bug, which held its merge request up for days."""
    assert trailers(f"{name}: https://x.example/browse/A-1") == trailers("")


@pytest.mark.parametrize(
    "link",
    [
        "http\u017f://x.example/",
        "javascript:alert(1)//https://x.example/",
        "file:///etc/passwd",
        "https://x.example/\x1b[31mred",
        "https://x.example/\x00",
        "https://x.example/\x9b31m",
        "https://x.example/\u202egpj.exe",
        "https://x.example/\u2066a",
        "https://x.example/\u200bb",
        "https://x.example/\ud800",
        "https://x.example/<script>",
    ],
)
def test_what_reaches_consumers_as_a_link_is_one(link: str) -> None:
    """Of http(s), with nothing in it that moves a cursor or turns a text around."""
    found = trailers(f"JIRA: {link}\nBugzilla: {link}\nJIRA: https://x.example/browse/A-1")
    assert found.jira == ("https://x.example/browse/A-1",)
    assert found.bugzilla == ()
