"""The panel that splits the change of the margin, of values that no site has within its first day."""

from pathlib import Path

import pytest
import yaml
from browser import chromium
from harness import SITE, prometheus_of, wait_for
from panels import draw, show
from prometheus_releases import PACKAGED

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("libraries")]

CHANGES = {
    "bitcoin_price": 500,
    "difficulty": -750,
    "efficiency": 50,
    "fees": 20,
    "hashrate": -100,
    "power_price": 400,
    "subsidy": 0,
    "uptime": 30,
}

WATERFALL = {
    "bitcoin_price": {("Rise", 0, 500)},
    "difficulty": {("Fall", 0, 500), ("Fall below zero", 0, -250)},
    "efficiency": {("Rise below zero", -200, -250)},
    "fees": {("Rise below zero", -180, -200)},
    "hashrate": {("Fall below zero", -180, -280)},
    "power_price": {("Rise", 0, 120), ("Rise below zero", 0, -280)},
    "subsidy": set(),
    "uptime": {("Rise", 120, 150)},
    "whole change": {("Rise", 0, 150)},
}
"""The bars of that: each begins where the one before it ends."""


def test_a_change_is_a_waterfall_also_across_zero(tmp_path: Path) -> None:
    rules = [
        {
            "record": "mining_margin_change_usd_per_day",
            "expr": f"vector({value})",
            "labels": {"job": "mining", "site": SITE, "cause": cause},
        }
        for cause, value in CHANGES.items()
    ]
    (tmp_path / "change.yml").write_text(yaml.safe_dump({"groups": [{"name": "change", "rules": rules}]}))
    document = {"global": {"evaluation_interval": "1s"}, "rule_files": ["change.yml"]}
    with prometheus_of(tmp_path, document, PACKAGED) as watcher, chromium(tmp_path) as browser:
        wait_for("the change", lambda: len(watcher.query("mining_margin_change_usd_per_day")) == len(CHANGES))
        (shown,) = show(watcher.url, [("economics", {"job": "mining", "site": SITE})])
        panel = shown.panel("Why the margin changed since yesterday")
        assert {
            bar["name"]: {(part["series"], part["from"], part["to"]) for part in bar["parts"]} for bar in panel["bars"]
        } == WATERFALL
        assert draw(browser, shown, tmp_path).startswith(b"\x89PNG")
        drawn = browser.run("return document.body.innerText")
        assert [name for name in WATERFALL if name not in drawn] == []
