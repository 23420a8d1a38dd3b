"""The status page shows hostile texts of notifications and services, and runs none of them."""

import json
from datetime import timedelta
from urllib.parse import quote

import pytest

from cki_notifier.rules.explain import Step
from cki_notifier.telemetry.printable import cut
from cki_notifier.web.letters import Letter, Reading
from cki_notifier.web.rows import Row
from tests.brokers.stage import eventually
from tests.factories.website import Scene
from tests.web.browser.view import View

HOSTILE = (
    "<script>window.hacked = true</script>",
    '"><img src=x onerror="window.hacked = true">',
    "' onmouseover='window.hacked = true' x='",
    "javascript:window.hacked=true",
    "JaVaScRiPt:window.hacked=true//https://gitlab.com/a/b/-/merge_requests/1",
    "data:text/html,<script>window.hacked = true</script>",
    "</td></tr></table></template><svg onload='window.hacked = true'>",
    "<!--", "]]>", "&lt;b&gt;", "$outcome ${outcome} $$", "%s {0} {outcome}",
    "\u202e8:tahder", "redhat:\x00\x1b[31m\r\n1", "\u2066\u200b\ufeff", "קרנל:1", "\U0001f427" * 3,
    "https://gitlab.com/\n/merge_requests/1", "https://user@evil.example/-/merge_requests/1",
    "x" * 100_000,
)  # fmt: skip


def settle_hostile(scene: Scene) -> None:
    """Add outcomes with hostile texts in every field."""
    for text in HOSTILE:
        scene.settle(
            *(text, "delayed", "unavailable"),
            status=text,
            merge_request=text,
            error=text,
            seconds=1,
            event_id=text[:1000],
            letter=text[:1000],
            by=text,
        )


@pytest.mark.parametrize("scripts", [True, False])
def test_hostile_text_is_shown_as_text(scene: Scene, view: View, *, scripts: bool) -> None:
    """No text becomes markup, a script or an address of another scheme, and none turns around."""
    settle_hostile(scene)
    if scripts:
        view.open()
    else:
        view.open_without_scripts()
    rows = view.find("#rows")
    for kind in (".checkout", ".status", ".error"):
        cells = rows.find_elements("css selector", kind)
        shown = [it.get_attribute("textContent") for it in reversed(cells)]
        assert shown == [as_text(text) for text in HOSTILE]
    made = "script, img, svg, b, [onmouseover], [onerror], [onload], [style]"
    assert rows.find_elements("css selector", made) == []
    links = [str(it.get_attribute("href")) for it in rows.find_elements("css selector", "a[href]")]
    assert len(links) > len(HOSTILE) / 2
    own = f"http://127.0.0.1:{view.port}/checkout?id="
    assert all(link.startswith(("https://", own)) for link in links)
    assert view.run("return window.hacked") is None


class Work:
    """Waits for a service with a hostile name."""

    def __init__(self, waits_for: str) -> None:
        self.waits_for = waits_for


def letters() -> Reading:
    """Return letters that hold nothing good."""
    found = tuple(
        Letter(
            id=text[:1_000],
            checkout_id=text,
            status=text,
            reason=text,
            error=text,
            exchange=text,
            routing_key=text,
            body=text[:16_384],
        )
        for text in HOSTILE
    )
    return Reading(found, len(found), len(found))


@pytest.mark.parametrize("page", ["waiting", "dead-letters", "checkout?id={}", ""])
def test_hostile_text_does_nothing_on_any_page(scene: Scene, view: View, page: str) -> None:
    """In what waits, in dead letters, in what is known of a checkout, in what is wrong."""
    settle_hostile(scene)
    for number, text in enumerate(HOSTILE):
        scene.take(number, text, work=Work(text))
        scene.delay(text, age=timedelta(hours=2), error=text)
        message = json.dumps({"text": text}).encode()
        scene.settle(text, message=message, steps=(Step("status", text, "pass"),))
    scene.letters = letters
    scene.liveness.held_up = [f"rabbitmq: {text}" for text in HOSTILE]
    for text in HOSTILE if "{}" in page else [""]:
        if page:
            view.show(page.format(quote(cut(text), safe="", errors="replace")))
        else:
            view.open()
        made = "img, svg, b, [onmouseover], [onerror], [onload], [style]"
        assert view.driver.find_elements("css selector", f"body :is({made})") == []
        links = [
            str(it.get_attribute("href"))
            for it in view.driver.find_elements("css selector", "main a[href]")
        ]
        own = f"http://127.0.0.1:{view.port}/"
        assert all(link.startswith(("https://", own)) for link in links)
        assert view.run("return window.hacked") is None


def as_text(text: str) -> str:
    """Return what is shown of a text: as it is, what is not visible escaped, not too long."""
    whole = text if text.isprintable() else text.encode("unicode_escape").decode()
    return whole if len(text) <= 500 else whole[:499] + "…"


def test_the_policy_is_in_force(view: View) -> None:
    """Were there a hole, its script would not run: the browser refuses it and says so."""
    view.open()
    view.run(
        "const it = document.createElement('script'); it.textContent = 'window.hacked = true';"
        "document.body.append(it);"
        "document.body.insertAdjacentHTML('beforeend', '<p onclick=\"hacked = true\">x</p>');"
        "document.body.lastElementChild.click()"
    )
    refused: list[str] = []

    def look() -> bool:
        refused.extend(view.chromium.complaints())
        return len(refused) == 2

    eventually(look, what="two complaints")
    assert all("Content Security Policy" in it for it in refused)
    assert view.run("return window.hacked") is None


def test_a_hostile_search_finds_nothing_and_does_nothing(scene: Scene, view: View) -> None:
    """The search of the address is literal."""
    scene.settle("redhat:1")
    view.open("?q=%3Cscript%3Ewindow.hacked%3Dtrue%3C/script%3E&outcome=%22%3E%3Cimg%20src=x%3E")
    assert view.find("#q").get_attribute("value") == "<script>window.hacked=true</script>"
    view.shows()
    assert view.run("return window.hacked") is None


def test_nothing_comes_from_elsewhere(view: View) -> None:
    """Script, style and data are the process' own."""
    view.open()
    origin = f"http://127.0.0.1:{view.port}/"

    def loaded() -> set[str]:
        all_ = view.run("return performance.getEntriesByType('resource').map((it) => it.name)")
        return {str(it).removeprefix(origin).partition("?")[0] for it in all_}

    view.refresh_now()
    eventually(lambda: loaded() == {"page.css", "page.js", ""}, what="the page as it is now")


def test_every_field_of_a_row_is_covered_above() -> None:
    """The tests fill all fields that can hold text from outside."""
    strangers = {"checkout_id", "merge_request", "status", "error"}
    strangers |= {"event_id", "letter", "by", "note"}
    ours = {"number", "time", "outcome", "reason", "stage", "sentence", "seconds", "attempt"}
    ours |= {"partition", "offset", "next_try", "was_there"}
    links = {"checkout_url", "checkout_page", "merge_request_url"}
    assert set(Row.__struct_fields__) == strangers | ours | links
