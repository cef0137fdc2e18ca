"""Polls every rig at its own moment of the interval, and keeps what is known of each.

One scheduler for all: a heap of due times. A rig is in exactly one place (the heap, a lane's queue or in flight), so
that a slow poll never piles up on itself. Healthy rigs have a lane of their own; new and failing ones share another,
where those that failed least go first.
"""

import asyncio
import heapq
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import count
from typing import Final, Protocol

import structlog

from exporter.failures import Failure, Reason
from exporter.fleet import Rig
from exporter.polling.ledger import RigLedger, RigMemory
from exporter.polling.notices import RigNotices, Surprises
from exporter.polling.schedules import ScheduleTerms
from exporter.polling.terms import PollingTerms
from exporter.readings import RigIdentity, RigReading
from exporter.snapshot import RigSnapshot
from exporter.sources.miners.contract import Target
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_TICK: Final = 0.02  # s: polls due within one tick start together
_ROUNDING: Final = 1e-6  # of an interval: a slot that is just over must not come again
_LONGEST_SLEEP: Final = 1.0  # s: a new inventory waits no longer than this


class RigReader(Protocol):
    """Identifies and reads rigs."""

    async def identify(self, target: Target) -> RigIdentity:
        """Say who answers there. Raises :class:`exporter.failures.Failure`."""
        ...

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read it once. Raises :class:`exporter.failures.Failure`."""
        ...


class _Polled:
    """One rig as the scheduler sees it. Times are the loop's.

    Whatever comes from another target than its present one is not booked: the inventory meanwhile put it elsewhere.
    """

    __slots__ = ("failures", "gone", "identified_at", "identify_at", "ledger", "phase", "target")

    def __init__(self, ledger: RigLedger, phase: float, identify_at: float) -> None:
        self.ledger = ledger
        self.target = _target(ledger.rig)
        self.phase = phase
        self.identify_at = identify_at
        self.identified_at = -math.inf
        self.failures = 0  # in a row
        self.gone = False  # from the inventory


class _Lane:
    """Polls that may run at once, and those that wait for room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_flight = 0
        self.waiting: list[tuple[int, float, int, _Polled]] = []  # a heap: failures, due, order of arrival

    def has_room(self) -> bool:
        return self.in_flight < self._limit


class RigPoller:
    """Reads the rigs, each once per interval. To be made inside the running loop; :meth:`run` polls until cancelled.

    Args:
        rigs: the inventory; their names are unique.
        reader: identifies and reads them; what it raises besides Failure is a bug, and costs that rig one poll.
        terms: cadence and bounds.
        telemetry: where polls are counted.
        schedules: by name, when rigs that name one are meant to mine.
        remembered: by rig name, what a former process knew.
        clock: unix seconds.
        rng: for the jitter.

    Raises:
        ValueError: a rig names a schedule that does not exist.
    """

    def __init__(
        self,
        rigs: Iterable[Rig],
        reader: RigReader,
        terms: PollingTerms,
        telemetry: Telemetry,
        *,
        schedules: Mapping[str, ScheduleTerms] | None = None,
        remembered: Mapping[str, RigMemory] | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.first_round = asyncio.Event()
        """Set once every rig was tried, whatever the result."""
        self._reader = reader
        self._terms = terms
        self._telemetry = telemetry
        self._schedules: Mapping[str, ScheduleTerms] = {}
        self._remembered = dict(remembered or {})
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- spreads load, guards nothing
        self._loop = asyncio.get_running_loop()
        self._settled = _Lane(terms.max_in_flight)
        self._doubtful = _Lane(terms.max_identifying)
        self._due: list[tuple[float, int, _Polled]] = []  # a heap
        self._order = count()
        self._rigs: dict[str, _Polled] = {}
        self._untried: set[_Polled] = set()
        self._notices = RigNotices(terms.interval)
        self._surprises = Surprises()
        self.replace(rigs, schedules or {})

    def replace(self, rigs: Iterable[Rig], schedules: Mapping[str, ScheduleTerms]) -> None:
        """Let a new inventory take effect. Rigs that stay keep what is known of them; those that leave are remembered.

        Raises:
            ValueError: a rig names a schedule that does not exist; the old inventory stays.
        """
        wanted = {rig.name: rig for rig in rigs}
        missing = {rig.expected_schedule for rig in wanted.values()} - {None, *schedules}
        if missing:
            raise ValueError(f"no such schedule: {', '.join(sorted(map(str, missing)))}")
        self._schedules = schedules
        for name in self._rigs.keys() - wanted.keys():
            polled = self._rigs[name]
            polled.gone = True
            self._remembered[name] = polled.ledger.memory(self._clock())
            self._untried.discard(polled)
        self._rigs = {name: self._keep(rig) if name in self._rigs else self._add(rig) for name, rig in wanted.items()}
        if not self._untried:
            self.first_round.set()

    def _add(self, rig: Rig) -> _Polled:
        terms = self._terms
        now = self._loop.time()
        memory = self._remembered.pop(rig.name, None) or RigMemory()
        ledger = RigLedger(rig, terms, memory, self._clock())
        polled = _Polled(ledger, phase(rig.name) * terms.interval, now + self._rng.random() * terms.identify_every)
        self._untried.add(polled)
        self._schedule(polled, now)
        return polled

    def _keep(self, rig: Rig) -> _Polled:
        polled = self._rigs[rig.name]
        if polled.target != _target(rig):
            polled.target = _target(rig)
            polled.identify_at = self._loop.time()
        polled.ledger.replace(rig)
        return polled

    def snapshots(self, now: float) -> tuple[RigSnapshot, ...]:
        """Picture every rig at ``now`` (unix seconds), in the inventory's order. Called in the loop's thread."""
        mining = {name: schedule.mining_at(now) for name, schedule in self._schedules.items()}
        return tuple(
            polled.ledger.snapshot(now, _expected(polled.ledger.rig, mining)) for polled in self._rigs.values()
        )

    def memories(self, now: float) -> dict[str, RigMemory]:
        """Say what should outlive a restart, by rig name."""
        return {name: polled.ledger.memory(now) for name, polled in self._rigs.items()}

    async def run(self) -> None:
        """Poll until cancelled; polls in flight are then cancelled and awaited."""
        async with asyncio.TaskGroup() as polls:
            while True:
                at = self._loop.time()
                self._queue_due(at)
                for lane in (self._settled, self._doubtful):
                    self._fill(lane, polls, at)
                self._notices.tick(at)
                await asyncio.sleep(self._pause())

    def _queue_due(self, at: float) -> None:
        while self._due and self._due[0][0] <= at:
            due, order, polled = heapq.heappop(self._due)
            if not polled.gone:
                heapq.heappush(self._lane(polled, at).waiting, (polled.failures, due, order, polled))

    def _lane(self, polled: _Polled, at: float) -> _Lane:
        if polled.failures or polled.ledger.identity is None:
            return self._doubtful
        # A healthy rig is asked who it is only where that makes it wait for nobody.
        return self._doubtful if at >= polled.identify_at and self._doubtful.has_room() else self._settled

    def _fill(self, lane: _Lane, polls: asyncio.TaskGroup, at: float) -> None:
        while lane.waiting and lane.has_room():
            _, due, _, polled = heapq.heappop(lane.waiting)
            if polled.gone:
                continue
            if lane is self._settled:
                self._telemetry.poll_lateness.observe(at - due)
            lane.in_flight += 1
            polls.create_task(self._poll(polled, lane))

    def _pause(self) -> float:
        if self._settled.waiting or self._doubtful.waiting:
            return _TICK
        next_due = self._due[0][0] if self._due else math.inf
        return min(max(next_due - self._loop.time(), _TICK), _LONGEST_SLEEP)

    async def _poll(self, polled: _Polled, lane: _Lane) -> None:
        started = self._loop.time()
        target = polled.target
        try:
            reading = await self._ask(polled, target, may_identify=lane is self._doubtful)
            self._succeeded(polled, target, reading)
        except Failure as failure:
            self._failed(polled, target, failure)
        except Exception as error:  # noqa: BLE001 -- a bug in a reader must not stop the others
            self._failed(polled, target, self._surprises.failure(error))
        finally:
            ended = self._loop.time()
            lane.in_flight -= 1
            self._telemetry.poll_duration.observe(ended - started)
            self._tried(polled)
            if not polled.gone:
                self._schedule(polled, ended + self._rest(polled.failures))

    async def _ask(self, polled: _Polled, target: Target, *, may_identify: bool) -> RigReading:
        identity = polled.ledger.identity
        if identity is None:
            return await self._read(target, await self._identify(polled, target))
        if may_identify and self._loop.time() >= polled.identify_at:
            try:
                identity = await self._identify(polled, target)
            except Failure:
                polled.identify_at = self._loop.time() + self._terms.max_backoff  # it can still be read as who it was
        try:
            return await self._read(target, identity)
        except Failure as failure:
            again = may_identify and polled.failures + 1 >= self._terms.identify_after_failures
            if failure.reason is Reason.UNREACHABLE or not again:
                raise
        return await self._read(target, await self._identify(polled, target))

    async def _read(self, target: Target, identity: RigIdentity) -> RigReading:
        try:
            async with asyncio.timeout(self._terms.deadline):
                return await self._reader.read(target, identity)
        except TimeoutError:
            raise Failure(Reason.TIMEOUT, f"no answer within {self._terms.deadline:g} s") from None

    async def _identify(self, polled: _Polled, target: Target) -> RigIdentity:
        try:
            async with asyncio.timeout(self._terms.identify_deadline):
                identity = await self._reader.identify(target)
        except TimeoutError:
            raise Failure(Reason.TIMEOUT, f"not identified within {self._terms.identify_deadline:g} s") from None
        if polled.target is not target:
            return identity
        polled.identified_at = self._loop.time()
        polled.identify_at = polled.identified_at + self._rng.uniform(0.5, 1.0) * self._terms.identify_every
        before = polled.ledger.identity
        change = polled.ledger.identified(identity)
        if change is not None:
            self._telemetry.rig_identity_changes.labels(change).inc()
            rig = polled.ledger.rig
            _log.warning(
                "rig is not what it was", rig=rig.name, address=rig.address, change=change, before=before, now=identity
            )
        return identity

    def _succeeded(self, polled: _Polled, target: Target, reading: RigReading) -> None:
        if polled.target is not target:
            return
        ledger = polled.ledger
        at = self._loop.time()
        if ledger.up is False:
            self._notices.back(ledger.rig)
        if ledger.restarted(reading):  # with another firmware, perhaps
            polled.identify_at = min(polled.identify_at, polled.identified_at + self._terms.max_backoff)
        ledger.succeeded(reading, self._clock(), at)
        polled.failures = 0

    def _failed(self, polled: _Polled, target: Target, failure: Failure) -> None:
        if polled.target is not target:
            return
        self._telemetry.poll_failures.labels(failure.reason).inc()
        if polled.ledger.up is not False and not polled.gone:
            self._notices.down(polled.ledger.rig, failure)
        polled.ledger.failed()
        polled.failures += 1

    def _tried(self, polled: _Polled) -> None:
        self._untried.discard(polled)
        if not self._untried:
            self.first_round.set()

    def _schedule(self, polled: _Polled, after: float) -> None:
        """Make the rig due at its first slot after ``after``."""
        interval = self._terms.interval
        slot = math.floor((after - polled.phase) / interval + _ROUNDING) + 1
        heapq.heappush(self._due, (slot * interval + polled.phase, next(self._order), polled))

    def _rest(self, failures: int) -> float:
        """Seconds to sit out after so many failures in a row: whole intervals, doubling to the ceiling, with jitter."""
        interval = self._terms.interval
        ceiling = max(1, math.floor(self._terms.max_backoff / interval))
        longest = min(2 ** min(max(failures - 1, 0), 16), ceiling)
        return (self._rng.randint((longest + 1) // 2, longest) - 1) * interval


def phase(name: str) -> float:
    """Place a rig in the interval (0 to 1) by a stable hash of its name, so that polls are spread evenly."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) / 2**64


def _target(rig: Rig) -> Target:
    return Target(rig.address, rig.credentials)


def _expected(rig: Rig, mining: Mapping[str, bool]) -> bool:
    return rig.expected_mining if rig.expected_schedule is None else mining[rig.expected_schedule]
