"""Polls every rig at its own moment of the interval, and keeps what is known of each.

One scheduler for all: a heap of due times. An address is in exactly one of heap, a lane's queue and in flight, so that
a slow poll never piles up on itself. Healthy rigs have a lane of their own; new and failing ones share another, where
those that failed least go first; a third searches the addresses where no rig is known.
"""

import asyncio
import heapq
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Final, Protocol

import structlog

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.readings import ExpectedOff, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot
from exporter.polling.attempts import FailedAttempt, FailureLog
from exporter.polling.guard import Guard
from exporter.polling.ledger import IdentityChange, RigMemory
from exporter.polling.notices import RigNotices
from exporter.polling.roster import Place, Roster
from exporter.polling.sanity import believed
from exporter.polling.schedules import ScheduleSettings
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.contract import OtherRig, Target
from exporter.sources.rigs.implausible import noting
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_TICK: Final = 0.02  # s: polls due within one tick start together
_SEARCH_TICK: Final = 0.2  # s: the search is in no hurry
_FIRST_ROUND: Final = 0.75  # of an interval: what is left of it is for the start, so that a restart takes one in all
_FIRST_CHECK: Final = 1 / 24  # of the time between checks who a rig is: it may have been swapped before the start
_ROUNDING: Final = 1e-6  # of an interval: a slot that is just over must not come again
_LONGEST_SLEEP: Final = 1.0  # s: a new inventory waits no longer than this


class RigReader(Protocol):
    """Identifies and reads rigs."""

    async def identify(self, target: Target) -> RigIdentity:
        """Say who answers there. Raises :class:`exporter.model.failures.Failure`."""
        ...

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read it once. Raises :class:`exporter.model.failures.Failure`."""
        ...


class _Vacated(Failure):
    """What answers at a place is no rig, or none that belongs there."""

    def __init__(self) -> None:
        super().__init__(Reason.IMPLAUSIBLE, "another rig answers at its address")


class _Visit:
    """One poll of a place. What it brings is booked while it is current."""

    __slots__ = ("place", "target")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.target = place.target

    @property
    def is_current(self) -> bool:
        return self.place.target is self.target


class _Lane:
    """Polls that may run at once, and those that wait for room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_flight = 0
        self.waiting: list[tuple[int, float, int, Place]] = []  # a heap: failures, due, order of arrival

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
        terms: PollingSettings,
        telemetry: Telemetry,
        *,
        schedules: Mapping[str, ScheduleSettings] | None = None,
        remembered: Mapping[str, RigMemory] | None = None,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self.first_round = asyncio.Event()
        """Set once every rig was tried, whatever the result; the search for others goes on."""
        self.failures = FailureLog()
        self.metered: Mapping[str, float] = {}
        """Watts that meters showed of late, by rig name, to be booked with the readings."""
        self._reader = reader
        self._terms = terms
        self._telemetry = telemetry
        self._schedules: Mapping[str, ScheduleSettings] = {}
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- spreads load, guards nothing
        for change in IdentityChange:  # a series from the start: what grows from nothing is no increase
            telemetry.rig_identity_changes.labels(change)
        self._loop = asyncio.get_running_loop()
        self._settled = _Lane(terms.max_in_flight)
        self._doubtful = _Lane(terms.max_identifying)
        self._searching = _Lane(max(1, terms.max_identifying // 2))
        self._due: list[tuple[float, int, Place]] = []  # a heap
        self._order = count()
        self._notices = RigNotices(terms.interval)
        self._guard = Guard()
        self._roster = Roster(terms, self._notices, remembered or {}, clock)
        self._untried: set[Place] = set()
        self.replace(rigs, schedules or {})

    def replace(self, rigs: Iterable[Rig], schedules: Mapping[str, ScheduleSettings]) -> None:
        """Let a new inventory take effect. Rigs that stay keep what is known of them; those that leave are remembered.

        Raises:
            ValueError: a rig names a schedule that does not exist; the old inventory stays.
        """
        wanted = list(rigs)
        missing = {rig.expected_schedule for rig in wanted} - {None, *schedules}
        if missing:
            raise ValueError(f"no such schedule: {', '.join(sorted(map(str, missing)))}")
        self._schedules = schedules
        now = self._loop.time()
        before = self._roster.rigs.keys()
        soon = self._terms.identify_every * _FIRST_CHECK
        for place in self._roster.replace(wanted, now, lambda: now + self._rng.random() * soon):
            if place.ledger is not None:
                self._untried.add(place)
            self._welcome(place, now)
        for name in before - self._roster.rigs.keys():
            self._telemetry.dropped_values.remove_by_labels({"rig": name})
        self._untried = {place for place in self._untried if not place.gone}
        if not self._untried:
            self.first_round.set()

    def snapshots(self, now: float, off: Iterable[ExpectedOff] = ()) -> tuple[RigSnapshot, ...]:
        """Picture every rig at ``now`` (unix seconds), in the inventory's order. Called in the loop's thread.

        What ``off`` names is not expected to mine, whatever schedules say.
        """
        expected = _Expected({name: schedule.mining_at(now) for name, schedule in self._schedules.items()}, tuple(off))
        return tuple(ledger.snapshot(now, expected.mining(ledger.rig)) for ledger in self._roster.rigs.values())

    def memories(self, now: float) -> dict[str, RigMemory]:
        """Say what should outlive a restart, by rig name."""
        return {name: ledger.memory(now) for name, ledger in self._roster.rigs.items()}

    async def run(self) -> None:
        """Poll until cancelled; polls in flight are then cancelled and awaited."""
        async with asyncio.TaskGroup() as polls:
            while True:
                at = self._loop.time()
                self._queue_due(at)
                for lane in (self._settled, self._doubtful, self._searching):
                    self._fill(lane, polls, at)
                self._notices.tick(at)
                await asyncio.sleep(self._pause())

    def _queue_due(self, at: float) -> None:
        while self._due and self._due[0][0] <= at:
            due, order, place = heapq.heappop(self._due)
            if not place.gone:
                heapq.heappush(self._lane(place, at).waiting, (place.failures, due, order, place))

    def _lane(self, place: Place, at: float) -> _Lane:
        if place.ledger is None:
            return self._searching
        if place.failures or place.ledger.identity is None:
            return self._doubtful
        # A healthy rig is asked who it is only where that makes it wait for nobody.
        return self._doubtful if at >= place.identify_at and self._doubtful.has_room() else self._settled

    def _fill(self, lane: _Lane, polls: asyncio.TaskGroup, at: float) -> None:
        while lane.waiting and lane.has_room():
            _, due, _, place = heapq.heappop(lane.waiting)
            if place.gone:
                continue
            if lane is self._settled:
                self._telemetry.poll_lateness.observe(at - due)
            lane.in_flight += 1
            polls.create_task(self._poll(place, lane))

    def _pause(self) -> float:
        if self._settled.waiting or self._doubtful.waiting:
            return _TICK
        next_due = self._due[0][0] if self._due else math.inf
        longest = _SEARCH_TICK if self._searching.waiting else _LONGEST_SLEEP
        return min(max(next_due - self._loop.time(), _TICK), longest)

    async def _poll(self, place: Place, lane: _Lane) -> None:
        started = self._loop.time()
        visit, at_once = _Visit(place), False
        try:
            self._succeeded(visit, await self._ask(visit, may_identify=lane is not self._settled))
        except Failure as failure:
            self._failed(visit, failure)
            at_once = lane is self._settled and visit.is_current and self._is_news(place, failure)
        except Exception as error:  # noqa: BLE001 -- a bug of the poller's own must not stop the other rigs
            self._failed(visit, self._guard.classified(error))
        finally:
            ended = self._loop.time()
            lane.in_flight -= 1
            if place.ledger is not None:
                self._telemetry.poll_duration.observe(ended - started)
            self._tried(place)
            if at_once:
                place.identify_at = ended
                heapq.heappush(self._due, (ended, next(self._order), place))
            elif not place.gone:
                self._schedule(place, max(ended, place.slot) + self._rest(place))

    async def _ask(self, visit: _Visit, *, may_identify: bool) -> RigReading:
        place = visit.place
        identity = place.ledger.identity if place.ledger is not None else None
        if identity is None:
            return await self._identify_and_read(visit)
        if may_identify and self._loop.time() >= place.identify_at:
            try:
                identity = await self._identify(visit)
            except _Vacated:
                raise
            except Failure:
                place.identify_at = self._loop.time() + self._terms.max_backoff  # it can still be read as who it was
            may_identify = False  # not twice in one poll
        try:
            return await self._read(visit, identity)
        except Failure as failure:
            often = place.failures + 1 >= self._terms.identify_after_failures
            again = often and failure.reason is not Reason.UNREACHABLE
            if not may_identify or not (again or self._is_news(place, failure)):
                raise
        return await self._identify_and_read(visit)

    def _is_news(self, place: Place, failure: Failure) -> bool:
        """Tell whether another rig answers than did of late: two that take turns are not identified at each poll."""
        return isinstance(failure, OtherRig) and self._loop.time() >= place.identified_at + self._terms.max_backoff

    async def _identify_and_read(self, visit: _Visit) -> RigReading:
        identity = await self._identify(visit)
        return await self._read(visit, identity)

    async def _read(self, visit: _Visit, identity: RigIdentity) -> RigReading:
        with noting() as dropped:
            try:
                reading = await self._guard.ask(self._reader.read(visit.target, identity), self._terms.deadline)
                ledger = visit.place.ledger
                return reading if ledger is None else believed(reading, ledger.rated_hashrate)
            finally:
                self._count_dropped(visit, dropped)

    def _count_dropped(self, visit: _Visit, fields: Iterable[str]) -> None:
        ledger = visit.place.ledger
        if ledger is not None and visit.is_current:
            for field in fields:
                self._telemetry.dropped_values.labels(ledger.rig.name, field).inc()

    async def _identify(self, visit: _Visit) -> RigIdentity:
        """Find out who is there, and seat it. Raises Failure where nobody answers, :class:`_Vacated` for no rig's."""
        place = visit.place
        identity = await self._guard.ask(self._reader.identify(visit.target), self._terms.identify_deadline)
        if not visit.is_current:
            return identity
        place.identified_at = self._loop.time()
        place.identify_at = place.identified_at + self._rng.uniform(0.5, 1.0) * self._terms.identify_every
        self._roster.answered(place, identity, place.identified_at)
        visit.target = place.target
        if place.ledger is None:
            raise _Vacated
        before = place.ledger.identity
        change = place.ledger.identified(identity)
        if place.ledger.mac_lost:  # what tells it, such as a web interface, did not answer this time
            place.identify_at = min(place.identify_at, place.identified_at + self._terms.max_backoff)
        if before is not None and change is not None:
            self._telemetry.rig_identity_changes.labels(change).inc()
            self._notices.changed(place.ledger.rig, change, before, identity)
        return identity

    def _succeeded(self, visit: _Visit, reading: RigReading) -> None:
        place, ledger = visit.place, visit.place.ledger
        if ledger is None or not visit.is_current:
            return
        if ledger.up is False:
            self._notices.back(ledger.rig)
        at = self._loop.time()
        with noting() as dropped:
            began_anew = ledger.succeeded(reading, self._clock(), at, self.metered.get(ledger.rig.name))
        if began_anew:  # with another firmware, perhaps, or it is another rig
            place.identify_at = min(place.identify_at, place.identified_at + self._terms.max_backoff)
        self._count_dropped(visit, dropped)
        place.failures = 0

    def _failed(self, visit: _Visit, failure: Failure) -> None:
        place, ledger = visit.place, visit.place.ledger
        if not visit.is_current:
            return
        place.failures += 1
        if ledger is None:
            return
        self._telemetry.poll_failures.labels(failure.reason).inc()
        attempt = FailedAttempt(ledger.rig.name, ledger.rig.address, self._clock(), failure.reason, failure.detail)
        self.failures.note(attempt)
        if ledger.expected_mining and not place.gone:
            self._notices.down(ledger.rig, failure)
        ledger.failed()

    def _tried(self, place: Place) -> None:
        self._untried.discard(place)
        if not self._untried:
            self.first_round.set()

    def _welcome(self, place: Place, now: float) -> None:
        """Make a new place due ahead of its first slot, all by the same share of the wait. The slot counts as used."""
        place.slot = self._slot(place, now)
        hurry = _FIRST_ROUND if place.ledger is not None else 1.0  # a search has time
        heapq.heappush(self._due, (now + hurry * (place.slot - now), next(self._order), place))

    def _schedule(self, place: Place, after: float) -> None:
        """Make the place due at its first slot after ``after``."""
        place.slot = self._slot(place, after)
        heapq.heappush(self._due, (place.slot, next(self._order), place))

    def _slot(self, place: Place, after: float) -> float:
        interval = self._terms.interval
        return (math.floor(after / interval - place.phase + _ROUNDING) + 1 + place.phase) * interval

    def _rest(self, place: Place) -> float:
        """Seconds to sit out after failures in a row: whole intervals, doubling to the ceiling, with jitter."""
        interval = self._terms.interval
        most = self._terms.max_backoff if place.ledger is not None else self._terms.search_interval
        longest = min(2 ** min(max(place.failures - 1, 0), 16), max(1, math.floor(most / interval)))
        return (self._rng.randint((longest + 1) // 2, longest) - 1) * interval


class _Expected:
    """Which rigs are meant to mine at one moment: what the inventory says, less what is meant to be off."""

    def __init__(self, schedules: Mapping[str, bool], off: Sequence[ExpectedOff]) -> None:
        self._schedules = schedules
        self._site_off = any(each.site for each in off)
        self._blocks_off = {block for each in off for block in each.blocks}
        self._rigs_off = {rig for each in off for rig in each.rigs}

    def mining(self, rig: Rig) -> bool:
        if self._site_off or rig.block in self._blocks_off or rig.name in self._rigs_off:
            return False
        return rig.expected_mining if rig.expected_schedule is None else self._schedules[rig.expected_schedule]
