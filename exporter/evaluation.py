"""One evaluation: from what the pollers know to a publication, at each interval."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

import structlog

from exporter import compliance_state
from exporter.background import Background
from exporter.day_plans import DayPlans
from exporter.decision.backfill import with_recorded
from exporter.decision.dayplan.question import Question as PlanQuestion
from exporter.decision.dayplan.timetable import Timetable
from exporter.decision.dayplan.worth import Worth
from exporter.decision.explain import Case, Explanation, explain
from exporter.decision.history import BlockHour, MarginHistory
from exporter.decision.model_curves import ModelCurves
from exporter.decision.point_lines import point_lines
from exporter.decision.pool_work import PoolState, PoolWork
from exporter.decision.prospect import Outlook, Question, question
from exporter.decision.setpoints import Choices, site_setpoints
from exporter.decision.site import decide
from exporter.decision.values import SiteDecision
from exporter.economics.compliance import Delivered, ObligationStatus, Scope, follow, measured_power, resolve
from exporter.economics.curves import CurveBook
from exporter.economics.metering import Metered, metered_power, with_metered_power
from exporter.economics.settlement import NONE_DATED, Settlement, capacity_income, settlement
from exporter.economics.shed import share_of, shed
from exporter.economics.site import price_site
from exporter.economics.values import SiteEconomics
from exporter.exposition.publication import LatestPublication, Publication
from exporter.exposition.render import Renderer
from exporter.exposition.views import PlanView, Shard, SiteView
from exporter.loop_first import LoopFirst
from exporter.model.obligations import ObligationKind, SiteObligations
from exporter.model.readings import DatedPositions, ExpectedOff, GpuReading, MeterReading, Reading
from exporter.model.snapshot import SiteSnapshot
from exporter.model.units import WATTS_PER_KILOWATT, kilowatts
from exporter.polling.downtime import Downtime
from exporter.polling.ledger import EnergyCounter
from exporter.polling.market import Market, SourceName, SourceRoom
from exporter.polling.overhead import OverheadCheck
from exporter.polling.rigs import RigPoller
from exporter.polling.standing import StaleSettings, expected_off, site_obligations
from exporter.polling.tariffs import next_boundary, tariff_prices
from exporter.polling.unmatched import UnmatchedReports
from exporter.settings.model import Settings
from exporter.settings.sources import (
    AI_PRICES,
    BITCOIN,
    EXPECTED_OFF,
    GPUS,
    LOADS,
    METERS,
    NETWORK,
    OBLIGATIONS,
    POOLS,
    POSITIONS,
    TARIFFS,
    documents,
    sources,
)
from exporter.site_change import SiteChange
from exporter.site_peaks import SitePeaks
from exporter.sources.expected_off import ExpectedOffSettings
from exporter.sources.obligations import ObligationSettings
from exporter.sources.pools import PoolSettings
from exporter.state import LIST_SIZES, PLAN_WORTH, State, document
from exporter.steady_clock import SLEW, SteadyClock, suspended_seconds
from exporter.telemetry import Telemetry

T = TypeVar("T")
ReportT = TypeVar("ReportT", MeterReading, ExpectedOff)

_log = structlog.get_logger(__name__)

_SHORTEST_REST: Final = 0.5
"""Seconds between evaluations at least, however often a price changes."""

_OUTLOOK_INTERVAL: Final = 3_600.0  # s
_LONGEST_GAP: Final = 60.0
_MISSED: Final = 3
"""Power is taken to have gone on over a minute, or over this many evaluations that were missed."""

_GRACE: Final = 0.02
"""Seconds to wait after a price change: a sleep may end slightly early."""


class Evaluator:
    """Evaluates the site at each interval: snapshot, economics, decision, publication."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        market: Market,
        rigs: RigPoller,
        state: State,
        clock: SteadyClock,
        save_energy: Callable[[Mapping[str, EnergyCounter]], Awaitable[bool]],
    ) -> None:
        """Start the sources of ``settings`` in ``market``. The decision and the history continue from ``state``.

        ``clock`` follows the system clock before each evaluation; ``market`` and ``rigs`` use it too.
        ``save_energy`` is awaited with the energy counters of all rigs, and returns whether they may be served.
        """
        self.latest = LatestPublication()
        self.outlooks: Background[Question, Outlook] = Background(
            "outlook", _OUTLOOK_INTERVAL, telemetry.outlook_failures
        )
        self.day_plans = DayPlans(telemetry, state.reading(PLAN_WORTH, Worth))
        self.day_plans.apply(settings.decision, changed=False)
        self.settings = settings
        self.reloaded = asyncio.Event()
        self._telemetry = telemetry
        self._market = market
        self._rigs = rigs
        self._curves = CurveBook()
        self._choices = Choices()
        self._model_curves = ModelCurves()
        self._blocks = settings.served_blocks
        self._pause = LoopFirst(asyncio.get_running_loop())
        self._renderer = Renderer(settings.exposition, telemetry.registry, self._pause)
        self._decision = state.decision
        self._history = state.history
        self._pool_work = PoolWork(state.pool_work)
        self._recorded: dict[str, list[BlockHour]] = {}
        self._overhead = OverheadCheck(telemetry)
        self._large_feeders: set[str] = set()
        self._unmatched = UnmatchedReports(telemetry, settings.rigs, settings.fleet_blocks)
        self._clock = clock
        self._save_energy = save_energy
        self._energy = {
            name: EnergyCounter(memory.energy, memory.last_success)
            for name, memory in state.rigs.items()
            if memory.energy is not None
        }
        self._compliance = compliance_state.remembered(state)
        self._peaks = SitePeaks(state)
        self._change = SiteChange(state)
        self._settlement = Settlement()
        self._priced: tuple[SiteSnapshot, SiteEconomics] | None = None
        self._obligations = SiteObligations()
        self._failing = False
        self._snapshot_at = 0.0
        self._list_sizes = _list_sizes(settings)
        market.replace(sources(settings))
        rigs.learn_points(settings.points)
        read = max((memory.last_success or 0.0 for memory in state.rigs.values()), default=0.0)
        if (step := clock() - read) < -SLEW:  # the system clock was set back since the last process
            self._shift(step)

    def apply(self, settings: Settings) -> None:
        """Switch to new settings. Rigs and sources that are still configured keep their readings."""
        self._rigs.replace(settings.served_rigs, settings.schedules)
        self._rigs.learn_points(settings.points)
        self._market.replace(sources(settings))
        self._blocks = settings.served_blocks
        self._renderer = Renderer(settings.exposition, self._telemetry.registry, self._pause)
        self._unmatched.replace(settings.rigs, settings.fleet_blocks)
        self._list_sizes = _list_sizes(settings)
        changed = (settings.site_settings, settings.decision) != (self.settings.site_settings, self.settings.decision)
        if changed:
            self.outlooks.forget()
        self.day_plans.apply(settings.decision, changed=changed)
        self.settings = settings
        self.reloaded.set()

    @property
    def history(self) -> MarginHistory:
        """The history of all blocks after the last evaluation."""
        return self._history

    def add_recorded_hours(self, block: str, hours: Iterable[BlockHour]) -> None:
        """Take hours of a block that were recorded elsewhere; the next evaluation adds those that are missing."""
        self._recorded.setdefault(block, []).extend(hours)

    def explain(self, view: SiteView, rig: str) -> Explanation | None:
        """Explain the verdict of a rig in ``view``. None if the view has no rig of this name."""
        case = Case(
            snapshot=view.snapshot,
            economics=view.economics,
            decision=view.decision,
            settings=self.settings.site_settings,
            decision_settings=self.settings.decision,
        )
        explanation = explain(case, rig)
        known = next((each for each in view.rigs if each.snapshot.rig.name == rig), None)
        if explanation is None or known is None or known.setpoint is None or known.curve is None:
            return explanation
        return replace(explanation, lines=(*explanation.lines, *point_lines(known.setpoint, known.curve)))

    async def run(self) -> None:
        """Evaluate at each interval until cancelled. A failed evaluation is counted, and the next one runs as usual."""
        before = None
        while True:
            started, first_round_over = time.monotonic(), self._rigs.first_round.is_set()
            if before is not None:
                late = max(0.0, started - before - self.settings.evaluation_interval)
                self._telemetry.evaluation_lateness.set(late)
            before = started
            try:
                await self._evaluate()
            except Exception:  # noqa: BLE001 -- the next evaluation may succeed, and rigs are still being read
                self._telemetry.evaluation_failures.inc()
                if not self._failing:
                    _log.exception("evaluation failed: this is a bug, please report it with this line")
                self._failing = True
            else:
                self._failing = False
                self._telemetry.evaluation_duration.set(time.monotonic() - started)
            await self._sleep(self._rest(time.monotonic() - started), first_round_over=first_round_over)

    async def _sleep(self, seconds: float, *, first_round_over: bool) -> None:
        """Sleep, but end early when the first round of polls is over: the site becomes ready with its readings."""
        if first_round_over:
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rigs.first_round.wait()

    def _rest(self, spent: float) -> float:
        """Seconds until the next evaluation: at the end of the interval, or when a price or obligation changes.

        At least as long as the last one took: on a busy machine evaluations become rarer, and polls do not.
        """
        due = max(spent, self.settings.evaluation_interval - spent)
        boundaries = (
            next_boundary(self._market.latest(TARIFFS), self._snapshot_at),
            self._obligations.next_boundary(self._snapshot_at),
        )
        known = [boundary for boundary in boundaries if boundary is not None]
        return min([due, *(max(_SHORTEST_REST, boundary + _GRACE - self._clock()) for boundary in known)])

    async def _evaluate(self) -> None:
        """Take a snapshot in the event loop, where the pollers run, and evaluate it in a worker thread."""
        if step := self._clock.follow():
            self._shift(step)
        self._snapshot_at, suspended = self._clock(), suspended_seconds()
        recorded, self._recorded = self._recorded, {}
        whole = self._rigs.first_round.is_set()
        snapshot = await self._with_saved_energy(await self._take_snapshot(self._snapshot_at))
        pools = self._pools(self._snapshot_at)
        publication, metered = await asyncio.to_thread(self._render, snapshot, recorded, pools, whole=whole)
        slept = suspended_seconds() - suspended
        if slept > self.settings.evaluation_interval:  # what was known before is old now
            return
        await asyncio.to_thread(self.latest.publish, publication)
        if whole:  # before, most rigs would be missing from an answer that stands for up to an hour
            await self._ask(publication.view)
        self._rigs.metered = metered.rigs
        found = self._all_names(snapshot)
        self._count_unmatched(METERS, snapshot.taken_at, metered, found)
        self._count_unmatched(EXPECTED_OFF, snapshot.taken_at, metered, found)
        self._overhead.export([each for each in publication.view.economics.overheads if each.plausible])

    async def _ask(self, view: SiteView) -> None:
        """Ask the background workers what is due."""
        if self.outlooks.due:
            asked = await asyncio.to_thread(self._question, view)
            if asked is not None:
                self.outlooks.ask(asked)
        plan_of = await asyncio.to_thread(self._consider, view)
        if plan_of is not None:
            self.day_plans.ask(plan_of)

    def _shift(self, seconds: float) -> None:
        """Keep the age of everything when the system clock was set."""
        _log.warning("the system clock was set: ages and verdicts go on as before", seconds=round(seconds, 1))
        self._market.shift(seconds)
        self._rigs.shift(seconds)
        self.outlooks.forget()
        self.day_plans.background.forget()
        self._decision = self._decision.shifted(seconds)
        self._pool_work.shift(seconds)
        self._compliance = self._compliance.shifted(seconds)
        self._peaks.shift(seconds)
        self._change.shift(seconds)
        if self._history.observed_at is not None:
            self._history = replace(self._history, observed_at=self._history.observed_at + seconds)

    def _count_unmatched(
        self, room: SourceRoom[ReportT], now: float, metered: Metered, found: Collection[str] | None
    ) -> None:
        fresh = self._market.fresh(room, now)
        for name in self._market.latest(room):
            reading = fresh.get(name)
            value = None if reading is None else reading.value
            self._unmatched.judge(str(SourceName(room.label, name)), value, metered.disbelieved, found)

    async def _take_snapshot(self, now: float) -> SiteSnapshot:
        """Take a snapshot in which the rigs that an obligation leaves no power for are expected to be off."""
        self._obligations = self._owed(now)
        obligations = resolve(self._obligations, self._compliance, self._baselines, now)
        ready = {
            name: source.on_stale
            for name, source in self.settings.expected_off.items()
            if isinstance(source, ExpectedOffSettings)
        }
        off, known = expected_off(self._market.latest(EXPECTED_OFF), ready, now)
        unknown = obligations.unclear_blocks(now) if known else None
        if not any(each.cap is not None and each.holds(now) for each in obligations.listed):
            return self._snapshot(now, Downtime(off, unknown=unknown), obligations)
        before = self._priced
        first = self._snapshot(now, Downtime(off), obligations) if before is None else None
        rigs = await asyncio.to_thread(self._shed, before, first, obligations)
        return self._snapshot(now, Downtime(off, rigs, unknown), obligations)

    async def _with_saved_energy(self, snapshot: SiteSnapshot) -> SiteSnapshot:
        """Save the energy counters before they are served. Where that is not possible, those saved last are served."""
        counters = await asyncio.to_thread(self._counters, snapshot)
        if await self._save_energy(counters):
            self._energy = counters
            return snapshot
        return await asyncio.to_thread(self._with_former_energy, snapshot)

    def _counters(self, snapshot: SiteSnapshot) -> dict[str, EnergyCounter]:
        return self._energy | {
            rig.rig.name: EnergyCounter(rig.energy, rig.last_success, rig.energy_power)
            for rig in snapshot.rigs
            if rig.energy is not None
        }

    def _with_former_energy(self, snapshot: SiteSnapshot) -> SiteSnapshot:
        former = {name: counter.joules for name, counter in self._energy.items()}
        rigs = (rig if rig.energy is None else replace(rig, energy=former.get(rig.rig.name)) for rig in snapshot.rigs)
        return replace(snapshot, rigs=tuple(rigs))

    def _owed(self, now: float) -> SiteObligations:
        """Return what all sources of obligations say."""
        latest = self._market.latest(OBLIGATIONS)
        if not latest:
            return SiteObligations()
        configured = self._obligation_settings
        stale = {name: StaleSettings(source.on_stale, source.blocks) for name, source in configured.items()}
        return site_obligations(latest, stale, now)

    @property
    def _obligation_settings(self) -> dict[str, ObligationSettings]:
        found = self.settings.obligations.items()
        return {name: source for name, source in found if isinstance(source, ObligationSettings)}

    @property
    def _baselines(self) -> dict[str, float]:
        """The configured baselines in watts, by source."""
        return {
            name: source.baseline_kilowatts * WATTS_PER_KILOWATT
            for name, source in self._obligation_settings.items()
            if source.baseline_kilowatts is not None
        }

    def _shed(
        self,
        before: tuple[SiteSnapshot, SiteEconomics] | None,
        first: SiteSnapshot | None,
        obligations: SiteObligations,
    ) -> dict[str, ObligationKind]:
        """Choose the rigs that should be off, by the last evaluation, or by a ``first`` snapshot if there was none."""
        settings = self.settings
        if before is None:
            assert first is not None  # noqa: S101 -- for mypy
            before = first, price_site(first, settings.site_settings)
        snapshot, economics = before
        share = share_of([rig.rig for rig in snapshot.rigs], settings.rigs) if settings.sharding.total_shards > 1 else 1
        return shed(snapshot, economics, obligations.listed, self._snapshot_at, share)

    def _snapshot(self, now: float, downtime: Downtime, obligations: SiteObligations) -> SiteSnapshot:
        tariffs = tariff_prices(self._market.latest(TARIFFS), now)
        unpriced = {SourceName(TARIFFS.label, name) for name in self.settings.tariffs if name not in tariffs}
        self._market.export_usable(now, unpriced)
        return SiteSnapshot(
            taken_at=now,
            rigs=self._rigs.snapshots(now, downtime),
            blocks=self._blocks,
            network=self._only(NETWORK, now),
            bitcoin_price=self._only(BITCOIN, now),
            tariffs=tariffs,
            gpus=_joined(self._values(GPUS, now)),
            meters=tuple(map(self._of_this_shard, self._values(METERS, now))),
            ai_prices={name: reading.value for name, reading in self._market.fresh(AI_PRICES, now).items()},
            obligations=obligations,
            positions=self._dated_positions(now),
            system_loads={name: reading.value for name, reading in self._market.fresh(LOADS, now).items()},
        )

    def _dated_positions(self, now: float) -> DatedPositions | None:
        if self.settings.settlement is None or self.settings.settlement.by_date is None:
            return NONE_DATED
        reading = self._only(POSITIONS, now)
        return None if reading is None else reading.value

    def _of_this_shard(self, meter: MeterReading) -> MeterReading:
        """Leave out the whole site's meters if other shards have rigs behind them."""
        if self.settings.sharding.total_shards == 1 or not (meter.feeders or meter.utilities):
            return meter
        feeders, utilities = ({name: each[name] for name in each if name} for each in (meter.feeders, meter.utilities))
        return replace(meter, feeders=feeders, utilities=utilities)

    def _all_names(self, snapshot: SiteSnapshot) -> Collection[str] | None:
        """Return the names of all rigs of the site; None if this exporter does not know all of them, or not yet."""
        alone = self.settings.sharding.total_shards == 1
        return {rig.rig.name for rig in snapshot.rigs} if alone and self._rigs.first_round.is_set() else None

    def _pools(self, now: float) -> dict[str, PoolState]:
        fresh = self._market.fresh(POOLS, now)
        return {
            name: PoolState(settings.account_settings, fresh.get(name))
            for name, settings in self.settings.pools.items()
            if isinstance(settings, PoolSettings)
        }

    def _values(self, room: SourceRoom[T], now: float) -> list[T]:
        return [reading.value for reading in self._market.fresh(room, now).values()]

    def _only(self, room: SourceRoom[T], now: float) -> Reading[T] | None:
        return next(iter(self._market.fresh(room, now).values()), None)

    def _question(self, view: SiteView) -> Question | None:
        settings = self.settings
        return question(
            view.snapshot, view.economics, self._history, settings.site_settings, settings.decision, self._decision
        )

    def _consider(self, view: SiteView) -> PlanQuestion | None:
        settings = self.settings
        return self.day_plans.consider(
            view.snapshot, view.economics, view.decision, settings.site_settings, settings.decision, view.setpoints
        )

    def _render(
        self,
        snapshot: SiteSnapshot,
        recorded: Mapping[str, list[BlockHour]],
        pools: Mapping[str, PoolState],
        *,
        whole: bool,
    ) -> tuple[Publication, Metered]:
        settings = self.settings
        if recorded:
            self._history = with_recorded(self._history, recorded, snapshot.taken_at, settings.decision.history)
        metered = metered_power(snapshot)
        snapshot = with_metered_power(snapshot, metered)
        if settings.peaks:
            tariffs = {rig.rig.tariff for rig in snapshot.rigs}
            costs = self._peaks.surcharges(settings.peaks, snapshot.system_loads, snapshot.taken_at, tariffs)
            snapshot = replace(snapshot, surcharges=costs)
        self._pause()
        curves = self._curves.curves(snapshot, settings.site_settings)
        self._pause()
        economics = price_site(snapshot, settings.site_settings, curves)
        self._pause()
        self._priced = snapshot, economics
        wrong = frozenset(each.block for each in economics.overheads if not each.plausible)
        metered = metered._replace(disbelieved=replace(metered.disbelieved, totals=wrong))
        too_low = frozenset(each.block for each in economics.overheads if each.contradicts_rigs)
        statuses = self._comply(snapshot, economics, too_low)
        self._settle(snapshot, economics, too_low)
        outlook = self.outlooks.latest(snapshot.taken_at)
        forecasts = {} if outlook is None else {forecast.block: forecast.verdict for forecast in outlook.blocks}
        decision, self._decision, self._history = decide(
            self._decision, snapshot, economics, self._history, settings.site_settings, settings.decision, forecasts
        )
        self._warn_of_large_feeders(decision)
        self._pause()
        shard = Shard(settings.sharding.shard, settings.sharding.total_shards)
        plan = self.day_plans.background.latest(snapshot.taken_at)
        reconciliation = self._pool_work.observe(
            snapshot,
            pools,
            economics.market,
            settings.economics,
            site=settings.site,
            longest_gap=settings.decision.longest_gap,
        )
        self._pause()
        setpoints = site_setpoints(snapshot, economics, decision, curves, settings.site_settings, self._choices)
        view = SiteView(
            snapshot=snapshot,
            economics=economics,
            decision=decision,
            setpoints=setpoints,
            model_curves=self._model_curves.curves(snapshot, setpoints),
            contracts=settings.site_settings.contracts,
            shard=shard,
            plan=None
            if plan is None
            else PlanView(timetable=Timetable(plan=plan, now=snapshot.taken_at), worth=self.day_plans.worth),
            reconciliation=reconciliation,
            obligations=statuses,
            compliance=self._compliance,
            peaks=self._peaks.priced,
            settlement=self._settlement,
            change=self._change.observe(snapshot, economics) if whole else None,
        )
        return self._renderer.render(view), metered

    def _warn_of_large_feeders(self, decision: SiteDecision) -> None:
        for block in decision.blocks:
            if block.large_feeder and block.name not in self._large_feeders:
                self._large_feeders.add(block.name)
                _log.warning(
                    "capacity_kilowatts of a block is far above what its meters ever showed, and AI hosting is valued "
                    "on all of it: check that the feeder can carry that",
                    block=block.name,
                    highest_metered_kilowatts=round(kilowatts(block.highest_metered or 0.0), 1),
                )

    def _comply(
        self, snapshot: SiteSnapshot, economics: SiteEconomics, wrong: frozenset[str]
    ) -> tuple[ObligationStatus, ...]:
        """Compare what is drawn with what is owed. Nothing is measured while no obligation is configured.

        Meters of the blocks in ``wrong`` are not used, and no power of the whole site if other shards have its rigs.
        """
        settings = self.settings
        alone = settings.sharding.total_shards == 1

        def measure(scope: Scope) -> Delivered | None:
            known = scope or alone
            return measured_power(snapshot, economics, settings.site_settings, scope, wrong) if known else None

        if not settings.obligations and not self._compliance.open:
            return ()
        result = follow(
            self._compliance,
            self._obligations,
            measure,
            snapshot.taken_at,
            settings.compliance,
            baselines=self._baselines,
            scopes={source.blocks for source in self._obligation_settings.values()},
            longest_gap=max(_LONGEST_GAP, _MISSED * settings.evaluation_interval),
        )
        self._compliance = result.memory
        return result.statuses

    def _settle(self, snapshot: SiteSnapshot, economics: SiteEconomics, wrong: frozenset[str]) -> None:
        """Note what peaks and the day-ahead position have to do with the power that the whole site draws now."""
        settings, now = self.settings, snapshot.taken_at
        income = capacity_income(snapshot.obligations.listed, now) if settings.obligations else None
        if not settings.peaks and settings.settlement is None:
            self._peaks.priced, self._settlement = (), Settlement(capacity=income)
            return
        alone = settings.sharding.total_shards == 1
        power = measured_power(snapshot, economics, settings.site_settings, (), wrong) if alone else None
        drawn = None if power is None else power.watts
        running = sum(rig.potential_power or 0.0 for rig in economics.rigs)
        gap = max(_LONGEST_GAP, _MISSED * settings.evaluation_interval)
        self._peaks.observe(settings.peaks, snapshot.system_loads, now, (drawn, running), gap)
        prices = {name: tariff.price for name, tariff in snapshot.tariffs.items()}
        self._settlement = settlement(settings.settlement, prices, drawn, income, now, snapshot.positions)

    def state(self) -> State:
        """Collect what a restart keeps."""
        now = self._clock()
        return State(
            rigs=self._rigs.memories(now),
            documents=documents(self._market.fresh_all(now), self.settings)
            | {LIST_SIZES: self._list_sizes, PLAN_WORTH: document(Reading(self.day_plans.kept, now))}
            | compliance_state.documents(self._compliance)
            | self._peaks.documents(now)
            | self._change.documents(),
            decision=self._decision,
            history=self._history,
            pool_work=self._pool_work.books,
        )


def _list_sizes(settings: Settings) -> Reading[str]:
    """Return the sizes of the inventory's lists for the state file, which a later start is compared with."""
    return document(Reading(settings.list_sizes, time.time()))


def _joined(parts: Iterable[tuple[GpuReading, ...]]) -> tuple[GpuReading, ...]:
    """Join the GPUs of all endpoints. A GPU that two endpoints report is counted once."""
    return tuple({gpu.gpu: gpu for part in parts for gpu in part}.values())
