"""The dashboards can be looked at: each is drawn from a real Prometheus' data."""

import html
import json
from pathlib import Path

import pytest
from harness import ROOT, Stack, any_prometheus, unfolded
from picture import Source, draw, photograph

pytestmark = [pytest.mark.e2e, any_prometheus]


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "grafana/dashboards").glob("*.json")))
def test_a_dashboard_is_drawn(running: Stack, name: str, tmp_path: Path) -> None:
    dashboard = json.loads((ROOT / f"grafana/dashboards/{name}.json").read_text(encoding="utf-8"))
    rig = next(name for name, rig in running.site()["rigs"].items() if rig["fault"] is None)
    chosen = dict.fromkeys(("job", "site", "block", "model", "verdict", "hostname"), ".*")
    page = draw(dashboard, Source(running.prometheus.url, 1, {**chosen, "__rate_interval": "10s", "rig": rig}))
    assert all(html.escape(panel["title"]) in page for panel in unfolded(dashboard))
    photograph(page, tmp_path / "picture.png", dashboard)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
