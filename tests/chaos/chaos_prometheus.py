"""Real Prometheus servers that scrape the exporter during the run, and what they saw."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

sys.path.append(str(Path(__file__).parent.parent / "e2e"))

from prometheus_releases import RELEASES, Release

_PORTS: Final = 19_090
_MARGIN: Final = "mining_rig_margin_usd_per_day"
_ERROR: Final = f"abs({_MARGIN} - (mining_rig_revenue_usd_per_day - mining_rig_power_cost_usd_per_day))"
_QUERIES: Final = {
    "energy_resets": ("sum(resets(mining_rig_energy_joules_total[2h]))", 0.0),
    "wrong_margins": (f"count(max_over_time({_ERROR}[2h:5s]) > 1e-6) or vector(0)", 0.0),
    "scrape_seconds_p99": ("quantile_over_time(0.99, scrape_duration_seconds[2h])", 1.0),
    "scrapes": ("count_over_time(up[2h])", None),
}
"""What is asked at the end, and the most that is allowed."""


@dataclass
class Server:
    """One running Prometheus."""

    release: Release
    url: str

    def figures(self) -> list[dict[str, Any]]:
        """Ask for each figure."""
        found = []
        for name, (expr, limit) in _QUERIES.items():
            url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
            with urllib.request.urlopen(url, timeout=60) as answer:
                result = json.load(answer)["data"]["result"]
            value = float(result[0]["value"][1]) if result else None
            holds = value is not None and (limit is None or value <= limit)
            figure = f"prometheus_{self.release.name}_{name}"
            found.append({"figure": figure, "value": value, "limit": limit, "holds": holds})
        return found


@contextlib.contextmanager
def prometheus_servers(folder: Path, target: str, login: tuple[str, str]) -> Iterator[list[Server]]:
    """Run every release that is installed. Those that are not are reported on stderr."""
    servers, processes = [], []
    for number, release in enumerate(RELEASES):
        if release.missing is not None:
            print(f"without Prometheus {release.name}: {release.missing}", file=sys.stderr)
            continue
        home = folder / f"prometheus-{number}"
        home.mkdir()
        job = {
            "job_name": "hashmargin",
            "basic_auth": {"username": login[0], "password": login[1]},
            "static_configs": [{"targets": [target]}],
        }
        interval = {"scrape_interval": "2s", "scrape_timeout": "2s"}
        (home / "prometheus.yml").write_text(yaml.safe_dump({"global": interval, "scrape_configs": [job]}))
        address = f"127.0.0.1:{_PORTS + number}"
        with (home / "log").open("wb") as log:
            command = [release.program("prometheus"), f"--config.file={home}/prometheus.yml"]
            processes.append(
                subprocess.Popen(
                    [*command, f"--storage.tsdb.path={home}/data", f"--web.listen-address={address}"],
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"GOMAXPROCS": "1"},
                )
            )
        servers.append(Server(release, f"http://{address}"))
    try:
        yield servers
    finally:
        for process in processes:
            process.terminate()
            process.wait(60)
