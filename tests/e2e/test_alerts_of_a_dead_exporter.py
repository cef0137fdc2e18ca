"""Notifications while an exporter is dead: its death, and no all-clear of anything else."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from harness import (
    Pages,
    Prometheus,
    alertmanager,
    ask,
    exporter,
    free_port,
    hurry_exporter,
    prometheus,
    simulated_site,
    wait_for,
    webhook,
)

pytestmark = pytest.mark.e2e


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as entered:
        yield entered


def test_alerts_fire_on_while_the_exporter_is_dead_and_resolve_when_it_is_back(
    tmp_path: Path, parts: contextlib.ExitStack
) -> None:
    receiver, pages = parts.enter_context(webhook())
    control, config = parts.enter_context(simulated_site(tmp_path, "127.83.0.0/18", "--rigs", "30"))
    hurry_exporter(config)
    port = free_port()
    manager = parts.enter_context(alertmanager(tmp_path, receiver))
    blocks = {rig["block"] for rig in ask(f"{control}/")["rigs"].values()}
    lost, *_ = sorted(blocks)
    with exporter(tmp_path, config, port=port) as url:
        watcher = parts.enter_context(prometheus(tmp_path, [url], [manager]))
        wait_for("margins", lambda: watcher.query("site:mining_margin_usd_per_day:sum"))
        ask(f"{control}/power", {"usd_per_megawatt_hour": 400})
        ask(f"{control}/faults", {"block": lost, "fault": "unplugged"})
        wait_for("the rigs to be curtailed", lambda: pages.alerts("MiningBlockCurtailNow", "firing"))
        ask(f"{control}/sources", {"name": "bitcoin", "fault": "down"})
        for name in ("MiningBitcoinPriceStale", "MiningBlockUnreachable"):
            wait_for(name, lambda name=name: pages.alerts(name, "firing"))
    # Until its end is noticed, an alert that was only kept firing may end by itself. Those of rigs are held last.
    wait_for("alerts to be held", lambda: watcher.query("rig:mining_alerts_firing:held"))
    noticed = time.time()
    wait_for("the alert of the dead exporter", lambda: pages.alerts("MiningExporterDown", "firing"))
    _wait(watcher, 70)  # longer than any alert is kept firing here
    assert all_clear(pages, noticed) == set()
    assert {labels["alertname"] for labels, _ in watcher.query('ALERTS{alertstate="firing",instance=""}')} >= {
        "MiningBitcoinPriceStale",
        "MiningBlockUnreachable",
    }
    ask(f"{control}/sources", {"name": "bitcoin", "fault": None})
    ask(f"{control}/faults", {"block": lost, "fault": None})
    ask(f"{control}/power", {"usd_per_megawatt_hour": 20})
    with exporter(tmp_path, config, "again", port=port):
        for name in ("MiningExporterDown", "MiningBitcoinPriceStale", "MiningBlockUnreachable"):
            wait_for(f"the all-clear of {name}", lambda name=name: pages.alerts(name, "resolved"))
    assert pages.untold() == []


def all_clear(pages: Pages, since: float) -> set[str]:
    """Alerts that ended since then: before, one may have come and gone while a busy machine was late."""
    return {
        alert["labels"]["alertname"]
        for _, notification in list(pages.notifications)
        for alert in notification["alerts"]
        if alert["status"] == "resolved" and datetime.fromisoformat(alert["endsAt"]).timestamp() >= since
    }


def _wait(watcher: Prometheus, seconds: float) -> None:
    until = (watcher.value("time()") or 0.0) + seconds
    wait_for("evaluations", lambda: (watcher.value("timestamp(vector(1))") or 0.0) > until)
