"""Every query of every dashboard runs against a real Prometheus that scraped a site, and returns data if it can."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT, Stack, promtool, unfolded, wait_for
from prometheus_releases import RELEASES, Release

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

NOT_SIMULATED = {"Thermal margin A", "Power D", "Board power A", "Power in and out B"}
"""Queries for what no firmware of the simulated site tells: that they run must do."""


def queries() -> Iterator[Any]:
    for file in sorted((ROOT / "grafana/dashboards").glob("*.json")):
        for panel in unfolded(json.loads(file.read_text(encoding="utf-8"))):
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
        if title in NOT_SIMULATED:
            running.prometheus.query(asked[0])
            return
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


CHANGES = {
    "mining_network_difficulty": "1x5 2x5",
    "mining_network_subsidy_bitcoins": "3.125x5 1.5625x5",
    'mining_block_verdict{block="a",verdict="mine"}': "1x5 stale",
    'mining_block_verdict{block="a",verdict="curtail"}': "_x6 1x5",
    'mining_block_verdict{block="b",verdict="mine"}': "1x11",
}
MARKS = {
    "Retargets": ("{}", 2),
    "Halvings": ("{}", 1.5625),
    "Verdict changes": ('{block="a",verdict="curtail"}', 1),
}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("name", MARKS)
def test_annotations_mark_a_change_once(name: str, release: Release, tmp_path: Path) -> None:
    labels, value = MARKS[name]
    document = {
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in CHANGES.items()],
                "promql_expr_test": [
                    {"expr": expr, "eval_time": f"{minute}m", "exp_samples": samples}
                    for expr in annotations(name)
                    for minute, samples in ((4, []), (6, [{"labels": labels, "value": value}]), (8, []))
                ],
            }
        ]
    }
    path = tmp_path / "annotations_test.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    promtool(release, "test", "rules", path)


def annotations(name: str) -> set[str]:
    """The queries of the annotation of that name, of all dashboards that have it."""
    files = list((ROOT / "grafana/dashboards").glob("*.json"))
    found = [
        filled(annotation["expr"], "")
        for file in files
        for annotation in json.loads(file.read_text(encoding="utf-8"))["annotations"]["list"]
        if annotation["name"] == name
    ]
    assert len(found) == len(files), "every dashboard has it"
    return set(found)


def filled(expr: str, rig: str) -> str:
    """The query as Grafana sends it, with everything selected and one rig."""
    for name, value in (VARIABLES | {"rig": rig}).items():
        expr = re.sub(rf"\${name}\b", value, expr)
    assert "$" not in expr
    return expr
