"""The pages in a real Chromium: what axe has to say of them, light and dark, on a desk and on a phone."""

import importlib.resources
import shutil
from collections.abc import Iterator
from typing import Any

import html5lib
import pytest
from browser import Browser, chromium
from harness import Stack, any_prometheus, ask, wait_for

pytestmark = [pytest.mark.e2e, any_prometheus]

PAGES = (
    *("/", "/rigs", "/rigs?status=down", "/blocks", "/change", "/map", "/wall", "/sources", "/config"),
    *("/rigs/{rig}", "/rigs/nobody"),
)
SIZES = {"desk": (1280, 900), "phone": (360, 740)}
AXE = (importlib.resources.files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = "const done = arguments[arguments.length - 1]; axe.run().then(done, error => done({error: `${error}`}))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromedriver") is None:
        pytest.skip("needs chromedriver")
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_is_wider_than_its_screen(
    running: Stack, browser: Browser, color_scheme: str, size: str
) -> None:
    browser.look(color_scheme, SIZES[size])
    grounds = set()
    for page in (path.replace("{rig}", a_rig(running)) for path in PAGES):
        browser.command("url", url=running.exporter + page)
        browser.run(AXE)
        found = wait_for(f"{page}, of now", lambda: found_by_axe(browser))
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == [], page
        assert {"color-contrast", "html-has-lang"} <= {rule["id"] for rule in found["passes"]}, page
        assert browser.run("return document.documentElement.scrollWidth - innerWidth") <= 0, page
        grounds.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
    (ground,) = grounds
    brightness = sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (brightness > 3 * 128) == (color_scheme == "light")


def found_by_axe(browser: Browser) -> Any:
    """What axe says of the page; None if its values are old, as on a busy machine they may be: then it is grey."""
    of_now = "return document.getElementById('stale')?.hidden ?? true"
    before = browser.run(of_now)
    found = browser.command("execute/async", script=RUN_AXE, args=[])
    return found if before and browser.run(of_now) else None


def test_every_page_is_html_without_a_parse_error(running: Stack) -> None:
    for page in (path.replace("{rig}", a_rig(running)) for path in PAGES if "nobody" not in path):
        html5lib.HTMLParser(strict=True).parse(ask(running.exporter + page))


def test_the_keyboard_reaches_the_content_first(running: Stack, browser: Browser) -> None:
    browser.look("light", SIZES["desk"])
    browser.command("url", url=f"{running.exporter}/rigs")
    press(browser, "\ue004")  # tab
    assert browser.run("return document.activeElement.textContent") == "Skip to content"
    press(browser, "\ue007")  # enter
    assert browser.run("return document.activeElement.id") == "main"


def press(browser: Browser, key: str) -> None:
    strokes = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
    browser.command("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])


def a_rig(running: Stack) -> str:
    return next(name for name, rig in running.site()["rigs"].items() if rig["fault"] is None)


def test_a_page_updates_by_itself_and_says_when_its_values_are_old(running: Stack, browser: Browser) -> None:
    browser.look("light", SIZES["desk"])
    browser.command("url", url=f"{running.exporter}/")
    moment = "document.querySelector('.asof').textContent"
    browser.run("window.opened = true")
    before = browser.run(f"return {moment}")
    wait_for("the next evaluation on the page", lambda: browser.run(f"return {moment}") != before)
    assert browser.run("return window.opened"), "the page was loaded again"
    wait_for("no notice of old values", lambda: browser.run("return document.getElementById('stale').hidden"))


def test_the_largest_figures_of_the_wall_are_read_from_three_metres(running: Stack, browser: Browser) -> None:
    browser.look("dark", (1920, 1080))
    browser.command("url", url=f"{running.exporter}/wall")
    sizes = browser.run(
        "return [...document.querySelectorAll('.figure')].map(each => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert len(sizes) == 4
    assert min(sizes) >= 96
    assert browser.run("return document.querySelector('.wall').getBoundingClientRect().bottom") <= 1080


def test_a_click_on_a_cell_of_the_map_opens_its_rig(running: Stack, browser: Browser) -> None:
    browser.look("light", SIZES["desk"])
    browser.command("url", url=f"{running.exporter}/map")
    drawn = "return document.getElementById('map').dataset.drawn"
    rigs = running.site()["rigs"]
    wait_for("the map", lambda: browser.run(drawn) == str(len(rigs)))
    for by in ("status", "margin", "heat", "verdict"):
        browser.run("by.value = arguments[0]; by.dispatchEvent(new Event('change'))", by)
        counts = browser.run(
            "return [...legend.children].map(each => parseInt(each.textContent.match(/\\((\\d+)\\)/)[1]))"
        )
        assert sum(counts) == len(rigs), by
    canvas = browser.run("return document.querySelector('canvas')")
    middle = {"type": "pointerMove", "origin": canvas, "x": 0, "y": 0}
    click = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
    browser.command("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [middle, *click]}])
    wait_for("the page of a rig", lambda: "/rigs/" in browser.run("return location.pathname"))
