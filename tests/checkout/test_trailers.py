"""The trailers in a merge request's description, as people write them."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cki_notifier.checkout.trailers import Trailers, trailers
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
        f"JIRA:\n{ONE}",
        f"JIRA {ONE}",
        f"See JIRA: {ONE}",
        f"> JIRA: {ONE}",
        f"NOJIRA: {ONE}",
        f"JIRA-ID: {ONE}",
        f"<!-- JIRA: {ONE} -->",
        f"JIRA: {ONE}<script>",
        f"JIRA: {ONE}\x1b[31m",
        "JIRA: https://.",
        "JIRA: https://)",
        "JIRA: **https://**",
        "JIRA: xhttps://issues.redhat.com/browse/RHEL-1",
        f"JIRA:\r{ONE}",
    ],
)
def test_what_is_no_link_on_a_line_of_its_own_is_left_out(line: str) -> None:
    """Neither the merge request nor the message is worse for it."""
    assert trailers(line) == Trailers(jira=(), bugzilla=())


@pytest.mark.parametrize(
    "line",
    [
        f"JIRA: {ONE}\\",
        f"JIRA: {ONE}\\\r\nmore",
        f"JIRA: {ONE}  \nmore",
        f"JIRA: <{ONE}>",
        f"JIRA: [RHEL-1]({ONE})",
        f"JIRA: [RHEL-1](<{ONE}>)",
        f'JIRA: [RHEL-1]({ONE} "the title")',
        f"JIRA: [{ONE}]({ONE})",
        f"JIRA: [RHEL-1]({ONE}), [RHEL-2]({TWO}).",
        f"JIRA: [RHEL-1][1] [1]: {ONE}",
        f"JIRA: {ONE}.",
        f"JIRA: {ONE}, {TWO}",
        f"JIRA: {ONE},{TWO}"[: len(f"JIRA: {ONE},")],
        f"JIRA: {ONE};",
        f"JIRA: {ONE}:",
        f"JIRA: {ONE}!?",
        f"JIRA: {ONE}...",
        f"JIRA: {ONE}\u2026",
        f"JIRA: ({ONE})",
        f"JIRA: ({ONE}).",
        f"JIRA: [{ONE}]",
        f"JIRA: {{{ONE}}}",
        f'JIRA: "{ONE}"',
        f"JIRA: '{ONE}'",
        f"JIRA: `{ONE}`",
        f"JIRA: \u201c{ONE}\u201d",
        f"JIRA: \u00ab{ONE}\u00bb,",
        f"JIRA: \uff08{ONE}\uff09\u3002",
        f"JIRA:\u00a0{ONE}\u00a0",
        f"\u00a0JIRA\u202f:\u2003{ONE}\u3000",
        f"JIRA: {ONE}\u00a0and more",
        f"JIRA: \u200b{ONE}\u200b.",
        f"JIRA: {ONE}\u200e",
        f"JIRA: {ONE}&nbsp;",
        f"JIRA: {ONE}&gt;&#46;.",
        f"**JIRA:** {ONE}",
        f"**JIRA**: {ONE}",
        f"**JIRA: {ONE}**",
        f"**JIRA:** **{ONE}**.",
        f"__JIRA:__ {ONE}",
        f"*JIRA:* _{ONE}_",
        f"~~JIRA: {ONE}~~",
        f"`JIRA`: `{ONE}`",
        f"- JIRA: {ONE}",
        f"* **JIRA:** {ONE}",
        f"+\tJIRA: {ONE}",
        f" 1. JIRA: {ONE}",
        f"12) JIRA: {ONE}",
        f"- [x] JIRA: {ONE}",
        f"- [ ] JIRA: {ONE}",
        f"### JIRA: {ONE}",
        f"JIRA: {ONE} <br>",
        f"JIRA: {ONE}<br/>",
        f'JIRA: <a href="{ONE}">RHEL-1</a>',
        f"JIRA: {ONE} | more |",
        f"JIRA: {ONE}|",
        f"JIRA: see {ONE}",
        f"JIRA: INTERNAL, {ONE}",
        f"JIRA: {ONE} and {TWO}",
        f"JIRA: {ONE} (closed)",
        f"JIRA: {ONE} # backport",
        f"before\rJIRA: {ONE}\rafter",
    ],
)
def test_what_only_markdown_or_punctuation_put_there_is_no_part_of_a_link(line: str) -> None:
    """The link is the first address behind the colon."""
    assert trailers(line) == Trailers(jira=(ONE,), bugzilla=())


@pytest.mark.parametrize(
    "link",
    [
        "https://en.wikipedia.org/wiki/Kernel_(operating_system)",
        "https://x.example/a_(b_(c))/d",
        "https://bugzilla.redhat.com/show_bug.cgi?id=2210001&x=%20#c1",
        "HTTPS://issues.redhat.com/browse/RHEL-1/",
        "http://jira.example:8080/browse/A-1?a.b,c;d:e!f'g*h~i_j-",
        "https://[2001:db8::1]:8443/browse/RHEL-1",
        "https://x.example/browse/RHEL-1?jql=key=RHEL-1",
        "https://j\u00fcrgen.example/\u00e4\u00f6",
    ],
)
@pytest.mark.parametrize(
    "line", ["{}", "{}.", "<{}>", "[x]({})", "({})", "**{}**", "{}\\", "({}),"]
)
def test_what_is_a_part_of_a_link_stays(link: str, line: str) -> None:
    """Brackets that are whole in it, and punctuation of which more follows."""
    assert trailers(f"Bugzilla: {line.format(link)}") == Trailers((), (link,))


MARKDOWN = st.sampled_from(
    [*"()[]<>*_~`\\|\"'.,:;!?-+#& \t\r\n\u00a0\u200b\ufeff\u201d", "JIRA", "bugzilla", "1.", "&gt;"]
)


@given(st.lists(MARKDOWN | st.sampled_from([ONE, "https://", "http"]) | st.text(), max_size=30))
def test_any_text_gives_links_that_end_like_links(pieces: list[str]) -> None:
    """Each is an address in one piece, of characters that print, and is found again by itself."""
    found = trailers("JIRA:" + "".join(pieces))
    for link in (*found.jira, *found.bugzilla):
        assert link.lower().startswith(("http://", "https://"))
        assert link.isprintable()
        assert not set(link) & set(' <>"\\`|{}^')
        assert link[-1] not in ".,:;!?'*_~("
        assert trailers(f"JIRA: {link}").jira == (link,)


@example("<!-- a comment -->")
@given(st.text(alphabet='*_~`.,;!>]"|\\<{} \t\u00a0\u200b\u201d\u2026'))
def test_nothing_that_ends_a_link_changes_it(rest: str) -> None:
    """Any mix of Markdown and punctuation may follow."""
    assert trailers(f"JIRA: {ONE}{rest}").jira == (ONE,)


@pytest.mark.parametrize(
    "text",
    [
        " " * 1_000_000,
        "\n" * 1_000_000,
        "JIRA:" * 200_000,
        "JIRA: " * 150_000,
        "JIRA:\n" * 150_000,
        "JIRA: https://x" + "." * 1_000_000,
        "JIRA: https://x" + "(" * 1_000_000,
        "JIRA: https://x" + "&gt;" * 250_000,
        "JIRA: " + "http" * 250_000,
        "JIRA: " + "https://" * 125_000,
        ("JIRA: https://x" + "." * 1_900 + "\n") * 500,
        ("JIRA: https://x" + "\u2026" * 1_900 + "\n") * 500,
        ("JIRA: https://x" + "&gt;" * 450 + "\n") * 500,
        ("- " * 10 + "JIRA" + "*" * 80 + "\n") * 10_000,
        "*" * 1_000_000,
        "JIRA" + "*" * 1_000_000,
        "1" * 1_000_000,
        "- [ ] " * 150_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_no_text_takes_long(text: str) -> None:
    """A description of a megabyte is read in linear time."""
    started = time.process_time()
    trailers(text)
    assert time.process_time() - started < 2
