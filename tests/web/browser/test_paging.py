"""Many outcomes in a real browser: 50 at once, the others a link away, with scripts and without."""

import pytest

from tests.brokers.stage import eventually
from tests.factories.website import Scene
from tests.web.browser.chromium import NARROW
from tests.web.browser.view import View


@pytest.fixture(autouse=True)
def _many(scene: Scene) -> None:
    """Have 120 outcomes, the first of which is another kind."""
    scene.settle("redhat:0", "ignored", "superseded")
    for number in range(1, 120):
        scene.settle(f"redhat:{number}")


def ends(view: View) -> tuple[str, str]:
    """Return the first and the last checkout that are seen."""
    seen = view.checkouts()
    return seen[0], seen[-1]


def turn(view: View, link: str, wanted: tuple[str, str]) -> None:
    """Follow a link, and return when other outcomes are seen."""
    view.find(f"#{link}").click()
    eventually(lambda: ends(view) == wanted, what=f"{wanted}")


@pytest.mark.parametrize("scripts", [True, False])
def test_older_and_newer_ones_are_a_link_away(view: View, *, scripts: bool) -> None:
    """Up to the oldest one and back, and each place has an address."""
    if scripts:
        view.open()
    else:
        view.open_without_scripts()
    assert not view.find("#newer").is_displayed()
    assert ends(view) == ("redhat:119", "redhat:70")
    turn(view, "older", ("redhat:69", "redhat:20"))
    assert view.text("#shown") == "51 to 100 of 120 shown"
    turn(view, "older", ("redhat:19", "redhat:0"))
    assert not view.find("#older").is_displayed()
    assert "before=21" in view.driver.current_url
    turn(view, "newer", ("redhat:69", "redhat:20"))
    turn(view, "newer", ("redhat:119", "redhat:70"))
    assert "before" not in view.driver.current_url


def test_turning_loads_no_page_and_moves_the_focus(view: View) -> None:
    """The script loads them all; the keyboard focus goes to the top of the outcomes."""
    view.open()
    view.run("window.isSame = true")
    turn(view, "older", ("redhat:69", "redhat:20"))
    assert view.run("return window.isSame")
    assert view.focused() == "outcomes"
    view.driver.back()
    eventually(lambda: ends(view) == ("redhat:119", "redhat:70"), what="back by the browser")
    view.driver.forward()
    eventually(lambda: ends(view) == ("redhat:69", "redhat:20"), what="and forth")
    view.open("?before=21")
    assert ends(view) == ("redhat:19", "redhat:0")


def test_what_is_looked_at_stays_while_new_ones_come(scene: Scene, view: View) -> None:
    """On an older page nothing moves; a search begins at the newest one again."""
    view.open("?before=71")
    assert ends(view) == ("redhat:69", "redhat:20")
    for number in range(120, 130):
        scene.settle(f"redhat:{number}")
    view.refresh_now()
    eventually(lambda: view.text("#shown") == "61 to 110 of 130 shown")
    assert ends(view) == ("redhat:69", "redhat:20")
    view.search("redhat:1")
    eventually(lambda: ends(view)[0] == "redhat:129")
    assert "before" not in view.driver.current_url


def test_a_search_has_pages_of_its_own(view: View) -> None:
    """The links keep it, with scripts and without."""
    view.open("?q=redhat:1")
    assert view.text("#shown") == "31 of 120 shown"
    assert not view.find("#older").is_displayed()
    view.open_without_scripts("?outcome=sent&q=redhat")
    assert view.text("#shown") == "1 to 50 of 119 shown"
    turn(view, "older", ("redhat:69", "redhat:20"))
    assert "outcome=sent" in view.driver.current_url
    turn(view, "older", ("redhat:19", "redhat:1"))


def test_on_a_phone_the_page_has_an_end(scene: Scene, view: View) -> None:
    """With the longest ids and errors it is some screens high, not hundreds."""
    for _ in range(500):
        scene.settle("redhat:" + "1" * 600, "delayed", "unavailable", error="e" * 600)
    view.chromium.look(NARROW)
    view.open()
    height = view.run("return document.documentElement.scrollHeight")
    assert height < 15_000
    shown = "return document.querySelector('#rows .error').offsetHeight"
    clamped = view.run(shown)
    view.run("document.querySelector('#rows .checkout a').focus()")
    assert view.run(shown) > clamped, "with the focus there, all of it is visible"
    assert view.find("#rows .error").get_attribute("title") == "e" * 499 + "…"
