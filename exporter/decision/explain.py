"""The explanation of a rig's verdict: inputs with source and time, the calculation, and what would change it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from exporter.decision.conversion import sale_of_rig
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import BlockDecision, Hindrance, RigDecision, SiteDecision
from exporter.economics.ai import value_ai
from exporter.economics.lines import CostLine, cost_lines, with_rig
from exporter.economics.margin import firmware_fee
from exporter.economics.settings import AiSettings, SiteSettings, StopsWith
from exporter.economics.site import per_kilowatt_year
from exporter.economics.values import GpuEconomics, RigEconomics, SiteEconomics
from exporter.model.models import UNKNOWN_ALGORITHM
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import (
    HASHES_PER_TERAHASH,
    HOURS_PER_DAY,
    HOURS_PER_YEAR,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    finite,
    kilowatts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of the verdict. ``observed_at`` (unix seconds) is None for settings and calculated values."""

    name: str
    value: float | None
    unit: str
    source: str
    observed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the sum, or one point of the axis in USD per kWh."""

    name: str
    value: float | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """The value of one input, all others as they are, at which the verdict would change."""

    change: str  # "mine or curtail" | "mine or reassign"
    name: str
    now: float | None
    at: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything about one rig's verdict. ``axis`` puts power, mining, AI and GPUs side by side, in USD per kWh."""

    rig: str
    block: str
    taken_at: float  # unix seconds
    decision: RigDecision
    inputs: tuple[Input, ...]
    lines: tuple[Line, ...]
    axis: tuple[Line, ...]
    flips: tuple[Flip, ...]
    unpriced: str = ""  # why its hashes have no price; empty if they have one


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A site at one moment, with its economics and decision, and the settings of both."""

    snapshot: SiteSnapshot
    economics: SiteEconomics
    decision: SiteDecision
    settings: SiteSettings
    decision_settings: DecisionSettings


def explain(case: Case, name: str) -> Explanation | None:
    """Explain the rig ``name``. None if the inventory has no such rig."""
    for index, rig in enumerate(case.snapshot.rigs):
        if rig.rig.name == name:
            priced = case.economics.rigs[index]
            return Explanation(
                rig=name,
                block=rig.rig.block,
                taken_at=case.snapshot.taken_at,
                decision=case.decision.rigs[index],
                inputs=tuple(_inputs(case, rig, priced)),
                lines=tuple(_lines(case, rig, priced)),
                axis=tuple(_axis(case.economics, priced)),
                flips=tuple(_flips(case, rig, priced)),
                unpriced=_unpriced(rig),
            )
    return None


def _unpriced(rig: RigSnapshot) -> str:
    if rig.mines_bitcoin:
        return ""
    if rig.algorithm == UNKNOWN_ALGORITHM and rig.identity is None:
        return "Not priced: it never answered, so its algorithm is unknown. If it is SHA-256, set `algorithm: sha256`."
    if rig.algorithm == UNKNOWN_ALGORITHM:
        return "Not priced: its algorithm is unknown. If it is SHA-256, set `algorithm: sha256` for it in the fleet."
    return f"Not priced: it hashes {rig.algorithm}, not SHA-256."


def _inputs(case: Case, rig: RigSnapshot, priced: RigEconomics) -> Iterator[Input]:
    snapshot, settings = case.snapshot, case.settings
    reading, network = rig.reading, snapshot.network
    answered_at = reading.observed_at if reading is not None else None
    reader = rig.identity.reader if rig.identity is not None else ""
    hashrate = reading.value.hashrate / HASHES_PER_TERAHASH if reading is not None else None
    yield Input(name="hashrate", value=hashrate, unit="TH/s", source=reader, observed_at=answered_at)
    yield Input(name="power", value=priced.power, unit="W", source=priced.power_source or "", observed_at=answered_at)
    if rig.disbelieved_power is not None:
        yield Input(
            name="metered power, not used",
            value=rig.disbelieved_power,
            unit="W",
            source="a meter, implausible for the hashrate: is it in watts, and of this rig?",
        )
    if rig.reject_ratio is not None:
        yield Input(
            name="reject ratio", value=rig.reject_ratio, unit="", source="its pools' shares", observed_at=answered_at
        )
    else:
        yield Input(name="reject ratio", value=settings.economics.reject_ratio, unit="", source="settings")
    reported_fee = reading is not None and reading.value.firmware_fee is not None
    yield Input(
        name="firmware fee",
        value=firmware_fee(rig, settings.economics.firmware_fees),
        unit="",
        source=reader if reported_fee else "settings",
        observed_at=answered_at if reported_fee else None,
    )
    if rig.last_good is not None:
        good = rig.last_good
        yield Input(
            name="last good hashrate",
            value=good.hashrate / HASHES_PER_TERAHASH,
            unit="TH/s",
            source=reader,
            observed_at=good.observed_at,
        )
        yield Input(name="last good power", value=good.power, unit="W", source="reported", observed_at=good.observed_at)
    seen = network.observed_at if network is not None else None
    difficulty = network.value.difficulty if network is not None else None
    fees = network.value.block_fees if network is not None else None
    yield Input(name="difficulty", value=difficulty, unit="", source="network", observed_at=seen)
    yield Input(
        name="subsidy", value=case.economics.market.subsidy, unit="BTC per block", source="network", observed_at=seen
    )
    yield Input(name="fees", value=fees, unit="BTC per block", source="network", observed_at=seen)
    bitcoin = snapshot.bitcoin_price
    yield Input(
        name="bitcoin price",
        value=bitcoin.value if bitcoin is not None else None,
        unit="USD",
        source="bitcoin",
        observed_at=bitcoin.observed_at if bitcoin is not None else None,
    )
    yield _price(snapshot, "power price", rig.rig.tariff)
    _, power = settings.at(rig.rig.tariff)
    if power.resale_tariff is not None:
        yield _price(snapshot, "resale price", power.resale_tariff)
    yield Input(name="pool fee", value=settings.economics.pool_fee, unit="", source="settings")
    yield Input(name="overhead", value=power.overhead, unit="W per W", source="settings")
    yield Input(
        name="AI value",
        value=case.economics.market.ai_value_per_kilowatt_year,
        unit="USD/kW/year",
        source="settings, section ai",
    )
    yield Input(
        name="resale decay",
        value=case.decision_settings.resale_decay_usd_per_kilowatt_year,
        unit="USD/kW/year",
        source="settings",
    )


def _price(snapshot: SiteSnapshot, name: str, tariff: str) -> Input:
    price = snapshot.tariffs.get(tariff)
    return Input(
        name=name,
        value=price.price if price is not None else None,
        unit="USD/kWh",
        source=f"tariff {tariff}" if tariff else "",
        observed_at=price.observed_at if price is not None else None,
    )


def _lines(case: Case, rig: RigSnapshot, priced: RigEconomics) -> Iterator[Line]:
    market = case.economics.market
    yield Line("hashprice paid", market.payout_usd, "USD/PH/day")
    yield Line("revenue", priced.revenue, "USD/day")
    yield Line("billed power", kilowatts(priced.billed_power) if priced.billed_power is not None else None, "kW")
    yield Line("power cost", priced.power_cost, "USD/day")
    yield Line("margin", priced.margin, "USD/day")
    yield from _lines_of_books(rig, priced)
    yield Line("margin, low end", priced.margin_low, "USD/day")
    yield Line("margin, high end", priced.margin_high, "USD/day")
    yield Line("margin after the next retarget", priced.forward_margin, "USD/day")
    yield Line("all-in margin", priced.allin_margin, "USD/day")
    yield Line("all-in breakeven hashprice", priced.allin_breakeven_hashprice, "USD/PH/day")
    yield Line("all-in cost per bitcoin", priced.allin_cost_per_bitcoin, "USD")
    for cost in cost_lines(*case.settings.at(rig.rig.tariff)):
        yield Line(f"{cost.name}, {_counts(cost, case.settings.ai)}", cost.usd_per_kilowatt_month, "USD/kW/month")
    yield Line("margin if it ran", priced.potential_margin, "USD/day")
    yield Line("margin if it ran, against the opportunity", priced.opportunity_margin, "USD/day")
    yield Line("margin if it ran, per kW", _mining(priced), "USD/kW/year")
    decided = next((block for block in case.decision.blocks if block.name == rig.rig.block), None)
    if decided is not None:
        yield from _lines_of_block(decided, case.decision_settings)
        yield Line("block's margin over its rigs' life, levelised", _levelised(case, decided.name), "USD/kW/year")


def _lines_of_books(rig: RigSnapshot, priced: RigEconomics) -> Iterator[Line]:
    """Yield both books of a customer's rig, where contracts are configured."""
    books = priced.books
    if books is None or not rig.rig.customer:
        return
    yield Line("customer's margin", books.customer_margin, "USD/day")
    yield Line("host's margin", books.host_margin, "USD/day")
    if not books.contract:
        yield Line("no host's margin: the customer's rig has no hosting contract", None, "")
        return
    decides = "host's" if books.host_may_curtail else "customer's"
    yield Line(f"curtail is judged on the {decides} margin, if it ran", priced.opportunity_margin, "USD/day")
    yield Line("host's margin at the customer's best use", books.host_best, "USD/day")


def _lines_of_block(block: BlockDecision, settings: DecisionSettings) -> Iterator[Line]:
    """Yield what a block's conversion margin and score are made of, and how far its flag is."""
    unit = "USD/kW/year"
    yield Line("block's margin, mean of the history", block.window_margin, unit)
    yield Line("block's margin, same hours after the next retarget", block.ahead_margin, unit)
    yield Line("block's conversion margin", block.conversion_margin, unit)
    for name, value in block.margin_lines.items():
        yield Line(f"of which {name}", value, unit)
    if block.sale_value is not None:
        yield Line("block's rigs' sale price, levelised", block.sale_value, unit)
    yield Line("block's reassign score", block.reassign_score, unit)
    yield Line("block's reassign score, AI's low scenario", block.low_score, unit)
    yield Line(
        "block's known history", block.watched / SECONDS_PER_DAY, f"of {settings.needed / SECONDS_PER_DAY:g} days"
    )
    if block.outlook is not None:
        yield Line("probability that converting now beats the best later start", block.outlook.probability, "0-1")
        for months, value in block.outlook.waiting.items():
            yield Line(f"gain of converting in {months} months instead of now, mean", value, "USD/kW")
    if block.former is not None:
        per_year = _per(block.former.margin * HOURS_PER_YEAR, block.former.kwh)
        yield Line(f"{block.former.hours} hours of an older version, not counted", per_year, unit)
    if block.highest_metered is not None:
        highest = kilowatts(block.highest_metered)
        yield Line("highest power that the block's meters showed in the history's window", highest, "kW")
    if block.large_feeder:
        yield Line("warning: the block's capacity_kilowatts is far above that, and AI is valued on all of it", None, "")
    yield Line("block's coverage", block.coverage, f"of kW, {settings.coverage:g} needed")
    if block.dwell is not None:
        hours = settings.reassign_after / SECONDS_PER_HOUR
        yield Line("reassign called for", block.dwell * hours, f"of {hours:g} hours")
    if block.hindrance is not None:
        yield Line(f"not reassign: {WORDS[block.hindrance]}", None, "")


WORDS: Final[Mapping[Hindrance, str]] = {
    Hindrance.NO_AI_VALUE: "there is no AI value above zero",
    Hindrance.UNASSIGNED: "the rigs are in no block",
    Hindrance.NOT_CONVERTIBLE: "the block is not convertible",
    Hindrance.CUSTOMER_WITHOUT_CONTRACT: "a customer's rig in the block has no hosting contract",
    Hindrance.BELOW_LEAST_SIZE: "the block is smaller than ai.least_kilowatts",
    Hindrance.CAPACITY_EXCEEDED: "the block's meters showed more than its capacity_kilowatts",
    Hindrance.NOT_OBSERVED: "too little of the block is observed and priced",
    Hindrance.SCORE_UNKNOWN: "the score is unknown",
    Hindrance.SCORE_TOO_LOW: "the score is not above the threshold",
    Hindrance.EVIDENCE: "the history is too short",
    Hindrance.NEXT_EPOCH_UNKNOWN: "the next difficulty is not known well enough yet",
    Hindrance.NEXT_EPOCH_TOO_LOW: "the score after the next retarget is not above the threshold",
    Hindrance.OUTLOOK_UNKNOWN: "the outlook is not worked out yet",
    Hindrance.LOW_SCENARIO: "AI does not pay in its low scenario",
    Hindrance.DWELL: "it has not been called for long enough",
}
"""Why a block is not `reassign`, for people."""


def _counts(cost: CostLine, ai: AiSettings | None) -> str:
    """Return in which margins a cost counts, in words."""
    margins = [
        "cash" if cost.stops_with is StopsWith.RIG else "",
        "all-in",
        "conversion" if cost.stops_at_conversion(ai) else "",
    ]
    return f"counts in the {' and '.join(margin for margin in margins if margin)} margin"


def _levelised(case: Case, name: str) -> float | None:
    return next((block.mining_value for block in case.economics.blocks if block.name == name), None)


def _axis(economics: SiteEconomics, priced: RigEconomics) -> Iterator[Line]:
    unit = "USD/kWh"
    kwh = _kwh(priced)
    yield Line("power price", priced.power_price, unit)
    yield Line("marginal price", priced.marginal_price, unit)
    yield Line("mining revenue", _per(priced.potential_revenue, kwh), unit)
    yield Line("mining margin", _per(priced.potential_margin, kwh), unit)
    for scenario, value in economics.market.ai_value_per_kwh:
        yield Line(f"AI value, {scenario}", value, unit)
    yield Line("GPU margin, measured", _gpu_margin_per_kwh(economics.gpus), unit)


def _gpu_margin_per_kwh(gpus: tuple[GpuEconomics, ...]) -> float | None:
    """Return the sum of margins over the sum of energy, of the GPUs with both."""
    priced = [(gpu.margin, gpu.billed_power) for gpu in gpus if gpu.margin is not None and gpu.billed_power is not None]
    kwh = HOURS_PER_DAY * kilowatts(sum(watts for _, watts in priced))
    return _per(sum(margin for margin, _ in priced), kwh)


def _flips(case: Case, rig: RigSnapshot, priced: RigEconomics) -> Iterator[Flip]:
    """Solve for each input in turn. Revenue is proportional to hashprice and to bitcoin's price, cost to power's."""
    kwh, revenue = _kwh(priced), priced.potential_revenue
    price = priced.marginal_price
    if not kwh or not revenue or price is None:
        return
    earned, settings = revenue / kwh, case.decision_settings
    if priced.hosted:
        # a conversion is judged on the host's margin, which these inputs move otherwise
        if not (priced.books and priced.books.host_may_curtail):
            yield from _solve(case, "mine or curtail", earned, price)
        return
    stopping = with_rig(cost_lines(*case.settings.at(rig.rig.tariff)))
    yield from _solve(case, "mine or curtail", earned, price - stopping, stopping)
    value = case.economics.market.ai_value_per_kilowatt_year
    mining = per_kilowatt_year(priced.best_margin, priced.potential_power)
    if priced.power_price is None or mining is None or value is None:
        return
    sale = sale_of_rig(rig, priced.potential_power, settings, case.economics.market)
    spare = value + sale - settings.threshold(value)
    needed = (spare + settings.resale_decay_usd_per_kilowatt_year) / HOURS_PER_YEAR
    unused = price - stopping - priced.power_price  # what a kWh earns if it is not used
    if value > 0 and spare > 0 and needed > unused:
        yield from _solve(case, "mine or reassign", earned, priced.power_price, stopping + needed)
    lease = value_ai(case.settings.ai)
    if lease is None or lease.lease is None:
        return
    beaten = max(mining - settings.resale_decay_usd_per_kilowatt_year, 0.0) - sale
    enough = _with_threshold(beaten, settings)
    if enough is not None:
        at = lease.lease.rent_for(enough)
        yield Flip(change="mine or reassign", name="rent", now=lease.lease.rent, at=at, unit="USD/kW/month")


def _solve(case: Case, change: str, earned: float, price: float, less: float = 0.0) -> Iterator[Flip]:
    """Yield each input's value at which revenue ``earned`` is power ``price`` and ``less``, all in USD per kWh."""
    bitcoin = case.snapshot.bitcoin_price
    factor = (price + less) / earned
    yield Flip(change=change, name="power price", now=price, at=earned - less, unit="USD/kWh")
    for name, now, unit in (
        ("hashprice", case.economics.market.payout_usd, "USD/PH/day"),
        ("bitcoin price", bitcoin.value if bitcoin is not None else None, "USD"),
    ):
        at = None if now is None else finite(now * factor)
        if at is not None and at > 0:
            yield Flip(change=change, name=name, now=now, at=at, unit=unit)


def _with_threshold(mining: float, settings: DecisionSettings) -> float | None:
    """Return the AI value whose score against ``mining`` is just the threshold; None where none is high enough."""
    if settings.reassign_share >= 1:
        return None
    least = max(mining + settings.reassign_score_usd_per_kilowatt_year, mining / (1 - settings.reassign_share))
    return max(least, 0.0)  # AI that is worth nothing has no score


def _mining(priced: RigEconomics) -> float | None:
    return per_kilowatt_year(priced.potential_margin, priced.potential_power)


def _kwh(priced: RigEconomics) -> float | None:
    return None if priced.potential_power is None else HOURS_PER_DAY * kilowatts(priced.potential_power)


def _per(usd: float | None, kwh: float | None) -> float | None:
    return finite(usd / kwh) if usd is not None and kwh else None
