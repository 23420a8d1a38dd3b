"""Pictures of the status page: light, dark and on a phone.

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
from cki_notifier.telemetry.connections import Trouble
from tests.factories.website import answering, served
from tests.web.browser.chromium import NARROW, WIDE, Chromium
from tests.web.browser.night import night

#: Few colours are enough for text, and make a small file.
_COLOURS = 256


def take(chromium: Chromium, folder: Path) -> list[Path]:
    """Take them and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        served(night()) as port,
        answering(datawarehouse=True, jira=True),
        metrics.in_flight.track_inprogress(),
    ):
        metrics.connected.works("gitlab", "gitlab.com")
        url = f"http://127.0.0.1:{port}/"
        light = _picture(chromium, url, folder / "status-light.png")
        narrow = _picture(chromium, url, folder / "status-narrow.png", size=NARROW)
        metrics.connected.fails("jira", Trouble("answered 503"))
        dark = _picture(chromium, url, folder / "status-dark.png", scheme="dark")
    chromium.look()
    return [light, dark, narrow]


def _picture(chromium: Chromium, url: str, file: Path, **look: Any) -> Path:
    chromium.look(**look)
    chromium.open(url)
    is_phone = look.get("size", WIDE) == NARROW
    if is_phone:
        chromium.driver.execute_script("document.querySelector('#q').scrollIntoView()")
    shot = base64.b64decode(chromium.do("Page.captureScreenshot", format="png")["data"])
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, optimize=True
    )
    return file


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary, Chromium(Path(temporary)) as browser:
        for taken in take(browser, Path(sys.argv[1])):
            sys.stdout.write(f"{taken} {taken.stat().st_size:,} bytes\n")
