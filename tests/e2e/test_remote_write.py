"""An agent at the edge scrapes the site and writes to a VictoriaMetrics: what is lost when the link is down."""

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from harness import HOST, ROOT, SITE, Prometheus, Stack, ask, free_port, program, wait_for
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


def test_recording_rules_can_be_run_beside_the_store() -> None:
    rules = ROOT / "deploy/prometheus/rules/*.yml"
    done = subprocess.run(
        ("vmalert", "-dryRun", f"-rule={rules}"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
