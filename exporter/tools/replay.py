"""Replays the history of a market with the decision code of the exporter, and adds up what each policy earns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Final, NamedTuple

from exporter.decision.conversion import net_sale
from exporter.decision.curtailment import restart_cost
from exporter.decision.dayplan.question import GroupKey, Setting, question, rig_groups
from exporter.decision.dayplan.settings import DayPlanSettings
from exporter.decision.dayplan.solve import solve
from exporter.decision.history import MarginHistory
from exporter.decision.latch import Latch
from exporter.decision.prospect import lease_value, repeated_value
from exporter.decision.settings import DecisionSettings
from exporter.decision.site import decide
from exporter.decision.values import Clock, DecisionState, SiteDecision, Verdict
from exporter.economics.ai import present_value, value_ai
from exporter.economics.market import ai_market
from exporter.economics.retarget import CONFIDENT_BLOCKS, EPOCH_BLOCKS, EPOCH_SECONDS
from exporter.economics.settings import SiteSettings
from exporter.economics.site import price_on
from exporter.economics.values import BlockEconomics, MarketEconomics, RigEconomics, SiteEconomics
from exporter.model.fleet import Block, Rig
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import PriceSlot, Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.model.units import DAYS_PER_YEAR, MONTHS_PER_YEAR, SECONDS_PER_DAY, kilowatts

_INTERVAL: Final = 3_600.0
"""Seconds between evaluations at most."""
_LEAST_STEP: Final = 1.0
_PLANNED_EVERY: Final = 6 * 3_600.0
"""Seconds between plans: what is planned further ahead than this is planned again before it happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPoint:
    """The market from ``time`` until the next point."""

    time: float  # unix seconds
    hashprice: float  # USD per PH/s and day
    power_price: float  # USD per kWh
    sale_price: float | None = None  # USD per kWh: what power can be sold at
    difficulty: float | None = None
    generated: bool = False  # fills a gap between observed points


@dataclass(frozen=True, slots=True, kw_only=True)
class RigGroup:
    """Rigs of the same model in one block."""

    block: str
    tariff: str = ""  # whose settings apply; the price is that of the history
    hashrate: float  # H/s, of all of them
    power: float  # W, of all of them
    rigs: int = 1  # how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Earnings:
    """USD by policy, since the start. A stop of a rig costs what its next start will."""

    always_mine: float = 0.0
    curtailed: float = 0.0  # following `curtail`, converting nothing
    planned: float | None = None  # following a day-ahead plan, converting nothing; None if no prices are known ahead
    curtail_right: float = 0.0  # the best stops and starts in hindsight, converting nothing
    followed: float = 0.0  # following `curtail` and `reassign`; a converted block never mines again
    foresight: float = 0.0  # the best in hindsight, each block converted at its best moment, or never


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the verdict of a block."""

    time: float
    block: str
    before: Verdict
    after: Verdict


@dataclass(frozen=True, slots=True)
class Step:
    """One point of the replay, for plots. ``earned`` is the total at the end of the point."""

    point: MarketPoint
    verdicts: tuple[Verdict, ...]  # of the blocks, in the order of the report
    earned: Earnings


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """The result of a replay. Perfect foresight is known only at the end."""

    blocks: tuple[str, ...]
    steps: tuple[Step, ...]
    changes: tuple[Change, ...]
    converted: tuple[tuple[str, float], ...]  # (block, unix seconds)
    earned: Earnings


def backtest(
    points: Sequence[MarketPoint],
    fleet: Sequence[RigGroup],
    blocks: Sequence[Block],
    settings: SiteSettings,
    decision_settings: DecisionSettings,
    *,
    known_ahead: float = 0.0,
) -> Backtest:
    """Replay the points in order. The last point only ends the replay.

    An evaluation takes place at each point, every hour, and whenever a verdict is due to change. It knows the points
    so far, the power prices of the next ``known_ahead`` seconds, and the next difficulty by the pace of the epoch's
    blocks, once 500 of them are found.
    """
    return _Replay(fleet, blocks, settings, decision_settings, known_ahead).run(points)


class _Epoch(NamedTuple):
    """Points with one difficulty. ``ratio`` is the next difficulty over it; 1 if that is not known."""

    ratio: float
    confident_from: float  # unix seconds


def _epochs(points: Sequence[MarketPoint]) -> list[_Epoch]:
    """Return the epoch of every point. Difficulties that change faster than any epoch are not retargets."""
    starts = [
        index for index, point in enumerate(points) if not index or point.difficulty != points[index - 1].difficulty
    ]
    epochs: list[_Epoch] = []
    for start, end in pairwise([*starts, len(points)]):
        known = points[start].difficulty
        following = points[end].difficulty if end < len(points) else None
        epoch = _Epoch(1.0, -inf)
        if known and following:
            length = points[end].time - points[start].time
            if length >= EPOCH_SECONDS / 4:
                epoch = _Epoch(following / known, points[start].time + length * CONFIDENT_BLOCKS / EPOCH_BLOCKS)
        epochs += [epoch] * (end - start)
    return epochs


class _Flow(NamedTuple):
    """What one group of rigs earns at one point, USD per day, and what a stop costs it, USD."""

    running: float
    stopped: float  # of energy that is sold or owed
    stop: float


class _Replay:
    """One replay: the state of the decision, and the earnings of each policy."""

    def __init__(
        self,
        fleet: Sequence[RigGroup],
        blocks: Sequence[Block],
        settings: SiteSettings,
        decision_settings: DecisionSettings,
        known_ahead: float,
    ) -> None:
        self._settings = settings
        self._known_ahead = known_ahead
        self._decision_settings = decision_settings.model_copy(
            update={"longest_gap": max(decision_settings.longest_gap, _INTERVAL)}
        )
        self._blocks = tuple(blocks)
        self._rigs = tuple(
            RigSnapshot(
                rig=Rig(
                    name=str(index),
                    address="",
                    block=group.block,
                    tariff=group.tariff,
                    algorithm=BITCOIN_ALGORITHM,
                    count=group.rigs,
                ),
                reading=Reading(RigReading(hashrate=group.hashrate, power=group.power), 0.0),
            )
            for index, group in enumerate(fleet)
        )
        self._tariffs = {group.tariff for group in fleet}
        self._sales = {settings.at(tariff)[1].resale_tariff or tariff for tariff in self._tariffs} - self._tariffs
        self._market = ai_market(value_ai(settings.ai))
        self._state = DecisionState()
        self._history = MarginHistory()
        self._books: dict[str, _Book] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._changes: list[Change] = []
        self._stopped = [False] * len(self._rigs)
        self._planner = _Planner(settings, self._decision_settings, len(self._rigs)) if known_ahead else None

    def run(self, points: Sequence[MarketPoint]) -> Backtest:
        steps: list[Step] = []
        for index, (epoch, (point, following)) in enumerate(zip(_epochs(points), pairwise(points), strict=False)):
            self._replay(point, following.time, epoch, self._slots(points, index))
            steps.append(Step(point, tuple(self._verdicts.values()), self._earned()))
        return Backtest(
            blocks=tuple(self._verdicts),
            steps=tuple(steps),
            changes=tuple(self._changes),
            converted=tuple((name, book.converted) for name, book in self._books.items() if book.converted is not None),
            earned=self._earned(),
        )

    def _slots(self, points: Sequence[MarketPoint], index: int) -> tuple[PriceSlot, ...]:
        """Return the power prices that are known at a point: of the slot in force, and of those ahead."""
        slots: list[PriceSlot] = []
        known_until = points[index].time + self._known_ahead
        while index + 1 < len(points) and points[index].time < known_until:
            slots.append(PriceSlot(points[index].time, points[index + 1].time, points[index].power_price))
            index += 1
        return tuple(slots)

    def _replay(self, point: MarketPoint, until: float, epoch: _Epoch, slots: tuple[PriceSlot, ...]) -> None:
        """Replay one point: evaluate, then add up the earnings until the next evaluation."""
        now = point.time
        while now < until:
            market = replace(
                self._market,
                hashprice_usd=point.hashprice,
                payout_usd=point.hashprice,
                forward_payout_usd=point.hashprice / epoch.ratio,
                retarget_confident=now >= epoch.confident_from,
            )
            economics, snapshot = self._price(market, point, slots, now)
            decision = self._decide(economics, snapshot, now)
            if self._planner is not None:
                self._planner.look(snapshot, economics, decision)
            hour = point.time + ((now - point.time) // _INTERVAL + 1) * _INTERVAL
            following = min(until, hour, now + max(self._due(economics), _LEAST_STEP))
            self._earn(economics, (following - now) / SECONDS_PER_DAY)
            now = following

    def _price(
        self, market: MarketEconomics, point: MarketPoint, slots: tuple[PriceSlot, ...], now: float
    ) -> tuple[SiteEconomics, SiteSnapshot]:
        price = TariffPrice(point.power_price, ahead=slots)
        sale = price if point.sale_price is None else TariffPrice(point.sale_price)  # else it sells for what it costs
        snapshot = SiteSnapshot(
            taken_at=now,
            rigs=self._rigs,
            blocks=self._blocks,
            tariffs=dict.fromkeys(self._tariffs, price) | dict.fromkeys(self._sales, sale),
        )
        return price_on(market, snapshot, self._settings), snapshot

    def _decide(self, economics: SiteEconomics, snapshot: SiteSnapshot, now: float) -> SiteDecision:
        decision, self._state, self._history = decide(
            self._state, snapshot, economics, self._history, self._settings, self._decision_settings
        )
        for block, summed in zip(decision.blocks, economics.blocks, strict=True):
            verdict = block.verdict or Verdict.UNKNOWN
            if block.name not in self._books:
                self._books[block.name] = self._book(summed)
            book = self._books[block.name]
            if book.converted is not None:
                continue
            before = self._verdicts.get(block.name)
            if before is not None and before is not verdict:
                self._changes.append(Change(now, block.name, before, verdict))
            self._verdicts[block.name] = verdict
            if verdict is Verdict.REASSIGN:
                book.converted = now
        return decision

    def _due(self, economics: SiteEconomics) -> float:
        """Return the seconds until a verdict changes, if all stays as it is."""
        settings = self._decision_settings
        stop = settings.stop_intervals * settings.curtail_interval
        resume = settings.resume_intervals * settings.curtail_interval
        due = inf
        for rig, priced in zip(self._rigs, economics.rigs, strict=True):
            clock = self._state.rigs[rig.rig.name]
            due = min(
                due,
                _left(clock.curtail, resume if clock.curtail.on else stop),
                _until(clock, _flow(rig, priced, settings)),
            )
        for clock in self._state.blocks.values():
            dwell = settings.reassign_clear_after if clock.reassign.on else settings.reassign_after
            due = min(due, _left(clock.reassign, dwell))
        return due

    def _book(self, economics: BlockEconomics) -> "_Book":
        """Open the book of a block."""
        rigs = [rig for rig in self._rigs if rig.rig.block == economics.name]
        share = sum(block.convertible_share for block in self._blocks if block.name == economics.name)
        per_kilowatt = _annuity(self._settings, economics)
        watts = economics.conversion_power or 0.0
        return _Book(
            rigs=len(rigs),
            share=0.0 if per_kilowatt is None else share,
            ai=(per_kilowatt or 0.0) / DAYS_PER_YEAR * kilowatts(watts),
            sale=net_sale(rigs, self._decision_settings),
            ending=economics.ending_cost or 0.0,
        )

    def _earn(self, economics: SiteEconomics, days: float) -> None:
        flows: dict[str, list[tuple[_Flow, float]]] = {name: [] for name in self._books}
        planned: dict[str, float] = dict.fromkeys(self._books, 0.0)
        for index, (rig, priced) in enumerate(zip(self._rigs, economics.rigs, strict=True)):
            flow = _flow(rig, priced, self._decision_settings)
            stops = self._state.rigs[rig.rig.name].curtail.on
            followed = (flow.stopped if stops else flow.running) * days
            if stops and not self._stopped[index]:
                followed -= flow.stop
            self._stopped[index] = stops
            flows[rig.rig.block].append((flow, followed))
            if self._planner is not None:
                planned[rig.rig.block] += self._planner.earned(index, flow, days)
        for name, book in self._books.items():
            book.add(flows[name], days)
            book.planned += planned[name] - book.ending * days

    def _earned(self) -> Earnings:
        books = self._books.values()
        return Earnings(
            always_mine=sum(book.always_mine for book in books),
            curtailed=sum(book.curtailed for book in books),
            planned=None if self._planner is None else sum(book.planned for book in books),
            curtail_right=sum(book.curtail_right for book in books),
            followed=sum(book.followed for book in books),
            foresight=sum(book.foresight for book in books),
        )


class _Planner:
    """Follows a plan that is made anew every few hours, of the prices known by then and the hashprice of the moment."""

    def __init__(self, settings: SiteSettings, decision_settings: DecisionSettings, rigs: int) -> None:
        self._setting = Setting(
            site_settings=settings, decision=decision_settings, plan=decision_settings.day_plan or DayPlanSettings()
        )
        self._timetable: dict[int, list[tuple[float, float, bool]]] = {}  # by rig: from, until, on
        self._made: float | None = None
        self._on = [True] * rigs
        self._stopped = [False] * rigs
        self._since = [-inf] * rigs

    def look(self, snapshot: SiteSnapshot, economics: SiteEconomics, decision: SiteDecision) -> None:
        """Plan if it is time, and apply the plan of this moment. Rigs that are not planned go on as they are."""
        now = snapshot.taken_at
        if self._made is None or now - self._made >= _PLANNED_EVERY:
            self._plan(snapshot, economics, decision)
        for index, hours in self._timetable.items():
            on = next((on for begin, end, on in hours if begin <= now < end), self._on[index])
            if on is not self._on[index]:
                self._on[index], self._since[index] = on, now

    def _plan(self, snapshot: SiteSnapshot, economics: SiteEconomics, decision: SiteDecision) -> None:
        asked = question(snapshot, economics, decision, self._setting)
        if asked is None:
            return
        self._made = snapshot.taken_at
        rigs, _ = rig_groups(snapshot, economics, decision, snapshot.tariffs, self._setting)
        members = [rigs[GroupKey(group.block, group.name)].indices for group in asked.problem.groups]
        groups = tuple(
            replace(group, now=int(self._on[first]), since=snapshot.taken_at - self._since[first])
            for group, (first, *_) in zip(asked.problem.groups, members, strict=True)
        )
        plan = solve(replace(asked.problem, groups=groups))
        for indices, choices in zip(members, plan.choices, strict=True):
            hours = [
                (slot.start, slot.end, choice > 0) for slot, choice in zip(plan.problem.slots, choices, strict=True)
            ]
            self._timetable |= dict.fromkeys(indices, hours)

    def earned(self, index: int, flow: "_Flow", days: float) -> float:
        """Return what following the plan earns on one group of rigs, USD."""
        on = self._on[index]
        earned = (flow.running if on else flow.stopped) * days
        if not on and not self._stopped[index]:
            earned -= flow.stop
        self._stopped[index] = not on
        return earned


def _flow(rig: RigSnapshot, priced: RigEconomics, settings: DecisionSettings) -> _Flow:
    running, opportunity = priced.potential_margin or 0.0, priced.opportunity_margin or 0.0
    return _Flow(running, running - opportunity, restart_cost(settings, priced.potential_revenue or 0.0, rig.rig.count))


def _left(latch: Latch, dwell: float) -> float:
    return inf if latch.evidence is None else dwell - latch.evidence


def _until(clock: Clock, flow: _Flow) -> float:
    """Return the seconds until the regret of not having stopped, or resumed, is worth a start; infinite if it is."""
    loss = (flow.running - flow.stopped) * (1 if clock.curtail.on else -1) / SECONDS_PER_DAY
    left = flow.stop - clock.regret
    return left / loss if left > 0 and loss > 0 else inf


def _annuity(settings: SiteSettings, economics: BlockEconomics) -> float | None:
    """Return what a converted kW earns per year: V as a perpetual annuity, paid in the middle of each month."""
    value, own = value_ai(settings.ai), economics.ai_value_per_kilowatt_year
    if value is None or own is None:
        return None
    if value.lease is None:
        return own
    lease = value.lease
    worth = lease_value(lease) + (own - value.per_kilowatt_year) / value.recovery
    repeated = repeated_value(worth, lease.rate, lease.months + lease.years * MONTHS_PER_YEAR)
    return MONTHS_PER_YEAR * repeated * (1 - present_value(lease.rate, 1)) / present_value(lease.rate, 0.5)


class _Book:
    """The earnings of one block by policy. Its figures are USD since the start; ``ai`` and ``ending`` are per day."""

    def __init__(self, *, rigs: int, share: float, ai: float, sale: float, ending: float) -> None:
        self.converted: float | None = None  # unix seconds
        self.always_mine = self.curtailed = self.followed = self.planned = 0.0
        self._share = share
        self._ai = ai * share
        self._sale = sale * share
        self.ending = ending
        self._paid = 0.0  # of the costs that end at the conversion
        self._best = [(0.0, -inf)] * rigs  # in hindsight, by group: if it runs now, and if it is stopped
        self._best_converted = -inf  # in hindsight, of the convertible share
        self._sold = False

    def add(self, flows: Sequence[tuple[_Flow, float]], days: float) -> None:
        """Add a time with these flows of its groups, and what following the verdicts earned on each (USD)."""
        before = self.curtail_right
        followed = sum(earned for _, earned in flows) - self.ending * days
        self.always_mine += (sum(flow.running for flow, _ in flows) - self.ending) * days
        self.curtailed += followed
        if self.converted is None:
            self.followed += followed
        else:
            self.followed += (1 - self._share) * followed + self._ai * days
            if not self._sold:
                self.followed += self._sale
                self._sold = True
        for index, (flow, _) in enumerate(flows):
            runs, stopped = self._best[index]
            self._best[index] = (
                max(runs, stopped) + flow.running * days,
                max(stopped, runs - flow.stop) + flow.stopped * days,
            )
        self._paid += self.ending * days
        if self._share:
            self._best_converted = max(self._best_converted, self._share * before + self._sale) + self._ai * days

    @property
    def curtail_right(self) -> float:
        """With the best stops in hindsight."""
        return sum(max(pair) for pair in self._best) - self._paid

    @property
    def foresight(self) -> float:
        """With the best stops and the best moment to convert, if any, in hindsight."""
        right = self.curtail_right
        return (1 - self._share) * right + max(self._share * right, self._best_converted)
