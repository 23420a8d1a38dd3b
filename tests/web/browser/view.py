"""The status page as a person sees and handles it."""

from typing import Any

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.remote.webelement import WebElement

from tests.brokers.stage import eventually
from tests.web.browser.chromium import Chromium


class View:
    """The page in the browser."""

    def __init__(self, chromium: Chromium, port: int) -> None:
        self.chromium = chromium
        self.driver = chromium.driver
        self.port = port

    def open(self, query: str = "") -> None:
        """Open it, and return when it shows what the process says."""
        self.chromium.open(f"http://127.0.0.1:{self.port}/{query}")

    def open_without_scripts(self, query: str = "") -> None:
        """Open it in a browser that runs none."""
        self.chromium.look(scripts=False)
        self.driver.get(f"http://127.0.0.1:{self.port}/{query}")

    def show(self, page: str) -> None:
        """Open a page that has no script."""
        self.driver.get(f"http://127.0.0.1:{self.port}/{page}")

    def refresh_now(self) -> None:
        """Have the page ask the process, as it does when its tab is looked at again."""
        self.run("document.dispatchEvent(new Event('visibilitychange'))")

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """Return an element."""
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        """Return the text of an element as it is seen, ``""`` when it is not."""
        return self.find(selector).text

    def checkouts(self) -> list[str]:
        """Return the ids of the rows that are seen, from the top."""
        rows = "#rows tr:not([hidden]) .checkout"
        script = "return [...document.querySelectorAll(arguments[0])].map((it) => it.textContent)"
        return [str(text) for text in self.run(script, rows)]

    def shows(self, *checkouts: str) -> None:
        """Return when the rows that are seen are these."""
        wanted = list(checkouts)
        eventually(lambda: self.checkouts() == wanted, what=f"{wanted}, not {self.checkouts()}")

    def type(self, *keys: str) -> None:
        """Press keys; they go to the element with the focus."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """Return what has the focus: its id, else its value, else its text."""
        found = "const it = document.activeElement; return it.id || it.value || it.textContent"
        return str(self.run(found))

    def search(self, text: str) -> None:
        """Put something else into the search box."""
        box = self.find("#q")
        box.clear()
        box.send_keys(text)
