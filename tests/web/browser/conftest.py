"""One browser for the whole run, and a page of a scene of its own for each test."""

from collections.abc import Iterator

import pytest

from tests.factories.website import Scene, answering, served
from tests.web.browser.chromium import Chromium
from tests.web.browser.view import View


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Chromium, which stays open."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def scene() -> Scene:
    """The scene behind the page, without any outcome."""
    return Scene()


@pytest.fixture
def view(chromium: Chromium, scene: Scene) -> Iterator[View]:
    """The page, not opened yet; at the end the browser must not have complained of it."""
    chromium.look()
    chromium.driver.get("about:blank")  # a page left open by others asks a process that is gone
    chromium.complaints()
    with served(scene) as port, answering(datawarehouse=True):
        yield View(chromium, port)
        complaints = chromium.complaints()
        chromium.driver.get("about:blank")
    assert complaints == []
