"""Generated histories of a market, hour by hour, on fixed seeds: what a backtest is judged on."""

import math
from collections.abc import Iterator
from random import Random

from exporter.tools.replay import MarketPoint

HOUR = 3_600.0
YEAR_HOURS = 8_760
START = 1_767_225_600.0  # 1 January 2026


def fixed(hours: int = YEAR_HOURS, *, price: float = 0.05, hashprice: float = 33.3) -> list[MarketPoint]:
    """A contract at one price, at one hashprice."""
    return [
        MarketPoint(time=START + at * HOUR, hashprice=hashprice, power_price=price) for at in (*range(hours), hours)
    ]


def ercot(seed: int, hours: int = YEAR_HOURS, *, first: int = 0) -> list[MarketPoint]:
    """A real-time market: cheap nights, dear evenings, negative hours in spring, and spikes that last for hours.

    ``first`` is the hour of the year at which it begins.
    """
    random = Random(f"ercot {seed}")
    return list(_points(hours, _ercot(random, first, hours), _hashprices(random, hours)))


def _ercot(random: Random, first: int, hours: int) -> Iterator[float]:
    spike, noise = 0, 0.0
    height = 0.0
    for at in range(first, first + hours):
        day, hour = at // 24, at % 24
        season = math.cos(4 * math.pi * (day - 20) / 365)  # dear in winter and summer
        noise = 0.8 * noise + random.gauss(0, 0.004)
        price = 0.028 + 0.008 * season + 0.016 * math.exp(-((hour - 19) ** 2) / 6) + noise
        if 60 < day < 140 and 10 < hour < 16 and random.random() < 0.3:
            price -= random.uniform(0.02, 0.05)
        if spike == 0 and random.random() < 0.004 + 0.008 * max(season, 0) * (16 <= hour <= 20):
            spike, height = random.randint(1, 5), random.choice([0.1, 0.2, 0.5, 1.0, 5.0])
        if spike:
            spike -= 1
            price += height * random.uniform(0.5, 1.0)
        yield round(price, 5)


def nordic(seed: int, hours: int = YEAR_HOURS, *, first: int = 0) -> list[MarketPoint]:
    """A day-ahead market: dear winters, wet weeks, and two peaks a day. It begins at hour ``first`` of the year."""
    random = Random(f"nordic {seed}")
    return list(_points(hours, _nordic(random, first, hours), _hashprices(random, hours)))


def _nordic(random: Random, first: int, hours: int) -> Iterator[float]:
    level, daily = 0.0, 0.0
    for at in range(first, first + hours):
        day, hour = at // 24, at % 24
        if hour == 0:
            level = 0.95 * level + random.gauss(0, 0.12)
            daily = random.uniform(0.5, 1.5)
        season = 0.35 * math.cos(2 * math.pi * (day - 15) / 365)
        peaks = math.exp(-((hour - 8) ** 2) / 4) + math.exp(-((hour - 18) ** 2) / 5)
        yield round(0.035 * math.exp(season + level) * (0.8 + 0.5 * daily * peaks), 5)


def wandering(seed: int, hours: int = 2_000, *, about: float, spread: float = 0.012) -> list[MarketPoint]:
    """A price that wanders about one at which a rig just breaks even, at one hashprice."""
    random = Random(f"wandering {seed}")
    prices, away = [], 0.0
    for _ in range(hours):
        away = 0.93 * away + random.gauss(0, spread * math.sqrt(1 - 0.93**2))
        prices.append(about + away)
    return list(_points(hours, iter(prices), iter([33.3] * (hours + 1))))


def _hashprices(random: Random, hours: int) -> Iterator[float]:
    """Return a hashprice that declines over the year, with noise from day to day."""
    noise = 0.0
    for at in range(hours + 1):
        if at % 24 == 0:
            noise = 0.97 * noise + random.gauss(0, 0.02)
        yield 52.0 * math.exp(-0.2 * at / YEAR_HOURS + noise)


def _points(hours: int, prices: Iterator[float], hashprices: Iterator[float]) -> Iterator[MarketPoint]:
    price = 0.0
    for at in range(hours + 1):
        price = next(prices, price)
        yield MarketPoint(time=START + at * HOUR, hashprice=next(hashprices), power_price=price, generated=True)
