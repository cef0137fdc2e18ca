"""All sources of a site, each asked by a poller of its own, under the name that its metrics and state carry."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from exporter.model.readings import Reading
from exporter.polling.attempts import SourceStatus
from exporter.polling.latest import Latest
from exporter.polling.sources import SourcePoller
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.telemetry import Telemetry


class _Running(NamedTuple):
    settings: SourceSettings
    poller: SourcePoller[Any]
    task: asyncio.Task[None]


class Market:
    """Asks every source that the settings name. Its pollers run in ``tasks`` until they are cancelled or replaced.

    Args:
        tasks: where the pollers run.
        context: what sources are given to work with.
        telemetry: where fetches are counted.
        remembered: by source name, what a former process last knew.
        clock: unix seconds.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        context: SourceContext,
        telemetry: Telemetry,
        remembered: Mapping[str, Reading[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._context = context
        self._telemetry = telemetry
        self._remembered = dict(remembered)
        self._clock = clock
        self._running: dict[str, _Running] = {}

    def replace(self, wanted: Mapping[str, SourceSettings]) -> None:
        """Let new settings take effect; a source whose settings stay keeps its value and its rhythm."""
        for name in [name for name, running in self._running.items() if wanted.get(name) != running.settings]:
            self._running.pop(name).task.cancel()
            self._telemetry.forget_source(name)
        for name, settings in wanted.items():
            if name not in self._running:
                self._running[name] = self._start(name, settings)

    def _start(self, name: str, settings: SourceSettings) -> _Running:
        source = settings.build(self._context)
        poller = SourcePoller(name, source, settings, self._telemetry, clock=self._clock)
        if (reading := self._remembered.pop(name, None)) is not None:  # once: later ones have other settings
            poller.restore(reading)
        return _Running(settings, poller, self._tasks.create_task(poller.run(), name=f"source {name}"))

    def latest(self, prefix: str) -> dict[str, Latest[Any]]:
        """Give the latest values of the sources whose name starts with ``prefix``, by the rest of their name."""
        return {
            name.removeprefix(prefix): running.poller.latest
            for name, running in self._running.items()
            if name.startswith(prefix)
        }

    def fresh(self, name: str, now: float) -> Reading[Any] | None:
        """Give the source's value, or None where it has none that can be relied on at ``now`` (unix seconds)."""
        running = self._running.get(name)
        return None if running is None else running.poller.latest.fresh(now)

    def fresh_all(self, now: float) -> dict[str, Reading[Any]]:
        """Give every value that can be relied on at ``now`` (unix seconds), by source name."""
        readings = {name: running.poller.latest.fresh(now) for name, running in self._running.items()}
        return {name: reading for name, reading in readings.items() if reading is not None}

    def tell_usable(self, now: float, besides: Collection[str]) -> None:
        """Export which sources have a value that can be relied on at ``now``; those ``besides`` have none after all."""
        for name, running in self._running.items():
            usable = name not in besides and running.poller.latest.fresh(now) is not None
            self._telemetry.source_usable.labels(name).set(usable)

    @property
    def attempted(self) -> bool:
        """Whether every source was asked once, whatever the result."""
        return all(running.poller.attempted.is_set() for running in self._running.values())

    def statuses(self, now: float) -> list[SourceStatus]:
        """Tell of every source how it does at ``now`` (unix seconds)."""
        return [
            SourceStatus(
                name=name,
                kind=settings.kind,
                interval=settings.interval,
                max_age=settings.max_age,
                observed_at=poller.latest.observed_at,
                usable=poller.latest.fresh(now) is not None,
                last_failure=poller.last_failure,
            )
            for name, (settings, poller, _) in self._running.items()
        ]
