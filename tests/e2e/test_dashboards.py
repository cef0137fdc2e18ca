"""Every query of every dashboard runs against a real Prometheus that scraped a site, and returns data."""

import contextlib
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

ELSE_EMPTY = {"What is wrong A": "unplugged", "Rigs that do not answer B": "unplugged", "Faults A": "board_lost"}
"""Queries that are empty on a healthy site, and the fault of a rig with which they are not.

That of XID errors is too; one of the simulated GPUs is always broken.
"""


def queries() -> Iterator[Any]:
    for file in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", []):
                named = f"{panel['title']} {target['refId']}"
                yield pytest.param(named, target["expr"], target.get("legendFormat", ""), id=f"{file.stem}: {named}")


@pytest.mark.parametrize(("title", "expr", "legend"), list(queries()))
def test_every_query_returns_data(running: Stack, title: str, expr: str, legend: str) -> None:
    rigs = [""]
    if "$rig" in expr:  # one of the models is enough: not every firmware tells everything
        rigs = list({rig["model"]: name for name, rig in running.site()["rigs"].items() if not rig["fault"]}.values())
    with contextlib.ExitStack() as undo:
        if fault := ELSE_EMPTY.get(title):
            rigs = [undo.enter_context(broken_rig(running, fault))]
        asked = [filled(expr, rig) for rig in rigs]
        data = wait_for(asked[0], lambda: [sample for query in asked for sample in running.prometheus.query(query)])
    for labels, value in data:
        assert value == value, "a panel shows NaN"  # noqa: PLR0124 -- NaN differs from itself
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels.keys(), "a legend names a label that is not there"


@contextlib.contextmanager
def broken_rig(running: Stack, fault: str) -> Iterator[str]:
    """Break a rig that is well, of a firmware that reports such a fault, until the end of the block."""
    name = next(
        name for name, rig in running.site()["rigs"].items() if not rig["fault"] and rig["model"].startswith("Antminer")
    )
    running.tell("faults", rig=name, fault=fault)
    try:
        yield name
    finally:
        running.tell("faults", rig=name, fault=None)


def filled(expr: str, rig: str) -> str:
    """The query as Grafana sends it, with everything selected and one rig."""
    for name, value in (VARIABLES | {"rig": rig}).items():
        expr = re.sub(rf"\${name}\b", value, expr)
    assert "$" not in expr
    return expr
