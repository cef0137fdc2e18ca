"""Reads the history of the market for a backtest: from a CSV file, from Prometheus, or the included sample."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Final

from exporter.economics.hashprice import hashprice
from exporter.exposition.spreadsheets import as_csv
from exporter.model.failures import Failure, Reason
from exporter.model.units import SECONDS_PER_DAY
from exporter.sources.http import Endpoint
from exporter.sources.local_times import unix_seconds
from exporter.sources.prometheus import ask_range, quoted
from exporter.tools.replay import MarketPoint
from exporter.tools.sites import check_site

COLUMNS: Final = (
    "time",
    "hashprice",
    "bitcoin",
    "difficulty",
    "reward",
    "power_price",
    "sale_price",
    "generated",
    "source",
)
"""Columns of a history file. Hashprice in USD/PH/day, bitcoin in USD, reward in BTC per block, power in USD/kWh."""

_HOUR: Final = 3_600.0


class HistoryError(Exception):
    """The history is invalid. The message is one sentence with the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The market from ``time`` (unix seconds) until the next row; units as in :data:`COLUMNS`."""

    time: float
    hashprice: float
    power_price: float
    bitcoin: float | None = None
    difficulty: float | None = None
    reward: float | None = None
    sale_price: float | None = None
    generated: tuple[str, ...] = ()  # columns with generated values
    source: str = ""  # of the other values

    @property
    def point(self) -> MarketPoint:
        """The point for the replay."""
        return MarketPoint(
            time=self.time,
            hashprice=self.hashprice,
            power_price=self.power_price,
            sale_price=self.sale_price,
            difficulty=self.difficulty,
            generated=bool(self.generated),
        )


# --- a file ---------------------------------------------------------------------------------------------------------


def read_csv(path: Path) -> list[Row]:
    """Read a history file. Raises HistoryError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8 text')}") from None
    lines = csv.DictReader(text.splitlines())
    try:
        return _rows(path, lines)
    except csv.Error as error:
        raise HistoryError(f"{path}, line {lines.line_num}: {error}") from None


def _rows(path: Path, lines: "csv.DictReader[str]") -> list[Row]:
    named = set(lines.fieldnames or ())
    if unknown := sorted(named - set(COLUMNS)):
        raise HistoryError(f"{path}: unknown column {', '.join(unknown)}: use only {', '.join(COLUMNS)}")
    if not {"time", "power_price"} <= named or not (
        "hashprice" in named or {"bitcoin", "difficulty", "reward"} <= named
    ):
        raise HistoryError(
            f"{path} needs the columns time, power_price and hashprice (or bitcoin, difficulty and reward for it)"
        )
    rows: list[Row] = []
    for line in lines:
        try:
            row = _row(line)
        except ValueError as error:
            raise HistoryError(f"{path}, line {lines.line_num}: {error}") from None
        if rows and row.time <= rows[-1].time:
            raise HistoryError(f"{path}, line {lines.line_num}: its time must be after that of the previous line")
        rows.append(row)
    return rows


def write_csv(rows: Sequence[Row]) -> str:
    """Write a history file."""
    return as_csv(
        COLUMNS,
        (
            (
                _iso(row.time),
                _short(row.hashprice),
                _short(row.bitcoin),
                _short(row.difficulty),
                _short(row.reward),
                _short(row.power_price),
                _short(row.sale_price),
                " ".join(row.generated),
                row.source,
            )
            for row in rows
        ),
    )


def _row(line: Mapping[str, str | None]) -> Row:
    bitcoin, difficulty, reward = (_number(line, name) for name in ("bitcoin", "difficulty", "reward"))
    hashprice_, power_price = _number(line, "hashprice"), _number(line, "power_price")
    if hashprice_ is None and bitcoin is not None and difficulty is not None and reward is not None:
        hashprice_ = hashprice(difficulty, reward * bitcoin)
    if hashprice_ is None or power_price is None:
        raise ValueError("power_price, and hashprice or all of bitcoin, difficulty and reward, are required")
    generated = tuple((line.get("generated") or "").split())
    if unknown := sorted(set(generated) - set(COLUMNS)):
        raise ValueError(f"generated must list columns: unknown {' '.join(unknown)}")
    return Row(
        time=unix_seconds(line.get("time") or ""),
        hashprice=hashprice_,
        power_price=power_price,
        bitcoin=bitcoin,
        difficulty=difficulty,
        reward=reward,
        sale_price=_number(line, "sale_price"),
        generated=generated,
        source=line.get("source") or "",
    )


def _number(line: Mapping[str, str | None], name: str) -> float | None:
    text = (line.get(name) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r:.40} is not a number") from None
    if (
        not math.isfinite(value)
        or (name not in {"power_price", "sale_price"} and value < 0)
        or (name == "difficulty" and value == 0)
    ):
        raise ValueError(f"{name} {text!r:.40} is out of range")
    return value


def _iso(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.8g}"


# --- Prometheus -----------------------------------------------------------------------------------------------------


async def query_history(
    endpoint: Endpoint, *, tariff: str | None, site: str | None, end: float, days: float
) -> list[Row]:
    """Read the last ``days`` until ``end`` (unix seconds), hour by hour.

    A missing hour repeats the previous one and is marked as generated. Raises Failure and UnknownSiteError.
    """
    await check_site(endpoint, site)
    start = end - days * SECONDS_PER_DAY
    where = [] if site is None else [f'site="{quoted(site)}"']
    which = where if tariff is None else [*where, f'tariff="{quoted(tariff)}"']
    hashprices = await ask_range(
        endpoint, _averaged("mining_hashprice_usd_per_petahash_day", where, "site"), start, end, _HOUR
    )
    prices = await ask_range(
        endpoint, _averaged("mining_power_price_usd_per_kilowatt_hour", which, "site, tariff"), start, end, _HOUR
    )
    for series, flag in ((hashprices, "--site"), (prices, "--tariff or --site")):
        if len(series) > 1:
            found = "; ".join(", ".join(f"{name} {value}" for name, value in labels.items()) for labels, _ in series)
            raise Failure(Reason.UNSUPPORTED, f"several histories, choose one with {flag}: {found}")
    (_, hashprice_at), (_, price_at) = hashprices[0], prices[0]
    rows: list[Row] = []
    for step in range(int((end - start) // _HOUR) + 1):
        at = start + step * _HOUR
        if at in hashprice_at and at in price_at:
            rows.append(Row(time=at, hashprice=hashprice_at[at], power_price=price_at[at], source="Prometheus"))
        elif rows:
            rows.append(
                Row(
                    time=at,
                    hashprice=rows[-1].hashprice,
                    power_price=rows[-1].power_price,
                    generated=("hashprice", "power_price"),
                )
            )
    return rows


def _averaged(metric: str, matchers: Sequence[str], labels: str) -> str:
    return f"avg by ({labels}) (avg_over_time({metric}{{{', '.join(matchers)}}}[1h]))"


# --- the sample -----------------------------------------------------------------------------------------------------

_SEED: Final = 21
_STEP: Final = 4 * _HOUR
_EPOCH_DAYS: Final = 14
_SAMPLE_ENDS: Final = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
_FIRST_BITCOIN: Final = 95_000.0
"""Generated: no bitcoin price of the first day is published."""
_BITCOIN_NOISE: Final = 0.06
_DIFFICULTY_NOISE: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One published point of the market. None if a value was not published."""

    time: float  # unix seconds
    difficulty: float
    hashprice_bitcoins: float | None  # per PH/s and day
    hashprice: float | None  # USD per PH/s and day
    bitcoin: float | None  # USD
    source: str


def published() -> list[Published]:
    """The points of the market that the sample is made of."""
    text = files("exporter.tools").joinpath("sample_history.csv").read_text(encoding="utf-8")
    return [
        Published(
            time=unix_seconds(line["time"]),
            difficulty=float(line["difficulty"]),
            hashprice_bitcoins=_number(line, "hashprice_bitcoins"),
            hashprice=_number(line, "hashprice"),
            bitcoin=_number(line, "bitcoin"),
            source=line["source"],
        )
        for line in csv.DictReader(text.splitlines())
    ]


def sample() -> list[Row]:
    """Return the sample: the published points, and generated points between them, which each row marks.

    Difficulty moves every two weeks and bitcoin every four hours, on seeded noise between the published values; the
    reward is that of the last point that has it. All power prices are generated.
    """
    points = published()
    times = _times(points)
    difficulties = _Bridge([(each.time, each.difficulty) for each in points], _DIFFICULTY_NOISE, _EPOCH_DAYS)
    anchors = [(each.time, each.bitcoin) for each in points if each.bitcoin is not None]
    bitcoins = _Bridge([(points[0].time, _FIRST_BITCOIN), *anchors], _BITCOIN_NOISE, 1)
    power = Random(f"{_SEED} power")  # noqa: S311 -- seeded: the same sample everywhere
    rows: list[Row] = []
    reward = 0.0
    published_at = {each.time: each for each in points}
    for at in times:
        point = published_at.get(at)
        difficulty, bitcoin = difficulties(at), bitcoins(at)
        generated = {"bitcoin", "reward", "hashprice", "difficulty", "power_price"}
        if point is not None:
            generated -= {"difficulty"} | ({"bitcoin"} if point.bitcoin is not None else set())
            paid = _bitcoins_per_petahash(point)
            if paid is not None:
                reward = paid / hashprice(point.difficulty, 1.0)
                generated -= {"reward"} | ({"hashprice"} if point.bitcoin is not None else set())
        rows.append(
            Row(
                time=at,
                hashprice=hashprice(difficulty, reward * bitcoin),
                bitcoin=bitcoin,
                difficulty=difficulty,
                reward=reward,
                power_price=_power_price(at, power),
                generated=tuple(name for name in COLUMNS if name in generated),
                source="" if point is None else point.source,
            )
        )
    return rows


def _times(points: Sequence[Published]) -> list[float]:
    steps = int((_SAMPLE_ENDS - points[0].time) // _STEP)
    return sorted({points[0].time + step * _STEP for step in range(steps + 1)} | {each.time for each in points})


def _bitcoins_per_petahash(point: Published) -> float | None:
    if point.hashprice is not None and point.bitcoin is not None:
        return point.hashprice / point.bitcoin
    return point.hashprice_bitcoins


class _Bridge:
    """Interpolates geometrically between known values, with seeded noise that is zero at each of them."""

    def __init__(self, known: Sequence[tuple[float, float]], noise: float, every_days: int) -> None:
        self._known = known
        self._noise = noise
        self._every = every_days * SECONDS_PER_DAY

    def __call__(self, at: float) -> float:
        before = max((pair for pair in self._known if pair[0] <= at), default=self._known[0])
        after = min((pair for pair in self._known if pair[0] > at), default=None)
        since = (at - before[0]) // self._every * self._every
        if after is None or since <= 0:
            return before[1]
        share = since / (after[0] - before[0])
        week = since // (7 * SECONDS_PER_DAY)
        swing = Random(f"{_SEED} {before[1]} {week}").gauss(0.0, self._noise)  # noqa: S311 -- as above
        return before[1] * float((after[1] / before[1]) ** share) * math.exp(swing * math.sin(math.pi * share))


def _power_price(at: float, random: Random) -> float:
    """Generate a power price in USD per kWh: high in evenings, summer and winter, with a few days of scarcity."""
    moment = datetime.fromtimestamp(at, UTC)
    season = 0.006 * math.cos(4 * math.pi * moment.timetuple().tm_yday / 365)
    day = 0.010 * math.cos(math.tau * (moment.hour - 1) / 24)
    scarce = random.uniform(0.05, 0.4) if random.random() < 0.004 else 0.0  # noqa: PLR2004 -- a few days a year
    return round(0.046 + season + day + random.gauss(0.0, 0.005) + scarce, 5)


def stretches(rows: Sequence[Row], column: str) -> Iterator[tuple[float, float, bool]]:
    """Split the time into periods (from, to, generated) in which ``column`` is all observed or all generated."""
    begin = 0
    for index in range(1, len(rows)):
        made = column in rows[begin].generated
        if index == len(rows) - 1 or (column in rows[index].generated) != made:
            yield rows[begin].time, rows[index].time, made
            begin = index
