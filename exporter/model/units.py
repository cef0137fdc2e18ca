"""Every conversion between a vendor's or market's unit and ours, once.

Ours: hashes per second, watts, joules, seconds, celsius, ratios 0-1, US dollars, US dollars per kilowatt-hour.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache
from math import isfinite
from typing import Final

SECONDS_PER_HOUR: Final = 3_600.0
SECONDS_PER_DAY: Final = 86_400.0
SECONDS_PER_YEAR: Final = 31_536_000.0
HOURS_PER_DAY: Final = 24.0
HOURS_PER_YEAR: Final = 8_760.0
DAYS_PER_YEAR: Final = 365.0
MONTHS_PER_YEAR: Final = 12.0
HOURS_PER_MONTH: Final = 730.0
WATTS_PER_KILOWATT: Final = 1_000.0
SATOSHIS_PER_BITCOIN: Final = 100_000_000
HERTZ_PER_MEGAHERTZ: Final = 1e6
HASHES_PER_TERAHASH: Final = 1e12
HASHES_PER_PETAHASH: Final = 1e15

# Expected hashes per unit of difficulty: the market's convention. Bitcoin Core's own figure uses 2**48 / 65535.
HASHES_PER_DIFFICULTY: Final = 2.0**32

_HASHRATE_UNITS: Final = {
    "H/s": 1.0,
    "KH/s": 1e3,
    "MH/s": 1e6,
    "GH/s": 1e9,
    "TH/s": 1e12,
    "PH/s": 1e15,
    "EH/s": 1e18,
}


def hashes_per_second(value: float, unit: str) -> float:
    """Convert a hashrate; ``unit`` is written ``TH/s``, ``TH``, ``GHS``, ``gh/s``... Raises ValueError for others."""
    return value * _hashrate_factor(unit)


@lru_cache(maxsize=64)  # each poll of each rig converts a dozen, all in the same few units
def _hashrate_factor(unit: str) -> float:
    prefix = unit.strip().upper().removesuffix("/S").removesuffix("S").removesuffix("H")
    factor = _HASHRATE_UNITS.get(f"{prefix}H/s")
    if factor is None:
        raise ValueError(f"unknown hashrate unit {unit!r}")
    return factor


def suffixed_hashes_per_second(text: str) -> float:
    """Read a hashrate with ckpool's suffix, such as ``1.48T``: K M G T P E in powers of 1000, plain for H/s."""
    number, suffix = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    return hashes_per_second(float(number), f"{suffix}H/s")


def kilowatts(watts: float) -> float:
    """Convert watts to kilowatts."""
    return watts / WATTS_PER_KILOWATT


def joules_per_terahash(watts: float, hashrate: float) -> float | None:
    """Efficiency of ``watts`` at ``hashrate`` (H/s); None where nothing hashes."""
    return watts * HASHES_PER_TERAHASH / hashrate if hashrate > 0 else None


_ENERGY_UNITS: Final = {"Wh": 1e-3, "kWh": 1.0, "MWh": 1e3, "GWh": 1e6}


def per_kilowatt_hour(price: float, unit: str) -> float:
    """Convert a price per ``Wh``, ``kWh``, ``MWh`` or ``GWh`` to one per kilowatt-hour. Others raise ValueError."""
    try:
        return price / _ENERGY_UNITS[unit]
    except KeyError:
        raise ValueError(f"unknown energy unit {unit!r}") from None


def midnight(day: date, zone: tzinfo = UTC) -> float:
    """Return the unix seconds at which a day begins in a time zone."""
    return datetime.combine(day, time.min, zone).timestamp()


def bitcoins(satoshis: int) -> float:
    """Convert satoshis to bitcoins."""
    return satoshis / SATOSHIS_PER_BITCOIN


def petahashes(hashrate: float) -> float:
    """Convert hashes per second to petahashes per second."""
    return hashrate / HASHES_PER_PETAHASH


def hertz(megahertz: float) -> float:
    """Convert megahertz to hertz."""
    return megahertz * HERTZ_PER_MEGAHERTZ


def total(values: Iterable[float | None]) -> float | None:
    """Add up the values that are known; None if none is, or if the sum is not finite."""
    known = [value for value in values if value is not None]
    return finite(sum(known)) if known else None


def finite(value: float | None) -> float | None:
    """Return ``value``, or None where arithmetic on extreme inputs has left the finite numbers."""
    return value if value is not None and isfinite(value) else None
