"""Learns each rig's operating points from its readings: what it hashes and draws at a point while it runs steadily.

Figures are medians, so that a moment of throttling or a late meter counts for nothing. Nothing is learned while a rig
tunes or climbs, in the first minutes at a point, or while a board is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from exporter.economics.settings import PointsSettings
from exporter.model.fault_codes import FaultCode
from exporter.model.points import LearnedPoint, PointList, RigPoints
from exporter.model.readings import RigReading, TunerState
from exporter.model.units import SECONDS_PER_DAY

_SAMPLE_SECONDS: Final = 600.0
_SAMPLES_TO_COUNT: Final = 3
"""Into how many samples the time is divided after which a point counts as measured."""
_MOST_SAMPLES: Final = 7
_MOST_POINTS: Final = 8
_CHANGED: Final = 0.05
"""By how much the last samples must all differ from the median, on one side, for the earlier ones to be dropped."""
_LONGEST_GAP: Final = 300.0  # s between readings that still belong together
_NOT_STEADY: Final = frozenset({TunerState.TUNING, TunerState.FAILED})
_LONGEST_NAME: Final = 64
_MOST_MISSES: Final = 2
_MOST_CHANGES: Final = 100  # that are counted within a day


@dataclass(frozen=True, slots=True, kw_only=True)
class PointMemory:
    """One learned point as it is kept across restarts: the medians of its last stretches of time."""

    name: str
    metered: bool
    seconds: float
    observed_at: float  # unix seconds
    watts: tuple[float, ...]
    gigahashes: tuple[float, ...]


class _Learned:
    """The samples of one point."""

    __slots__ = ("memory", "point")

    def __init__(self, memory: PointMemory) -> None:
        self.memory = memory
        self.point = LearnedPoint(
            name=memory.name,
            hashrate=median(memory.gigahashes) * 1e9,
            power=median(memory.watts),
            metered=memory.metered,
            seconds=memory.seconds,
            observed_at=memory.observed_at,
        )

    def with_sample(self, watts: float, gigahashes: float, seconds: float, now: float) -> "_Learned":
        memory = self.memory
        return _Learned(
            replace(
                memory,
                watts=_kept(memory.watts, watts),
                gigahashes=_kept(memory.gigahashes, gigahashes),
                seconds=memory.seconds + seconds,
                observed_at=now,
            )
        )


def _kept(samples: tuple[float, ...], new: float) -> tuple[float, ...]:
    """Add a sample; drop the old ones if the last three all say that the rig has changed."""
    known = (*samples, new)[-_MOST_SAMPLES:]
    last, before = known[-_SAMPLES_TO_COUNT:], known[:-_SAMPLES_TO_COUNT]
    if before:
        usual = median(before)
        if min(last) > usual * (1 + _CHANGED) or max(last) < usual * (1 - _CHANGED):
            return last
    return known


class PointLearner:
    """Learns the points of one rig. Times called ``now`` are unix seconds, those called ``at`` are monotonic."""

    __slots__ = (
        "_buffer",
        "_changes",
        "_in_force",
        "_known",
        "_last_at",
        "_listed",
        "_metered",
        "_misses",
        "_sample_at",
        "_since",
        "_steady_at",
    )

    def __init__(self, memories: Iterable[PointMemory] = ()) -> None:
        self._known = {memory.name: _Learned(memory) for memory in memories if memory.watts and memory.gigahashes}
        self._listed: PointList | None = None
        self._misses = 0
        self._in_force = ""
        self._since: float | None = None  # unix seconds
        self._changes: list[float] = []  # unix seconds
        self._steady_at: float | None = None  # since when it runs steadily; None if it does not
        self._sample_at = 0.0
        self._last_at: float | None = None
        self._buffer: list[tuple[float, float]] = []  # W, H/s
        self._metered = False  # whether the watts of the buffer are a meter's

    def observe(
        self, reading: RigReading, settings: PointsSettings, now: float, at: float, metered: float | None
    ) -> None:
        """Take one reading; ``metered`` is a fresh meter reading in W."""
        gap = None if self._last_at is None else at - self._last_at
        self._last_at = at
        if reading.point != self._in_force:
            if self._in_force and reading.point:
                self._changes = [*self._changes[1 - _MOST_CHANGES :], now]
            self._in_force = reading.point
            self._since = now
            self._unsettle()
        watts = metered or reading.power
        if not _is_steady(reading, settings) or not watts:
            self._unsettle()
            return
        if gap is not None and gap > _LONGEST_GAP:
            self._unsettle()
        if self._steady_at is None:
            self._steady_at = at
        if at - self._steady_at < settings.settle:
            self._sample_at = at
            return
        if self._metered is not bool(metered):
            self._metered, self._sample_at = bool(metered), at
            self._buffer.clear()
        self._buffer.append((watts, reading.hashrate))
        length = min(_SAMPLE_SECONDS, settings.stable / _SAMPLES_TO_COUNT)
        if at - self._sample_at >= length:
            self._sample(at - self._sample_at, now)
            self._sample_at = at

    def put_list(self, listed: PointList | None) -> None:
        """Keep what the firmware lists; None if it lists none."""
        self._listed, self._misses = listed, 0

    def miss_list(self) -> None:
        """Note that the rig did not answer. After two times in a row its list is too old."""
        self._misses += 1
        if self._misses >= _MOST_MISSES:
            self._listed = None

    def forget(self) -> None:
        """Forget everything: another device, or other firmware, answers."""
        self._known.clear()
        self._listed = None
        self._in_force, self._since = "", None
        self._changes.clear()
        self._unsettle()

    def shift(self, seconds: float) -> None:
        """Move the times with the system clock, which was set by ``seconds``."""
        self._since = None if self._since is None else self._since + seconds
        self._changes = [at + seconds for at in self._changes]

    def points(self, now: float) -> RigPoints:
        """Return what is known."""
        if self._changes and now - self._changes[0] > SECONDS_PER_DAY:
            self._changes = [at for at in self._changes if now - at <= SECONDS_PER_DAY]
        return RigPoints(
            listed=self._listed,
            learned=tuple(learned.point for learned in self._known.values()),
            since=self._since,
            changes=len(self._changes),
        )

    @property
    def memories(self) -> tuple[PointMemory, ...]:
        """What should outlive a restart."""
        return tuple(learned.memory for learned in self._known.values())

    def _unsettle(self) -> None:
        self._steady_at = None
        self._buffer.clear()

    def _sample(self, seconds: float, now: float) -> None:
        metered = self._metered
        watts = round(median(each for each, _ in self._buffer))
        gigahashes = round(median(each for _, each in self._buffer) / 1e9)
        self._buffer.clear()
        name = self._in_force[:_LONGEST_NAME]
        known = self._known.get(name)
        if known is None or known.memory.metered is not metered:
            if known is None and len(self._known) >= _MOST_POINTS:
                del self._known[min(self._known, key=lambda each: self._known[each].memory.observed_at)]
            memory = PointMemory(
                name=name,
                metered=metered,
                seconds=seconds,
                observed_at=now,
                watts=(watts,),
                gigahashes=(gigahashes,),
            )
            self._known[name] = _Learned(memory)
        else:
            self._known[name] = known.with_sample(watts, gigahashes, seconds, now)


def _is_steady(reading: RigReading, settings: PointsSettings) -> bool:
    if not reading.point or reading.hashrate <= 0 or reading.mining is False or reading.suspended:
        return False
    if reading.tuner in _NOT_STEADY or reading.settled is False:
        return False
    if reading.uptime is not None and reading.uptime < settings.settle:
        return False
    return all(one.code != FaultCode.BOARD_MISSING for one in reading.faults)


class PointBook:
    """The learners of all rigs, and what a former process learned."""

    def __init__(self, remembered: Mapping[str, tuple[PointMemory, ...]]) -> None:
        self._remembered = {name: memories for name, memories in remembered.items() if memories}
        self._learners: dict[str, PointLearner] = {}

    def of(self, rig: str) -> PointLearner:
        """Return the learner of a rig."""
        learner = self._learners.get(rig)
        if learner is None:
            learner = self._learners[rig] = PointLearner(self._remembered.get(rig, ()))
        return learner

    def shift(self, seconds: float) -> None:
        """Move all times with the system clock, which was set by ``seconds``."""
        for learner in self._learners.values():
            learner.shift(seconds)

    def memories(self, rig: str) -> tuple[PointMemory, ...]:
        """Return what should outlive a restart."""
        learner = self._learners.get(rig)
        return self._remembered.get(rig, ()) if learner is None else learner.memories
