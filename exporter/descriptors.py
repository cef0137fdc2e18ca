"""Shares the file descriptors of the process: polls must never take those that the HTTP server needs."""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from exporter.polling.rigs import SLOW_LANES
from exporter.polling.settings import PollingSettings
from exporter.server.connections import FEWEST_CONNECTIONS
from exporter.server.settings import WebSettings

_log = structlog.get_logger(__name__)

_OTHERS: Final = 32  # state file, worker processes, files that are being read
_PER_POLL: Final = 2  # some firmware is read over its API and its web interface
_MOST_SOURCES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings with limits that fit the descriptors, and how many connections others may have.

    Attributes:
        polling: How many rigs are asked at once.
        web: How many clients are served.
        sources: Connections of all sources together.
        kept: Connections to rigs that are kept between reads: what nobody else may need.
    """

    polling: PollingSettings
    web: WebSettings
    sources: int
    kept: int


def share(free: int, polling: PollingSettings, web: WebSettings) -> Limits:
    """Share ``free`` descriptors. The server comes first, then the sources, then the rigs that are asked."""
    free = max(0, free - min(_OTHERS, free // 4))
    clients = min(web.max_connections, max(FEWEST_CONNECTIONS, free // 4))
    sources = min(_MOST_SOURCES, max(2, (free - clients) // 4))
    wanted = (1 + SLOW_LANES) * polling.max_in_flight + polling.max_identifying + polling.max_identifying // 2
    left = free - clients - sources
    ratio = min(1.0, left / _PER_POLL / wanted)
    return Limits(
        polling=polling.model_copy(
            update={
                "max_in_flight": max(1, int(polling.max_in_flight * ratio)),
                "max_identifying": max(1, int(polling.max_identifying * ratio)),
            }
        ),
        web=web.model_copy(update={"max_connections": clients}),
        sources=sources,
        kept=max(0, left - _PER_POLL * wanted),
    )


def share_descriptors(polling: PollingSettings, web: WebSettings) -> Limits:
    """Raise the soft limit of the process to the hard one, and share it. Logs once if the settings want more."""
    soft, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if limit == resource.RLIM_INFINITY:
        limit = 2**20
    limits = share(limit - _open_now(), polling, web)
    if limits.polling != polling or limits.web != web:
        _log.warning(
            "few file descriptors: fewer rigs and clients are served at once",
            limit=limit,
            max_in_flight=limits.polling.max_in_flight,
            max_identifying=limits.polling.max_identifying,
            max_connections=limits.web.max_connections,
            advice="raise the limit of open files (ulimit -n, or LimitNOFILE of the systemd unit) to 4096",
        )
    return limits


def _open_now() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return _OTHERS
