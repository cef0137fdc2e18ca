"""An agent at the edge scrapes the site and writes to a VictoriaMetrics: what is lost when the link is down."""

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from harness import HOST, ROOT, SITE, Prometheus, Stack, ask, exporter, free_port, program, wait_for
from prometheus_releases import Release

pytestmark = pytest.mark.e2e

OUTAGE_SCRAPES = 6
MARGIN = f'sum(mining_block_margin_usd_per_day{{site="{SITE}"}})'


@dataclass
class Agent:
    """A Prometheus in agent mode: it stores nothing but what is still to be sent, and answers no query."""

    url: str

    def scrapes(self) -> int:
        """How often it has scraped, the first time not counted."""
        return int(sum(self._values("prometheus_target_interval_length_seconds_count")))

    def lost(self) -> float:
        """How many samples it gave up."""
        failed = self._values("prometheus_remote_storage_samples_failed_total")
        assert failed, "it is there from the start"
        # Prometheus 3 has one series for each reason, and none before the first.
        return sum(failed) + sum(self._values("prometheus_remote_storage_samples_dropped_total"))

    def _values(self, name: str) -> list[float]:
        return list(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", ask(f"{self.url}/metrics"), re.MULTILINE)))


@contextlib.contextmanager
def agent(folder: Path, target: str, store: str, release: Release) -> Iterator[Agent]:
    url = f"http://{HOST}:{(port := free_port())}"
    document = {
        "global": {"scrape_interval": "1s", "external_labels": {"region": "north"}},
        "scrape_configs": [
            {
                "job_name": "hashmargin",
                "static_configs": [{"targets": [urllib.parse.urlsplit(target).netloc], "labels": {"site": SITE}}],
            }
        ],
        "remote_write": [{"url": f"{store}/api/v1/write", "queue_config": {"max_backoff": "1s"}}],
    }
    config = folder / "agent.yml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = (
        release.program("prometheus"),
        release.agent_flag,
        f"--config.file={config}",
        f"--storage.agent.path={folder / 'agent'}",
        f"--web.listen-address={HOST}:{port}",
    )
    with program("agent", *command, folder=folder) as running:
        wait_for("the agent", lambda: running.get(f"{url}/-/ready"))
        yield Agent(url)


@contextlib.contextmanager
def victoria_metrics(folder: Path, port: int) -> Iterator[Prometheus]:
    """Start it on the data that is in the folder; it answers what a Prometheus is asked."""
    assert shutil.which("victoria-metrics"), "victoria-metrics is not installed: .ci/run says which packages are needed"
    url = f"http://{HOST}:{port}"
    command = (
        "victoria-metrics",
        f"-httpListenAddr={HOST}:{port}",
        f"-storageDataPath={folder / 'victoria-metrics'}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
        "-search.disableCache",
    )
    with program("victoria-metrics", *command, folder=folder) as running:
        wait_for("VictoriaMetrics", lambda: running.get(f"{url}/health"))
        yield Prometheus(url)


def stored(store: Prometheus, match: str, begin: float, end: float) -> list[float]:
    """The times of the samples of one series, in unix seconds."""
    asked = urllib.parse.urlencode({"match[]": match, "start": f"{begin:.3f}", "end": f"{end:.3f}"})
    lines = str(ask(f"{store.url}/api/v1/export?{asked}") or "").splitlines()
    return [stamp / 1000 for line in lines for stamp in json.loads(line)["timestamps"]]


def margins(prometheus: Prometheus, times: list[float]) -> dict[float, float | None]:
    """The site's margin by the evaluation that it is of: who scrapes at other moments sees the same of each."""
    evaluations = [prometheus.value("mining_evaluation_timestamp_seconds", at) for at in times]
    return {
        round(evaluated, 3): prometheus.value(MARGIN, at)
        for at, evaluated in zip(times, evaluations, strict=True)
        if evaluated is not None
    }


def test_what_is_scraped_while_the_link_is_down_arrives_later(running: Stack, tmp_path: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as parts:
        with victoria_metrics(tmp_path, port) as store:
            edge = parts.enter_context(agent(tmp_path, running.exporter, store.url, running.release))
            wait_for("the site's margin in the store", lambda: store.query(MARGIN))

        down, before = time.time(), edge.scrapes()
        wait_for("scrapes that can't be sent", lambda: edge.scrapes() >= before + OUTAGE_SCRAPES)
        missed, back = edge.scrapes() - before, time.time()

        with victoria_metrics(tmp_path, port) as store:
            up = f'up{{site="{SITE}"}}'
            wait_for("what was scraped meanwhile", lambda: len(stored(store, up, down, back)) >= missed - 1)
            assert edge.lost() == 0
            ours = margins(running.prometheus, [at for at in running.prometheus.scrapes(back) if at >= down])
            theirs = margins(store, stored(store, up, down, back))
            both = ours.keys() & theirs.keys()
            assert both
            assert {at: theirs[at] for at in both} == pytest.approx({at: ours[at] for at in both})
            parts.close()


HASHPRICE, PRICE, HOURS = 33.30, 0.05, 48
INVENTORY = """\
name,address,rated_watts,rated_terahash
old,127.0.0.1,1000,28.571428
new,127.0.0.2,1000,57.142857
"""
HALVES = {"old": 35.0, "new": 17.5}  # J/TH, a kilowatt of each: only the new one earns
BEFORE = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
fleet:
  defaults: {algorithm: sha256, block: north}
  csv: [rigs.csv]
blocks: {north: {capacity_kilowatts: 2}}
"""


def hours_before(now: float) -> list[float]:
    return [now - now % 3_600 - back * 3_600 for back in range(HOURS, 0, -1)]


def recorded(hours: list[float]) -> Iterator[str]:
    """Yield four scrapes of each hour, as Prometheus' text with timestamps."""
    for hour in hours:
        for minute in (7, 22, 37, 52):
            at = int((hour + minute * 60) * 1_000)
            yield f'mining_hashprice_usd_per_petahash_day{{site="{SITE}"}} {HASHPRICE} {at}'
            yield f'mining_power_price_usd_per_kilowatt_hour{{site="{SITE}",tariff="ppa"}} {PRICE} {at}'
            for rig, joules in HALVES.items():
                labels = f'site="{SITE}",rig="{rig}"'
                margin = HASHPRICE / joules - 24 * PRICE
                yield f'mining_rig_inventory_info{{{labels},block="north",tariff="ppa"}} 1 {at}'
                yield f"mining_rig_potential_margin_usd_per_day{{{labels}}} {margin} {at}"
                yield f"mining_rig_potential_power_watts{{{labels}}} 1000 {at}"


def written(path: Path, hours: list[float]) -> Path:
    rows = ["time,block,tariff,kilowatts,petahashes,hashprice,power_price"]
    rows += [f"{hour:.0f},north,ppa,1,{1 / joules},{HASHPRICE},{PRICE}" for hour in hours for joules in HALVES.values()]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def known_of_north(url: str) -> tuple[float, float] | None:
    """How much history (s) counts, and what it says of the block's margin; None until its hours are known."""
    text = ask(f"{url}/metrics")
    found = [
        re.search(rf'^{name}{{.*block="north".*}} (\S+)$', text, re.MULTILINE)
        for name in (
            "mining_block_verdict_evidence_seconds",
            "mining_block_conversion_margin_usd_per_kilowatt_year",
        )
    ]
    evidence, margin = (float(each[1]) if each else 0.0 for each in found)
    return (evidence, margin) if evidence > (HOURS - 2) * 3_600 and margin else None


@pytest.mark.parametrize("kind", ["prometheus", "file"])
def test_hours_of_before_the_start_are_evidence_with_the_floor_of_each_rig(kind: str, tmp_path: Path) -> None:
    """Half 17.5, half 35 J/TH: M is 128.2714 per kW, and not the 82.91 of the sum."""
    port, hours = free_port(), hours_before(time.time())
    with victoria_metrics(tmp_path, port) as store:
        told = f"{{kind: prometheus, url: {store.url}, selector: 'site=\"{SITE}\"'}}"
        if kind == "prometheus":
            body = "\n".join(recorded(hours)).encode()
            with urllib.request.urlopen(f"{store.url}/api/v1/import/prometheus", data=body, timeout=60):
                pass
            ask(f"{store.url}/internal/force_flush")
        else:
            told = f"{{kind: file, path: {written(tmp_path / 'hours.csv', hours)}}}"
        config = tmp_path / "site.yml"
        (tmp_path / "rigs.csv").write_text(INVENTORY, encoding="utf-8")
        config.write_text(f"{BEFORE}decision: {{backfill: {told}}}\nevaluation_interval: 1s\n", encoding="utf-8")
        with exporter(tmp_path, config) as url:
            evidence, margin = wait_for("the hours of before the start", lambda: known_of_north(url))
    assert evidence == pytest.approx(HOURS * 3_600, abs=3_600)  # an hour may have begun meanwhile
    assert margin == pytest.approx(128.2714, abs=1e-3)


def test_recording_rules_can_be_run_beside_the_store() -> None:
    rules = ROOT / "deploy/prometheus/rules/*.yml"
    done = subprocess.run(
        ("vmalert", "-dryRun", f"-rule={rules}"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
