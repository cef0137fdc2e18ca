"""The committed dashboards are what the builder makes, and keep our rules. Their queries are run in tests/e2e."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.decision.change import CAUSES

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield from panel.get("panels") or []
        if panel["type"] != "row":
            yield panel


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return loaded


def test_committed_dashboards_are_what_the_builder_makes() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "grafana/src/build.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_dashboard_is_read_only_templated_and_linked(dashboard: dict[str, Any]) -> None:
    assert dashboard["editable"] is False
    assert dashboard["description"]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert {"datasource", "job", "site"} <= variables
    assert [link["tags"] for link in dashboard["links"] if link["type"] == "dashboards"] == [["hashmargin"]]
    assert "hashmargin" in dashboard["tags"]


def test_every_panel_says_what_it_shows_and_in_which_unit(dashboard: dict[str, Any]) -> None:
    assert list(panels(dashboard))
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


UNITS = {
    "suffix:$/day": r"_usd_per_day",
    "suffix:$/GPU·h": r"_usd_per_gpu_hour",
    "suffix:$/kWh": r"_usd_per_kilowatt_hour|_usd_per_day.*/ .*(_billed_power_watts|kilowatt_hours)",
    "suffix:$/PH·day": r"_usd_per_petahash_day",
    "suffix:$/kW·year": r"_usd_per_kilowatt_year",
    "suffix:J/TH": r"_joules_per_terahash|1e12 \* .*_watts.* / .*_hashes_per_second",
    "suffix:years": r"_years",
    "Hs": r"_hashes_per_second",
    "watt": r"_watts|_joules_per_terahash.*_hashes_per_second.* / 1e12",
    "celsius": r"_celsius",
    "rotrpm": r"_rpm",
    "volt": r"_volts",
    "amp": r"_amperes",
    "hertz": r"_hertz",
    "bool_yes_no": r"_(suspended|fault_light|login_refused)\{",
    "bytes": r"_bytes",
    "s": r"_seconds",
    "dateTimeFromNow": r"^1000 \* .*_timestamp_seconds",
    "currencyUSD": r"_usd",
    "currencyBTC": r"_bitcoins",
    "cps": r"rate\(.*_total",
    "percentunit": r"_ratio|/|process_cpu_seconds_total",
}
"""What the query of a panel in a unit has in it."""


def units(panel: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The unit that each query of a panel is shown in."""
    defaults = panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] not in {"table", "xychart"}:
        yield from ((target["expr"], defaults) for target in panel["targets"])
        return
    columns = [
        item["value"]
        for override in panel["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "unit"
    ]
    yield from zip((target["expr"] for target in panel["targets"]), columns, strict=True)


def test_a_panel_has_the_unit_of_what_it_asks_for(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        for expr, unit in units(panel):
            if unit not in {"none", "short"}:
                assert re.search(UNITS[unit], expr), f"{panel['title']}: {expr} in {unit}"


def test_every_query_keeps_to_the_chosen_job_and_site(dashboard: dict[str, Any]) -> None:
    known = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            expr = target["expr"]
            selectors = re.findall(r"[\w:]+\{([^}]*)\}", expr)
            assert selectors, f"{panel['title']} queries without selectors: {expr}"
            assert all(re.search(r'site=~?"\$site"', selector) for selector in selectors), expr
            assert set(re.findall(r"\$(\w+)", expr)) <= known | {"__rate_interval", "__range", "1"}, expr
            assert "[5m]" not in expr, "rates take $__rate_interval"


def test_a_choice_of_one_name_is_matched_as_it_is_and_one_of_several_as_a_pattern(dashboard: dict[str, Any]) -> None:
    """Grafana escapes names for a pattern only where several can be chosen: `C+1` is no pattern for itself."""
    variables = {each["name"]: each for each in dashboard["templating"]["list"] if each["type"] == "query"}
    several = {name: bool(each.get("multi") or each.get("includeAll")) for name, each in variables.items()}
    queries = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    queries += [each["query"]["query"] for each in variables.values()]
    queries += [each["expr"] for each in dashboard["annotations"]["list"] if "expr" in each]
    matched = {found for query in queries for found in re.findall(r'(=~|!~|!=|=)"([^"]*\$[^"]*)"', query)}
    assert {"$job", "$site"} <= {value for _, value in matched}
    for operator, value in matched:
        name = value.removeprefix("$")
        assert (operator in {"=~", "!~"}) == several[name], f"{operator} {value}"


def test_a_link_encodes_every_name(dashboard: dict[str, Any]) -> None:
    """Grafana leaves the +, & and # of a field as they are, unless it is told to encode them."""
    text = json.dumps(dashboard)
    assert not re.search(r"\$\{__data\.fields\.\w+\}", text)


def test_the_waterfall_of_the_margin_has_every_cause() -> None:
    board = json.loads((ROOT / "grafana/dashboards/economics.json").read_text(encoding="utf-8"))
    (panel,) = (panel for panel in panels(board) if panel["type"] == "barchart")
    for target in panel["targets"]:
        assert set(re.findall(r'"cause", "(\w+)"', target["expr"])) == set(CAUSES), target["refId"]


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
