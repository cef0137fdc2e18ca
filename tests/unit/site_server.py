"""A served small site, for the tests of the server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from set_clock import Clock
from small_site import TAKEN_AT, small_site

from exporter.decision.explain import Case, Explanation, explain
from exporter.decision.prospect import Outlook
from exporter.decision.settings import DecisionSettings
from exporter.economics.settings import SiteSettings
from exporter.exposition.publication import LatestPublication, Publication
from exporter.exposition.render import Renderer
from exporter.exposition.settings import ExpositionSettings
from exporter.exposition.views import SiteView
from exporter.model.failures import Reason
from exporter.polling.attempts import FailedAttempt, FailureLog, SourceStatus
from exporter.server.context import ServerContext
from exporter.server.serve import serving
from exporter.server.settings import WebSettings
from exporter.sources.alertmanager import Firing


@dataclass
class Served:
    """A running server and a client whose answers stay compressed."""

    url: str
    client: aiohttp.ClientSession
    latest: LatestPublication
    clock: Clock
    flags: dict[str, bool]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def get(self, path: str, **headers: str) -> "aiohttp.client._RequestContextManager":
        return self.client.get(f"{self.url}{path}", headers=headers)


def published(view: SiteView) -> Publication:
    return Renderer(ExpositionSettings(), CollectorRegistry()).render(view)


def explained(view: SiteView, rig: str) -> Explanation | None:
    case = Case(
        snapshot=view.snapshot,
        economics=view.economics,
        decision=view.decision,
        settings=SiteSettings(),
        decision_settings=DecisionSettings(),
    )
    return explain(case, rig)


def configuration() -> str:
    """What runs: that of a large fleet takes long, and so may not be asked for in the event loop."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    return "site: prairie-1\npassword: '***'\n"


SOURCES = (
    SourceStatus(
        name="network",
        kind="bitcoin_core",
        interval=60.0,
        max_age=600.0,
        observed_at=TAKEN_AT,
        usable=True,
        last_failure=FailedAttempt("network", "", TAKEN_AT, Reason.AUTH, "401 <Unauthorized>"),
        up=False,
        failing_since=TAKEN_AT - 720.0,
    ),
    SourceStatus(
        name="bitcoin:coinbase",
        kind="coinbase",
        interval=60.0,
        max_age=600.0,
        observed_at=TAKEN_AT,
        usable=False,
        last_failure=None,
        up=True,
        left_out="+30.0% from the median",
    ),
    SourceStatus(
        name="tariff:spot",
        kind="http_json",
        interval=60.0,
        max_age=600.0,
        observed_at=None,
        usable=False,
        last_failure=None,
    ),
)


@asynccontextmanager
async def served(
    *,
    settings: WebSettings | None = None,
    publication: Callable[[], Publication] | None = None,
    site: str = "prairie-1",
    explain: Callable[[SiteView, str], Explanation | None] = explained,
    config: Callable[[], str] = configuration,
    outlook: Outlook | None = None,
    alerts: Firing = None,
) -> AsyncIterator[Served]:
    clock = Clock()
    latest = LatestPublication(clock)
    latest.publish(publication() if publication else published(small_site()))
    failures = FailureLog()
    failures.note(FailedAttempt("b-01", "10.1.2.1", TAKEN_AT - 30, Reason.TIMEOUT, "no answer within 5 s"))
    flags = {"ready": True}

    async def firing() -> Firing:
        return alerts

    context = ServerContext(
        site=site,
        latest=latest,
        evaluation_interval=15.0,
        ready=lambda: flags["ready"],
        explain=explain,
        outlook=lambda: outlook,
        failures=failures,
        sources=lambda: SOURCES,
        config=config,
        alerts=firing,
    )
    async with (
        serving(context, settings or WebSettings(listen_address="127.0.0.1:0")) as urls,
        aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"}) as client,
    ):
        yield Served(urls[0], client, latest, clock, flags)
