"""Polls every rig at its own moment of the interval, and keeps the last reading of each.

One scheduler serves all: a heap of due times. An address is in exactly one of heap, a lane's queue and in flight, so
that a slow poll never overlaps itself. Healthy rigs have their own lane. New and failing rigs share another, where
those with the fewest failures go first. A third searches the addresses where no rig is known.
"""

import asyncio
import heapq
import math
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from itertools import count
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import structlog

from exporter.economics.settings import PointsSettings
from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.nameplate import rating_deviations
from exporter.model.points import PointList
from exporter.model.readings import RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot
from exporter.polling.attempts import FailedAttempt, FailureLog
from exporter.polling.downtime import NO_DOWNTIME, Downtime
from exporter.polling.guard import Guard
from exporter.polling.learning import PointBook
from exporter.polling.ledger import IdentityChange, RigLedger, RigMemory
from exporter.polling.notices import RigNotices
from exporter.polling.outages import Outages
from exporter.polling.roster import Roster, Slot
from exporter.polling.schedules import ScheduleSettings
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.contract import OtherRig, Target
from exporter.sources.rigs.implausible import noting
from exporter.sources.rigs.logins import using
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_TICK: Final = 0.02  # s: polls due within one tick start together
_SEARCH_TICK: Final = 0.2  # s: the search is in no hurry
_FIRST_ROUND: Final = 0.75  # of an interval: the rest is for the start, so that a restart takes one interval in all
_FIRST_CHECK: Final = 1 / 24  # of the time between identifications: a rig may have been swapped before the start
_ROUNDING: Final = 1e-6  # of an interval: a turn that has just passed must not come again
SLOW_LANES: Final = 4
"""How many times ``max_in_flight`` healthy rigs may hang in flight without delaying others."""
_SLOW_SECONDS: Final = 0.5  # hardly any healthy rig takes longer to answer
_TELLS_NOTHING: Final = frozenset({Reason.TIMEOUT, Reason.TOO_LARGE})
_LONGEST_SLEEP: Final = 1.0  # s: a new inventory waits no longer than this


class RigReader(Protocol):
    """Identifies and reads rigs."""

    async def identify(self, target: Target) -> RigIdentity:
        """Identify the rig at an address. Raises Failure."""
        ...

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read a rig once. Raises Failure."""
        ...


@runtime_checkable
class PointReader(Protocol):
    """Asks rigs for the operating points that their firmware lists."""

    async def points(self, target: Target, identity: RigIdentity) -> PointList | None:
        """List the operating points of a rig. None if its firmware lists none. Raises Failure."""
        ...


class _Vacated(Failure):
    """What answers in a slot is no rig, or one that does not belong there."""

    def __init__(self) -> None:
        super().__init__(Reason.IMPLAUSIBLE, "another rig answers at its address")


class _Visit:
    """One poll of a slot. Its outcome counts while it is current."""

    __slots__ = ("cut", "slot", "started", "target", "task")

    def __init__(self, slot: Slot, started: float) -> None:
        self.slot = slot
        self.target = slot.target
        self.started = started
        self.cut = False  # ended before its deadline to make room
        self.task: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        return self.slot.target is self.target


class _Lane:
    """Polls that may run at once, and those that wait for room.

    If the lane is full, polls that take unusually long leave it while still in flight, so that rigs that hang do not
    delay the others. At most ``most_slow`` such polls run at once. Beyond that the oldest is ended before its deadline.
    """

    def __init__(self, limit: int, most_slow: int = 0) -> None:
        self._limit = limit
        self._most_slow = most_slow
        self._running: dict[_Visit, None] = {}  # oldest first
        self._slow: dict[_Visit, None] = {}  # oldest first
        self.waiting: list[tuple[int, float, int, Slot]] = []  # a heap: failures, due, order of arrival

    def has_room(self) -> bool:
        return len(self._running) < self._limit

    def enter(self, visit: _Visit) -> None:
        """Start a poll."""
        self._running[visit] = None

    def leave(self, visit: _Visit) -> None:
        """End a poll."""
        self._running.pop(visit, None)
        self._slow.pop(visit, None)

    def make_room(self, at: float) -> bool:
        """Move the oldest poll out of a full lane if it takes unusually long. Returns whether there is room now.

        ``at`` is the loop's time.
        """
        oldest = next(iter(self._running))
        if not self._most_slow or at - oldest.started < _SLOW_SECONDS:
            return False
        if len(self._slow) >= self._most_slow:
            longest = next(iter(self._slow))
            del self._slow[longest]
            longest.cut = True
            if longest.task is not None:
                longest.task.cancel()
        del self._running[oldest]
        self._slow[oldest] = None
        return True


class RigPoller:
    """Reads each rig once per interval. Create it inside the running loop; :meth:`run` polls until cancelled.

    Args:
        rigs: The inventory; names are unique.
        reader: Identifies and reads rigs. Any exception but Failure is a bug, and costs that rig one poll.
        settings: Intervals, deadlines and limits.
        telemetry: Counts polls.
        schedules: When the rigs that name one should mine, by name.
        remembered: What the last process knew, by rig name.
        clock: Unix seconds.
        timer: Seconds for what is measured between readings, which pass while the system is suspended. Default: the
            loop's time.
        rng: Spreads polls.

    Raises:
        ValueError: A rig names a schedule that does not exist.
    """

    def __init__(  # noqa: PLR0913 -- most have a default
        self,
        rigs: Iterable[Rig],
        reader: RigReader,
        settings: PollingSettings,
        telemetry: Telemetry,
        *,
        schedules: Mapping[str, ScheduleSettings] | None = None,
        remembered: Mapping[str, RigMemory] | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.first_round = asyncio.Event()
        """Set once every rig was tried, whatever the result. The search of ranges goes on."""
        self.failures = FailureLog()
        self.metered: Mapping[str, float] = {}
        """Fresh watts from meters, by rig name, that the next readings are recorded with."""
        self._reader = reader
        self._settings = settings
        self._telemetry = telemetry
        self._schedules: Mapping[str, ScheduleSettings] = {}
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 -- spreads load, guards nothing
        for change in IdentityChange:  # a series from the start: what grows from nothing is no increase
            telemetry.rig_identity_changes.labels(change)
        self._loop = asyncio.get_running_loop()
        self._timer = timer or self._loop.time
        self._settled = _Lane(settings.max_in_flight, SLOW_LANES * settings.max_in_flight)
        self._doubtful = _Lane(settings.max_identifying)
        self._searching = _Lane(max(1, settings.max_identifying // 2))
        self._due: list[tuple[float, int, Slot]] = []  # a heap
        self._order = count()
        self._returned: set[str] = set()  # blocks of rigs that answer again
        self._scouts: dict[str, Slot] = {}  # by block in an outage: the rig that is polled at every turn
        self._woken: dict[str, float] = {}  # by block: when its failing rigs were last polled because of that
        self._notices = RigNotices(settings.interval)
        self._guard = Guard()
        self._outages = Outages(settings.interval, telemetry, self._answering)
        self._roster = Roster(settings, self._notices, remembered or {}, clock)
        self._points_settings: PointsSettings | None = None
        learned = {name: memory.points for name, memory in (remembered or {}).items()}
        self._points = PointBook(learned)
        self._untried: set[Slot] = set()
        self.replace(rigs, schedules or {})

    def replace(self, rigs: Iterable[Rig], schedules: Mapping[str, ScheduleSettings]) -> None:
        """Apply a new inventory. Rigs that stay keep what is known of them; those that leave are remembered.

        Raises:
            ValueError: A rig names a schedule that does not exist. The old inventory stays.
        """
        wanted = list(rigs)
        missing = {rig.expected_schedule for rig in wanted} - {None, *schedules}
        if missing:
            raise ValueError(f"no such schedule: {', '.join(sorted(map(str, missing)))}")
        self._schedules = schedules
        now = self._loop.time()
        before = self._roster.rigs.keys()
        soon = self._settings.identify_every * _FIRST_CHECK
        for slot in self._roster.replace(wanted, now, lambda: now + self._rng.random() * soon):
            if slot.ledger is not None:
                self._untried.add(slot)
            self._welcome(slot, now)
        for name in before - self._roster.rigs.keys():
            self._telemetry.dropped_values.remove_by_labels({"rig": name})
            self._outages.back(name)
        self._untried = {slot for slot in self._untried if not slot.gone}
        if not self._untried:
            self.first_round.set()

    def shift(self, seconds: float) -> None:
        """Move the times of all readings with the system clock, which was set by ``seconds``."""
        self._points.shift(seconds)
        for ledger in self._roster.rigs.values():
            ledger.shift(seconds, self._clock())

    def snapshots(self, now: float, downtime: Downtime = NO_DOWNTIME) -> tuple[RigSnapshot, ...]:
        """Return a snapshot of every rig at ``now`` (unix seconds), in the inventory's order, in the loop's thread.

        Rigs in ``downtime`` are not expected to mine, whatever their schedule.
        """
        schedules = {name: schedule.mining_at(now) for name, schedule in self._schedules.items()}
        return tuple(
            ledger.snapshot(now, downtime.expected(ledger.rig, schedules)) for ledger in self._roster.rigs.values()
        )

    def memories(self, now: float) -> dict[str, RigMemory]:
        """Return what should outlive a restart, by rig name."""
        return {name: ledger.memory(now, self._points.memories(name)) for name, ledger in self._roster.rigs.items()}

    def learn_points(self, settings: PointsSettings | None) -> None:
        """Switch the learning of operating points on or, with None, off."""
        self._points_settings = settings
        if settings is None:
            for ledger in self._roster.rigs.values():
                ledger.put_points(None)

    async def run(self) -> None:
        """Poll until cancelled; polls in flight are then cancelled and awaited."""
        async with asyncio.TaskGroup() as polls:
            while True:
                at = self._loop.time()
                self._wake(at)
                self._queue_due(at)
                for lane in (self._settled, self._doubtful, self._searching):
                    self._fill(lane, polls, at)
                self._notices.tick(at)
                self._outages.tick(at)
                await asyncio.sleep(self._pause())

    def _wake(self, at: float) -> None:
        """Poll the failing rigs of a block now if one of them answers again: its power or network is back.

        At most once per interval for each block. Those that still fail begin their pauses anew.
        """
        blocks = {
            block for block in self._returned if at >= self._woken.get(block, -math.inf) + self._settings.interval
        }
        if not blocks:
            return
        self._returned -= blocks
        self._woken.update(dict.fromkeys(blocks, at))
        for index, (_, order, slot) in enumerate(self._due):
            if slot.failures > 1 and slot.ledger is not None and slot.ledger.rig.block in blocks:
                slot.failures, slot.turn = 1, at
                self._due[index] = (at, order, slot)
        heapq.heapify(self._due)

    def _queue_due(self, at: float) -> None:
        while self._due and self._due[0][0] <= at:
            due, order, slot = heapq.heappop(self._due)
            if not slot.gone:
                heapq.heappush(self._lane(slot, at).waiting, (slot.failures, due, order, slot))

    def _lane(self, slot: Slot, at: float) -> _Lane:
        if slot.ledger is None:
            return self._searching
        if slot.failures or slot.ledger.identity is None:
            return self._doubtful
        # A healthy rig is identified again only if no other has to wait for that.
        return self._doubtful if at >= slot.identify_at and self._doubtful.has_room() else self._settled

    def _fill(self, lane: _Lane, polls: asyncio.TaskGroup, at: float) -> None:
        while lane.waiting and (lane.has_room() or lane.make_room(at)):
            _, due, _, slot = heapq.heappop(lane.waiting)
            if slot.gone:
                continue
            if lane is self._settled:
                self._telemetry.poll_lateness.observe(at - due)
            visit = _Visit(slot, at)
            lane.enter(visit)
            visit.task = polls.create_task(self._poll(visit, lane))

    def _pause(self) -> float:
        if self._settled.waiting or self._doubtful.waiting:
            return _TICK
        next_due = self._due[0][0] if self._due else math.inf
        longest = _SEARCH_TICK if self._searching.waiting else _LONGEST_SLEEP
        return min(max(next_due - self._loop.time(), _TICK), longest)

    async def _poll(self, visit: _Visit, lane: _Lane) -> None:
        slot, at_once = visit.slot, False
        started = self._loop.time()
        try:
            self._succeeded(visit, await self._ask(visit, may_identify=lane is not self._settled))
            await self._list_points(visit)
        except Failure as failure:
            self._failed(visit, failure)
            at_once = lane is self._settled and visit.is_current and self._is_news(slot, failure)
        except asyncio.CancelledError:
            if not visit.cut:
                raise
            detail = f"no complete answer within {self._loop.time() - started:.1f} s, while many rigs hang"
            self._failed(visit, Failure(Reason.TIMEOUT, detail))
        except Exception as error:  # noqa: BLE001 -- a bug of the poller's own must not stop the other rigs
            self._failed(visit, self._guard.classified(error))
        finally:
            ended = self._loop.time()
            lane.leave(visit)
            if slot.ledger is not None:
                self._telemetry.poll_duration.observe(ended - started)
            self._tried(slot)
            if at_once:
                slot.identify_at = ended
                heapq.heappush(self._due, (ended, next(self._order), slot))
            elif not slot.gone:
                self._schedule(slot, max(ended, slot.turn) + self._rest(slot))

    async def _ask(self, visit: _Visit, *, may_identify: bool) -> RigReading:
        slot = visit.slot
        identity = slot.ledger.identity if slot.ledger is not None else None
        if identity is None:
            return await self._identify_and_read(visit)
        if may_identify and self._loop.time() >= slot.identify_at:
            try:
                identity = await self._identify(visit)
            except _Vacated:
                raise
            except Failure:
                slot.identify_at = (
                    self._loop.time() + self._settings.max_backoff
                )  # it can still be read as the rig that it was
            may_identify = False  # not twice in one poll
        try:
            return await self._read(visit, identity)
        except Failure as failure:
            often = slot.failures + 1 >= self._settings.identify_after_failures and not self._is_in_outage(slot)
            again = often and self._may_be_other(slot, failure)
            if not may_identify or not (again or self._is_news(slot, failure)):
                raise
            slot.identify_tried_for = failure.reason
        return await self._identify_and_read(visit)

    def _may_be_other(self, slot: Slot, failure: Failure) -> bool:
        """Return whether what fails may be another rig or have other firmware.

        One that hangs or floods does not show it, nor one that answers and fails as when it was last identified. That
        costs as much as many reads, and is tried again once in the longest pause.
        """
        reason = failure.reason
        same = reason is slot.identify_tried_for and reason is not Reason.REFUSED  # cheap, and usual during a boot
        if reason in _TELLS_NOTHING or same:
            return self._loop.time() >= slot.identify_tried_at + self._settings.max_backoff
        return reason is not Reason.UNREACHABLE

    def _is_news(self, slot: Slot, failure: Failure) -> bool:
        """Return whether another rig answers than the last one. Two that take turns are not identified at each poll."""
        return isinstance(failure, OtherRig) and self._loop.time() >= slot.identified_at + self._settings.max_backoff

    async def _identify_and_read(self, visit: _Visit) -> RigReading:
        identity = await self._identify(visit)
        return await self._read(visit, identity)

    async def _read(self, visit: _Visit, identity: RigIdentity) -> RigReading:
        with noting() as dropped:
            try:
                reading = await self._logged_in(
                    visit, lambda target: self._reader.read(target, identity), self._settings.deadline
                )
                ledger = visit.slot.ledger
                return reading if ledger is None else ledger.drop_implausible(reading)
            finally:
                self._count_dropped(visit, dropped)

    def _count_dropped(self, visit: _Visit, fields: Iterable[str]) -> None:
        ledger = visit.slot.ledger
        if ledger is not None and visit.is_current:
            for field in fields:
                self._telemetry.dropped_values.labels(ledger.rig.name, field).inc()

    async def _identify(self, visit: _Visit) -> RigIdentity:
        """Identify the rig and seat it. Raises Failure if nothing answers, :class:`_Vacated` if nobody is seated."""
        slot = visit.slot
        slot.identify_tried_at = self._loop.time()
        identity = await self._logged_in(visit, self._reader.identify, self._settings.identify_deadline)
        if not visit.is_current:
            return identity
        slot.identified_at = self._loop.time()
        slot.identify_at = slot.identified_at + self._rng.uniform(0.5, 1.0) * self._settings.identify_every
        self._roster.answered(slot, identity, slot.identified_at)
        visit.target = slot.target
        if slot.ledger is None:
            raise _Vacated
        before = slot.ledger.identity
        change = slot.ledger.identified(identity)
        self._notices.rating(
            slot.ledger.rig, rating_deviations(slot.ledger.rig, identity.model, identity.rated_hashrate)
        )
        if slot.ledger.mac_lost:  # the web interface that reports it did not answer this time
            slot.identify_at = min(slot.identify_at, slot.identified_at + self._settings.max_backoff)
        if change is not None:
            self._points.of(slot.ledger.rig.name).forget()
            slot.points_at = None
        if before is not None and change is not None:
            self._telemetry.rig_identity_changes.labels(change).inc()
            self._notices.changed(slot.ledger.rig, change, before, identity)
        return identity

    async def _logged_in(self, visit: _Visit, work: Callable[[Target], Coroutine[Any, Any, T]], deadline: float) -> T:
        """Ask the rig with the login whose turn it is, and remember what the rig did with it."""
        slot, target = visit.slot, visit.target
        logins = slot.logins
        if target.credentials is not logins.current:
            target = Target(target.address, logins.current)
        try:
            with using(logins):
                return await self._guard.ask(work(target), deadline)
        finally:
            if slot.ledger is not None and slot.logins is logins:
                slot.ledger.login = logins.accepted or slot.ledger.login[0], logins.waited

    def _succeeded(self, visit: _Visit, reading: RigReading) -> None:
        slot, ledger = visit.slot, visit.slot.ledger
        if ledger is None or not visit.is_current:
            return
        if ledger.up is False:
            self._notices.back(ledger.rig)
            self._outages.back(ledger.rig.name)
        with noting() as dropped:
            at = self._timer()
            began_anew = ledger.succeeded(reading, self._clock(), at, self.metered.get(ledger.rig.name))
        self._learn(ledger, at)
        if began_anew:  # it may have other firmware, or be another rig
            slot.identify_at = min(slot.identify_at, slot.identified_at + self._settings.max_backoff)
        self._count_dropped(visit, dropped)
        if slot.failures > 1:
            self._returned.add(ledger.rig.block)
        if reading.login_refused is not None or slot.logins.rejected:
            self._notices.login(ledger.rig, slot.logins.rejected, refused=reading.login_refused is not False)
        slot.failures, slot.identify_tried_for = 0, None

    async def _list_points(self, visit: _Visit) -> None:
        """Ask for the points that the firmware lists, if it is time: a rig that does not answer loses only these."""
        settings, reader, slot, at = self._points_settings, self._reader, visit.slot, self._loop.time()
        ledger = slot.ledger
        if settings is None or not isinstance(reader, PointReader):
            return
        if ledger is None or ledger.identity is None or not visit.is_current:
            return
        if slot.points_at is None:  # spread, so that a start costs no more than other times
            slot.points_at = at + self._rng.random() * settings.list_interval / 4
        if at < slot.points_at:
            return
        slot.points_at = at + self._rng.uniform(0.9, 1.1) * settings.list_interval
        identity, listed, failed = ledger.identity, None, False
        try:
            with noting():
                listed = await self._logged_in(
                    visit, lambda target: reader.points(target, identity), self._settings.deadline
                )
        except Failure:
            failed = True
        except asyncio.CancelledError:
            if not visit.cut:
                raise
            failed = True
        if visit.is_current:
            learner = self._points.of(ledger.rig.name)
            if listed is None and failed:
                learner.miss_list()
            else:
                learner.put_list(listed)
            ledger.put_points(learner.points(self._clock()))

    def _learn(self, ledger: RigLedger, at: float) -> None:
        settings = self._points_settings
        if settings is None or ledger.reading is None:
            return
        now, metered = self._clock(), self.metered.get(ledger.rig.name)
        learner = self._points.of(ledger.rig.name)
        learner.observe(ledger.reading, settings, now, at, metered)
        ledger.put_points(learner.points(now))

    def _failed(self, visit: _Visit, failure: Failure) -> None:
        slot, ledger = visit.slot, visit.slot.ledger
        if not visit.is_current:
            return
        slot.failures += 1
        if ledger is None:
            return
        self._telemetry.poll_failures.labels(failure.reason).inc()
        attempt = FailedAttempt.of(failure, ledger.rig.name, ledger.rig.address, self._clock())
        self.failures.note(attempt)
        if ledger.expected_mining and not slot.gone:
            if ledger.up:
                self._outages.lost(ledger.rig, failure.reason, self._loop.time())
            if not self._is_in_outage(slot):
                self._notices.down(ledger.rig, failure)
        ledger.failed()

    def _is_scout(self, slot: Slot) -> bool:
        """Return whether the rig shows for its block when an outage is over: one of those that failed least often."""
        if slot.ledger is None or not self._is_in_outage(slot):
            return False
        block = slot.ledger.rig.block
        scout = self._scouts.get(block)
        if scout is None or scout.gone or slot.failures < scout.failures or not scout.failures:
            scout = self._scouts[block] = slot
        return scout is slot

    def _is_in_outage(self, slot: Slot) -> bool:
        return slot.ledger is not None and self._outages.includes(slot.ledger.rig.name)

    def _answering(self) -> list[Rig]:
        return [ledger.rig for ledger in self._roster.rigs.values() if ledger.up and ledger.expected_mining]

    def _tried(self, slot: Slot) -> None:
        self._untried.discard(slot)
        if not self._untried:
            self.first_round.set()

    def _welcome(self, slot: Slot, now: float) -> None:
        """Make a new slot due ahead of its first turn, all by the same share of the wait. The turn counts as used."""
        slot.turn = self._next_turn(slot, now)
        hurry = _FIRST_ROUND if slot.ledger is not None else 1.0  # a search has time
        heapq.heappush(self._due, (now + hurry * (slot.turn - now), next(self._order), slot))

    def _schedule(self, slot: Slot, after: float) -> None:
        """Make the slot due at its first turn after ``after``."""
        slot.turn = self._next_turn(slot, after)
        heapq.heappush(self._due, (slot.turn, next(self._order), slot))

    def _next_turn(self, slot: Slot, after: float) -> float:
        interval = self._settings.interval
        return (math.floor(after / interval - slot.phase + _ROUNDING) + 1 + slot.phase) * interval

    def _rest(self, slot: Slot) -> float:
        """Return the seconds to pause after failures in a row: whole intervals, doubling up to a limit, with jitter."""
        if slot.failures <= 1 or self._is_scout(slot):
            return 0.0
        interval = self._settings.interval
        most = self._settings.max_backoff if slot.ledger is not None else self._settings.search_interval
        longest = min(2 ** min(slot.failures - 1, 16), max(1, math.floor(most / interval)))
        return (self._rng.randint((longest + 1) // 2, longest) - 1) * interval
