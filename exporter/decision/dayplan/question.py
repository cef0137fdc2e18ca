"""From an evaluation to the question of a plan: which rigs, which hours, which limits."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isfinite
from typing import Final, NamedTuple

from exporter.decision import curtailment
from exporter.decision.curtailment import restart_cost
from exporter.decision.dayplan.problem import OFF, Group, Limit, OperatingPoint, Plan, Problem, Slot
from exporter.decision.dayplan.settings import DayPlanSettings
from exporter.decision.judged import terms
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import SiteDecision, Verdict
from exporter.economics.settings import SiteSettings
from exporter.economics.values import MarketEconomics, RigEconomics, SiteEconomics
from exporter.model.obligations import Obligation
from exporter.model.readings import PriceSlot
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_DAY, SECONDS_PER_HOUR, kilowatts

_LEAST_KNOWN: Final = 2 * SECONDS_PER_HOUR
"""A tariff whose prices are known for less than this is not planned."""
_RUNNING: Final = 0.5
"""A group is on if at least this share of its power is drawn."""
_MOST_SETS: Final = 3
"""Sets of operating points that are planned for rigs of one model in a block."""
ON: Final = "on"


class GroupKey(NamedTuple):
    """What identifies a group from one plan to the next."""

    block: str
    name: str


class Standing(NamedTuple):
    """Whether a group is on, and since when (unix seconds; -inf if that was before the first evaluation)."""

    on: bool
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the worker is asked. ``before`` is the plan in force, which ``hold_back_share`` of a new one protects."""

    problem: Problem
    left_out: int = 0  # rigs that are not planned
    before: Plan | None = None
    hold_back_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a question is made from besides the evaluation."""

    site_settings: SiteSettings
    decision: DecisionSettings
    plan: DayPlanSettings
    obligations: Sequence[Obligation] = ()
    standings: Mapping[GroupKey, Standing] = field(default_factory=dict)
    points: Mapping[str, Sequence[OperatingPoint]] = field(default_factory=dict)  # by rig, without off


class Rigs(NamedTuple):
    """The rigs of a group. ``indices`` are those of the snapshot.

    Their energy costs what ``tariff`` does, less ``charge``; if it is None, it costs ``charge``.
    """

    indices: tuple[int, ...]
    tariff: str | None
    points: tuple[OperatingPoint, ...]
    drawn: float  # kW now
    running: float  # kW if all ran as they would today
    work: float  # PH/s, likewise
    number: int
    charge: float  # USD per hour that a hosting contract charges for energy if all run

    @property
    def rate(self) -> float:
        """USD per kWh that a hosting contract charges."""
        return self.charge / self.running if self.running else 0.0


class _Book(NamedTuple):
    """How a rig's hours are judged: at its tariff, or in the book that decides whether a hosted rig runs."""

    name: str  # of the tariff or the contract
    tariff: str | None  # whose prices ahead decide; None if none do
    rate: float = 0.0  # USD per kWh that the contract charges
    share: float = 1.0  # of the mined coins
    has_points: bool = True


def _book(rig: RigSnapshot, priced: RigEconomics, payout: float | None, settings: SiteSettings) -> _Book | None:
    """Return how a rig's hours are judged; None if that cannot be known ahead."""
    books = priced.books
    if books is None or not books.contract:
        return _Book(rig.rig.tariff, rig.rig.tariff)
    contract = settings.contracts[books.contract]
    judged = terms(priced, payout, settings.contracts, stopping=True)
    if judged is None or books.energy_charge_per_kwh is None or contract.pass_through:
        return None
    rate = books.energy_charge_per_kwh
    if contract.host_may_curtail:
        return _Book(books.contract, contract.host_tariff or settings.tariff, rate, judged.share, has_points=False)
    return _Book(books.contract, None, rate, judged.share, has_points=contract.energy == "metered")


def question(
    snapshot: SiteSnapshot, economics: SiteEconomics, decision: SiteDecision, setting: Setting
) -> Question | None:
    """Return what the worker is asked; None without a hashprice, or a rig whose prices ahead are known.

    None too while a source of obligations does not report what may be drawn.

    Rigs are left out that need a repair, whose hashrate or power is unknown, or whose tariff's prices ahead are
    unknown. What they draw counts against the site's limits.
    """
    market, now = economics.market, snapshot.taken_at
    if market.payout_usd is None or snapshot.obligations.unknown:
        return None
    ahead = _prices_ahead(snapshot, setting)
    groups, others = rig_groups(snapshot, economics, decision, ahead, setting)
    if not groups:
        return None
    known = [ahead[each.tariff] for each in groups.values() if each.tariff is not None]
    end = min([now + setting.plan.horizon, *(prices[-1].end for prices in known)])
    slots = _slots(now, end, known, market, setting)
    hashprices = tuple(_payout(market, slot.start) for slot in slots)
    made = tuple(_group(key, each, _prices(each, ahead, slots), market, slots, setting) for key, each in groups.items())
    energy = setting.plan.energy_kilowatt_hours_per_day
    return Question(
        problem=Problem(
            asked_at=now,
            slots=slots,
            hashprices=hashprices,
            groups=made,
            limits=tuple(_limits(snapshot, made, slots, others, setting.obligations)),
            energy=None if energy is None else energy * (slots[-1].end - slots[0].start) / SECONDS_PER_DAY,
        ),
        left_out=len(snapshot.rigs) - sum(each.number for each in groups.values()),
        hold_back_share=setting.plan.hold_back_share,
    )


def standings(before: Mapping[GroupKey, Standing], groups: Iterable[Group], now: float) -> dict[GroupKey, Standing]:
    """Return since when each group is on or off, with the groups as they are ``now`` (unix seconds)."""
    found: dict[GroupKey, Standing] = {}
    for group in groups:
        key, on = GroupKey(group.block, group.name), group.now > 0
        known = before.get(key)
        found[key] = known if known is not None and known.on is on else Standing(on, -inf if known is None else now)
    return found


# --- rigs -----------------------------------------------------------------------------------------------------------


def rig_groups(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    decision: SiteDecision,
    tariffs: Collection[str],
    setting: Setting,
) -> tuple[dict[GroupKey, Rigs], dict[str, float]]:
    """Return the rigs of these tariffs that can be planned, by group, and what the others draw, kW by block."""
    planned: list[tuple[int, _Book, tuple[OperatingPoint, ...]]] = []
    others: dict[str, float] = defaultdict(float)
    payout = economics.market.payout_usd
    for index, (rig, priced, verdict) in enumerate(zip(snapshot.rigs, economics.rigs, decision.rigs, strict=True)):
        book = _book(rig, priced, payout, setting.site_settings)
        known = priced.potential_work and priced.potential_power
        priced_ahead = book is not None and (book.tariff is None or book.tariff in tariffs)
        if book is None or not known or not priced_ahead or verdict.verdict is Verdict.REPAIR:
            others[rig.rig.block] += kilowatts(priced.billed_power or 0.0)
            continue
        points = tuple(setting.points.get(rig.rig.name, ())) if book.has_points else ()
        planned.append((index, book, points if len(points) > 1 else (_whole(priced, book),)))
    common = _common(snapshot, planned)
    groups: dict[GroupKey, Rigs] = {}
    for index, book, points in planned:
        rig, priced = snapshot.rigs[index], economics.rigs[index]
        whole = _whole(priced, book)
        if _names(points) not in common[_kind(rig, book)]:
            points = (whole,)  # noqa: PLW2901 -- see _common
        one = Rigs(
            (index,),
            book.tariff,
            points,
            kilowatts(priced.billed_power or 0.0),
            whole.kilowatts,
            whole.work,
            rig.rig.count,
            book.rate * whole.kilowatts,
        )
        key = GroupKey(rig.rig.block, _name(rig, book, points, whole.kilowatts / (priced.potential_work or inf)))
        groups[key] = one if key not in groups else _joined(groups[key], one)
    return groups, others


def _whole(priced: RigEconomics, book: _Book) -> OperatingPoint:
    """Return a rig as it would run, with the work that is paid to the one who decides."""
    work, power = priced.potential_work or 0.0, priced.potential_power or 0.0
    return OperatingPoint(name=ON, work=work * book.share, kilowatts=kilowatts(power))


def _common(
    snapshot: SiteSnapshot, planned: Iterable[tuple[int, _Book, Sequence[OperatingPoint]]]
) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """Return the sets of points that most rigs of a block, tariff and model have.

    Rigs whose points are named like no other's, such as by their own watts, would each be a group; they are planned
    as on or off.
    """
    counted: dict[tuple[str, ...], Counter[tuple[str, ...]]] = defaultdict(Counter)
    for index, book, points in planned:
        counted[_kind(snapshot.rigs[index], book)][_names(points)] += 1
    return {kind: {names for names, _ in found.most_common(_MOST_SETS)} for kind, found in counted.items()}


def _kind(rig: RigSnapshot, book: _Book) -> tuple[str, ...]:
    return rig.rig.block, book.name, "" if rig.identity is None else rig.identity.model


def _names(points: Sequence[OperatingPoint]) -> tuple[str, ...]:
    return tuple(point.name for point in points)


def _name(rig: RigSnapshot, book: _Book, points: Sequence[OperatingPoint], efficiency: float) -> str:
    """Name a group by model, or by efficiency (J/TH at the billing meter) where the model is unknown."""
    model = "" if rig.identity is None else rig.identity.model
    return " / ".join(
        filter(None, (model or f"{efficiency:.0f} J/TH", book.name, ", ".join(point.name for point in points)))
    )


def _joined(one: Rigs, other: Rigs) -> Rigs:
    return Rigs(
        one.indices + other.indices,
        one.tariff,
        tuple(
            OperatingPoint(name=a.name, work=a.work + b.work, kilowatts=a.kilowatts + b.kilowatts)
            for a, b in zip(one.points, other.points, strict=True)
        ),
        one.drawn + other.drawn,
        one.running + other.running,
        one.work + other.work,
        one.number + other.number,
        one.charge + other.charge,
    )


def point_now(rigs: Rigs) -> int:
    """Return the index of the point that a group draws now; 0 is off."""
    if rigs.drawn < _RUNNING * min(point.kilowatts for point in rigs.points):
        return 0
    return min(range(len(rigs.points)), key=lambda index: abs(rigs.points[index].kilowatts - rigs.drawn)) + 1


def _group(
    key: GroupKey,
    rigs: Rigs,
    prices: tuple[float, ...],
    market: MarketEconomics,
    slots: Sequence[Slot],
    setting: Setting,
) -> Group:
    points = (OperatingPoint(name=OFF, work=0.0, kilowatts=0.0), *rigs.points)
    payout = market.payout_usd or 0.0
    now = point_now(rigs)
    standing = setting.standings.get(key)
    since = inf if standing is None or standing.on is not (now > 0) else slots[0].start - standing.since
    last_day = [
        (slot.hours, price)
        for slot, price in zip(slots, prices, strict=True)
        if slot.end > slots[-1].end - SECONDS_PER_DAY
    ]
    mean = sum(hours * price for hours, price in last_day) / sum(hours for hours, _ in last_day)
    later = _payout(market, slots[-1].end)
    return Group(
        block=key.block,
        name=key.name,
        points=points,
        prices=prices,
        start_cost=restart_cost(setting.decision, rigs.work * payout, rigs.number),
        change_cost=setting.plan.change_usd_per_rig * rigs.number,
        min_on=setting.plan.min_on,
        min_off=setting.plan.min_off,
        now=now,
        since=since,
        on_afterwards=any(point.work * later / HOURS_PER_DAY > point.kilowatts * mean for point in rigs.points),
    )


# --- hours ----------------------------------------------------------------------------------------------------------


def _prices_ahead(snapshot: SiteSnapshot, setting: Setting) -> dict[str, tuple[PriceSlot, ...]]:
    """Return the marginal prices by tariff, from now on, of the tariffs that are known for long enough."""
    found: dict[str, tuple[PriceSlot, ...]] = {}
    for tariff in snapshot.tariffs:
        begin, prices = snapshot.taken_at, []
        for slot in curtailment.known_ahead(tariff, snapshot, setting.site_settings):
            end = begin + slot.hours * SECONDS_PER_HOUR
            prices.append(PriceSlot(begin, end, slot.price))
            begin = end
        if begin - snapshot.taken_at >= _LEAST_KNOWN:
            found[tariff] = tuple(prices)
    return found


def _slots(
    now: float, end: float, prices: Iterable[Sequence[PriceSlot]], market: MarketEconomics, setting: Setting
) -> tuple[Slot, ...]:
    """Divide the time at every change of a price, a limit or the hashprice, and at whole hours."""
    edges = {slot.start for each in prices for slot in each}
    edges |= {edge for each in setting.obligations for edge in (each.start, each.end) if edge is not None}
    if market.retarget_time is not None and market.retarget_confident:
        edges.add(market.retarget_time)
    hour = now - now % SECONDS_PER_HOUR
    edges |= {hour + number * SECONDS_PER_HOUR for number in range(1, int((end - hour) / SECONDS_PER_HOUR) + 1)}
    inner = sorted(edge for edge in edges if now < edge < end)
    return tuple(Slot(start=start, end=until) for start, until in pairwise([now, *inner, end]))


def _prices(rigs: Rigs, ahead: Mapping[str, Sequence[PriceSlot]], slots: Sequence[Slot]) -> tuple[float, ...]:
    """Return what a kWh costs the one who decides, by slot."""
    if rigs.tariff is None:
        return (rigs.rate,) * len(slots)
    return tuple(price - rigs.rate for price in _by_slot(ahead[rigs.tariff], slots))


def _by_slot(prices: Sequence[PriceSlot], slots: Sequence[Slot]) -> tuple[float, ...]:
    return tuple(next(price.price for price in prices if price.start <= slot.start < price.end) for slot in slots)


def _payout(market: MarketEconomics, at: float) -> float:
    """Return what is paid at a time ahead, USD per PH/s and day: after the retarget its own, if that is known."""
    later = market.forward_payout_usd
    if (
        later is not None
        and market.retarget_confident
        and market.retarget_time is not None
        and at >= market.retarget_time
    ):
        return later
    return market.payout_usd or 0.0


# --- limits ---------------------------------------------------------------------------------------------------------


def _limits(
    snapshot: SiteSnapshot,
    groups: Sequence[Group],
    slots: Sequence[Slot],
    others: Mapping[str, float],
    obligations: Iterable[Obligation],
) -> Iterable[Limit]:
    """Yield the limits: each block's capacity where it could be exceeded, and what the obligations demand."""
    by_block: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        by_block[group.block].append(index)
    for block in snapshot.blocks:
        members = by_block.get(block.name, [])
        most = sum(max(point.kilowatts for point in groups[index].points) for index in members)
        if block.capacity_watts is not None and most + others.get(block.name, 0.0) > kilowatts(block.capacity_watts):
            room = kilowatts(block.capacity_watts) - others.get(block.name, 0.0)
            yield Limit(reason=f"capacity of {block.name}", groups=tuple(members), caps=(room,) * len(slots))
    for each in obligations:
        blocks = each.blocks or (*by_block, *others)
        members = [index for block in dict.fromkeys(blocks) for index in by_block.get(block, ())]
        drawn = sum(others.get(block, 0.0) for block in set(blocks))
        if not members or not each.limits_power:
            continue
        caps = tuple(
            kilowatts(each.cap) - drawn if each.cap is not None and each.overlaps(slot.start, slot.end) else inf
            for slot in slots
        )
        floors = tuple(
            kilowatts(each.floor) - drawn if each.floor is not None and each.overlaps(slot.start, slot.end) else 0.0
            for slot in slots
        )
        if any(map(isfinite, caps)) or any(floors):
            yield Limit(reason=each.reason or each.kind.value, groups=tuple(members), caps=caps, floors=floors)
