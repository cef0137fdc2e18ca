"""Makes a rig's values safe: finite numbers in a physical range, short printable text. A bad value alone is None."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from exporter.model.failures import Failure, Reason
from exporter.model.models import model_name
from exporter.model.readings import PowerSupply
from exporter.model.units import hashes_per_second, hertz
from exporter.sources.rigs.contract import OtherRig
from exporter.sources.rigs.implausible import note

MAX_RIG_HASHRATE: Final = 2e15  # H/s; the largest hydro rigs do 0.9e15
MAX_OVER_EXPECTED: Final = 3.0
MAX_POWER: Final = 50_000.0  # W
MAX_VOLTS: Final = 1_000.0
MAX_AMPERES: Final = 1_000.0
MAX_MEGAHERTZ: Final = 10_000.0
MAX_RPM: Final = 100_000.0
MIN_TEMPERATURE: Final = -50.0
MAX_TEMPERATURE: Final = 200.0
MAX_CHIPS: Final = 10_000
MAX_COUNTER: Final = 1e24
MAX_UPTIME: Final = 20 * 366 * 86_400.0
MAX_TEXT: Final = 128
BITCOIN_BEGAN: Final = 1_231_006_505.0  # unix seconds, of the genesis block
CLOCK_SKEW: Final = 300.0  # s, that a rig's clock may be ahead
_BITMAIN: Final = re.compile(r"^(?:bitmain )?(?:antminer )?", re.IGNORECASE)
_RELEASE: Final = re.compile(r" V\d+(?:\.\d+)+.*$", re.IGNORECASE)  # of the firmware, behind the model
_REMARK: Final = re.compile(r" \((?!\d+\)).*$")  # of the firmware too; "(88)" is of the hardware
_BETWEEN_SENSORS: Final = re.compile(r"(?<=\d)-")
_LEADING_NUMBER: Final = re.compile(r"\s*-?\d+(?:\.\d+)?(?=\s|[A-Za-z(]|$)")
_SERIES: Final = re.compile(r"([A-Za-z]{1,2}\d+)([A-Za-z+]*)")
_CAPITALS: Final = frozenset({"XP", "XP+", "AML"})
_HYDRO: Final = frozenset({"hyd", "hyd.", "hydro"})
_SCALES: Final = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_MAC_DIGITS: Final = 12
_HEXADECIMAL: Final = frozenset("0123456789abcdef")
_OBJECTS: Final = frozenset({dict})
_FLOATS: Final = frozenset({float})
MAX_ITEMS: Final = 32
"""Boards, fans or pools beyond this are dropped: a rig must not flood the exposition."""
_NOT_MEASURED: Final = PowerSupply()


def number(value: object, low: float, high: float, kind_of_value: str = "number") -> float | None:
    """Read a number or numeric text within bounds; None for anything else, NaN and infinities included.

    A number out of bounds is noted as an implausible ``kind_of_value``.
    """
    kind = type(value)
    if kind is str:
        try:
            value = float(value)  # type: ignore[arg-type]
        except ValueError:
            return None
    elif kind is not float and kind is not int:  # bool is neither: it is no number
        return None
    if low <= value <= high:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    note(kind_of_value)
    return None


def _within(low: float, high: float, kind_of_value: str, *, zero: bool = True) -> Callable[[object], float | None]:
    """Make a :func:`number` of these bounds, as one call per value; without ``zero``, 0 is none."""
    nothing = 0.0 if zero else None

    def read(value: object) -> float | None:
        if type(value) is not float:
            if value is None:  # as of every key that a build does not have
                return None
            kind = type(value)
            if kind is not int and kind is not str:
                return None
            try:
                value = float(value)  # type: ignore[arg-type]
            except ValueError:
                return None
        if low <= value <= high:
            return value or nothing
        note(kind_of_value)
        return None

    return read


def each(values: object, read: Callable[[object], float | None], high: float, most: int) -> list[float | None]:
    """Read the values of a JSON array, as many as ``most``: all at once if they are floats above 0 and up to ``high``.

    Args:
        values: One per chip, almost always.
        read: Reads a single value, up to ``high``.
        high: The bound of ``read``.
        most: Values beyond this are dropped.
    """
    if not isinstance(values, list):
        return []
    listed = values if len(values) <= most else values[:most]
    if _FLOATS.issuperset(map(type, listed)) and all(map((0.0).__lt__, listed)) and all(map(high.__ge__, listed)):
        return listed
    return [read(value) for value in listed]


def leading_number(value: object) -> object:
    """Return the number at the beginning of a text with its unit behind it, such as ``3250 W``; else the value."""
    found = _LEADING_NUMBER.match(value) if isinstance(value, str) else None
    return value if found is None else found[0]


def count(value: object, high: int = MAX_CHIPS) -> int | None:
    """Read a whole number from 0 to ``high``."""
    if type(value) is int and 0 <= value <= high:  # as almost every one
        return value
    result = number(value, 0, high, "count")
    return None if result is None else int(result)


def index(value: object, position: int) -> int:
    """Read the number of a board or fan, or return its position among the others if it has none."""
    known = count(value, MAX_ITEMS)
    return position if known is None else known


counter: Final = _within(0.0, MAX_COUNTER, "counter")
"""Read a total that never falls."""

celsius: Final = _within(MIN_TEMPERATURE, MAX_TEMPERATURE, "temperature", zero=False)
"""Read a temperature. Firmware writes exactly 0 where there is no sensor."""


def sensors(value: object) -> list[float]:
    """Read the temperatures in a JSON array or a text like ``61-48-47-60`` or ``-3--2-1-0``, those that can be."""
    parts = value
    if isinstance(value, str):
        parts = value.split("-", MAX_CHIPS)
        try:
            temperatures = [known for known in map(float, parts) if 0.0 < known <= MAX_TEMPERATURE]
        except ValueError:  # signs, or what is no number
            temperatures = []
        if len(temperatures) == len(parts):  # as in almost every text
            return temperatures
        parts = _BETWEEN_SENSORS.split(value)
    known = map(celsius, parts[:MAX_CHIPS]) if isinstance(parts, list) else ()
    return [temperature for temperature in known if temperature is not None]


def by_sensor(values: Mapping[str, object]) -> tuple[tuple[str, float], ...]:
    """Read the temperatures of named sensors, those that can be."""
    return tuple((sensor, known) for sensor, value in values.items() if (known := celsius(value)) is not None)


def hottest(temperatures: Iterable[float | None]) -> float | None:
    """Return the highest of those that are known."""
    return max([value for value in temperatures if value is not None], default=None)


def coolest(temperatures: Iterable[float | None]) -> float | None:
    """Return the lowest of those that are known."""
    return min([value for value in temperatures if value is not None], default=None)


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def spread(temperatures: Iterable[float | None]) -> tuple[float | None, float | None, float | None]:
    """Return the lowest, the mean and the highest of those that are known; None each if there are none."""
    ordered = sorted([value for value in temperatures if value is not None])
    if not ordered:
        return None, None, None
    return ordered[0], sum(ordered) / len(ordered), ordered[-1]


def margin(limit: object, temperatures: Iterable[float | None]) -> float | None:
    """Return how far the hottest of them is below a limit, in degrees; None if either is unknown."""
    ceiling = celsius(limit)
    top = None if ceiling is None else hottest(temperatures)
    return None if ceiling is None or top is None else ceiling - top


watts: Final = _within(0.0, MAX_POWER, "power", zero=False)
"""Read a power. Firmware writes exactly 0 for a power that it does not measure."""

volts: Final = _within(0.0, MAX_VOLTS, "voltage", zero=False)
"""Read a voltage. Firmware writes exactly 0 for one that it does not measure."""

amperes: Final = _within(0.0, MAX_AMPERES, "current", zero=False)
"""Read a current. Firmware writes exactly 0 for one that it does not measure."""


_any: Final = _within(-MAX_COUNTER, MAX_COUNTER, "number")


def milli(value: object) -> float | None:
    """Read a number of thousandths, such as mV or mA, as a number of the whole; for :data:`volts` and its like."""
    known = _any(value)
    return None if known is None else known / 1_000


def centi(value: object) -> float | None:
    """Read a number of hundredths, as :func:`milli` reads one of thousandths."""
    known = _any(value)
    return None if known is None else known / 100


clock: Final = _within(0.0, MAX_MEGAHERTZ, "frequency", zero=False)
"""Read a clock in MHz. Exactly 0 is that of a chip or board that stands still or is not there."""


def megahertz(value: object) -> float | None:
    """Read a clock in MHz, in Hz, as :data:`clock` does."""
    known = clock(value)
    return None if known is None else hertz(known)


ratio: Final = _within(0.0, 1.0, "ratio")
"""Read a share of a whole, from 0 to 1."""


_percents: Final = _within(0.0, 100.0, "ratio")


def percentage(value: object) -> float | None:
    """Read a share of a whole that is written from 0 to 100, as one from 0 to 1."""
    known = _percents(value)
    return None if known is None else known / 100


def difficulty(value: object) -> float | None:
    """Read a difficulty, which may be written short: ``262K``, ``1.5M``, ``483 k``. Exactly 0 is that of no share."""
    if isinstance(value, str) and (factor := _SCALES.get(value[-1:])):
        known = counter(value[:-1])
        return known * factor if known else None
    return counter(value) or None


rpm: Final = _within(0.0, MAX_RPM, "fan_speed")
"""Read a fan speed."""

seconds: Final = _within(0.0, MAX_UPTIME, "uptime")
"""Read a duration."""


_rate: Final = _within(0.0, MAX_COUNTER, "hashrate")


def hashrate(value: object, unit: str) -> float | None:
    """Read one hashrate (of a board, or an expected one) in H/s, up to what a rig can do."""
    known = _rate(value)
    if known is None:
        return None
    try:
        rate = hashes_per_second(known, unit)
    except ValueError:
        return None
    if rate <= MAX_RIG_HASHRATE:
        return rate
    note("hashrate")
    return None


_age: Final = _within(0.0, MAX_UPTIME, "share_time")


def share_time(value: object, now: float) -> float | None:
    """Read when a share was sent, in unix seconds: as such, or as an age like ``0:00:03``. 0 is never.

    Before bitcoin, as where the rig's clock begins in 1970, and after ``now`` there are none.
    """
    if isinstance(value, str) and ":" in value:
        age = 0.0
        for part in value.split(":"):
            known = _age(part)
            if known is None:
                return None
            age = age * 60 + known
        at: float | None = now - age
    else:
        at = number(value, 0, MAX_COUNTER, "share_time") or None
    if at is None or BITCOIN_BEGAN <= at <= now + CLOCK_SKEW:
        return at
    note("share_time")
    return None


def moment(value: object, now: float) -> float | None:
    """Read a time like ``2026-04-08T03:38:27+00:00`` in unix seconds; without its zone it is none."""
    try:
        at = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return share_time(at.timestamp(), now) if at.tzinfo else None


def flag(value: object) -> bool | None:
    """Read a yes or no, as JSON or as the words that firmware uses."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "y": True, "yes": True, "false": False, "n": False, "no": False}.get(value.lower())
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def text(value: object, limit: int = MAX_TEXT) -> str:
    """Read a short text without control characters or broken Unicode; empty where there is none."""
    if not isinstance(value, str):
        return ""
    result = value.strip()
    if len(result) > limit:
        result = result[:limit]
    return result if result.isprintable() else "".join(filter(str.isprintable, " ".join(result.split())))


def total(parts: list[float | None]) -> float | None:
    """Return the sum; None if a part is unknown or there are no parts."""
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def mac(value: object) -> str:
    """Read a MAC address as ``aa:bb:cc:dd:ee:ff``; empty where it is none."""
    digits = "".join(character for character in text(value) if character not in ":-.").lower()
    if len(digits) != _MAC_DIGITS or not set(digits) <= _HEXADECIMAL or set(digits) <= {"0"}:
        return ""
    return ":".join(digits[at : at + 2] for at in range(0, _MAC_DIGITS, 2))


def bitmain_model(value: object) -> str:
    """Read a model as Bitmain's rigs are called by any firmware: ``Antminer S19j Pro (Vnish 1.2)`` is an S19j Pro."""
    return _bitmain_model(text(value))


@lru_cache(maxsize=4_096)  # each rig names its model at each poll
def _bitmain_model(name: str) -> str:
    first, *rest = _RELEASE.sub("", _BITMAIN.sub("", _REMARK.sub("", name).strip())).split() or [""]
    series = _SERIES.fullmatch(first)
    head = series[1].upper() + series[2].lower() if series else first
    return model_name("AntMiner", " ".join((head, *map(_bitmain_word, rest))))


def _bitmain_word(word: str) -> str:
    if word.upper() in _CAPITALS:
        return word.upper()
    return "Hyd." if word.lower() in _HYDRO else word.capitalize()


def expect_mac(reported: object, known: str) -> None:
    """Refuse another rig's answer: raises OtherRig if both MAC addresses are known and differ."""
    if isinstance(reported, str) and reported.lower() == known:
        return
    here = mac(reported)
    if here and known and here != known:
        raise OtherRig(here)


def expect_model(reported: str, known: str) -> None:
    """Refuse another model's answer: raises OtherRig if the answer has a model and it differs."""
    if reported and reported != known:
        raise OtherRig(reported)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one if the rig sent something else."""
    return value if isinstance(value, dict) else {}


def items(value: object, most: int = MAX_ITEMS) -> list[Mapping[str, Any]]:
    """Return the objects of a JSON array, as many as a rig can sensibly have, at their positions.

    Anything else in it becomes an empty object: without it the others would have wrong indexes, and sums would fall.
    """
    if not isinstance(value, list):
        return []
    rows = value if len(value) <= most else value[:most]
    if _OBJECTS.issuperset(map(type, rows)):  # as in almost every answer
        return rows
    return [row if isinstance(row, dict) else {} for row in rows]


def measured(supply: PowerSupply) -> PowerSupply | None:
    """Return a power supply; None if nothing of it is known."""
    return None if supply == _NOT_MEASURED else supply


def first(answer: Mapping[str, Any], section: str) -> Mapping[str, Any]:
    """Return the first object of a cgminer section; empty if it is missing."""
    rows = answer.get(section)
    if isinstance(rows, list) and rows and rows[0] and isinstance(rows[0], dict):  # as in almost every answer
        return rows[0]
    return next(filter(None, items(answer.get(section))), {})


def endpoint(url: object) -> tuple[str, str]:
    """Split a pool's URL into (scheme, host with port), without any user name or password in it."""
    return _endpoint(url[:256]) if isinstance(url, str) else ("", "")


@lru_cache(maxsize=4_096)  # a site has few pools, and each rig names them at each poll
def _endpoint(url: str) -> tuple[str, str]:
    address = text(url, 256)
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = parts.port
    except ValueError:
        return "", ""
    host = parts.hostname or ""
    return parts.scheme, f"{host}:{port}" if host and port else host


def realised(value: object, unit: str, expected: float | None = None) -> float:
    """Read the mandatory hashrate in H/s.

    Args:
        value: As the rig reported it.
        unit: Its unit.
        expected: The rig's own expected hashrate in H/s, if reported.

    Raises:
        Failure: garbled where it is no number, implausible where no rig can do that.
    """
    try:
        result = number(value, -MAX_COUNTER, MAX_COUNTER, "hashrate")
        rate = None if result is None else hashes_per_second(result, unit)
    except ValueError:
        raise Failure(Reason.GARBLED, f"hashrate in the unknown unit {text(unit, 16)!r}") from None
    if rate is None:
        reason = Reason.IMPLAUSIBLE if isinstance(value, float) else Reason.GARBLED
        raise Failure(reason, f"no usable hashrate: {text(str(value), 40)!r}")
    ceiling = min(MAX_RIG_HASHRATE, expected * MAX_OVER_EXPECTED) if expected else MAX_RIG_HASHRATE
    if not 0 <= rate <= ceiling:
        note("hashrate")
        raise Failure(Reason.IMPLAUSIBLE, f"hashrate of {rate:.4g} H/s where at most {ceiling:.4g} is possible")
    return rate
