"""Books the work of rigs against what pools credit, window by window, and judges rigs, blocks, the site and payouts.

A pool's hashrate is a mean over its window, such as an hour. Once a window after the last booking, the work that each
rig reported since then is booked beside what the pool credits for it. Windows that were not watched from end to end
are left out.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple

from exporter.economics.margin import firmware_fee
from exporter.economics.reconciliation import (
    MOST_SLABS,
    SLAB,
    AccountSettings,
    DayCredit,
    PayoutBalance,
    Work,
    WorkBalance,
    balance,
    expected_payout,
    payout_balance,
    split_login,
    worker_of,
)
from exporter.economics.settings import EconomicsSettings
from exporter.economics.values import MarketEconomics
from exporter.model.readings import Pool, PoolReading, PoolWorker, Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import HASHES_PER_DIFFICULTY, SECONDS_PER_DAY

_KEPT_SLABS: Final = 2 * MOST_SLABS + 1  # two windows, and the slab that is open
_KEPT_DAYS: Final = 10
_OLDEST: Final = 7 * SECONDS_PER_DAY  # s: older slabs are not part of a window
_LONGEST: Final = 2.0  # windows between two bookings: after more, the pool's mean leaves a gap
_WATCHED: Final = 0.97  # of the time between two bookings
_UPTIME_SLACK: Final = 60.0
_PLAUSIBLE: Final = (0.01, 1.5)  # credited by expected work of all rigs: outside, it is another unit

SITE: Final = "site"
BLOCK: Final = "block"
RIG: Final = "rig"
DAY: Final = "day"


class Subject(NamedTuple):
    """What work is booked for: a ``rig``, a ``block``, the ``site``, or a ``day`` of payments, each at one pool."""

    kind: str
    name: str
    pool: str


Books = dict[Subject, "array[float]"]
"""Slabs of each subject, oldest first: its start (unix seconds), then the fields of `Work`, or of `DayCredit`."""

_ROW: Final = 1 + len(Work._fields)
_DAY_ROW: Final = len(DayCredit._fields)


class PoolState(NamedTuple):
    """A configured account: its settings, and its last reading while that is fresh."""

    settings: AccountSettings
    reading: Reading[PoolReading] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolBalance:
    """One account at a pool."""

    workers: int | None = None  # that the pool lists
    unmatched: int | None = None  # that have work and belong to no rig
    hashrate: float | None = None  # H/s that it credits to all whose rate is known
    implausible: bool | None = None  # its last booking was refused
    payout: PayoutBalance | None = None


class WorkerState(NamedTuple):
    """The worker of one rig at its pool."""

    credited: bool | None  # whether it has work over the pool's window; None if the pool does not report it
    last_share_at: float | None  # unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What pools credit and pay against what the rigs did. Everything is empty without pools."""

    rigs: Mapping[str, WorkBalance] = field(default_factory=dict)
    blocks: Mapping[str, WorkBalance] = field(default_factory=dict)
    site: WorkBalance | None = None
    workers: Mapping[str, WorkerState] = field(default_factory=dict)  # by rig
    pools: Mapping[str, PoolBalance] = field(default_factory=dict)


NOTHING: Final = Reconciliation()


@dataclass(slots=True)
class _Meter:
    """The work of one rig since its pool's last booking, in units of difficulty 1."""

    seconds: float = 0.0
    expected: float = 0.0
    spread: float = 0.0  # infinite if a share difficulty was not known
    accepted: float = 0.0
    counted: bool = True  # by the rig's own counter, all the time
    counter: float | None = None  # as last read
    uptime: float | None = None

    def clear(self) -> None:
        """Begin the next window."""
        self.seconds = self.expected = self.spread = self.accepted = 0.0
        self.counted = self.counter is not None

    def watch(self, reading: RigReading, seconds: float, fee: float) -> None:
        """Add what the rig did in the last ``seconds``."""
        self.seconds += seconds
        self.uptime = reading.uptime
        work = reading.hashrate * (1 - fee) * seconds / HASHES_PER_DIFFICULTY
        difficulty = _difficulty(reading)
        self.expected += work
        self.spread += inf if difficulty is None else work * difficulty
        counter = reading.accepted_difficulty
        if counter is None or self.counter is None:
            self.counted = False
        else:  # a counter that fell began anew
            self.accepted += counter - self.counter if counter >= self.counter else counter
        self.counter = counter


class _Home(NamedTuple):
    """The pool to which rigs belong, and their worker at it and at the others: (pool, worker), in lower case."""

    pool: str
    names: tuple[tuple[str, str], ...]


class PoolWork:
    """Follows the rigs and their pools from evaluation to evaluation.

    Args:
        books: slabs that a former process kept.
    """

    def __init__(self, books: Mapping[Subject, "array[float]"]) -> None:
        self.books: Books = dict(books)
        """Replaced, never changed, at each booking: another thread may save it meanwhile."""
        self._meters: dict[str, _Meter] = {}
        self._observed_at: float | None = None
        self._booked_at: dict[str, float] = {}  # by pool, the time of the reading
        self._implausible: dict[str, bool] = {}
        self._balances: dict[tuple[str, str], WorkBalance] = {}  # by kind and name
        self._judged: int | None = None  # number of the slab in which the subjects were judged

    def shift(self, seconds: float) -> None:
        """Move all times with the system clock, which was set by ``seconds``."""
        if self._observed_at is not None:
            self._observed_at += seconds
        self._booked_at = {pool: at + seconds for pool, at in self._booked_at.items()}

    def observe(
        self,
        snapshot: SiteSnapshot,
        pools: Mapping[str, PoolState],
        market: MarketEconomics,
        economics: EconomicsSettings,
        *,
        site: str,
        longest_gap: float,
    ) -> Reconciliation:
        """Take in one evaluation and return where everything stands. Without pools, nothing is followed."""
        if not pools:
            self._meters.clear()
            return NOTHING
        now = snapshot.taken_at
        self._watch(snapshot, economics, longest_gap)
        listed = {
            name: {worker.name.lower(): worker for worker in state.reading.value.workers}
            for name, state in pools.items()
            if state.reading is not None
        }
        lists = _Lists(listed, complete=len(listed) == len(pools))
        homes = _homes(snapshot, pools, lists, site)
        for name, state in pools.items():
            if state.reading is not None:
                own = {home: rigs for home, rigs in homes.items() if home.pool == name}
                self._visit(name, state.settings, state.reading, own, lists, market, economics)
        return self._reconciliation(now, snapshot, pools, homes, lists, market, economics)

    def _watch(self, snapshot: SiteSnapshot, economics: EconomicsSettings, longest_gap: float) -> None:
        before, now = self._observed_at, snapshot.taken_at
        self._observed_at = now
        seconds = 0.0 if before is None else now - before
        if not 0 <= seconds <= longest_gap:
            seconds = 0.0
        for rig in snapshot.rigs:
            if rig.reading is None or not rig.mines_bitcoin:
                continue
            meter = self._meters.get(rig.rig.name)
            if meter is None:
                meter = self._meters[rig.rig.name] = _Meter()
            meter.watch(rig.reading.value, seconds, firmware_fee(rig, economics.firmware_fees))
        inventory = {rig.rig.name for rig in snapshot.rigs}
        self._meters = {name: meter for name, meter in self._meters.items() if name in inventory}

    def _visit(
        self,
        name: str,
        settings: AccountSettings,
        reading: Reading[PoolReading],
        own: Mapping[_Home, Sequence[RigSnapshot]],
        lists: "_Lists",
        market: MarketEconomics,
        economics: EconomicsSettings,
    ) -> None:
        """Book a pool's window if one has passed since its last booking."""
        window, at = reading.value.window, reading.observed_at
        before = self._booked_at.get(name)
        if before is not None and at - before < window:
            return
        self._booked_at[name] = at
        if before is not None and at - before <= _LONGEST * window:
            self._book_day(name, settings, reading, market, economics)
            self._book(name, window, at, at - before, own, lists)
        for rigs in own.values():
            for rig in rigs:
                if (meter := self._meters.get(rig.rig.name)) is not None:
                    meter.clear()

    def _book(
        self,
        pool: str,
        window: float,
        at: float,
        elapsed: float,
        own: Mapping[_Home, Sequence[RigSnapshot]],
        lists: "_Lists",
    ) -> None:
        booked: list[tuple[Sequence[RigSnapshot], Work]] = []
        for home, rigs in own.items():
            done = _done([self._meters.get(rig.rig.name) for rig in rigs], elapsed)
            rate = lists.credited(home)
            if done is not None and rate is not None:
                share = window / elapsed
                credited = rate * window / HASHES_PER_DIFFICULTY
                scaled = Work(window, done.expected * share, done.spread * share, credited, done.accepted * share)
                booked.append((rigs, scaled))
        expected = sum(work.expected for _, work in booked)
        credited = sum(work.credited for _, work in booked)
        low, high = _PLAUSIBLE
        self._implausible[pool] = credited > 0 and not low * expected <= credited <= high * expected
        if self._implausible[pool]:
            return
        start = (at - window / 2) // SLAB * SLAB
        sums: dict[Subject, Work] = {}
        for rigs, work in booked:
            for subject in _subjects(rigs, pool, comparable=work.spread < inf):
                sums[subject] = work if subject not in sums else sums[subject].beside(work)
        self.books = self.books | {
            subject: _with_work(self.books.get(subject), start, work) for subject, work in sums.items()
        }
        self._judged = None

    def _book_day(
        self,
        pool: str,
        settings: AccountSettings,
        reading: Reading[PoolReading],
        market: MarketEconomics,
        economics: EconomicsSettings,
    ) -> None:
        """Add what the pool should pay for the window of all its workers, at the hashprice of now."""
        hashprice = market.payout_btc if not settings.scheme.has_luck else market.hashprice_btc
        if hashprice is None:
            return
        window = reading.value.window
        fee = economics.pool_fee if settings.fee is None else settings.fee
        rate = sum(worker.hashrate or 0.0 for worker in reading.value.workers)
        pay = expected_payout(rate, window / SECONDS_PER_DAY, hashprice, fee)
        day = (reading.observed_at - window / 2) // SECONDS_PER_DAY * SECONDS_PER_DAY
        rows = _days(self.books.get(Subject(DAY, "", pool)))
        if rows and rows[-1].day == day:
            day, seconds, bitcoins = rows.pop()
            rows.append(DayCredit(day, seconds + window, bitcoins + pay))
        else:
            rows.append(DayCredit(day, window, pay))
        flat = array("d", [value for row in rows[-_KEPT_DAYS:] for value in row])
        self.books = self.books | {Subject(DAY, "", pool): flat}

    def _reconciliation(
        self,
        now: float,
        snapshot: SiteSnapshot,
        pools: Mapping[str, PoolState],
        homes: Mapping[_Home, Sequence[RigSnapshot]],
        lists: "_Lists",
        market: MarketEconomics,
        economics: EconomicsSettings,
    ) -> Reconciliation:
        payout = None if market.payout_usd is None else market.payout_usd * (1 - economics.pool_fee)
        self._judge(now)
        balances = {subject: found.priced(payout) if found.leak else found for subject, found in self._balances.items()}
        names = {rig.rig.name for rig in snapshot.rigs}
        blocks = {rig.rig.block for rig in snapshot.rigs}
        workers: dict[str, WorkerState] = {}
        for home, rigs in homes.items():
            state = lists.state(home)
            for rig in rigs:
                workers[rig.rig.name] = state
        known = {name for home in homes for name in home.names}
        return Reconciliation(
            rigs={name: found for (kind, name), found in balances.items() if kind == RIG and name in names},
            blocks={name: found for (kind, name), found in balances.items() if kind == BLOCK and name in blocks},
            site=balances.get((SITE, "")),
            workers=workers,
            pools={name: self._pool(name, state, known) for name, state in pools.items()},
        )

    def _pool(self, name: str, state: PoolState, known: set[tuple[str, str]]) -> PoolBalance:
        if state.reading is None:
            return PoolBalance()
        reading = state.reading.value
        paid = {payment.day: payment.bitcoins for payment in reading.payments}
        busy = [worker for worker in reading.workers if worker.hashrate]
        rates = [worker.hashrate for worker in reading.workers if worker.hashrate is not None]
        return PoolBalance(
            workers=len(reading.workers),
            unmatched=sum((name, worker.name.lower()) not in known for worker in busy),
            hashrate=sum(rates) if rates or not reading.workers else None,
            implausible=self._implausible.get(name),
            payout=payout_balance(_days(self.books.get(Subject(DAY, "", name))), paid, state.settings.scheme),
        )

    def _judge(self, now: float) -> None:
        """Judge all subjects by the slabs that are over: once per slab and booking."""
        slab = int(now // SLAB)
        if self._judged == slab:
            return
        self._judged = slab
        found: dict[tuple[str, str], dict[float, Work]] = defaultdict(dict)
        for subject, rows in self.books.items():
            if subject.kind != DAY:
                slabs = found[subject.kind, subject.name]
                for start, work in _slabs(rows):
                    if start + SLAB <= now and now - start <= _OLDEST:
                        slabs[start] = work if start not in slabs else slabs[start].beside(work)
        counts = Counter(kind for kind, _ in found)
        judged = {
            subject: balance([slabs[start] for start in sorted(slabs, reverse=True)], counts[subject[0]])
            for subject, slabs in found.items()
        }
        self._balances = {subject: each for subject, each in judged.items() if each is not None}


class _Lists(NamedTuple):
    """The workers of each pool with a fresh reading, by name in lower case."""

    workers: Mapping[str, Mapping[str, PoolWorker]]
    complete: bool  # every configured pool has one

    def of(self, pool: str, worker: str) -> PoolWorker | None:
        """Return a worker as a pool lists it. None if it does not, or has no fresh reading."""
        return self.workers.get(pool, {}).get(worker)

    def found(self, home: _Home) -> list[PoolWorker]:
        """Return the workers of a home that pools list."""
        return [worker for name in home.names if (worker := self.of(*name)) is not None]

    def credited(self, home: _Home) -> float | None:
        """Return the hashrate (H/s) that all pools credit: 0 if no pool lists it, None if that is not known."""
        return self._credited(self.found(home))

    def _credited(self, found: Iterable[PoolWorker]) -> float | None:
        rates = [worker.hashrate for worker in found]
        total = sum([rate for rate in rates if rate is not None])
        return None if None in rates or (total == 0 and not self.complete) else total

    def state(self, home: _Home) -> WorkerState:
        """Return whether the pools credit work, and when they last had a share."""
        found = self.found(home)
        rate = self._credited(found)
        shares = [worker.last_share_at for worker in found if worker.last_share_at is not None]
        return WorkerState(None if rate is None else rate > 0, max(shares, default=None))


def _difficulty(reading: RigReading) -> float | None:
    """Return the difficulty of the shares that the rig sends: of its active pool, else the mean since it started."""
    for pool in reading.pools:
        if pool.active and pool.difficulty:
            return pool.difficulty
    shares = sum(pool.accepted or 0.0 for pool in reading.pools)
    return reading.accepted_difficulty / shares if reading.accepted_difficulty and shares > 0 else None


def _active(pools: Iterable[Pool]) -> str:
    return next((pool.worker for pool in pools if pool.active and pool.worker), "")


def _name(rig: RigSnapshot, settings: AccountSettings, site: str) -> tuple[str | None, bool]:
    """Return a rig's worker at a pool in lower case, None if it has none there, and whether the settings say so."""
    if settings.blocks and rig.rig.block not in settings.blocks:
        return None, False
    if settings.worker is not None:
        return worker_of(settings.worker, rig.rig, site), True
    if rig.rig.worker and not rig.rig.worker.endswith("*"):
        account, worker = split_login(rig.rig.worker.replace("{rig}", rig.rig.name))
        return (worker, True) if account == settings.account else (None, False)
    login = "" if rig.reading is None else _active(rig.reading.value.pools)
    account, worker = split_login(login)
    return (worker, False) if account == settings.account else (None, False)


def _homes(
    snapshot: SiteSnapshot, pools: Mapping[str, PoolState], lists: _Lists, site: str
) -> dict[_Home, list[RigSnapshot]]:
    """Return the rigs by their workers, at the pool where these have work, else where they are listed or expected."""
    homes: dict[_Home, list[RigSnapshot]] = defaultdict(list)
    for rig in snapshot.rigs:
        if rig.rig.discovered or not rig.mines_bitcoin:
            continue
        names: list[tuple[str, str]] = []
        home, highest = "", 0
        for pool, state in pools.items():
            worker, expected = _name(rig, state.settings, site)
            if worker is None:
                continue
            found = lists.of(pool, worker)
            rank = int(expected) if found is None else 3 if found.hashrate else 2
            if rank:
                names.append((pool, worker))
            if rank > highest:
                home, highest = pool, rank
        if highest:
            homes[_Home(home, tuple(names))].append(rig)
    return homes


def _done(meters: Sequence[_Meter | None], elapsed: float) -> Work | None:
    """Add up the work of the rigs of one worker. None unless all were watched, and ran, from end to end."""
    total: Work | None = None
    for meter in meters:
        if meter is None or not _WATCHED * elapsed <= meter.seconds <= elapsed / _WATCHED:
            return None
        if meter.uptime is not None and meter.uptime + _UPTIME_SLACK < elapsed:
            return None
        work = Work(elapsed, meter.expected, meter.spread, 0.0, meter.accepted if meter.counted else -1.0)
        total = work if total is None else total.beside(work)
    return total if total is not None and total.expected > 0 else None


def _subjects(rigs: Sequence[RigSnapshot], pool: str, *, comparable: bool) -> Iterator[Subject]:
    """Yield what the work of one worker is booked for. Rigs that share a worker are not judged apart.

    Work without a known error would make that of its block unknown.
    """
    if len(rigs) == 1:
        yield Subject(RIG, rigs[0].rig.name, pool)
    if comparable:
        blocks = {rig.rig.block for rig in rigs}
        if len(blocks) == 1:
            yield Subject(BLOCK, blocks.pop(), pool)
        yield Subject(SITE, "", pool)


def _slabs(rows: "array[float]") -> Iterator[tuple[float, Work]]:
    for index in range(0, len(rows), _ROW):
        start, *work = rows[index : index + _ROW]
        yield start, Work(*work)


def _with_work(rows: "array[float] | None", start: float, work: Work) -> "array[float]":
    """Return the slabs with ``work`` added to the one that begins at ``start``, and without those too old to count."""
    slabs = [(begun, each) for begun, each in _slabs(rows or array("d")) if 0 <= start - begun <= _OLDEST]
    if slabs and slabs[-1][0] == start:
        slabs[-1] = start, slabs[-1][1].plus(work)
    else:
        slabs.append((start, work))
    return array("d", [value for begun, each in slabs[-_KEPT_SLABS:] for value in (begun, *each)])


def _days(rows: "array[float] | None") -> list[DayCredit]:
    flat = rows or array("d")
    return [DayCredit(*flat[index : index + _DAY_ROW]) for index in range(0, len(flat), _DAY_ROW)]
