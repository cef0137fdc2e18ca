"""All market sources of a site, each with its own poller."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from exporter.model.readings import Reading
from exporter.polling.attempts import FailedAttempt, SourceStatus
from exporter.polling.latest import Latest
from exporter.polling.sources import SourcePoller
from exporter.sources.contract import MemberState, SourceContext, SourceSettings
from exporter.telemetry import Telemetry

T = TypeVar("T")


@dataclass(frozen=True)
class SourceRoom(Generic[T]):
    """Sources that provide the same type of value, such as all tariffs. ``label`` begins their ``source`` label."""

    label: str


class SourceName(NamedTuple):
    """Name of a source: the label of its room, and its name in the room, empty where there can be only one."""

    room: str
    name: str = ""

    def __str__(self) -> str:
        """Return the value of the ``source`` label, such as ``tariff:spot`` or ``network``."""
        return f"{self.room}:{self.name}" if self.name else self.room


class _Running(NamedTuple):
    settings: SourceSettings
    poller: SourcePoller[Any]
    task: asyncio.Task[None]
    members: Mapping[str, MemberState]


class Market:
    """Polls every configured source. Its pollers run in ``tasks`` until they are cancelled or replaced.

    Args:
        tasks: Where the pollers run.
        context: HTTP session, clock and metrics for the sources.
        telemetry: Where fetches are counted.
        remembered: The last readings of a previous process.
        clock: Unix seconds.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        context: SourceContext,
        telemetry: Telemetry,
        remembered: Mapping[SourceName, Reading[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._tasks = tasks
        self._context = context
        self._telemetry = telemetry
        self._remembered = dict(remembered)
        self._clock = clock
        self._running: dict[SourceName, _Running] = {}

    def replace(self, wanted: Mapping[SourceName, SourceSettings]) -> None:
        """Switch to new settings. A source whose settings did not change keeps its value and its schedule."""
        for name in [name for name, running in self._running.items() if wanted.get(name) != running.settings]:
            self._running.pop(name).task.cancel()
            self._telemetry.forget_source(str(name))
        for name, settings in wanted.items():
            if name not in self._running:
                self._running[name] = self._start(name, settings)

    def _start(self, name: SourceName, settings: SourceSettings) -> _Running:
        reading = self._remembered.pop(name, None)  # once: later ones have other settings
        context = self._context.named(str(name))
        source = settings.build(context, reading)
        poller = SourcePoller(str(name), source, settings, self._telemetry, clock=self._clock)
        if reading is not None:
            poller.restore(reading)
        return _Running(settings, poller, self._tasks.create_task(poller.run(), name=f"source {name}"), context.members)

    def shift(self, seconds: float) -> None:
        """Move the times of all values with the system clock, which was set by ``seconds``."""
        for running in self._running.values():
            running.poller.shift(seconds)

    def latest(self, room: SourceRoom[T]) -> dict[str, Latest[T]]:
        """Return the latest values of the sources of a room, by their names there."""
        return {name.name: running.poller.latest for name, running in self._running.items() if name.room == room.label}

    def fresh(self, room: SourceRoom[T], now: float) -> dict[str, Reading[T]]:
        """Return the readings of a room's sources that are usable at ``now`` (unix seconds), by their names there."""
        readings = {name: latest.fresh(now) for name, latest in self.latest(room).items()}
        return {name: reading for name, reading in readings.items() if reading is not None}

    def fresh_all(self, now: float) -> dict[SourceName, Reading[Any]]:
        """Return the readings of all sources that are usable at ``now`` (unix seconds)."""
        readings = {name: running.poller.latest.fresh(now) for name, running in self._running.items()}
        return {name: reading for name, reading in readings.items() if reading is not None}

    def export_usable(self, now: float, unusable: Collection[SourceName]) -> None:
        """Export which sources are usable at ``now`` (unix seconds); those in ``unusable`` are not, even if fresh."""
        for name, running in self._running.items():
            usable = name not in unusable and running.poller.latest.fresh(now) is not None
            self._telemetry.source_usable.labels(str(name)).set(usable)

    @property
    def attempted(self) -> bool:
        """Whether every source was requested once, successfully or not."""
        return all(running.poller.attempted.is_set() for running in self._running.values())

    def statuses(self, now: float) -> list[SourceStatus]:
        """Return the status of every source at ``now`` (unix seconds), each group before its members."""
        statuses = []
        for name, (settings, poller, _, members) in self._running.items():
            statuses.append(
                SourceStatus(
                    name=str(name),
                    kind=settings.kind,
                    interval=settings.interval,
                    max_age=settings.max_age,
                    observed_at=poller.latest.observed_at,
                    usable=poller.latest.fresh(now) is not None,
                    last_failure=poller.last_failure,
                    up=poller.up,
                    failing_since=poller.failing_since,
                )
            )
            statuses += [_member(each, state, now) for each, state in members.items()]
        return statuses


def _member(name: str, state: MemberState, now: float) -> SourceStatus:
    failure, up = state.failure, state.failing_since is None
    return SourceStatus(
        name=name,
        kind=state.kind,
        interval=state.interval,
        max_age=state.max_age,
        observed_at=state.observed_at,
        usable=up and not state.left_out and state.observed_at is not None and now - state.observed_at <= state.max_age,
        last_failure=None
        if failure is None or state.failed_at is None
        else FailedAttempt.of(failure, name, "", state.failed_at),
        up=up,
        failing_since=state.failing_since,
        left_out=state.left_out,
    )
