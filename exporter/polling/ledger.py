"""What is known of one rig: its identity, its last reading, and what is accumulated over its readings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.economics.power import best_power
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Rig
from exporter.model.nameplate import rated, rating_ratio
from exporter.model.points import RigPoints
from exporter.model.quickly_made import quickly_made
from exporter.model.readings import Board, Fault, Pool, Reading, RigIdentity, RigReading
from exporter.model.snapshot import LastGood, RigSnapshot
from exporter.model.units import HASHES_PER_DIFFICULTY
from exporter.polling.counters import CounterWindow, Energy
from exporter.polling.downtime import MINING, Expected, expected_by_inventory
from exporter.polling.latest import Latest
from exporter.polling.learning import PointMemory
from exporter.polling.sanity import drop_implausible
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.coerce import MAX_RIG_HASHRATE
from exporter.sources.rigs.faults import fault, missing_board
from exporter.sources.rigs.implausible import note

_UPTIME_SLACK: Final = 60.0  # s that an uptime may gain: some are reported in minutes
_LUCK: Final = 10.0
_RUNNING_WELL: Final = (0.8, 1.5)  # realised against expected hashrate: below it is impaired, above it is implausible


@quickly_made
@dataclass(frozen=True, slots=True, kw_only=True)
class RigMemory:
    """What should outlive a restart. ``power`` was measured at ``last_success``; None once that is no longer fresh."""

    identity: RigIdentity | None = None
    last_success: float | None = None  # unix seconds
    energy: float | None = None  # J
    power: float | None = None  # W
    last_good: LastGood | None = None
    address: str = ""  # where it was last expected, if it is known by its MAC or serial or was found in a range
    discovered: bool = False  # in a range: no inventory lists it
    login: str = ""  # name of the login that it accepted last
    login_rejected_at: float | None = None  # unix seconds, if it rejected one less than 15 minutes ago
    points: tuple[PointMemory, ...] = ()  # that were learned
    faults: tuple[tuple[str, str, float], ...] = ()  # code, component, unix seconds since when


class EnergyCounter(NamedTuple):
    """Energy of one rig (J), measured up to its last successful poll (unix seconds), and the power (W) at that poll."""

    joules: float
    last_success: float | None
    power: float | None = None


class IdentityChange(StrEnum):
    """What changed behind a rig's address."""

    DEVICE = "device"
    FIRMWARE = "firmware"


class RigLedger:
    """Keeps the records of one rig. Times called ``now`` are unix seconds, those called ``at`` are monotonic."""

    __slots__ = (
        "_boards",
        "_drawn",
        "_energy",
        "_expected_hashrate",
        "_fans",
        "_faults",
        "_last_good",
        "_latest",
        "_points",
        "_rated",
        "_rating_ratio",
        "_shares",
        "_snapshot",
        "_uptime",
        "_work",
        "identity",
        "last_success",
        "login",
        "mac_lost",
        "rig",
        "up",
    )

    def __init__(self, rig: Rig, settings: PollingSettings, memory: RigMemory, now: float) -> None:
        self.rig = rig
        self.up: bool | None = None
        self.mac_lost = False  # it reported its MAC address before, by the same API
        self.identity = memory.identity
        self.last_success = memory.last_success
        since_rejected = None if memory.login_rejected_at is None else max(0.0, now - memory.login_rejected_at)
        self.login: tuple[str, float | None] = (memory.login, since_rejected)
        """Name of the login that it accepted last, and seconds since it rejected one, as of the last poll."""
        self._last_good = memory.last_good
        self._latest: Latest[RigReading] = Latest(settings.stale_after)
        self._drawn: float | None = None  # W, at the last success
        self._energy = Energy(_energy_across_restart(memory, now, settings.stale_after))
        self._work = CounterWindow(settings.work_window)
        self._shares = CounterWindow(settings.work_window)
        self._uptime: tuple[float, float] | None = None  # s, as last reported, and when (monotonic)
        self._expected_hashrate: float | None = None  # H/s, as last reported
        self._faults = {(code, component): since for code, component, since in memory.faults}
        self._boards = frozenset(_indexes(memory.faults, FaultCode.BOARD_MISSING, "board "))  # that worked, by index
        self._fans = frozenset(_indexes(memory.faults, FaultCode.FAN_FAILED, "fan "))  # that turned, by index
        self._points: RigPoints | None = None
        self._rate()
        self._snapshot = self._picture(None, expected_by_inventory(rig))

    def drop_implausible(self, reading: RigReading) -> RigReading:
        """Return the reading without implausible values. Raises Failure if its hashrate is implausible."""
        return drop_implausible(reading, self._rated, mines_bitcoin=self._snapshot.mines_bitcoin)

    def _began_anew(self, reading: RigReading, at: float) -> bool:
        if self._uptime is None or reading.uptime is None:
            return False
        known, then = self._uptime
        return not known <= reading.uptime <= known + (at - then) + _UPTIME_SLACK

    def succeeded(self, reading: RigReading, now: float, at: float, metered: float | None = None) -> bool:
        """Record a successful read; ``metered`` is a fresh meter reading (W).

        Returns whether the miner process was restarted, or belongs to another rig that has run for longer.
        """
        reading = self._with_known_fans(self._with_lost_boards(reading))
        began_anew = self._began_anew(reading, at)
        if began_anew:  # counters mean nothing across that
            self._forget_shares()
        self.up = True
        self.last_success = now
        if reading.uptime is not None:
            self._uptime = reading.uptime, at
        since, self._faults = self._faults, {}
        for one in reading.faults:
            key = _key(one)
            # Never after now: the clock may have been ahead.
            self._faults[key] = min(one.since or since.get(key, now), self._faults.get(key, now), now)
        observed = Reading(reading, now)
        self._latest.put(observed)
        if reading.expected_hashrate != self._expected_hashrate:
            self._expected_hashrate = reading.expected_hashrate
            self._rate()
        best = best_power(self._rated, reading.hashrate, metered=metered, reported=reading.power)
        self._drawn = best[0] if best is not None else None
        self._energy.observe(self._drawn, at, self._latest.max_age)
        if reading.accepted_difficulty is not None:
            self._work.observe(at, reading.accepted_difficulty)
        if (shares := _shares(reading.pools)) is not None:
            self._shares.observe(at, *shares)
        if (self._work_hashrate() or 0.0) > self._most_work():  # a counter that jumped, perhaps another rig's
            note("work_hashrate")
            self._forget_shares()
        if self._runs_well(reading):
            self._last_good = LastGood(
                hashrate=reading.hashrate, power=reading.power, observed_at=now, metered_power=metered
            )
        self._snapshot = self._picture(observed, self._expected)
        return began_anew

    @property
    def reading(self) -> RigReading | None:
        """The last reading while it is fresh, as the last snapshot has it."""
        observed = self._snapshot.reading
        return None if observed is None else observed.value

    def put_points(self, points: RigPoints | None) -> None:
        """Record what is known of its operating points; None if they are not learned."""
        if points != self._points:
            self._points = points
            self._redraw()

    def failed(self) -> None:
        """Record a failed read: the last reading stays until it is too old."""
        self.up = False
        self._redraw()

    def lost(self) -> None:
        """Record that another device answers at its address: the last reading may be the other's."""
        self.up = False
        self._forget_reading()

    def identified(self, identity: RigIdentity) -> IdentityChange | None:
        """Record the identity and return what changed. Everything about another device is forgotten."""
        before, self.identity = self.identity, identity
        had_mac = before is not None and before.reader == identity.reader and (self.mac_lost or before.mac != "")
        self.mac_lost = had_mac and not identity.mac
        change = _change(before, identity) if before is not None else None
        if change is not None:
            self._boards = self._fans = frozenset()  # which other firmware may number otherwise
        if change is IdentityChange.DEVICE:
            self._last_good = None
            self._uptime = self._expected_hashrate = None
            self._faults = {}
            self._forget_shares()
            self._forget_reading()
        self._rate()
        self._redraw()
        return change

    @property
    def expected_mining(self) -> bool:
        """Whether the rig should have mined at the last snapshot. False if that is not known."""
        return bool(self._snapshot.expected_mining)

    @property
    def _expected(self) -> Expected:
        return Expected(self._snapshot.expected_mining, self._snapshot.off_because)

    def snapshot(self, now: float, expected: Expected = MINING) -> RigSnapshot:
        """Return the rig at ``now``; the same object until something changes.

        It is made when something changes: those moments are spread over time, evaluations are not.
        """
        reading = self._latest.fresh(now)
        if self._snapshot.reading is not reading or self._expected != expected:
            self._snapshot = self._picture(reading, expected)
        return self._snapshot

    def shift(self, seconds: float, now: float) -> None:
        """Move all times with the system clock, which was set by ``seconds`` and now shows ``now``."""
        self._latest.shift(seconds)
        if self.last_success is not None:
            self.last_success += seconds
        if self._last_good is not None:
            self._last_good = replace(self._last_good, observed_at=self._last_good.observed_at + seconds)
        self._faults = {key: since + seconds for key, since in self._faults.items()}
        self._snapshot = self._picture(self._latest.fresh(now), self._expected)

    def _rate(self) -> None:
        """Fill in the parts of the rig's rating that the inventory lacks."""
        who = self.identity
        model, sticker = ("", None) if who is None else (who.model, who.rated_hashrate)
        self._rated = rated(self.rig, model, self._expected_hashrate, sticker)
        self._rating_ratio = rating_ratio(self.rig, model, sticker or self._expected_hashrate)

    def _forget_reading(self) -> None:
        self._latest = Latest(self._latest.max_age)
        self._snapshot = self._picture(None, self._expected)

    def _redraw(self) -> None:
        self._snapshot = self._picture(self._snapshot.reading, self._expected)

    def _picture(self, reading: Reading[RigReading] | None, expected: Expected) -> RigSnapshot:
        if reading is None:
            return RigSnapshot(
                rig=self._rated,
                identity=self.identity,
                up=False if self.up is False else None,  # the last success is too long ago
                last_success=self.last_success,
                expected_mining=expected.mining,
                off_because=expected.off_because,
                last_good=self._last_good,
                points=self._points,
                rating_ratio=self._rating_ratio,
            )
        shares = self._shares.growth()
        return RigSnapshot(
            rig=self._rated,
            identity=self.identity,
            up=self.up,
            last_success=self.last_success,
            reading=reading,
            expected_mining=expected.mining,
            off_because=expected.off_because,
            work_hashrate=self._work_hashrate(),
            reject_ratio=shares[2] / shares[1] if shares is not None and shares[1] > 0 else None,
            energy=self._energy.joules,
            energy_power=self._drawn,
            worker_expected=_worker_expected(self.rig, reading.value.pools),
            last_good=self._last_good,
            points=self._points,
            rating_ratio=self._rating_ratio,
            faults_since=tuple(self._faults.get(_key(one), reading.observed_at) for one in reading.value.faults),
        )

    def _with_lost_boards(self, reading: RigReading) -> RigReading:
        """Report a fault for boards that used to hash and are no longer listed: some firmware drops a dead one."""
        if reading.hashrate <= 0 or not reading.boards:  # one that is stopped or boots may not know its boards
            return reading
        known = {board.index for board in reading.boards}
        lost = self._boards - known
        if lost:
            lost -= set(_indexes(map(_key, reading.faults), FaultCode.BOARD_MISSING, "board "))
        if working := {board.index for board in reading.boards if _works(board)} - self._boards:
            self._boards |= working
        if not lost:
            return reading
        return replace(reading, faults=(*reading.faults, *(missing_board(index) for index in sorted(lost))))

    def _with_known_fans(self, reading: RigReading) -> RigReading:
        """Drop the fans that never turned here, and report those that did and stand still while the rig hashes.

        Firmware lists slots without a fan like a fan that has stopped, and rigs in liquid like rigs without cooling.
        """
        turning = {fan.index for fan in reading.fans if fan.rpm}
        if not turning <= self._fans:
            self._fans |= turning
        expected = reading.fans_expected and (min(reading.fans_expected, len(self._fans)) or None)
        if len(turning) == len(reading.fans) and expected == reading.fans_expected:  # as at almost every read
            return reading
        stopped = {f"fan {fan.index}": fan.index in self._fans for fan in reading.fans if fan.rpm == 0}
        faults = tuple(
            one for one in reading.faults if not _of_fan(one) or one.vendor_code or stopped.get(one.component, True)
        )
        if reading.hashrate > 0 and reading.fan_duty != 0:
            named = {one.component for one in faults if _of_fan(one)}
            news = (component for component, turned in stopped.items() if turned and component not in named)
            faults = (*faults, *(fault(FaultCode.FAN_FAILED, component) for component in news))
        fans = tuple(fan for fan in reading.fans if fan.rpm != 0 or fan.index in self._fans)
        return replace(reading, fans=fans, fans_expected=expected, faults=faults)

    def _work_hashrate(self) -> float | None:
        work = self._work.growth()
        return None if work is None else work[1] * HASHES_PER_DIFFICULTY / work[0]

    def _most_work(self) -> float:
        """Return the H/s beyond which accepted work is implausible; loose, as large shares come in lucky runs."""
        expected = self._expected_hashrate or self._rated.rated_hashrate
        return min(MAX_RIG_HASHRATE, expected * _LUCK) if expected else MAX_RIG_HASHRATE

    def _forget_shares(self) -> None:
        self._work.clear()
        self._shares.clear()

    def replace(self, rig: Rig) -> None:
        """Apply the inventory's new facts of this rig."""
        if rig != self.rig:
            self.rig = rig
            self._rate()
            self._redraw()

    def memory(self, now: float, points: tuple[PointMemory, ...] = ()) -> RigMemory:
        """Return what should outlive a restart, with the operating ``points`` that were learned."""
        rig, reading = self.rig, self._latest.fresh(now)
        return RigMemory(
            identity=self.identity,
            last_success=self.last_success,
            energy=self._energy.joules,
            power=self._drawn if reading is not None else None,
            last_good=self._last_good,
            address=rig.address if rig.mac or rig.serial or rig.discovered else "",
            discovered=rig.discovered,
            login=self.login[0],
            login_rejected_at=None if self.login[1] is None else now - self.login[1],
            points=points,
            faults=tuple([(*key, since) for key, since in self._faults.items()]),
        )

    def _runs_well(self, reading: RigReading) -> bool:
        if reading.mining is False or reading.hashrate <= 0:
            return False
        if any(one.code == FaultCode.BOARD_MISSING for one in reading.faults):  # some firmware then expects less
            return False
        expected = reading.expected_hashrate or self._rated.rated_hashrate
        low, high = _RUNNING_WELL
        return expected is None or low * expected <= reading.hashrate <= high * expected


def _energy_across_restart(memory: RigMemory, now: float, max_gap: float) -> float | None:
    """Add the gap of the restart, up to ``max_gap``: a counter below the last scraped value would count as a reset."""
    if memory.energy is None or memory.power is None or memory.last_success is None:
        return memory.energy
    return memory.energy + memory.power * min(max(now - memory.last_success, 0.0), max_gap)


def _worker_expected(rig: Rig, pools: tuple[Pool, ...]) -> bool | None:
    """Return whether the worker of each active pool is the expected one; None if none is expected or active."""
    if not rig.worker:
        return None
    workers = [pool.worker for pool in pools if pool.active and pool.worker]
    if not workers:
        return None
    expected = rig.worker.replace("{rig}", rig.name)
    if expected.endswith("*"):
        return all(worker.startswith(expected[:-1]) for worker in workers)
    return all(worker == expected for worker in workers)


def _key(fault: Fault) -> tuple[str, str]:
    return fault.code, fault.component


def _works(board: Board) -> bool:
    """Return whether a board works: it hashes, or has chips if the firmware reports no hashrate of boards."""
    return bool(board.chips if board.hashrate is None else board.hashrate)


def _of_fan(one: Fault) -> bool:
    return one.code == FaultCode.FAN_FAILED


def _indexes(faults: Iterable[tuple[str, str, *tuple[float, ...]]], wanted: FaultCode, part: str) -> Iterator[int]:
    """Return the indexes of the parts that have the fault ``wanted``; each fault has its code and component."""
    for code, component, *_ in faults:
        if code == wanted and (number := component.removeprefix(part)).isdecimal():
            yield int(number)


def _shares(pools: tuple[Pool, ...]) -> tuple[float, float] | None:
    """Return the shares sent, and those refused (rejected and stale), over the pools that report both."""
    accepted, refused, known = 0.0, 0.0, False
    for pool in pools:
        if pool.accepted is not None and pool.rejected is not None:
            accepted += pool.accepted
            refused += pool.rejected + (pool.stale or 0.0)
            known = True
    return (accepted + refused, refused) if known else None


def _change(before: RigIdentity, after: RigIdentity) -> IdentityChange | None:
    """Compare devices by MAC address, else serial number, else make and model: new firmware does not change these."""
    keys = ((before.mac, after.mac), (before.serial, after.serial), (_product(before), _product(after)))
    was, now = next(pair for pair in keys if all(pair))
    if was != now:
        return IdentityChange.DEVICE
    return IdentityChange.FIRMWARE if _software(before) != _software(after) else None


def _product(identity: RigIdentity) -> str:
    return f"{identity.make} {identity.model}"


def _software(identity: RigIdentity) -> tuple[str, ...]:
    return identity.reader, identity.make, identity.model, identity.firmware, identity.firmware_version
