"""The status page works on small screens, in the dark and with a screen reader."""

from datetime import timedelta
from importlib.resources import files
from itertools import product
from typing import Any

import pytest

from cki_notifier.notification.models import Position
from cki_notifier.rules.explain import Step
from tests.factories.website import Scene
from tests.web.browser import screenshots
from tests.web.browser.chromium import NARROW, WIDE, Chromium
from tests.web.browser.night import letters
from tests.web.browser.view import View
from tools import PROJECT

AXE = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
TAB = "\ue004"
PICTURES = PROJECT / "build" / "screenshots"


PAGES = ("", "waiting", "checkout?id=redhat:3", "checkout?id=nobody", "dead-letters")


class Work:
    """Waits for something."""

    waits_for = "an answer of gitlab"


def fill(scene: Scene) -> None:
    """Have something of everything on the pages."""
    scene.settle("redhat:1", merge_request="https://gitlab.com/group/kernel/-/merge_requests/7")
    scene.settle("redhat:2", "ignored", "superseded")
    scene.settle("redhat:3", "delayed", "unavailable", error="datawarehouse: answered 503")
    steps = (Step("object-type", "checkout", "pass"), Step("superseded", "7", "stop"))
    scene.settle("redhat:3", position=Position(0, 7), message=b'{"a": 1}', steps=steps, by="anna")
    scene.take(1, "redhat:3", work=Work())
    scene.delay("redhat:3", age=timedelta(hours=2))
    scene.letters = letters
    scene.settle("redhat:4", "dead-lettered", "malformed", error="not JSON")
    scene.waiting = {"main": 1_000, "dead-letter": 1}
    scene.kafka = "it is down"


LOOKS = list(product((WIDE, NARROW), ("light", "dark")))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("size", "scheme"), LOOKS, ids=str)
def test_axe_finds_nothing(
    scene: Scene, view: View, page: str, size: tuple[int, int], scheme: str
) -> None:
    """The rules of WCAG 2.1 A and AA that a program can check, contrast among them, are kept."""
    fill(scene)
    view.chromium.look(size, scheme)
    if page:
        view.show(page)
        view.run("document.querySelectorAll('details').forEach((it) => { it.open = true })")
    else:
        view.open()
    hidden = "const it = document.documentElement; return it.scrollWidth - it.clientWidth"
    assert view.run(hidden) == 0
    view.run(AXE)
    result: dict[str, Any] = view.run("return axe.run()")
    found = [(it["id"], [node["html"] for node in it["nodes"]]) for it in result["violations"]]
    assert found == []
    wanted = {"color-contrast", "landmark-one-main", "page-has-heading-one", "bypass"}
    if not page:
        wanted |= {"label", "td-headers-attr"}
    assert wanted <= {it["id"] for it in result["passes"]}
    complaints = view.chromium.complaints()
    assert [it for it in complaints if "404" not in it or page != "checkout?id=nobody"] == []


@pytest.mark.parametrize("page", PAGES[1:])
def test_other_pages_are_handled_by_the_keyboard_and_need_no_script(
    scene: Scene, view: View, page: str
) -> None:
    """The first key skips to the content; every link and fold is reached, and seen to be."""
    fill(scene)
    view.chromium.look(scripts=False)
    view.show(page)
    assert view.driver.find_elements("css selector", "script") == []
    wanted = len(view.driver.find_elements("css selector", "a[href], summary"))
    assert wanted >= 5
    reached = []
    for _ in range(min(wanted, 12)):
        view.type(TAB)
        focused = view.driver.switch_to.active_element
        assert focused.value_of_css_property("outline-style") == "solid"
        reached.append(focused.id)
    assert len(set(reached)) == len(reached)
    view.chromium.complaints()


def test_on_a_phone_outcomes_are_cards_and_nothing_is_cut_off(scene: Scene, view: View) -> None:
    """However long an id is, the page is as wide as the screen, and stays a table for readers."""
    fill(scene)
    scene.settle("redhat:" + "1" * 300, merge_request="https://" + "a" * 300, error="e" * 300)
    view.chromium.look(NARROW)
    view.open()
    width = view.run("return document.documentElement.scrollWidth")
    assert width == NARROW[0]
    assert view.run("return getComputedStyle(document.querySelector('#rows tr')).display") == "grid"
    link_heights = (
        "return [...document.querySelectorAll('#rows a[href]')].map((it) => it.offsetHeight)"
    )
    assert min(view.run(link_heights)) >= 24, "a thumb hits them"
    roles = {it["role"]["value"] for it in view.chromium.do("Accessibility.getFullAXTree")["nodes"]}
    assert {"table", "row", "rowheader", "columnheader", "cell"} <= roles
    assert {"banner", "main", "search", "status", "contentinfo"} <= roles


def test_in_the_dark_it_is_dark(view: View) -> None:
    """The page follows the scheme of colors that its reader prefers."""
    script = "return getComputedStyle(document.body).backgroundColor"
    view.open()
    light = view.run(script)
    view.chromium.look(scheme="dark")
    assert view.run(script) != light


def test_pictures_are_taken(chromium: Chromium) -> None:
    """They show a whole night, are kept by CI, and are small enough for the documentation."""
    for picture in screenshots.take(chromium, PICTURES):
        assert 20_000 < picture.stat().st_size < 150_000
