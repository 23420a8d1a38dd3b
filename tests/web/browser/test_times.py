"""Times in a real browser: UTC for the log, and the reader's own beside it."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.factories.website import Scene
from tests.web.browser.chromium import Chromium
from tests.web.browser.view import View


@pytest.fixture(autouse=True)
def _problem(scene: Scene) -> None:
    """Have an outcome, and a problem that began two hours ago."""
    scene.settle("redhat:1")
    scene.delay("redhat:2", age=timedelta(hours=2))


@pytest.fixture(name="kathmandu")
def _kathmandu(chromium: Chromium) -> Iterator[None]:
    """Be where it is 5:45 h later than in UTC."""
    chromium.do("Emulation.setTimezoneOverride", timezoneId="Asia/Kathmandu")
    yield
    chromium.do("Emulation.setTimezoneOverride", timezoneId="")


def minutes(clock: str) -> int:
    """Return a time of the day in minutes."""
    hours, minutes, _ = map(int, clock.split(":"))
    return 60 * hours + minutes


@pytest.mark.usefixtures("kathmandu")
@pytest.mark.parametrize("place", ["#rows time", ".version time", "#problems time"])
def test_a_reader_elsewhere_sees_the_own_time_as_well(view: View, place: str) -> None:
    """Beside the one that the log has."""
    view.open()
    text = view.text(place)
    found = re.search(r"(\d\d:\d\d:\d\d) UTC \((\d\d:\d\d:\d\d) here\)$", text)
    assert found, text
    assert (minutes(found[2]) - minutes(found[1])) % 1440 == 345


@pytest.mark.usefixtures("kathmandu")
def test_without_scripts_times_are_in_utc(view: View) -> None:
    """The process doesn't know where its reader is."""
    view.open_without_scripts()
    assert re.fullmatch(r"\d\d-\d\d \d\d:\d\d:\d\d UTC", view.text("#rows time"))


def test_where_it_is_utc_nothing_is_said_twice(view: View, chromium: Chromium) -> None:
    """There is one time then."""
    chromium.do("Emulation.setTimezoneOverride", timezoneId="UTC")
    view.open()
    assert re.fullmatch(r"\d\d-\d\d \d\d:\d\d:\d\d UTC", view.text("#rows time"))
    chromium.do("Emulation.setTimezoneOverride", timezoneId="")
