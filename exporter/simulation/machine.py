"""A simulated rig as a physical thing: its hashrate, power, temperatures and counters at any time.

Everything is a function of the seed and the time, so that the same seed and the same clock give the same answers.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Final

from exporter.model.units import HASHES_PER_DIFFICULTY, HASHES_PER_TERAHASH, HOURS_PER_DAY, SECONDS_PER_DAY
from exporter.simulation.faults import LIE, Fault
from exporter.simulation.points import RAMP_SECONDS, SHARES, Listed, Operation, watts_share

_SECONDS_PER_SHARE: Final = 6.0
"""What the pool's share difficulty aims at."""

_HARDWARE_ERRORS_PER_SHARE: Final = 0.04

UTC_OFFSET_HOURS: Final = -6.0
"""Where the site is: its afternoons are warm, and its evenings dear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A nameplate. ``code`` is how the firmware spells the model; ``chips`` is per board."""

    name: str
    code: str
    generation: str
    terahash: float
    watts: float
    boards: int
    chips: int
    fans: int
    fan_rpm: float
    frequency: float  # MHz


class Wave:
    """Smooth noise between -1 and 1: sines of the given periods (s) with seeded phases."""

    def __init__(self, random: Random, *periods: float) -> None:
        self._terms = [(math.tau / period, random.uniform(0.0, math.tau)) for period in periods]

    def __call__(self, now: float) -> float:
        """Return the noise at a time."""
        return sum(math.sin(speed * now + phase) for speed, phase in self._terms) / len(self._terms)


class Climate:
    """The air at the site, in celsius: a daily cycle with its peak in mid-afternoon, and weather over days."""

    def __init__(self, seed: int) -> None:
        self._weather = Wave(Random(f"{seed} weather"), 2.3 * SECONDS_PER_DAY, 5.1 * SECONDS_PER_DAY)

    def ambient(self, now: float) -> float:
        """Temperature of the outside air."""
        since_nine = now / SECONDS_PER_DAY - (9.0 - UTC_OFFSET_HOURS) / HOURS_PER_DAY  # local time, in days
        return 21.0 + 8.0 * math.sin(math.tau * since_nine) + 4.0 * self._weather(now)


@dataclass(frozen=True, slots=True)
class Flapping:
    """A part that fails for ``down`` seconds of every ``period`` and comes back by itself."""

    index: int
    period: float
    down: float
    phase: float

    def is_down(self, now: float) -> bool:
        """Return whether the part has failed at a time."""
        return (now - self.phase) % self.period < self.down

    def downtime(self, now: float) -> float:
        """Seconds failed until a time, from an arbitrary zero: only differences mean something."""
        periods, rest = divmod(now - self.phase, self.period)
        return periods * self.down + min(rest, self.down)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardVitals:
    """One fitted hash board. Hashrates in H/s, temperatures in celsius."""

    index: int
    serial: str
    hashrate: float
    average: float
    inlet: float
    pcb: float
    chip: float
    hardware_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """A rig at one time, as its firmware sees it (a lying one multiplies what it claims to hash)."""

    now: float
    mining: bool
    hashrate: float  # H/s, now
    average: float  # H/s, over minutes
    rated: float  # H/s, as sold
    expected: float  # H/s, at its operating point
    power: float  # W
    boards: tuple[BoardVitals, ...]
    boards_lost: tuple[int, ...]
    fans: tuple[int, ...]  # rpm, 0 where failed
    fans_lost: tuple[int, ...]
    hot: bool
    inlet: float  # celsius
    elapsed: int  # s, of the miner process
    uptime: int  # s, of the controller
    share_difficulty: int
    accepted: int
    rejected: int
    stale: int
    hardware_errors: int


class Machine:
    """One rig. ``fault`` changes only through :meth:`set_fault`, so that the work done before is kept."""

    def __init__(
        self,
        model: Model,
        *,
        name: str,
        address: str,
        mac_prefix: str,
        seed: int,
        now: float,
        climate: Climate,
        ramp: float = RAMP_SECONDS,
    ) -> None:
        random = Random(f"{seed} {name}")
        self.model = model
        self.name = name
        self.address = address
        self.fault: Fault | None = None
        self.board_flapping: Flapping | None = None
        self.fan_flapping: Flapping | None = None
        self.serial = f"{random.getrandbits(52):013X}"
        self._mac_prefix = mac_prefix
        self._mac = random.getrandbits(24)
        self._climate = climate
        self._rate = model.terahash * HASHES_PER_TERAHASH * random.uniform(0.985, 1.01)
        self._watts = model.watts * random.uniform(0.98, 1.03)
        self._warmth = random.uniform(2.0, 6.0)
        self._reject_ratio = random.uniform(0.0008, 0.004)
        self._fast = Wave(random, 7.3, 31.7, 113.0)
        self._slow = Wave(random, 613.0, 2_011.0)
        self.share_difficulty = 2 ** max(round(math.log2(self._rate * _SECONDS_PER_SHARE / HASHES_PER_DIFFICULTY)), 0)
        self._started = now - float(random.randrange(2 * 86_400, 21 * 86_400))
        self._since = self._started
        self._hashes = 0.0  # done before `_since`, by the process that runs
        self.operation = Operation(Random(f"{seed} {name} points"), usual_ramp=ramp)

    @property
    def mac(self) -> str:
        """The MAC address. It is another one after the fault that replaces the machine."""
        number = self._mac ^ (0x5A5A5A if self.fault is Fault.OTHER_MAC else 0)
        return f"{self._mac_prefix}:{number >> 16:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"

    @property
    def mining(self) -> bool:
        """Return whether it hashes."""
        return self.fault not in {Fault.STOPPED, Fault.UNPLUGGED}

    def set_fault(self, fault: Fault | None, now: float) -> None:
        """Set or clear its fault. A rig that was off or stopped starts a new miner process."""
        self._hashes = self._work(now)
        self._since = now
        if not self.mining and fault not in {Fault.STOPPED, Fault.UNPLUGGED}:
            self._started = now
            self._hashes = 0.0
        self.fault = fault

    def run_at(self, share: float, now: float) -> None:
        """Change the operating point: a share of its stock hashrate, of :data:`~exporter.simulation.points.SHARES`.

        Raises KeyError for another share.
        """
        self._hashes = self._work(now)
        self._since = now
        self.operation.move(share, now)

    @property
    def listed(self) -> tuple[Listed, ...]:
        """The operating points, with the estimates that the firmware lists."""
        model, operation = self.model, self.operation
        return tuple(
            Listed(
                share=share,
                terahash=round(model.terahash * share, 1),
                watts=round(model.watts * watts_share(share) * (1 + operation.listed_error[share])),
                tuned=share in operation.tuned,
            )
            for share in SHARES
        )

    @property
    def in_force(self) -> Listed:
        """The operating point in force, as the firmware lists it."""
        return next(point for point in self.listed if point.share == self.operation.share)

    def vitals(self, now: float) -> Vitals:
        """Measure it."""
        lost = self._boards_lost(now)
        fans_lost = self._fans_lost(now)
        shares = self._work(now) / HASHES_PER_DIFFICULTY / self.share_difficulty
        hardware_errors = int(shares * _HARDWARE_ERRORS_PER_SHARE)
        running = self._rate * self.operation.share * self.operation.progress(now)
        claim = (LIE if self.fault is Fault.LYING else 1.0) * self._throttle() * running / self.model.boards
        inlet = self._climate.ambient(now) + self._warmth
        boards = tuple(
            self._board(index, now, claim=claim, inlet=inlet, hardware_errors=hardware_errors)
            for index in range(self.model.boards)
            if index not in lost
        )
        elapsed = max(int(now - self._started), 0)
        return Vitals(
            now=now,
            mining=self.mining,
            hashrate=sum(board.hashrate for board in boards),
            average=sum(board.average for board in boards),
            rated=self.model.terahash * HASHES_PER_TERAHASH,
            expected=self.model.terahash * HASHES_PER_TERAHASH * self.operation.share,
            power=self._power(now, len(boards), inlet),
            boards=boards,
            boards_lost=lost,
            fans=tuple(0 if index in fans_lost else self._rpm(index, now, inlet) for index in range(self.model.fans)),
            fans_lost=fans_lost,
            hot=self.fault is Fault.HOT,
            inlet=inlet,
            elapsed=elapsed,
            uptime=elapsed + 95,
            share_difficulty=self.share_difficulty,
            accepted=int(shares * (1.0 - self._reject_ratio)),
            rejected=int(shares * self._reject_ratio * 0.9),
            stale=int(shares * self._reject_ratio * 0.1),
            hardware_errors=hardware_errors,
        )

    def _throttle(self) -> float:
        if not self.mining:
            return 0.0
        return 0.9 if self.fault is Fault.HOT else 1.0

    def mined(self, now: float, seconds: float) -> float:
        """Return the hashes done in the last ``seconds``, since its last change of fault at the earliest."""
        return self._work(now) - self._work(max(now - seconds, self._since))

    def _work(self, now: float) -> float:
        """Hashes done by the process that runs."""
        seconds = self.operation.seconds_at_full(self._since, max(now, self._since))
        if self.fault is Fault.BOARD_LOST:
            seconds *= 1.0 - 1.0 / self.model.boards
        elif self.board_flapping is not None:
            failed = self.board_flapping.downtime(now) - self.board_flapping.downtime(self._since)
            seconds -= failed / self.model.boards
        return self._hashes + self._throttle() * self._rate * self.operation.share * seconds

    def _boards_lost(self, now: float) -> tuple[int, ...]:
        if self.fault is Fault.BOARD_LOST:
            return (self.model.boards - 1,)
        if self.board_flapping is not None and self.board_flapping.is_down(now):
            return (self.board_flapping.index,)
        return ()

    def _fans_lost(self, now: float) -> tuple[int, ...]:
        if self.fault is Fault.FAN_LOST:
            return (0,)
        if self.fan_flapping is not None and self.fan_flapping.is_down(now):
            return (self.fan_flapping.index,)
        return ()

    def _board(self, index: int, now: float, *, claim: float, inlet: float, hardware_errors: int) -> BoardVitals:
        apart = 1_000.0 * (index + 1)  # boards differ: each sees the noise of another moment
        load = 1.0 if self.mining else 0.1
        pcb = inlet + load * (27.0 + 1.5 * index + self._slow(now + apart)) + (26.0 if self.fault is Fault.HOT else 0.0)
        return BoardVitals(
            index=index,
            serial=f"{self.serial}{index:02d}",
            hashrate=claim * (1.0 + 0.015 * self._fast(now + apart)),
            average=claim * (1.0 + 0.003 * self._slow(now + apart)),
            inlet=inlet + 8.0 * load,
            pcb=pcb,
            chip=pcb + load * (13.0 + self._fast(now + apart)),
            hardware_errors=hardware_errors // self.model.boards,
        )

    def _power(self, now: float, boards: int, inlet: float) -> float:
        if not self.mining:
            return 0.015 * self._watts
        warmth = 1.0 + 0.0012 * (inlet - 25.0)
        watts = self._watts * watts_share(self.operation.share)
        return watts * boards / self.model.boards * warmth * (1.0 + 0.005 * self._slow(now))

    def _rpm(self, index: int, now: float, inlet: float) -> int:
        demand = 1.0 if self.fault is Fault.HOT else min(max(0.55 + 0.015 * (inlet - 15.0), 0.4), 1.0)
        if not self.mining:
            demand = 0.2
        return round(self.model.fan_rpm * demand * (1.0 + 0.01 * self._fast(now + 100.0 * index)) / 30.0) * 30
