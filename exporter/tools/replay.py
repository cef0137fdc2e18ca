"""Replays the history of a market with the decision code of the exporter, and adds up the earnings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from exporter.decision.history import MarginHistory
from exporter.decision.settings import DecisionSettings
from exporter.decision.site import decide
from exporter.decision.values import DecisionState, SiteDecision, Verdict
from exporter.economics.ai import value_ai
from exporter.economics.market import ai_market
from exporter.economics.settings import SiteSettings
from exporter.economics.site import price_on
from exporter.economics.values import MarketEconomics, SiteEconomics
from exporter.model.fleet import Block, Rig
from exporter.model.readings import Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.model.units import DAYS_PER_YEAR, SECONDS_PER_DAY, kilowatts


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPoint:
    """The market from ``time`` until the next point."""

    time: float  # unix seconds
    hashprice: float  # USD per PH/s and day
    power_price: float  # USD per kWh
    difficulty: float | None = None
    generated: bool = False  # fills a gap between observed points


@dataclass(frozen=True, slots=True, kw_only=True)
class RigGroup:
    """Rigs of the same model in one block."""

    block: str
    tariff: str = ""  # whose settings apply; the price is that of the history
    hashrate: float  # H/s, of all of them
    power: float  # W, of all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Earnings:
    """USD by policy, since the start."""

    followed: float = 0.0  # following the verdicts; a converted block earns the AI value and never mines again
    always_mine: float = 0.0
    curtail_right: float = 0.0  # avoids every loss immediately, converts nothing
    foresight: float = 0.0  # also converts each block at the best moment, or never


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
    interval: float = 3_600.0,
) -> Backtest:
    """Replay the points in order, with an evaluation every ``interval`` seconds. The last point only ends the replay.

    Each decision knows only earlier points and the current price. The next retarget is not replayed.
    """
    return _Replay(fleet, blocks, settings, decision_settings, interval).run(points)


class _Replay:
    """One replay: the state of the decision, and the earnings of each policy."""

    def __init__(
        self,
        fleet: Sequence[RigGroup],
        blocks: Sequence[Block],
        settings: SiteSettings,
        decision_settings: DecisionSettings,
        interval: float,
    ) -> None:
        self._settings = settings
        self._interval = interval
        self._decision_settings = decision_settings.model_copy(
            update={"longest_gap": max(decision_settings.longest_gap, interval)}
        )
        self._blocks = tuple(blocks)
        self._rigs = tuple(
            RigSnapshot(
                rig=Rig(name=str(index), address="", block=group.block, tariff=group.tariff),
                reading=Reading(RigReading(hashrate=group.hashrate, power=group.power), 0.0),
            )
            for index, group in enumerate(fleet)
        )
        tariffs = {group.tariff for group in fleet}
        # The sale of power is not replayed: its price is that of the tariff.
        self._tariffs = tariffs | {settings.at(tariff)[1].resale_tariff or tariff for tariff in tariffs}
        self._market = ai_market(value_ai(settings.ai))
        self._state = DecisionState()
        self._history = MarginHistory()
        self._converted: dict[str, float] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._changes: list[Change] = []
        self._earned = Earnings()
        self._foresight: dict[str, _Foresight] = {}

    def run(self, points: Sequence[MarketPoint]) -> Backtest:
        steps: list[Step] = []
        for point, following in pairwise(points):
            self._replay(point, following.time)
            steps.append(Step(point, tuple(self._verdicts.values()), self._earned))
        foresight = sum(book.best for book in self._foresight.values())
        return Backtest(
            blocks=tuple(self._verdicts),
            steps=tuple(steps),
            changes=tuple(self._changes),
            converted=tuple(self._converted.items()),
            earned=replace(self._earned, foresight=foresight),
        )

    def _replay(self, point: MarketPoint, until: float) -> None:
        """Replay one point: evaluate, then add up the earnings until the next evaluation."""
        market = replace(
            self._market,
            hashprice_usd=point.hashprice,
            payout_usd=point.hashprice,
            forward_payout_usd=point.hashprice,
            retarget_confident=True,
        )
        economics, snapshot = self._price(market, point)
        for now, seconds in _evaluations(point.time, until, self._interval):
            decision = self._decide(economics, snapshot, now)
            self._earn(economics, decision, seconds / SECONDS_PER_DAY)

    def _price(self, market: MarketEconomics, point: MarketPoint) -> tuple[SiteEconomics, SiteSnapshot]:
        snapshot = SiteSnapshot(
            taken_at=point.time,
            rigs=self._rigs,
            blocks=self._blocks,
            tariffs=dict.fromkeys(self._tariffs, TariffPrice(point.power_price)),
        )
        return price_on(market, snapshot, self._settings), snapshot

    def _decide(self, economics: SiteEconomics, snapshot: SiteSnapshot, now: float) -> SiteDecision:
        snapshot = replace(snapshot, taken_at=now)
        decision, self._state, self._history = decide(
            self._state, snapshot, economics, self._history, self._settings, self._decision_settings
        )
        for block in decision.blocks:
            verdict = block.verdict or Verdict.UNKNOWN
            if block.name in self._converted:
                continue
            before = self._verdicts.get(block.name)
            if before is not None and before is not verdict:
                self._changes.append(Change(now, block.name, before, verdict))
            self._verdicts[block.name] = verdict
            if verdict is Verdict.REASSIGN:
                self._converted[block.name] = now
        return decision

    def _earn(self, economics: SiteEconomics, decision: SiteDecision, days: float) -> None:
        followed = always = right = 0.0
        by_block: dict[str, float] = {block.name: 0.0 for block in economics.blocks}
        for rig, priced, decided in zip(self._rigs, economics.rigs, decision.rigs, strict=True):
            margin = (priced.potential_margin or 0.0) * days
            always += margin
            right += max(margin, 0.0)
            by_block[rig.rig.block] += max(margin, 0.0)
            if rig.rig.block not in self._converted and decided.verdict is not Verdict.CURTAIL:
                followed += margin
        for block, decided_block in zip(economics.blocks, decision.blocks, strict=True):
            kilowatts_freed = kilowatts(decided_block.power_freed or 0.0)
            ai = (economics.market.ai_value_per_kilowatt_year or 0.0) / DAYS_PER_YEAR * kilowatts_freed * days
            if block.name in self._converted:
                followed += ai
            convertible = any(known.name == block.name and known.convertible for known in self._blocks)
            self._foresight.setdefault(block.name, _Foresight()).book(by_block[block.name], ai if convertible else None)
        earned = self._earned
        self._earned = replace(
            earned,
            followed=earned.followed + followed,
            always_mine=earned.always_mine + always,
            curtail_right=earned.curtail_right + right,
        )


def _evaluations(start: float, end: float, interval: float) -> Iterator[tuple[float, float]]:
    """Split a period into evaluations: the time of each, and how long its verdict applies."""
    count = max(int((end - start) // interval), 0)
    for step in range(count):
        yield start + step * interval, interval
    rest = end - start - count * interval
    if rest > 0:
        yield start + count * interval, rest


class _Foresight:
    """The most that one block could have earned: mining while it pays, then AI from the best moment on."""

    def __init__(self) -> None:
        self._mining = 0.0
        self._converted: float | None = None  # earnings with the best conversion so far

    def book(self, mining: float, ai: float | None) -> None:
        """Add one period: earnings of mining without losses, and of AI, None if the block cannot be converted."""
        if ai is not None:
            before = self._mining if self._converted is None else max(self._converted, self._mining)
            self._converted = before + ai
        self._mining += mining

    @property
    def best(self) -> float:
        return self._mining if self._converted is None else max(self._mining, self._converted)
