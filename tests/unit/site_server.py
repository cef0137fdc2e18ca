"""A served small site, for the tests of the server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from prometheus_client import CollectorRegistry
from small_site import small_site

from exporter.exposition.publication import Newsstand, Publication
from exporter.exposition.render import Renderer
from exporter.exposition.terms import ExpositionTerms
from exporter.exposition.views import SiteView
from exporter.server.face import SiteFace
from exporter.server.serve import serving
from exporter.server.terms import WebTerms


@dataclass
class Clock:
    """A clock that tests set."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Served:
    """A running server and a client whose answers stay compressed."""

    url: str
    client: aiohttp.ClientSession
    newsstand: Newsstand
    clock: Clock
    flags: dict[str, bool] = field(default_factory=lambda: {"ready": True})

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def get(self, path: str, **headers: str) -> "aiohttp.client._RequestContextManager":
        return self.client.get(f"{self.url}{path}", headers=headers)


def published(view: SiteView) -> Publication:
    return Renderer(ExpositionTerms(), CollectorRegistry()).render(view)


@asynccontextmanager
async def served(
    *, terms: WebTerms | None = None, publication: Callable[[], Publication] | None = None, site: str = "prairie-1"
) -> AsyncIterator[Served]:
    clock = Clock()
    newsstand = Newsstand(clock)
    newsstand.publish(publication() if publication else published(small_site()))
    running: Served
    face = SiteFace(site=site, newsstand=newsstand, evaluation_interval=15.0, ready=lambda: running.flags["ready"])
    async with (
        serving(face, terms or WebTerms(listen_address="127.0.0.1:0")) as urls,
        aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"}) as client,
    ):
        running = Served(urls[0], client, newsstand, clock)
        yield running
