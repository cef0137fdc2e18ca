"""Asks every configured source once: what it says, how old that is, and how long it took."""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from exporter.model.failures import SOURCE_ADVICE, Failure, Reason
from exporter.model.readings import ExpectedOff, GpuReading, MeterReading, NetworkState, PriceSlot, Reading
from exporter.polling.guard import Guard
from exporter.polling.latest import Latest
from exporter.polling.sources import fetched
from exporter.polling.tariffs import price_in_force
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.tariffs import TariffSettings


@dataclass(frozen=True, slots=True)
class Asked:
    """One source's answer. ``age`` and ``seconds`` (the time it took) in seconds."""

    source: str
    kind: str
    seconds: float
    value: str = ""
    age: float | None = None
    failure: Failure | None = None


async def check_all(sources: Mapping[str, SourceSettings]) -> list[Asked]:
    """Ask them all at once, each for as long as a running exporter would; a failure is an answer too."""
    async with aiohttp.ClientSession() as session:
        context = SourceContext(session)
        return list(await asyncio.gather(*(_ask(name, source, context) for name, source in sources.items())))


async def _ask(name: str, settings: SourceSettings, context: SourceContext) -> Asked:
    started = time.monotonic()
    try:
        reading: Reading[Any] = await fetched(settings.build(context), Guard())
        now = context.clock()
        _check_usable(reading, settings, now)
    except Failure as failure:
        return Asked(name, settings.kind, time.monotonic() - started, failure=failure)
    return Asked(
        name, settings.kind, time.monotonic() - started, spoken(reading.value, now), max(0.0, now - reading.observed_at)
    )


def _check_usable(reading: Reading[Any], settings: SourceSettings, now: float) -> None:
    """Raise the Failure for which a running exporter would not use the value."""
    if not Latest[Any](settings.max_age).accepts(reading, now):
        raise Failure(
            Reason.STALE, f"observed {now - reading.observed_at:.0f} s ago, max_age is {settings.max_age:.0f} s"
        )
    if isinstance(settings, TariffSettings) and price_in_force(reading.value, now) is None:
        raise Failure(Reason.STALE, f"none of {len(reading.value)} prices is in force now")


def spoken(value: object, now: float) -> str:
    """Say a source's value in a few words."""
    match value:
        case NetworkState():
            said = f"height {value.height:,}, difficulty {value.difficulty:.4g}"
        case float() | int():
            said = f"${value:,.2f}"
        case tuple() if all(isinstance(entry, PriceSlot) for entry in value):
            said = _prices(value, now)
        case tuple() if all(isinstance(entry, GpuReading) for entry in value):
            said = f"{len(value)} GPUs, {sum(gpu.power or 0.0 for gpu in value):,.0f} W"
        case MeterReading(rigs=rigs, blocks=blocks, refused=refused):
            watts = sum(rigs.values()) + sum(blocks.values())
            said = f"{_counted(rigs=rigs, blocks=blocks, refused=refused)}, {watts:,.0f} W"
        case ExpectedOff(site=site, blocks=blocks, rigs=rigs):
            said = f"off: {'the whole site' if site else _counted(blocks=blocks, rigs=rigs) or 'nothing'}"
        case Sequence() | Mapping():
            said = f"{len(value)} values"
        case _:
            said = str(value)
    return said


def _prices(slots: tuple[PriceSlot, ...], now: float) -> str:
    price = price_in_force(slots, now)
    following = "" if price is None or price.next_price is None else f", then {_dollars(price.next_price)}"
    return f"{len(slots)} slots, " + (
        "none in force now" if price is None else f"{_dollars(price.price)}/kWh{following}"
    )


def _counted(**named: Collection[str]) -> str:
    return ", ".join(f"{len(names):,} {what}" for what, names in named.items() if names)


def _dollars(price: float) -> str:
    return f"{'-' if price < 0 else ''}${abs(price):.4f}"


def as_text(asked: Sequence[Asked]) -> str:
    """A table for people."""
    rows = [("source", "kind", "took", "age", "value"), *map(_row, asked)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join([*map(str.ljust, row[:4], widths), row[4]]) for row in rows)


def _row(one: Asked) -> tuple[str, str, str, str, str]:
    failure = one.failure
    said = (
        one.value if failure is None else f"FAILED {failure.reason}: {failure.detail} ({SOURCE_ADVICE[failure.reason]})"
    )
    return one.source, one.kind, f"{one.seconds:.2f} s", "" if one.age is None else f"{one.age:.0f} s", said


def as_records(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """The same for scripts."""
    return [
        {"source": one.source, "kind": one.kind, "seconds": round(one.seconds, 4)}
        | (
            {"value": one.value, "age": one.age}
            if one.failure is None
            else {
                "failure": one.failure.reason,
                "detail": one.failure.detail,
                "advice": SOURCE_ADVICE[one.failure.reason],
            }
        )
        for one in asked
    ]
