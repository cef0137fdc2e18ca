"""Rendering and serving 10,000 rigs, against prometheus-client on the same samples in the same run.

Time, and the instructions of rendering fewer rigs, which do not depend on what else the machine does.
"""

import asyncio
import gzip
import http.client
import statistics
import time
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import uvloop
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition.publication import Encoding, Format, LatestPublication, Publication
from exporter.exposition.render import Renderer
from exporter.exposition.settings import ExpositionSettings
from exporter.exposition.views import SiteView
from exporter.polling.attempts import FailureLog
from exporter.server.context import ServerContext
from exporter.server.serve import serving
from exporter.server.settings import WebSettings
from tests.bench.counted import counts, section, why_not
from tests.bench.large_site import large_site
from tests.bench.result import Result

RIGS = 10_000
COUNTED_RIGS = 200
SERIES_PER_RIG = 40  # at least
ROUNDS = 3
RIVAL = f"prometheus-client {version('prometheus-client')}"
PLAIN = Encoding(Format.TEXT, gzip=False)
ZIPPED = Encoding(Format.OPENMETRICS, gzip=True)


class Rival:
    """The same samples, ready to be written by prometheus-client."""

    def __init__(self, publication: Publication) -> None:
        text = b"".join(publication.body(PLAIN).chunks).decode()
        self.families = list(text_string_to_metric_families(text))
        series = sum(len(family.samples) for family in self.families)
        if series < SERIES_PER_RIG * len(publication.view.rigs):
            raise RuntimeError(f"only {series} series")

    def collect(self) -> Iterable[Metric]:
        return self.families


@cache
def views() -> list[SiteView]:
    """Evaluations that differ in every value, and one more that is rendered before the clock runs."""
    return [large_site(RIGS, seed) for seed in range(ROUNDS + 1)]


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    started = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - started


def renderer() -> Renderer:
    return Renderer(ExpositionSettings(), CollectorRegistry())


def rendered(ours: Renderer, view: SiteView) -> bytes:
    return b"".join(ours.render(view).body(PLAIN).chunks)


def render_ratio() -> Result:
    first, *rest = views()
    ours = renderer()
    rival = Rival(ours.render(first))
    rounds = [(seconds(rendered, ours, view), seconds(generate_latest, rival)) for view in rest]
    rendering, generating = map(min, zip(*rounds, strict=True))
    return Result(generating / rendering, "ratio", f"{RIVAL} generate_latest")


def scrape_ratio() -> Result:
    """From a scraper's request to the last byte of its gzipped answer."""
    publication = renderer().render(views()[0])
    rival = Rival(publication)
    scraping = uvloop.run(scrape(publication))
    generating = statistics.median(seconds(lambda: gzip.compress(generate_latest(rival))) for _ in range(ROUNDS))
    return Result(generating / scraping, "ratio", f"{RIVAL} generate_latest and gzip")


async def scrape(publication: Publication) -> float:
    """Median seconds of some scrapes over a real socket."""
    latest = LatestPublication()
    latest.requested(ZIPPED)
    latest.publish(publication)
    context = ServerContext(
        site="bench",
        latest=latest,
        evaluation_interval=3_600.0,
        ready=lambda: True,
        explain=lambda _view, _rig: None,
        failures=FailureLog(),
        sources=list,
        config=str,
        outlook=lambda: None,
    )
    async with serving(context, WebSettings(listen_address="127.0.0.1:0")) as urls:
        address = urlsplit(urls[0]).netloc
        return statistics.median([await asyncio.to_thread(seconds, fetch, address) for _ in range(20)])


def fetch(address: str) -> None:
    connection = http.client.HTTPConnection(address)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text", "Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK or len(answer.read()) != int(answer.headers["Content-Length"]):
        raise RuntimeError(f"scrape failed: {answer.status}")
    connection.close()


def render_loop_delay_p99() -> Result:
    """How late the event loop is while another thread renders and compresses."""
    delays = uvloop.run(loop_delays())
    return Result(statistics.quantiles(delays, n=100)[98] * 1_000, "ms")


async def loop_delays() -> list[float]:
    ours = renderer()
    latest = LatestPublication()
    latest.requested(ZIPPED)
    delays: list[float] = []
    for view in views():
        publishing = asyncio.create_task(asyncio.to_thread(lambda view: latest.publish(ours.render(view)), view))
        while not publishing.done():
            due = time.perf_counter() + 0.001
            await asyncio.sleep(0.001)
            delays.append(max(time.perf_counter() - due, 0.0))
        await publishing
    return delays


def instructions() -> float:
    """Return how many times more instructions prometheus-client needs."""
    found = counts("tests.bench.bench_render")
    return found["rival"] / found["ours"]


def render_instructions_ratio() -> Result:
    if reason := why_not():
        raise SystemExit(reason)
    return Result(instructions(), "ratio", f"{RIVAL} generate_latest")


def _count() -> None:
    first, second = (large_site(COUNTED_RIGS, seed) for seed in range(2))
    ours = renderer()
    rival = Rival(ours.render(first))
    with section("ours"):
        rendered(ours, second)
    with section("rival"):
        generate_latest(rival)


BENCHES = {
    "render_ratio": render_ratio,
    "render_instructions_ratio": render_instructions_ratio,
    "scrape_ratio": scrape_ratio,
    "render_loop_delay_p99": render_loop_delay_p99,
}

if __name__ == "__main__":
    _count()
