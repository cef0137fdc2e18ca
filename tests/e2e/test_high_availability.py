"""Two exporters with a lease: what Prometheus counts and Alertmanager sends while one takes over from the other."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from harness import (
    BIN,
    HOST,
    Program,
    alertmanager,
    ask,
    free_port,
    hurry_exporter,
    prometheus,
    simulated_site,
    wait_for,
    webhook,
)

pytestmark = pytest.mark.e2e

RIGS = 30
PAGES = ("MiningBitcoinPriceStale", "MiningBlockUnreachable")
TAKEOVER = 8  # s, eight scrape intervals
WAITS = {"MiningExporterDown": f"{8 * TAKEOVER}s"}
"""More than in reality, where the alert waits two minutes and a takeover half a minute: this machine may be busy."""


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as entered:
        yield entered


def started(folder: Path, config: Path, name: str, parts: contextlib.ExitStack) -> tuple[Program, str]:
    address = f"{HOST}:{free_port()}"
    command = (BIN / "hashmargin", "run", "--config.file", config, "--web.listen-address", address)
    return parts.enter_context(killable(name, *command, folder=folder)), f"http://{address}"


@contextlib.contextmanager
def killable(name: str, *command: str | Path, folder: Path) -> Iterator[Program]:
    """A program that the test may kill."""
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT)
    try:
        yield Program(name, process, folder / f"{name}.log")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(180)


def test_a_takeover_counts_no_rig_twice_and_pages_nobody(tmp_path: Path, parts: contextlib.ExitStack) -> None:
    receiver, pages = parts.enter_context(webhook())
    control, config = parts.enter_context(simulated_site(tmp_path, "127.83.0.0/18", "--rigs", str(RIGS)))
    hurry_exporter(config)
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document["lease"] = {"path": str(tmp_path / "lease"), "takeover": f"{TAKEOVER}s"}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    manager = parts.enter_context(alertmanager(tmp_path, receiver))
    first, first_url = started(tmp_path, config, "first", parts)
    wait_for("the first to be active", lambda: "mining_exporter_active 1" in first.get(f"{first_url}/metrics"))
    second, second_url = started(tmp_path, config, "second", parts)
    wait_for("the second to stand by", lambda: "mining_exporter_active 0" in second.get(f"{second_url}/metrics"))
    watcher = parts.enter_context(prometheus(tmp_path, [first_url, second_url], [manager], waits=WAITS))
    wait_for("all rigs", lambda: watcher.value("count(mining_rig_up)") == RIGS)
    lost, *_ = sorted({rig["block"] for rig in ask(f"{control}/")["rigs"].values()})
    ask(f"{control}/faults", {"block": lost, "fault": "unplugged"})
    ask(f"{control}/sources", {"name": "bitcoin", "fault": "down"})
    for name in PAGES:
        wait_for(name, lambda name=name: pages.alerts(name, "firing"))
    paged = {name: pages.firing(name) for name in PAGES}
    wait_for("one to be active", lambda: watcher.value("sum(mining_exporter_active)") == 1)
    assert second.said().count("standing by") == 1

    killed = time.time()
    first.process.kill()

    wait_for("the takeover", lambda: "mining_exporter_active 1" in second.get(f"{second_url}/metrics"))
    wait_for("its rigs", lambda: watcher.value("count(mining_rig_up == 1)") or 0)
    wait_for("a warning", lambda: pages.alerts("MiningStandbyDown", "firing"))
    assert (watcher.value("max_over_time(count(mining_rig_inventory_info)[5m:1s])") or 0) <= RIGS
    assert (watcher.value("max_over_time(sum(mining_exporter_active)[5m:1s])") or 0) <= 1
    assert {name: pages.firing(name) for name in PAGES} == paged
    assert not [name for name in PAGES if pages.alerts(name, "resolved")]
    pages.since = killed
    assert not pages.alerts("MiningExporterDown", "firing")
    assert not watcher.query('ALERTS{alertname="MiningExporterDown"}'), "it is not even pending"
    assert not pages.alerts("MiningShardServedTwice", "firing")
