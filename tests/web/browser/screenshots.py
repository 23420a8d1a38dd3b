"""Pictures of the status page and its neighbours: light, dark and on a phone.

``python -m tests.web.browser.screenshots FOLDER`` takes those of the documentation.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from cki_notifier.telemetry import metrics
from tests.factories.website import answering, served
from tests.web.browser.chromium import NARROW, Chromium
from tests.web.browser.night import DELAYED_ONCE, night, outage

#: Few colors are enough for text, and make a small file.
_COLOURS = 128


def take(chromium: Chromium, folder: Path) -> list[Path]:
    """Take them and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    checkout = f"checkout?id={DELAYED_ONCE}"
    with (
        served(night()) as port,
        answering(datawarehouse=True, jira=True),
        metrics.in_flight.track_inprogress(),
    ):
        metrics.connected.works("gitlab", "gitlab.com")
        url = f"http://127.0.0.1:{port}/"
        taken = [
            picture(chromium, url, folder / "status-light.png"),
            picture(chromium, url, folder / "status-dark.png", scheme="dark"),
            picture(chromium, url, folder / "status-narrow.png", below="#q", size=NARROW),
            picture(chromium, url + checkout, folder / "checkout-light.png"),
            picture(
                chromium, f"{url}dead-letters", folder / "dead-letters-dark.png", scheme="dark"
            ),
        ]
    with answering(jira=True), served(outage()) as port:
        metrics.in_flight.inc(32)
        url = f"http://127.0.0.1:{port}/"
        taken += [
            picture(chromium, url, folder / "outage-dark.png", scheme="dark"),
            picture(chromium, url, folder / "outage-narrow.png", size=NARROW),
            picture(chromium, f"{url}waiting", folder / "waiting-light.png"),
        ]
        metrics.in_flight.dec(32)
    chromium.look()
    return taken


def picture(chromium: Chromium, url: str, file: Path, below: str = "", **look: Any) -> Path:
    """Take a picture of a page, or of what of it begins with an element."""
    chromium.look(**look)
    if url.endswith("/"):
        chromium.open(url)
    else:
        chromium.driver.get(url)
    if below:
        chromium.driver.execute_script(
            "document.querySelector(arguments[0]).scrollIntoView()", below
        )
    shot = base64.b64decode(chromium.do("Page.captureScreenshot", format="png")["data"])
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, optimize=True
    )
    return file


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, Chromium(Path(temporary)) as browser:
        for taken in take(browser, Path(sys.argv[1])):
            sys.stdout.write(f"{taken} {taken.stat().st_size:,} bytes\n")
