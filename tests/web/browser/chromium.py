"""Chromium without a screen, driven by its own driver, with nothing of the user's or the net's."""

import json
import shutil
from pathlib import Path
from typing import Any, Self

from selenium.webdriver import ChromeOptions, Remote
from selenium.webdriver.chrome.remote_connection import ChromeRemoteConnection

from tests.brokers.stage import eventually
from tools.processes import Process, free_port, listens

#: A desktop's window and a phone's.
WIDE, NARROW = (1360, 900), (390, 844)


def _path(program: str) -> str:
    found = shutil.which(program)
    assert found, f"there is no {program}: run scripts/setup.sh need_chromium"
    return found


class Chromium(Process):
    """The driver as a process, with the one browser it runs; both end with this process."""

    def __init__(self, folder: Path) -> None:
        """Choose the port; what they write goes to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._profile = folder / "profile"
        self._port = free_port()
        super().__init__(
            "chromedriver",
            [_path("chromedriver"), f"--port={self._port}"],
            log=folder / "chromedriver.log",
            ready=lambda: listens(self._port),
            environment={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"},
            folder=folder,
        )

    def __enter__(self) -> Self:
        """Start them."""
        super().__enter__()
        options = ChromeOptions()
        options.binary_location = _path("chromium")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (
            "--headless=new",
            "--no-sandbox",  # it refuses to run as root with one
            "--disable-dev-shm-usage",  # in containers it is small
            "--disable-gpu",
            f"--user-data-dir={self._profile}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ):
            options.add_argument(argument)
        connection = ChromeRemoteConnection(f"http://127.0.0.1:{self._port}")
        self.driver = Remote(command_executor=connection, options=options)
        self.look()
        return self

    def look(
        self, size: tuple[int, int] = WIDE, scheme: str = "light", *, scripts: bool = True
    ) -> None:
        """Be a device of this size, with this preferred scheme of colors."""
        width, height = size
        is_phone = size == NARROW
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if is_phone else 1,
            mobile=is_phone,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.do("Emulation.setEmulatedMedia", features=features)
        self.do("Emulation.setScriptExecutionDisabled", value=not scripts)

    def open(self, url: str) -> None:
        """Open a page, and return when its script has shown what the process says."""
        self.driver.get(url)
        eventually(lambda: "UTC" in self.driver.find_element("id", "refreshed").text)

    def do(self, command: str, **parameters: Any) -> Any:
        """Carry out a command of Chromium's own (DevTools protocol)."""
        details = {"cmd": command, "params": parameters}
        return self.driver.execute("executeCdpCommand", details)["value"]

    def complaints(self) -> list[str]:
        """Return what the browser wrote to its console since it was asked last."""
        return [
            json.dumps(it) for it in self.driver.execute("getLog", {"type": "browser"})["value"]
        ]
