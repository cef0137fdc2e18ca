"""The pages in a real Chromium while their exporter dies: they say so and show nothing of before as of now."""

import shutil
from pathlib import Path

import pytest
from browser import chromium
from harness import exporter, hurry_exporter, simulated_site, wait_for

pytestmark = pytest.mark.e2e

NOTICE = "document.getElementById('stale')"


def test_a_page_whose_exporter_has_died_says_so_and_turns_grey(tmp_path: Path) -> None:
    if shutil.which("chromedriver") is None:
        pytest.skip("needs chromedriver")
    with simulated_site(tmp_path, "127.84.0.0/18", "--rigs", "10") as (_, config), chromium(tmp_path) as browser:
        hurry_exporter(config)
        browser.look("light", (1280, 900))
        for page in ("/", "/wall", "/map"):
            with exporter(tmp_path, config) as url:
                browser.command("url", url=f"{url}{page}")
                wait_for("values of now", lambda: browser.run(f"return {NOTICE}.hidden"))
            wait_for("the notice", lambda: not browser.run(f"return {NOTICE}.hidden"))
            assert "No new values since" in browser.run(f"return {NOTICE}.textContent")
            assert browser.run("return getComputedStyle(main).filter") == "grayscale(1)"
            figures = browser.run("return [...document.querySelectorAll('.wall, .map')].map(each => each.offsetHeight)")
            assert not any(figures), "figures that are read from afar are hidden"
