"""Recorded hours of blocks: from the Prometheus that scrapes the exporter, or from a CSV file."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, TypeVar

import aiohttp
from pydantic import Field, field_validator

from exporter.decision.backfill import RecordedHour, RecordedRig
from exporter.economics.contract import sold_at
from exporter.economics.settings import PayoutScheme, SiteSettings
from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, SettingsGroup
from exporter.model.units import SECONDS_PER_HOUR, kilowatts
from exporter.sources.contract import number
from exporter.sources.http import Endpoint, HttpSettings
from exporter.sources.local_times import unix_seconds
from exporter.sources.prometheus import ask_range, quoted
from exporter.sources.tables import read_table

_HOURS_PER_QUERY: Final = 168
_RIGS_PER_QUERY: Final = 200
_COLUMNS: Final = ("time", "block", "tariff", "kilowatts", "petahashes", "hashprice", "power_price")
_SALE_PRICE: Final = "sale_price"

ByTime = Mapping[float, float]
T = TypeVar("T")


class PrometheusBackfill(HttpSettings):
    """The Prometheus that scrapes this exporter, or a server with its API (Mimir, Thanos, VictoriaMetrics)."""

    kind: Literal["prometheus"] = Field("prometheus", description="Reads the series that this exporter wrote.")
    url: str = Field(description="Address of the server, without /api, such as http://prometheus:9090.")
    selector: str = Field(
        "", description='Label matchers of this site\'s series, without braces, such as `site="prairie-1"`.'
    )

    @field_validator("selector")
    @classmethod
    def _matchers(cls, value: str) -> str:
        if any(brace in value for brace in "{}"):
            raise ValueError('is written without braces, such as site="prairie-1"')
        return value.strip().strip(",")


class FileBackfill(SettingsGroup):
    """A CSV file with a row per block, hour and group of equal rigs."""

    kind: Literal["file"] = Field("file", description="Reads a CSV file.")
    path: ConfigPath = Field(
        description="The file. Columns: time (start of the hour), block, tariff, kilowatts (billed), petahashes (paid "
        "for), hashprice (USD per PH/s and day, as paid), power_price and, where energy can be sold, sale_price (USD "
        "per kWh)."
    )


BackfillSettings = Annotated[PrometheusBackfill | FileBackfill, Field(discriminator="kind")]


class Wanted(NamedTuple):
    """The hours that one block lacks (unix seconds, oldest first), and the names of its rigs."""

    hours: Sequence[float]
    rigs: Sequence[str]


async def recorded(
    settings: PrometheusBackfill | FileBackfill,
    session: aiohttp.ClientSession,
    wanted: Mapping[str, Wanted],
    site: SiteSettings,
) -> AsyncIterator[tuple[str, list[RecordedHour]]]:
    """Yield the recorded hours of each block in turn. Raises Failure.

    Args:
        settings: where they are.
        session: the HTTP session of the process.
        wanted: by block: what it lacks.
        site: the contracts: which prices are needed.
    """
    if isinstance(settings, FileBackfill):
        hours = await asyncio.to_thread(read_file, settings.path)
        for block in wanted.keys() & hours.keys():
            yield block, hours[block]
        return
    if site.economics.scheme is not PayoutScheme.FPPS:
        raise Failure(Reason.UNSUPPORTED, "backfill from Prometheus needs economics.scheme fpps: use a file instead")
    reader = _Reader(Endpoint(settings, session), settings.selector)
    every = sorted({hour for block in wanted.values() for hour in block.hours})
    for chunk in _chunks(every, _HOURS_PER_QUERY):
        market = await reader.market(chunk, site)
        for block, lacking in wanted.items():
            hours_of_block = sorted(market.payouts.keys() & set(lacking.hours) & set(chunk))
            if hours_of_block:
                yield block, await reader.block(block, lacking.rigs, hours_of_block, market)


class _Market(NamedTuple):
    """Hashprice, recorded seconds and power prices of some hours, by time of the hour's start."""

    payouts: ByTime
    seconds: ByTime
    prices: Mapping[str, ByTime]
    sold_at: Mapping[str, str]  # by tariff whose energy can be sold: the tariff of the sale


class _Reader:
    """Reads hours from the exporter's own series. Each query is bounded in rigs and hours."""

    def __init__(self, endpoint: Endpoint, selector: str) -> None:
        self._endpoint = endpoint
        self._selector = selector

    async def market(self, hours: Sequence[float], site: SiteSettings) -> _Market:
        hashprice = self._of("mining_hashprice_usd_per_petahash_day")
        payouts = await self._ask(f"max by (site) (avg_over_time({hashprice}))", hours)
        if len(payouts) > 1:
            sites = ", ".join(sorted(labels.get("site", "") for labels, _ in payouts))
            raise Failure(Reason.UNSUPPORTED, f"several sites ({sites}): choose one with decision.backfill.selector")
        counts = _only(await self._ask(f"max(count_over_time({hashprice}))", hours))
        most = max(counts.values(), default=1.0)  # of a whole hour: an hour with fewer scrapes was recorded in part
        price = self._of("mining_power_price_usd_per_kilowatt_hour")
        prices = _by(await self._ask(f"max by (tariff) (avg_over_time({price}))", hours), "tariff")
        sales = {name: sale for name in prices if (sale := sold_at(name, site.at(name)[1])) is not None}
        seconds = {hour: count / most * SECONDS_PER_HOUR for hour, count in counts.items()}
        return _Market(_only(payouts), seconds, prices, sales)

    async def block(
        self, block: str, rigs: Sequence[str], hours: Sequence[float], market: _Market
    ) -> list[RecordedHour]:
        matcher = f'block="{quoted(block)}"'
        inventory = self._of("mining_rig_inventory_info", matcher)
        fleet = _only(await self._ask(f"count(max by (rig) (last_over_time({inventory})))", hours))
        known: dict[float, list[RecordedRig]] = defaultdict(list)
        for names in _chunks(sorted(rigs), _RIGS_PER_QUERY):
            some = f'rig=~"{quoted("|".join(map(re.escape, names)))}"'
            inventory = self._of("mining_rig_inventory_info", matcher, some)
            members = await self._ask(f"max by (rig, tariff) (last_over_time({inventory}))", hours)
            margins = await self._of_rigs("mining_rig_potential_margin_usd_per_day", some, hours)
            watts = await self._of_rigs("mining_rig_potential_power_watts", some, hours)
            for hour in hours:
                tariffs: dict[str, list[str]] = defaultdict(list)
                for labels, values in members:
                    if hour in values:
                        tariffs[labels.get("rig", "")].append(labels.get("tariff", ""))
                for rig, named in tariffs.items():
                    margin, power = margins.get(rig, {}).get(hour), watts.get(rig, {}).get(hour)
                    if margin is not None and power is not None and len(named) == 1:
                        known[hour].append(RecordedRig(named[0], kilowatts(power), margin=margin))
        return [
            RecordedHour(
                hour=hour,
                seconds=market.seconds.get(hour, 0.0),
                payout=market.payouts[hour],
                rigs=known[hour],
                fleet=int(fleet.get(hour, 0.0)),
                prices={name: values[hour] for name, values in market.prices.items() if hour in values},
                sales={
                    name: market.prices[sale][hour]
                    for name, sale in market.sold_at.items()
                    if hour in market.prices.get(sale, {})
                },
            )
            for hour in hours
        ]

    async def _of_rigs(self, metric: str, some: str, hours: Sequence[float]) -> Mapping[str, ByTime]:
        series = self._of(metric, some)
        return _by(await self._ask(f"max by (rig) (avg_over_time({series}))", hours), "rig")

    def _of(self, metric: str, *matchers: str) -> str:
        return f"{metric}{{{', '.join(filter(None, (self._selector, *matchers)))}}}[1h]"

    async def _ask(self, query: str, hours: Sequence[float]) -> list[tuple[dict[str, str], dict[float, float]]]:
        """Evaluate a query at the end of each hour from the first to the last, and return it by the hours' starts."""
        found = await ask_range(
            self._endpoint,
            query,
            hours[0] + SECONDS_PER_HOUR,
            hours[-1] + SECONDS_PER_HOUR,
            SECONDS_PER_HOUR,
            allow_empty=True,
        )
        return [(labels, {at - SECONDS_PER_HOUR: value for at, value in values.items()}) for labels, values in found]


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _only(series: Sequence[tuple[Mapping[str, str], ByTime]]) -> ByTime:
    return series[0][1] if series else {}


def _by(series: Sequence[tuple[Mapping[str, str], ByTime]], label: str) -> dict[str, ByTime]:
    return {labels.get(label, ""): values for labels, values in series}


def read_file(path: Path) -> dict[str, list[RecordedHour]]:
    """Read the hours of each block. Raises Failure with the line."""
    try:
        table = read_table(path.read_text(encoding="utf-8-sig"), _COLUMNS)
    except (OSError, ValueError) as error:
        raise Failure(Reason.GARBLED, f"{path}: {getattr(error, 'strerror', None) or error}") from None
    hours: dict[tuple[str, float], RecordedHour] = {}
    for row, line in zip(table.rows, table.lines, strict=True):
        try:
            one = _row(row)
            key = row["block"], one.hour
            hours[key] = _joined(hours[key], one) if key in hours else one
        except (TypeError, ValueError) as error:
            raise Failure(Reason.GARBLED, f"{path}, line {line}: {error}") from None
    blocks: dict[str, list[RecordedHour]] = defaultdict(list)
    for (block, _), hour in hours.items():
        blocks[block].append(hour)
    return blocks


def _row(row: Mapping[str, str]) -> RecordedHour:
    begin = unix_seconds(row["time"])
    if begin % SECONDS_PER_HOUR:
        raise ValueError(f"time {row['time']!r:.40} is not the start of an hour")
    power, work = _positive(row, "kilowatts"), _positive(row, "petahashes")
    sale = row.get(_SALE_PRICE, "").strip()
    return RecordedHour(
        hour=begin,
        payout=_positive(row, "hashprice"),
        rigs=(RecordedRig(row["tariff"], power, work=work),),
        prices={row["tariff"]: number(row["power_price"])},
        sales={row["tariff"]: number(sale)} if sale else {},
    )


def _joined(one: RecordedHour, other: RecordedHour) -> RecordedHour:
    """Return an hour with the rigs of both. Hashprice and prices of an hour are the same in all its rows."""
    if one.payout != other.payout:
        raise ValueError("the hashprice differs from that of an earlier row of the block and hour")
    for before, after in ((one.prices, other.prices), (one.sales, other.sales)):
        if any(before.get(name, price) != price for name, price in after.items()):
            raise ValueError("a price differs from that of an earlier row of the block, hour and tariff")
    return replace(
        one,
        rigs=(*one.rigs, *other.rigs),
        prices={**one.prices, **other.prices},
        sales={**one.sales, **other.sales},
    )


def _positive(row: Mapping[str, str], column: str) -> float:
    value = number(row[column])
    if value < 0:
        raise ValueError(f"{column} {value:g} is below 0")
    return value
