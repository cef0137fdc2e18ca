"""Chooses the blocks to convert in order to free power, by the data of a running exporter or of a Prometheus."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from exporter.exposition import spreadsheets
from exporter.model.configuration_errors import unknown
from exporter.model.failures import Failure, Reason
from exporter.model.units import DAYS_PER_YEAR, WATTS_PER_KILOWATT, kilowatts
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import Series, ask_prometheus, quoted
from exporter.tools import tables
from exporter.tools.allocation import Allocation, MiningRig, Offer, allocate
from exporter.tools.sites import check_site
from exporter.tools.tables import figure

_MAX_BYTES: Final = 256 * 1024 * 1024  # 100,000 rigs as JSON
_KILOWATTS_PER_MEGAWATT: Final = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A block that can be converted. Watts, and USD per day; None if unknown."""

    block: str
    power_freed: float | None
    margin_lost: float | None
    ai_value: float | None = None
    payback_years: float | None = None
    verdict: str | None = None
    share: float = 1.0  # of its power that is converted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The blocks and rigs of a site, or of several."""

    candidates: tuple[Candidate, ...]
    fixed: tuple[str, ...]  # blocks that cannot be converted
    rigs: tuple[MiningRig, ...]
    unpriced: int  # rigs with unknown margin or power, ignored in the swap


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What a plan must respect."""

    least_kilowatts: float = 0.0  # smallest block, or blocks converted together, that a tenant takes
    together: tuple[tuple[str, ...], ...] = ()  # blocks that are only converted together
    bound_until: Mapping[str, date] = field(default_factory=dict)  # by block: last day of a contract that binds it
    needed_on: date | None = None  # the day on which the power must be free


class UnknownBlockError(Exception):
    """A constraint names a block that the site does not have. The message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The chosen blocks, and what could not be considered."""

    target: float  # kW
    allocation: Allocation
    chosen: tuple[Candidate, ...]
    refused: Mapping[str, str]  # by convertible block: why it was not considered
    unknown: tuple[str, ...]  # convertible blocks with unknown power or margin
    fixed: tuple[str, ...]
    unpriced: int


def plan(
    fleet: Fleet, target: float, *, moving_cost: float | None = None, constraints: Constraints | None = None
) -> Plan:
    """Choose blocks that free ``target`` kW.

    Args:
        fleet: The blocks and rigs.
        target: Power to free, in kW.
        moving_cost: USD per rig, for blocks without one.
        constraints: What the choice must respect.

    Raises:
        UnknownBlockError: A constraint names a block that does not exist.
    """
    constraints = constraints or Constraints()
    candidates = {one.block: one for one in fleet.candidates}
    _check(constraints, {*candidates, *fleet.fixed})
    refused = dict(_refused(fleet, constraints))
    offers: list[Offer] = []
    for names in _together(candidates, constraints):
        missing = [name for name in names if name in refused]
        offer = _offer([candidates[name] for name in names if name not in missing])
        if missing:
            refused |= {name: f"only together with {', '.join(missing)}" for name in names if name not in refused}
        elif offer.kilowatts < constraints.least_kilowatts:
            refused |= dict.fromkeys(names, f"smaller than {_megawatts(constraints.least_kilowatts)} MW")
        else:
            offers.append(offer)
    shares = {one.block: one.share for one in fleet.candidates}
    allocation = allocate(offers, target, _worst_first(fleet.rigs, moving_cost), shares)
    chosen = set(allocation.blocks)
    return Plan(
        target=target,
        allocation=allocation,
        chosen=tuple(one for one in fleet.candidates if one.block in chosen),
        refused={one.block: refused[one.block] for one in fleet.candidates if one.block in refused},
        unknown=tuple(one.block for one in fleet.candidates if refused.get(one.block) == _UNKNOWN),
        fixed=fleet.fixed,
        unpriced=fleet.unpriced,
    )


_UNKNOWN: Final = "power or margin unknown"


def _check(constraints: Constraints, known: Collection[str]) -> None:
    named = {name for group in constraints.together for name in group} | set(constraints.bound_until)
    for name in sorted(named - set(known)):
        raise UnknownBlockError(unknown("block", name, sorted(known)))


def _refused(fleet: Fleet, constraints: Constraints) -> Iterator[tuple[str, str]]:
    """Return the blocks that cannot be considered by themselves, with the reason."""
    for name in fleet.fixed:
        yield name, "not convertible"
    for one in fleet.candidates:
        end = constraints.bound_until.get(one.block)
        if one.power_freed is None or one.margin_lost is None:
            yield one.block, _UNKNOWN
        elif end is not None and constraints.needed_on is not None and constraints.needed_on <= end:
            yield one.block, f"bound by contract until {end}"


def _together(blocks: Iterable[str], constraints: Constraints) -> Iterator[tuple[str, ...]]:
    """Group the blocks that are only converted together. Groups with a block in common are one."""
    groups: list[set[str]] = []
    for named in constraints.together:
        touching = [group for group in groups if group & set(named)]
        groups = [group for group in groups if group not in touching] + [set(named).union(*touching)]
    grouped = {name for group in groups for name in group}
    yield from ((name,) for name in blocks if name not in grouped)
    yield from (tuple(sorted(group)) for group in groups)


def _offer(members: Collection[Candidate]) -> Offer:
    """Offer blocks together. One that loses money counts as 0, because its rigs can be switched off anyway."""
    return Offer(
        blocks=tuple(one.block for one in members),
        kilowatts=sum(kilowatts(one.power_freed or 0.0) for one in members),
        margin_lost=sum(max(one.margin_lost or 0.0, 0.0) for one in members),
    )


def _worst_first(rigs: Collection[MiningRig], moving_cost: float | None) -> list[MiningRig]:
    """Sort the worst rigs first. A negative margin counts as 0: such a rig is switched off with or without a plan."""
    return [
        MiningRig(
            rig=rig.rig,
            block=rig.block,
            kilowatts=rig.kilowatts,
            margin=max(rig.margin, 0.0),
            moving_cost=moving_cost if rig.moving_cost is None else rig.moving_cost,
        )
        for rig in sorted(rigs, key=lambda rig: rig.margin / rig.kilowatts)
    ]


# --- requests ------------------------------------------------------------------------------------


async def query_exporter(endpoint: Endpoint) -> Fleet:
    """Read the fleet from a running exporter. Raises Failure."""
    blocks = await endpoint.get_json("/api/v1/blocks", max_bytes=_MAX_BYTES)
    rigs = await endpoint.get_json("/api/v1/rigs", max_bytes=_MAX_BYTES)
    with translating():
        moving_costs = {block["block"]: block["moving_cost_usd_per_rig"] for block in blocks["blocks"]}
        figures = {
            rig["rig"]: (
                rig["block"],
                _host_margin(
                    rig["potential_margin_usd_per_day"],
                    rig["host_potential_margin_usd_per_day"],
                    hosted=rig["hosted"],
                    customers=rig["customer_margin_usd_per_day"] is not None,
                ),
                rig["potential_power_watts"],
            )
            for rig in rigs["rigs"]
        }
        return Fleet(
            candidates=tuple(
                Candidate(
                    block=block["block"],
                    power_freed=block["power_freed_watts"],
                    margin_lost=block["margin_lost_usd_per_day"],
                    ai_value=block["ai_value_usd_per_day"],
                    payback_years=block["reassign_payback_years"],
                    verdict=block["verdict"],
                    share=block["convertible_ratio"],
                )
                for block in blocks["blocks"]
                if block["convertible"]
            ),
            fixed=tuple(block["block"] for block in blocks["blocks"] if not block["convertible"]),
            **_rigs(figures, moving_costs),
        )


async def query_shards(endpoint: Endpoint, site: str | None) -> Fleet:
    """Read the fleet from a Prometheus that scrapes all shards of a site, or several sites.

    Raises Failure and UnknownSiteError.
    """
    await check_site(endpoint, site)
    shards = _Shards(endpoint, site)
    convertible = await shards.blocks("mining_block_convertible")
    if not convertible:
        raise Failure(Reason.NOT_READY, "no target has mining_block_convertible")
    freed = await shards.blocks("mining_block_power_freed_watts")
    lost = await shards.blocks("mining_block_margin_lost_usd_per_day")
    ai = await shards.blocks("mining_block_ai_value_usd_per_day")
    payback = await shards.blocks("mining_block_reassign_payback_years")
    ratios = await shards.blocks("mining_block_convertible_ratio")
    verdicts = await shards.labels("mining_block_verdict", "block", "verdict")
    rig_blocks = await shards.labels("mining_rig_inventory_info", "rig", "block")
    margins = await shards.values("mining_rig_potential_margin_usd_per_day", "rig")
    powers = await shards.values("mining_rig_potential_power_watts", "rig")
    hosted = await shards.values("mining_rig_contract_info", "rig")
    host_margins = await shards.values("mining_rig_host_potential_margin_usd_per_day", "rig")
    customers = await shards.values("mining_rig_customer_margin_usd_per_day", "rig")
    figures = {
        shards.name(key): (
            shards.name((key[0], block)),
            _host_margin(margins.get(key), host_margins.get(key), hosted=key in hosted, customers=key in customers),
            powers.get(key),
        )
        for key, block in rig_blocks.items()
    }
    return Fleet(
        candidates=tuple(
            Candidate(
                block=shards.name(key),
                power_freed=freed.get(key),
                margin_lost=lost.get(key),
                ai_value=ai.get(key),
                payback_years=payback.get(key),
                verdict=verdicts.get(key),
                share=ratios.get(key, 1.0),
            )
            for key, value in sorted(convertible.items())
            if value
        ),
        fixed=tuple(shards.name(key) for key, value in sorted(convertible.items()) if not value),
        **_rigs(figures, {}),
    )


class _Shards:
    """Series of a Prometheus by site and name. Replicas of an exporter count once."""

    def __init__(self, endpoint: Endpoint, site: str | None) -> None:
        self._endpoint = endpoint
        self._selector = "" if site is None else f'{{site="{quoted(site)}"}}'
        self._sites: set[str] = set()

    async def blocks(self, metric: str) -> dict[tuple[str, str], float]:
        values = await self.values(metric, "block")
        self._sites |= {site for site, _ in values}
        return values

    async def values(self, metric: str, label: str) -> dict[tuple[str, str], float]:
        found = await self._query(f"max by (site, {label}) ({metric}{self._selector})")
        return {(series.labels.get("site", ""), series.labels.get(label, "")): series.value for series in found}

    async def labels(self, metric: str, label: str, wanted: str) -> dict[tuple[str, str], str]:
        found = await self._query(f"max by (site, {label}, {wanted}) ({metric}{self._selector}) == 1")
        with translating():
            return {(series.labels.get("site", ""), series.labels[label]): series.labels[wanted] for series in found}

    async def _query(self, query: str) -> list[Series]:
        try:
            return await ask_prometheus(self._endpoint, query, max_bytes=_MAX_BYTES)
        except Failure as failure:
            if failure.reason is Reason.NOT_READY:  # no series: unknown for all of them
                return []
            raise

    def name(self, key: tuple[str, str]) -> str:
        """Return the name of a block or rig, with its site if there are several."""
        site, name = key
        return f"{site}/{name}" if len(self._sites) > 1 else name


def _host_margin(at_tariff: float | None, host: float | None, *, hosted: bool, customers: bool) -> float | None:
    """Return what the host loses with a rig per day: at the tariff only of his own rigs, or if there are no contracts.

    Args:
        at_tariff: its potential margin at its tariff.
        host: its potential margin in the host's book.
        hosted: whether it is under a hosting contract.
        customers: whether it has a customer's book; a rig with one and without a contract has no host's.
    """
    if hosted:
        return host
    return None if customers else at_tariff


def _rigs(
    figures: Mapping[str, tuple[str, float | None, float | None]], moving_costs: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return the rigs with known margin and power, and the number of others."""
    priced = tuple(
        MiningRig(rig=rig, block=block, kilowatts=kilowatts(watts), margin=margin, moving_cost=moving_costs.get(block))
        for rig, (block, margin, watts) in figures.items()
        if margin is not None and watts
    )
    return {"rigs": priced, "unpriced": len(figures) - len(priced)}


# --- output ------------------------------------------------------------------------------------------------

_HEADER: Final = ("block", "MW freed", "margin lost, USD/day", "per kW and year", "AI value, USD/day", "payback, years")
_FIGURES: Final = range(1, len(_HEADER))


def headline(plan_: Plan) -> str:
    """Return the result in one sentence."""
    allocation = plan_.allocation
    freed = f"{_megawatts(allocation.kilowatts)} MW for {figure(allocation.margin_lost)} USD/day of mining margin"
    blocks = _counted(len(allocation.blocks), "block")
    if allocation.feasible:
        return f"To free {_megawatts(plan_.target)} MW convert {blocks}: {freed}."
    return f"{_megawatts(plan_.target)} MW cannot be freed. The most is {blocks}: {freed}."


def as_text(plan_: Plan) -> str:
    """Format the plan for a terminal, without its headline."""
    table = tables.as_text((*_HEADER, "verdict"), _rows(plan_), right=_FIGURES)
    return "\n".join([table, "", *_notes(plan_)])


def as_markdown(plan_: Plan) -> str:
    """Format the plan as Markdown."""
    table = tables.as_markdown((*_HEADER, "verdict"), _rows(plan_), right=_FIGURES)
    return "\n".join([headline(plan_), "", table, "", *(f"- {note}" for note in _notes(plan_))])


def as_csv(plan_: Plan) -> str:
    """Format the chosen blocks as CSV."""
    header = ("block", "kilowatts", "margin_lost_usd_per_day", "ai_value_usd_per_day", "payback_years", "verdict")
    rows = [
        (
            one.block,
            None if one.power_freed is None else kilowatts(one.power_freed),
            one.margin_lost,
            one.ai_value,
            one.payback_years,
            one.verdict,
        )
        for one in plan_.chosen
    ]
    return spreadsheets.as_csv(header, rows)


def as_record(plan_: Plan) -> dict[str, Any]:
    """Return the plan as a record for JSON."""
    allocation = plan_.allocation
    return {
        "asked_kilowatts": plan_.target,
        "feasible": allocation.feasible,
        "kilowatts": allocation.kilowatts,
        "blocks": [
            {
                "block": one.block,
                "power_freed_watts": one.power_freed,
                "margin_lost_usd_per_day": one.margin_lost,
                "ai_value_usd_per_day": one.ai_value,
                "payback_years": one.payback_years,
                "verdict": one.verdict,
            }
            for one in plan_.chosen
        ],
        "in_place": {"margin_lost_usd_per_day": allocation.margin_lost},
        "bound": {"margin_lost_usd_per_day": allocation.bound, "gap_ratio": allocation.gap},
        "greedy": {"margin_lost_usd_per_day": allocation.greedy_margin_lost},
        "swap": None
        if allocation.swap is None
        else {
            "margin_lost_usd_per_day": allocation.swap.margin_lost,
            "moving_cost_usd": allocation.swap.moving_cost,
            "retired": allocation.swap.retired,
            "moved": allocation.swap.moved,
        },
        "left_out": {
            "blocks_without_figures": plan_.unknown,
            "blocks_refused": plan_.refused,
            "blocks_not_convertible": plan_.fixed,
            "rigs_without_figures": plan_.unpriced,
        },
    }


def _rows(plan_: Plan) -> Iterator[tuple[str, ...]]:
    for one in plan_.chosen:
        yield _row(one, one.verdict or "")
    total = Candidate(
        block="total",
        power_freed=plan_.allocation.kilowatts * WATTS_PER_KILOWATT,
        margin_lost=plan_.allocation.margin_lost,
        ai_value=_sum_if_all_known([one.ai_value for one in plan_.chosen]),
    )
    yield _row(total, "")


def _row(one: Candidate, verdict: str) -> tuple[str, ...]:
    freed = None if one.power_freed is None else kilowatts(one.power_freed)
    per_year = one.margin_lost * DAYS_PER_YEAR / freed if one.margin_lost is not None and freed else None
    payback = "" if one.payback_years is None else figure(one.payback_years, 1)
    ai_value = "" if one.ai_value is None else figure(one.ai_value)
    return (one.block, _megawatts(freed), figure(one.margin_lost), figure(per_year), ai_value, payback, verdict)


def _notes(plan_: Plan) -> Iterator[str]:
    allocation = plan_.allocation
    yield f"in place: {figure(allocation.margin_lost)} USD/day of margin lost{_gap(plan_)}"
    if allocation.greedy_margin_lost is not None:
        better = allocation.greedy_margin_lost - allocation.margin_lost
        comparison = f"{figure(better)} more" if better > 0 else "the same"
        yield f"cheapest kilowatts first, for comparison: {figure(allocation.greedy_margin_lost)} USD/day, {comparison}"
    yield from _swap_note(plan_)
    by_reason: dict[str, list[str]] = {}
    for block, reason in plan_.refused.items():
        by_reason.setdefault(reason, []).append(block)
    yield from (f"refused, {reason}: {', '.join(blocks)}" for reason, blocks in by_reason.items())
    if plan_.fixed:
        yield f"not considered, not convertible: {', '.join(plan_.fixed)}"


def _gap(plan_: Plan) -> str:
    allocation = plan_.allocation
    if not allocation.feasible:
        return ""
    if not allocation.gap:
        return "; no choice loses less (gap 0 %)"
    return f"; no choice loses less than {figure(allocation.bound)} (gap {allocation.gap:.2%})"


def _swap_note(plan_: Plan) -> Iterator[str]:
    swap = plan_.allocation.swap
    if swap is None:
        return
    if not swap.moved:
        yield "swap: not needed, because the blocks already contain the worst rigs of the fleet"
        return
    if swap.moving_cost is None:
        cost = "at unknown cost (set moving_cost_usd_per_rig or --moving-cost)"
    else:
        cost = f"for {figure(swap.moving_cost)} USD once"
    saved = plan_.allocation.margin_lost - swap.margin_lost
    payback = "" if saved > 0 else ", which saves nothing"
    if swap.moving_cost and saved > 0:
        payback = f", paid back in {figure(swap.moving_cost / saved, 0)} days"
    yield (
        f"swap: {figure(swap.margin_lost)} USD/day at current margins, by retiring the worst "
        f"{_counted(len(swap.retired), 'rig')} of the fleet and moving {len(swap.moved):,} good rigs out of the blocks "
        f"{cost}{payback}"
    )
    if plan_.unpriced:
        yield f"ignored in the swap, margin or power unknown: {_counted(plan_.unpriced, 'rig')}"


def _megawatts(kilowatts_: float | None) -> str:
    return figure(None if kilowatts_ is None else kilowatts_ / _KILOWATTS_PER_MEGAWATT, 3)


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _sum_if_all_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
