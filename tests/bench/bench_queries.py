"""What our rules and dashboards cost a real Prometheus that scrapes 10,000 rigs."""

import heapq
import http.server
import json
import re
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import uvloop
import yaml
from prometheus_client import CollectorRegistry

from exporter.decision.pool_work import PoolBalance, Reconciliation, WorkerState
from exporter.economics.reconciliation import PayoutBalance, WorkBalance
from exporter.economics.values import CustomerEconomics, GpuEconomics
from exporter.exposition.publication import Encoding, Format
from exporter.exposition.render import Renderer
from exporter.exposition.settings import ExpositionSettings
from exporter.exposition.views import SiteView
from exporter.model.fields import parse_duration
from exporter.model.readings import GpuReading
from tests.bench.bench_render import renderer, scrape, views
from tests.bench.large_site import large_site
from tests.bench.machine import TIMEOUT
from tests.bench.result import Result
from tests.e2e.harness import HOST, ROOT, SITE, Prometheus, ask, prometheus, unfolded, wait_for

RIGS = 10_000
SCRAPES = 8
INTERVAL = 15  # s, as sites do: two cores are not enough for a million samples and all rules every five seconds
WINDOW = SCRAPES * INTERVAL
HEALTHY = {b"mining_rig_board_chips": b"108", b"mining_rig_hardware_errors_total": b"0"}
"""Where the large site's random numbers would have every rig alarmed about."""

CHOSEN = {
    "__rate_interval": f"{4 * INTERVAL}s",
    "site": SITE,
    "block": "container-0",
    "rig": "rig-00042",
    "model": "S21",
    "firmware": "stock",
}
"""Where one thing is chosen. Of what several can be chosen of, all are."""
PRINTED = 15
"""Of the slowest queries and the dearest rules."""

CUSTOMERS = 20
GPUS = 1_000


def full_site(seed: int) -> SiteView:
    """The large site with what the other dashboards show too: customers, work at a pool, and GPUs."""
    view = large_site(RIGS, seed)
    rigs = tuple(
        replace(known, rig=replace(known.rig, customer=f"customer-{index % CUSTOMERS}", contract="c"))
        for index, known in enumerate(view.snapshot.rigs)
    )
    names = [known.rig.name for known in rigs]
    work = WorkBalance(
        reported=2e14, accepted=2e14, credited=1.9e14, deficit=0.02 + seed / 100, sigmas=1.0, error=0.01, luck=1.0
    )
    gpus = [f"GPU-{number:04}" for number in range(GPUS)]
    return replace(
        view,
        snapshot=replace(
            view.snapshot,
            rigs=rigs,
            gpus=tuple(
                GpuReading(
                    gpu=name,
                    model="NVIDIA H100 80GB HBM3",
                    hostname=f"node-{index // 8}",
                    power=600.0 + seed,
                    utilization=0.9,
                    engine_active=0.8,
                    memory_used=6e10,
                    temperature=60.0 + seed,
                    allocated=True,
                )
                for index, name in enumerate(gpus)
            ),
        ),
        economics=replace(
            view.economics,
            gpus=tuple(
                GpuEconomics(contracted=True, billed_power=800.0, revenue=50.0 + seed, power_cost=1.0, margin=49.0)
                for _ in gpus
            ),
            customers=tuple(
                CustomerEconomics(name=f"customer-{index}", margin=10.0 + seed, avoidable_loss=0.0)
                for index in range(CUSTOMERS)
            ),
        ),
        reconciliation=Reconciliation(
            rigs=dict.fromkeys(names, work),
            blocks=dict.fromkeys((block.name for block in view.snapshot.blocks), work),
            site=work,
            workers=dict.fromkeys(names, WorkerState(credited=True, last_share_at=time.time())),
            pools={
                "pool": PoolBalance(
                    workers=RIGS,
                    unmatched=0,
                    hashrate=2e18,
                    implausible=False,
                    payout=PayoutBalance(day=view.snapshot.taken_at, expected=1.0, paid=1.0, shortfall=0.0),
                )
            },
        ),
    )


@contextmanager
def target() -> Iterator[str]:
    """Serve a large site, rendered anew for each scrape."""
    renderer = Renderer(ExpositionSettings(), CollectorRegistry())
    pages = []
    for seed in range(2):
        page = b"".join(renderer.render(full_site(seed)).body(Encoding(Format.TEXT, gzip=False)).chunks)
        for metric, value in HEALTHY.items():
            page = re.sub(rb"^(%s\{[^}]*\}) .*$" % metric, rb"\1 " + value, page, flags=re.MULTILINE)
        pages.append(page)

    class Exporter(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            pages.append(pages.pop(0))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(pages[0])))
            self.end_headers()
            self.wfile.write(pages[0])

        def log_message(self, *said: object) -> None:
            """Keep quiet."""

    server = http.server.ThreadingHTTPServer((HOST, 0), Exporter)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@cache
def measured() -> tuple[float, float, float]:
    """Seconds of the slowest query of any panel, cores that all rules keep busy, and seconds that a scrape takes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        target() as url,
        prometheus(Path(folder), [url], interval=INTERVAL) as server,
    ):
        scrapes = 'sum_over_time(up{job="hashmargin"}[1h])'
        wait_for("the scrapes", lambda: (server.value(scrapes) or 0) >= SCRAPES, TIMEOUT)
        ingestion = server.value('avg_over_time(scrape_duration_seconds{job="hashmargin"}[1m])')
        assert ingestion is not None
        return slowest(server), rules(server), ingestion


def slowest(server: Prometheus) -> float:
    """Seconds of the slowest query of any panel. Prints the slowest ones."""
    took = [
        (min(seconds(server, query) for _ in range(2)), f"{file.stem}: {panel['title']} {query['refId']}")
        for file in (ROOT / "grafana/dashboards").glob("*.json")
        for panel in unfolded(json.loads(file.read_text(encoding="utf-8")))
        for query in panel.get("targets", [])
    ]
    slow = heapq.nlargest(PRINTED, took)
    for longest, name in slow:
        print(f"{longest:.3f} s  {name}", file=sys.stderr)
    return slow[0][0]


def seconds(server: Prometheus, query: dict[str, object]) -> float:
    """Run one panel's query as Grafana does: at an instant, or over the window."""
    expr = re.sub(r'=~"\$\w+"', '=~".*"', str(query["expr"]))
    for name, value in CHOSEN.items():
        expr = re.sub(rf"\${name}\b", value, expr)
    end = time.time()
    over = {"start": end - WINDOW, "end": end, "step": INTERVAL}
    path, asked = ("query", {}) if query.get("instant") else ("query_range", over)
    started = time.perf_counter()
    ask(f"{server.url}/api/v1/{path}?{urllib.parse.urlencode({'query': expr, **asked})}", timeout=TIMEOUT)
    return time.perf_counter() - started


def rules(server: Prometheus) -> float:
    """How much of a core our rules keep busy, at the intervals that they have. Prints the dearest ones."""
    every = {group["name"]: group.get("interval", "15s") for group in rule_groups()}
    cores: list[tuple[float, str]] = [
        (rule["evaluationTime"] / parse_duration(every[group["name"]]), f"{group['name']}: {rule['name']}")
        for group in ask(f"{server.url}/api/v1/rules")["data"]["groups"]
        for rule in group["rules"]
    ]
    for dear, name in heapq.nlargest(PRINTED, cores):
        print(f"{dear:.4f} core  {name}", file=sys.stderr)
    return sum(each for each, _ in cores)


def rule_groups() -> Iterator[dict[str, Any]]:
    for kind in ("rules", "alerts"):
        for file in (ROOT / "deploy/prometheus" / kind).glob("*.yml"):
            yield from yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]


def dashboard_query_slowest() -> Result:
    return Result(measured()[0], "s")


def rules_load() -> Result:
    return Result(measured()[1], "cores")


def ingestion_ratio() -> Result:
    """How many times longer Prometheus needs for a scrape of plain text than our server."""
    ours = uvloop.run(scrape(renderer().render(views()[0])))
    return Result(measured()[2] / ours, "ratio", "Prometheus, of the same samples")


BENCHES = {
    "ingestion_ratio": ingestion_ratio,
    "dashboard_query_slowest": dashboard_query_slowest,
    "rules_load": rules_load,
}
