"""Requests every configured source once, for ``check-config --online``."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from exporter.model.failures import SOURCE_ADVICE, Failure, Reason
from exporter.model.obligations import Obligation
from exporter.model.readings import (
    DatedPositions,
    ExpectedOff,
    GpuPrice,
    GpuReading,
    MeterReading,
    NetworkState,
    PoolReading,
    PriceSlot,
    Reading,
    SystemLoad,
)
from exporter.model.units import WATTS_PER_KILOWATT, petahashes
from exporter.polling.guard import Guard
from exporter.polling.latest import Latest
from exporter.polling.sources import fetched
from exporter.polling.tariffs import price_in_force
from exporter.polling.unmatched import Inventory
from exporter.sources.contract import MemberState, SourceContext, SourceSettings

_MOST_NAMED: Final = 5

_MOST_SHOWN: Final = 3
_WATTS_PER_MEGAWATT: Final = 1e6


@dataclass(frozen=True, slots=True)
class Check:
    """The result for one source: the value as text, or the failure. ``seconds`` is the duration, ``age`` in seconds."""

    source: str
    kind: str
    seconds: float
    value: str = ""
    age: float | None = None
    failure: Failure | None = None
    discarded: Mapping[str, str] = field(default_factory=dict)
    """Parts of the answer that are not used, by figure, and members of a group, each with the reason."""


async def check_all(sources: Mapping[str, SourceSettings], inventory: Inventory | None = None) -> list[Check]:
    """Request all sources concurrently, with the timeout of a running exporter. A failure is a result too.

    The names in reports are compared with the ``inventory``.
    """
    async with aiohttp.ClientSession() as session:
        context = SourceContext(session)
        checks = (_check(name, source, context, inventory) for name, source in sources.items())
        return list(await asyncio.gather(*checks))


async def _check(name: str, settings: SourceSettings, context: SourceContext, inventory: Inventory | None) -> Check:
    started = time.monotonic()
    context = context.named(name)
    try:
        reading: Reading[Any] = await fetched(settings.build(context), Guard())
        now = context.clock()
        _check_usable(reading, settings, now)
    except Failure as failure:
        return Check(name, settings.kind, time.monotonic() - started, failure=failure)
    return Check(
        name,
        settings.kind,
        time.monotonic() - started,
        described(reading.value, now),
        max(0.0, now - reading.observed_at),
        discarded=context.discards.notes | _not_used(context.members) | _unmatched(reading.value, inventory),
    )


def _unmatched(value: object, inventory: Inventory | None) -> dict[str, str]:
    """Return the names in a report that match no rig or block, by what they are called in the report."""
    if inventory is None or not isinstance(value, MeterReading | ExpectedOff):
        return {}
    unless = ", unless they are found in a range" if inventory.has_ranges else ""
    strangers = (
        ("rigs", inventory.unknown_rigs(value), f"match no listed rig{unless}"),
        ("blocks", inventory.unknown_blocks(value), "match no block"),
    )
    found: dict[str, str] = {}
    for what, names, sentence in strangers:
        if names:
            shown = sorted(names)[:_MOST_NAMED]
            nearest = inventory.suggestions(shown)
            listed = ", ".join(f"{name} (nearest: {nearest[name]})" if name in nearest else name for name in shown)
            more = f" and {len(names) - len(shown):,} more" if len(names) > len(shown) else ""
            found[f"{len(names):,} {what}"] = f"{listed}{more} {sentence}"
    return found


def _not_used(members: Mapping[str, MemberState]) -> dict[str, str]:
    """Return the members of a group that failed or strayed, each with the reason."""
    return {
        name: state.left_out or str(state.failure)
        for name, state in members.items()
        if state.left_out or state.failing_since is not None
    }


def _check_usable(reading: Reading[Any], settings: SourceSettings, now: float) -> None:
    """Raise Failure if a running exporter would not use the value."""
    if not Latest[Any](settings.max_age).accepts(reading, now):
        raise Failure(
            Reason.STALE, f"observed {now - reading.observed_at:.0f} s ago, max_age is {settings.max_age:.0f} s"
        )


def described(value: object, now: float) -> str:
    """Describe the value of a source in a few words."""
    match value:
        case NetworkState():
            text = f"height {value.height:,}, difficulty {value.difficulty:.4g}"
        case float() | int():
            text = f"${value:,.2f}"
        case tuple():
            text = _listed(value, now)
        case SystemLoad(measured=measured, forecast=forecast):
            text = f"{max(measured).watts / _WATTS_PER_MEGAWATT:,.0f} MW, {len(forecast)} points ahead"
        case DatedPositions():
            text = _bought(value, now)
        case MeterReading():
            text = _metered(value)
        case ExpectedOff(site=site, blocks=blocks, rigs=rigs):
            text = f"off: {'the whole site' if site else _counted(blocks=blocks, rigs=rigs) or 'nothing'}"
        case PoolReading():
            text = _credited(value)
        case Sequence() | Mapping():
            text = f"{len(value)} values"
        case _:
            text = str(value)
    return text


def _bought(positions: DatedPositions, now: float) -> str:
    bought = " or ".join(f"{kilowatts:,.0f} kW" for kilowatts in sorted(positions.at(now))) or "no line for now"
    ahead = sum(slot.start > now for slot in positions.slots)
    left_out = "" if positions.complete else ", with errors, which the log names"
    return f"{bought}, {ahead} later lines{left_out}"


def _metered(meters: MeterReading) -> str:
    if meters.feeders or meters.utilities:
        counted = _counted(feeders=meters.feeders, utilities=meters.utilities, refused=meters.refused)
        watts = sum(meters.feeders.values()) + sum(meters.utilities.values())
    else:
        counted = _counted(rigs=meters.rigs, blocks=meters.blocks, refused=meters.refused)
        watts = sum(meters.rigs.values()) + sum(meters.blocks.values())
    return f"{counted}, {watts:,.0f} W"


def _credited(pool: PoolReading) -> str:
    busy = [worker.hashrate for worker in pool.workers if worker.hashrate]
    paid = f", {len(pool.payments)} days paid" if pool.payments else ""
    return f"{len(pool.workers):,} workers, {len(busy):,} with work, {petahashes(sum(busy)):,.3f} PH/s{paid}"


def _listed(values: tuple[object, ...], now: float) -> str:
    """Describe a list of prices, GPUs or obligations. Only of obligations an empty one is valid."""
    prices = tuple(value for value in values if isinstance(value, PriceSlot))
    obligations = tuple(value for value in values if isinstance(value, Obligation))
    gpus = [value for value in values if isinstance(value, GpuReading)]
    rents = [value for value in values if isinstance(value, GpuPrice)]
    if prices:
        return _prices(prices, now)
    if rents:
        return ", ".join(map(_gpu_price, rents))
    return f"{len(gpus)} GPUs, {sum(gpu.power or 0.0 for gpu in gpus):,.0f} W" if gpus else _owed(obligations, now)


def _prices(slots: tuple[PriceSlot, ...], now: float) -> str:
    price = price_in_force(slots, now)
    following = "" if price is None or price.next_price is None else f", then {_dollars(price.next_price)}"
    return f"{len(slots)} slots, " + (
        "no current price" if price is None else f"{_dollars(price.price)}/kWh{following}"
    )


def _gpu_price(price: GpuPrice) -> str:
    band = "" if price.low is None or price.high is None else f" (${price.low:.2f} to ${price.high:.2f})"
    return f"{price.model} {price.commitment} ${price.price:.2f}/h{band}"


def _owed(obligations: tuple[Obligation, ...], now: float) -> str:
    """Write what holds now, and how many begin later."""
    held = [each for each in obligations if each.holds(now)]
    later = sum(each.start > now for each in obligations)
    texts = [_amount(each) for each in held[:_MOST_SHOWN]] + ["..."] * (len(held) > _MOST_SHOWN)
    return f"now: {', '.join(texts) or 'nothing'}; {later} later"


def _amount(obligation: Obligation) -> str:
    """Write the kind of an obligation and what it demands."""
    amounts = (("cap", obligation.cap), ("less", obligation.reduction), ("at least", obligation.floor))
    texts = [f"{name} {watts / WATTS_PER_KILOWATT:,.0f} kW" for name, watts in amounts if watts is not None]
    level = [] if obligation.level is None else [f"level {obligation.level}"]
    unclear = [f"unclear ({obligation.unclear})"] if obligation.unclear else []
    return " ".join([obligation.kind.value, *level, *texts, *unclear])


def _counted(**named: Collection[str]) -> str:
    return ", ".join(f"{len(names):,} {what}" for what, names in named.items() if names)


def _dollars(price: float) -> str:
    return f"{'-' if price < 0 else ''}${abs(price):.4f}"


def as_text(checks: Sequence[Check]) -> str:
    """Format the results as a table for a terminal."""
    rows = [("source", "kind", "took", "age", "value"), *map(_row, checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, row[:4], widths), row[4]]) for row in rows)


def _row(check: Check) -> tuple[str, str, str, str, str]:
    failure = check.failure
    text = (
        check.value
        if failure is None
        else f"FAILED {failure.reason}: {failure.detail} ({failure.advised(SOURCE_ADVICE)})"
    )
    text += "".join(f"; {figure} not used: {detail}" for figure, detail in check.discarded.items())
    return check.source, check.kind, f"{check.seconds:.2f} s", "" if check.age is None else f"{check.age:.0f} s", text


def as_records(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Return the results as records for JSON."""
    return [
        {"source": check.source, "kind": check.kind, "seconds": round(check.seconds, 4)}
        | (
            {"value": check.value, "age": check.age}
            if check.failure is None
            else {
                "failure": check.failure.reason,
                "detail": check.failure.detail,
                "advice": check.failure.advised(SOURCE_ADVICE),
            }
        )
        | ({"discarded": dict(check.discarded)} if check.discarded else {})
        for check in checks
    ]
