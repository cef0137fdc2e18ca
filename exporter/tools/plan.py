"""Which blocks to convert to free so much power, asked of a running exporter or of the Prometheus that scrapes many."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.units import DAYS_PER_YEAR, WATTS_PER_KILOWATT, kilowatts
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import Series, ask_prometheus
from exporter.tools import tables
from exporter.tools.allocation import Allocation, MiningRig, Offer, allocate
from exporter.tools.tables import figure

_MAX_BYTES: Final = 256 * 1024 * 1024  # 100,000 rigs as JSON
_KILOWATTS_PER_MEGAWATT: Final = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A block that could be converted, and what is known of it. Watts and USD per day."""

    block: str
    power_freed: float | None
    margin_lost: float | None
    ai_value: float | None = None
    payback_years: float | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What a plan chooses from."""

    candidates: tuple[Candidate, ...]
    fixed: tuple[str, ...]  # blocks that can't be converted
    rigs: tuple[MiningRig, ...]
    unpriced: int  # rigs whose margin or power is not known, left out of the swap


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer: which blocks, and what was left out for want of figures."""

    asked: float  # kW
    allocation: Allocation
    chosen: tuple[Candidate, ...]
    unknown: tuple[str, ...]  # convertible blocks whose power or margin is not known
    fixed: tuple[str, ...]
    unpriced: int


def plan(fleet: Fleet, kilowatts_asked: float, *, moving_cost: float | None = None) -> Plan:
    """Choose blocks that free ``kilowatts_asked``; ``moving_cost`` (USD per rig) stands in where a block has none."""
    offers = [
        Offer(block=one.block, kilowatts=kilowatts(one.power_freed), margin_lost=one.margin_lost)
        for one in fleet.candidates
        if one.power_freed is not None and one.margin_lost is not None
    ]
    allocation = allocate(offers, kilowatts_asked, _in_order(fleet.rigs, moving_cost))
    known, chosen = {offer.block for offer in offers}, set(allocation.blocks)
    return Plan(
        asked=kilowatts_asked,
        allocation=allocation,
        chosen=tuple(one for one in fleet.candidates if one.block in chosen),
        unknown=tuple(one.block for one in fleet.candidates if one.block not in known),
        fixed=fleet.fixed,
        unpriced=fleet.unpriced,
    )


def _in_order(rigs: Collection[MiningRig], moving_cost: float | None) -> list[MiningRig]:
    """Put the worst first, and count a losing rig as nothing: it is switched off anyway, which is no gain of a plan."""
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


# --- where the figures come from ------------------------------------------------------------------------------------


async def query_exporter(endpoint: Endpoint) -> Fleet:
    """Ask a running exporter. Raises Failure."""
    blocks = await endpoint.get_json("/api/v1/blocks", max_bytes=_MAX_BYTES)
    rigs = await endpoint.get_json("/api/v1/rigs", max_bytes=_MAX_BYTES)
    with translating():
        moving_costs = {block["block"]: block["moving_cost_usd_per_rig"] for block in blocks["blocks"]}
        figures = {
            rig["rig"]: (rig["block"], rig["potential_margin_usd_per_day"], rig["potential_power_watts"])
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
                )
                for block in blocks["blocks"]
                if block["convertible"]
            ),
            fixed=tuple(block["block"] for block in blocks["blocks"] if not block["convertible"]),
            **_rigs(figures, moving_costs),
        )


async def query_shards(endpoint: Endpoint, site: str | None) -> Fleet:
    """Ask a Prometheus that scrapes the exporters of a whole site, or of several. Raises Failure."""
    shards = _Shards(endpoint, site)
    convertible = await shards.blocks("mining_block_convertible")
    if not convertible:
        told = "no exporter here" if site is None else f"no site {site!r} here"
        raise Failure(Reason.NOT_READY, f"{told} tells mining_block_convertible")
    freed = await shards.blocks("mining_block_power_freed_watts")
    lost = await shards.blocks("mining_block_margin_lost_usd_per_day")
    ai = await shards.blocks("mining_block_ai_value_usd_per_day")
    payback = await shards.blocks("mining_block_reassign_payback_years")
    verdicts = await shards.labels("mining_block_verdict", "block", "verdict")
    rig_blocks = await shards.labels("mining_rig_inventory_info", "rig", "block")
    margins = await shards.values("mining_rig_potential_margin_usd_per_day", "rig")
    powers = await shards.values("mining_rig_potential_power_watts", "rig")
    figures = {
        shards.name(key): (shards.name((key[0], block)), margins.get(key), powers.get(key))
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
            )
            for key, value in sorted(convertible.items())
            if value
        ),
        fixed=tuple(shards.name(key) for key, value in sorted(convertible.items()) if not value),
        **_rigs(figures, {}),
    )


class _Shards:
    """A Prometheus' series, by site and name; of replicas that tell the same, one."""

    def __init__(self, endpoint: Endpoint, site: str | None) -> None:
        self._endpoint = endpoint
        self._selector = "" if site is None else f'{{site="{_quoted(site)}"}}'
        self._sites: set[str] = set()

    async def blocks(self, metric: str) -> dict[tuple[str, str], float]:
        values = await self.values(metric, "block")
        self._sites |= {site for site, _ in values}
        return values

    async def values(self, metric: str, label: str) -> dict[tuple[str, str], float]:
        found = await self._ask(f"max by (site, {label}) ({metric}{self._selector})")
        return {(series.labels.get("site", ""), series.labels.get(label, "")): series.value for series in found}

    async def labels(self, metric: str, label: str, wanted: str) -> dict[tuple[str, str], str]:
        found = await self._ask(f"max by (site, {label}, {wanted}) ({metric}{self._selector}) == 1")
        with translating():
            return {(series.labels.get("site", ""), series.labels[label]): series.labels[wanted] for series in found}

    async def _ask(self, query: str) -> list[Series]:
        try:
            return await ask_prometheus(self._endpoint, query, max_bytes=_MAX_BYTES)
        except Failure as failure:
            if failure.reason is Reason.NOT_READY:  # no series at all: unknown, for all of them
                return []
            raise

    def name(self, key: tuple[str, str]) -> str:
        """Name a block or rig; with its site where there are several."""
        site, name = key
        return f"{site}/{name}" if len(self._sites) > 1 else name


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _rigs(
    figures: Mapping[str, tuple[str, float | None, float | None]], moving_costs: Mapping[str, float | None]
) -> dict[str, Any]:
    """Take the rigs with a margin and a power, and count the others."""
    priced = tuple(
        MiningRig(rig=rig, block=block, kilowatts=kilowatts(watts), margin=margin, moving_cost=moving_costs.get(block))
        for rig, (block, margin, watts) in figures.items()
        if margin is not None and watts
    )
    return {"rigs": priced, "unpriced": len(figures) - len(priced)}


# --- how it is shown ------------------------------------------------------------------------------------------------

_HEADER: Final = ("block", "MW freed", "margin lost, USD/day", "per kW and year", "AI value, USD/day", "payback, years")
_FIGURES: Final = range(1, len(_HEADER))


def headline(found: Plan) -> str:
    """The answer in a sentence."""
    allocation = found.allocation
    freed = f"{_megawatts(allocation.kilowatts)} MW, for {figure(allocation.margin_lost)} USD of mining margin a day"
    blocks = _counted(len(allocation.blocks), "block")
    if allocation.feasible:
        return f"To free {_megawatts(found.asked)} MW convert {blocks}: {freed}."
    return f"{_megawatts(found.asked)} MW cannot be freed. The most is {blocks}: {freed}."


def as_text(found: Plan) -> str:
    """The plan for a terminal, below its headline."""
    table = tables.as_text((*_HEADER, "verdict"), _rows(found), right=_FIGURES)
    return "\n".join([table, "", *_notes(found)])


def as_markdown(found: Plan) -> str:
    """The plan for a document."""
    table = tables.as_markdown((*_HEADER, "verdict"), _rows(found), right=_FIGURES)
    return "\n".join([headline(found), "", table, "", *(f"- {note}" for note in _notes(found))])


def as_csv(found: Plan) -> str:
    """The chosen blocks for a spreadsheet."""
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
        for one in found.chosen
    ]
    return tables.as_csv(header, rows)


def as_record(found: Plan) -> dict[str, Any]:
    """The plan for scripts."""
    allocation = found.allocation
    return {
        "asked_kilowatts": found.asked,
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
            for one in found.chosen
        ],
        "in_place": {"margin_lost_usd_per_day": allocation.margin_lost},
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
            "blocks_without_figures": found.unknown,
            "blocks_not_convertible": found.fixed,
            "rigs_without_figures": found.unpriced,
        },
    }


def _rows(found: Plan) -> Iterator[tuple[str, ...]]:
    for one in found.chosen:
        yield _row(one, one.verdict or "")
    total = Candidate(
        block="together",
        power_freed=found.allocation.kilowatts * WATTS_PER_KILOWATT,
        margin_lost=found.allocation.margin_lost,
        ai_value=_sum([one.ai_value for one in found.chosen]),
    )
    yield _row(total, "")


def _row(one: Candidate, verdict: str) -> tuple[str, ...]:
    freed = None if one.power_freed is None else kilowatts(one.power_freed)
    per_year = one.margin_lost * DAYS_PER_YEAR / freed if one.margin_lost is not None and freed else None
    payback = "" if one.payback_years is None else figure(one.payback_years, 1)
    ai_value = "" if one.ai_value is None else figure(one.ai_value)
    return (one.block, _megawatts(freed), figure(one.margin_lost), figure(per_year), ai_value, payback, verdict)


def _notes(found: Plan) -> Iterator[str]:
    allocation = found.allocation
    yield f"in place: {figure(allocation.margin_lost)} USD/day of margin is lost with the blocks' rigs"
    if allocation.greedy_margin_lost is not None:
        better = allocation.greedy_margin_lost - allocation.margin_lost
        beaten = f"{figure(better)} more" if better > 0 else "the same"
        yield f"cheapest kilowatt first, a bound: {figure(allocation.greedy_margin_lost)} USD/day, {beaten}"
    yield from _swap_note(found)
    if found.unknown:
        yield f"left out, power or margin unknown: {', '.join(found.unknown)}"
    if found.fixed:
        yield f"left out, not convertible: {', '.join(found.fixed)}"


def _swap_note(found: Plan) -> Iterator[str]:
    swap = found.allocation.swap
    if swap is None:
        return
    if not swap.moved:
        yield "swap: none to make, for the blocks hold the fleet's worst rigs"
        return
    if swap.moving_cost is None:
        cost = "at a cost not known (moving_cost_usd_per_rig, or --moving-cost)"
    else:
        cost = f"for {figure(swap.moving_cost)} USD once"
    saved = found.allocation.margin_lost - swap.margin_lost
    pays = "" if saved > 0 else ", which saves nothing"
    if swap.moving_cost and saved > 0:
        pays = f", which comes back in {figure(swap.moving_cost / saved, 0)} days"
    yield (
        f"swap: {figure(swap.margin_lost)} USD/day at the margins of now, retiring the fleet's worst "
        f"{_counted(len(swap.retired), 'rig')} and moving {len(swap.moved):,} good out of the blocks {cost}{pays}"
    )
    if found.unpriced:
        yield f"left out of the swap, margin or power unknown: {_counted(found.unpriced, 'rig')}"


def _megawatts(kilowatts_: float | None) -> str:
    return figure(None if kilowatts_ is None else kilowatts_ / _KILOWATTS_PER_MEGAWATT, 3)


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _sum(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
