"""The status page is fit for small screens, for the dark and for those who do not see it."""

from importlib.resources import files
from itertools import product
from typing import Any

import pytest

from tests.factories.website import Scene
from tests.web.browser import screenshots
from tests.web.browser.chromium import NARROW, WIDE, Chromium
from tests.web.browser.view import View
from tools import PROJECT

AXE = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
PICTURES = PROJECT / "build" / "screenshots"


def fill(scene: Scene) -> None:
    """Have something of everything on the page."""
    scene.settle("redhat:1", merge_request="https://gitlab.com/group/kernel/-/merge_requests/7")
    scene.settle("redhat:2", "ignored", "superseded")
    scene.settle("redhat:3", "delayed", "unavailable", error="datawarehouse: answered 503")
    scene.settle("redhat:4", "dead-lettered", "malformed", error="not JSON")
    scene.waiting = {"main": 1_000, "dead-letter": 1}
    scene.kafka = "it is down"


@pytest.mark.parametrize(
    ("size", "scheme"), list(product((WIDE, NARROW), ("light", "dark"))), ids=str
)
def test_axe_finds_nothing(scene: Scene, view: View, size: tuple[int, int], scheme: str) -> None:
    """The rules of WCAG 2.1 A and AA that a program can check, contrast among them, are kept."""
    fill(scene)
    view.chromium.look(size, scheme)
    view.open()
    view.run(AXE)
    result: dict[str, Any] = view.run("return axe.run()")
    found = [(it["id"], [node["html"] for node in it["nodes"]]) for it in result["violations"]]
    assert found == []
    assert {"color-contrast", "label", "td-headers-attr"} <= {it["id"] for it in result["passes"]}


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
    """The page follows the scheme of colours that its reader prefers."""
    script = "return getComputedStyle(document.body).backgroundColor"
    view.open()
    light = view.run(script)
    view.chromium.look(scheme="dark")
    assert view.run(script) != light


def test_pictures_are_taken(chromium: Chromium) -> None:
    """They show a whole night, are kept by CI, and are small enough for the documentation."""
    for picture in screenshots.take(chromium, PICTURES):
        assert 20_000 < picture.stat().st_size < 150_000
