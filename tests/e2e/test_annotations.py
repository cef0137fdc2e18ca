"""The annotations of the dashboards mark each change once."""

import json
import re
from pathlib import Path

import pytest
import yaml
from harness import ROOT, promtool
from prometheus_releases import RELEASES, Release

pytestmark = pytest.mark.e2e

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
        re.sub(r'=~?"\$\w+"', '=~".*"', annotation["expr"])
        for file in files
        for annotation in json.loads(file.read_text(encoding="utf-8"))["annotations"]["list"]
        if annotation["name"] == name
    ]
    assert len(found) == len(files), "every dashboard has it"
    return set(found)
