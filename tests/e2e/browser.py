"""A Chromium that tests drive."""

import base64
import contextlib
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import ask, program, wait_for

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """A Chromium, driven through chromedriver."""

    def __init__(self, session: str) -> None:
        self._session = session

    def command(self, what: str, **how: object) -> Any:
        return ask(f"{self._session}/{what}", how, timeout=300)["value"]

    def run(self, script: str, *arguments: object) -> Any:
        return self.command("execute/sync", script=script, args=arguments)

    def wait(self, script: str, *arguments: object) -> Any:
        """Run a script and wait for the promise that it returns."""
        return self.command("execute/sync", script=f"return (async () => {{ {script} }})()", args=arguments)

    def look(self, color_scheme: str, size: tuple[int, int]) -> None:
        """Pretend to be such a screen."""
        media = {"features": [{"name": "prefers-color-scheme", "value": color_scheme}]}
        self.command("goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params=media)
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=screen)

    def photograph(self) -> bytes:
        """The screen as a PNG."""
        shot = self.command("goog/cdp/execute", cmd="Page.captureScreenshot", params={"format": "png"})
        return base64.b64decode(shot["data"])


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    with program("chromedriver", "chromedriver", "--port=0", folder=folder) as driver:
        port = wait_for("chromedriver", lambda: re.search(r"started successfully on port (\d+)", driver.said()))[1]
        url = f"http://127.0.0.1:{port}"
        wait_for("chromedriver", lambda: driver.get(f"{url}/status")["value"]["ready"])
        options = {"args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"]}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, "timeouts": {"script": 240_000}}}
        made = ask(f"{url}/session", {"capabilities": wanted}, timeout=300)["value"]["sessionId"]
        yield Browser(f"{url}/session/{made}")
        urllib.request.urlopen(urllib.request.Request(f"{url}/session/{made}", method="DELETE"), timeout=300).close()
