"""Every query of every dashboard runs against a real Prometheus that scraped a site, and returns data."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from harness import ROOT, Stack, wait_for

pytestmark = pytest.mark.e2e

VARIABLES = {
    "job": ".*",
    "site": ".*",
    "block": ".*",
    "model": ".*",
    "verdict": ".*",
    "hostname": ".*",
    "__rate_interval": "10s",
}

ELSE_EMPTY = {
    "What is wrong A": "an alert fires",
    "Rigs that do not answer B": "a rig that answered once is down",
    "XID errors A": "a GPU reports one",
    "Faults A": "a rig reports one",
}
"""Queries that may be empty on a healthy site, and the fault with which they are not."""


def queries() -> Iterator[Any]:
    for file in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                name = f"{file.stem}: {panel['title']} {target['refId']}"
                yield pytest.param(f"{panel['title']} {target['refId']}", target["expr"], id=name)


@pytest.mark.parametrize(("title", "expr"), list(queries()))
def test_every_query_returns_data(running: Stack, title: str, expr: str) -> None:
    rigs = [""]
    if "$rig" in expr:  # one of the models is enough: not every firmware tells everything
        rigs = list({rig["model"]: name for name, rig in running.site()["rigs"].items() if not rig["fault"]}.values())
    asked = [filled(expr, rig) for rig in rigs]
    if title in ELSE_EMPTY:
        running.prometheus.query(asked[0])
        return
    data = wait_for(asked[0], lambda: [sample for query in asked for sample in running.prometheus.query(query)], 15)
    assert all(value == value for _, value in data), "a panel shows NaN"  # noqa: PLR0124 -- NaN differs from itself


def filled(expr: str, rig: str) -> str:
    """The query as Grafana sends it, with everything selected and one rig."""
    for name, value in (VARIABLES | {"rig": rig}).items():
        expr = re.sub(rf"\${name}\b", value, expr)
    assert "$" not in expr
    return expr
