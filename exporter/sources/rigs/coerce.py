"""Makes a rig's values safe: finite numbers in a physical range, short printable text. A bad value alone is None."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import orjson

from exporter.model.failures import Failure, Reason
from exporter.model.models import model_name
from exporter.model.readings import Fan, PowerSupply
from exporter.model.units import HERTZ_PER_MEGAHERTZ, hashes_per_second, hertz
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
NumberReader = Callable[[object], float | None]
"""Reads a number of one kind in our unit; None for anything else."""
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


class _Usual(NamedTuple):
    """The numbers above 0 that a reader takes, up to ``high``, and what it does with them."""

    high: float
    factor: float = 1.0
    divisor: float = 1.0
    zero: bool = True
    """Whether 0 is a number, or none."""


_usual: Final[dict[NumberReader, _Usual]] = {}


def _within(low: float, high: float, kind_of_value: str, *, zero: bool = True) -> NumberReader:
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

    _usual[read] = _Usual(high, zero=zero)
    return read


def table(*columns: tuple[str, NumberReader]) -> Callable[[Mapping[str, Any]], tuple[float | None, ...]]:
    """Make a function that reads numbers of a row, which takes half the time of a call for each of them.

    It is written out column by column, and calls a reader only for what is not usual.

    Args:
        columns: The key of each number, and the function of this module that reads it.
    """
    lines: list[str] = ["def read(row):", "get = row.get"]
    scope: dict[str, Any] = {}
    for at, (key, reader) in enumerate(columns):
        high, factor, divisor, zero = _usual[reader]
        scope[f"reader{at}"] = reader
        scaled = f"v{at}" + (f" * {factor!r}" if factor != 1 else "") + (f" / {divisor!r}" if divisor != 1 else "")
        nothing = "0.0 if kind is float else None" if zero else "None"
        lines += (
            f"v{at} = get({key!r})",
            f"if v{at} is not None:",
            f"    kind = type(v{at})",
            "    if kind is not float and (kind is int or kind is str):",
            f"        try: v{at}, kind = float(v{at}), float",
            "        except ValueError: pass",
            f"    if kind is float and 0.0 < v{at} <= {high!r}: v{at} = {scaled}",
            f"    else: v{at} = reader{at}(v{at}) if v{at} else {nothing}",
        )
    lines.append(f"return {', '.join(f'v{at}' for at in range(len(columns)))},")
    exec("\n    ".join(lines), scope)  # noqa: S102 -- keys are constants of a reader's module
    return scope["read"]  # type: ignore[no-any-return]


def each(values: object, read: NumberReader, high: float, most: int) -> list[float | None]:
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
    found = []
    for sensor, value in values.items():
        if value is not None and (known := celsius(value)) is not None:
            found.append((sensor, known))
    return tuple(found)


def hottest(temperatures: Iterable[float | None]) -> float | None:
    """Return the highest of those that are known."""
    top = None
    for value in temperatures:
        if value is not None and (top is None or value > top):
            top = value
    return top


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


def sensor_spread(value: object) -> tuple[float | None, float | None, float | None]:
    """Return the :func:`spread` of :func:`sensors`."""
    if isinstance(value, str) and value.replace("-", "").isdigit() and len(value) <= MAX_TEXT:
        try:
            known = sorted(orjson.loads(f"[{value.replace('-', ',')}]"))  # a third of the time of a float() for each
        except ValueError:  # with signs
            return spread(sensors(value))
        if known[0] > 0 and known[-1] <= MAX_TEMPERATURE:  # as in almost every text
            return float(known[0]), sum(known) / len(known), float(known[-1])
    return spread(sensors(value))


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


def _parts(read: NumberReader, divisor: float) -> NumberReader:
    """Return what reads a number of parts of the unit of ``read``, such as 1,000 to it."""

    def read_parts(value: object) -> float | None:
        known = _any(value)
        return None if known is None else read(known / divisor)

    _usual[read_parts] = _usual[read]._replace(high=_usual[read].high * divisor, divisor=divisor)
    return read_parts


millivolts: Final = _parts(volts, 1_000.0)
"""Read a voltage in mV, in V, as :data:`volts` does."""

centivolts: Final = _parts(volts, 100.0)
"""Read a voltage in hundredths of a volt, in V, as :data:`volts` does."""

milliamperes: Final = _parts(amperes, 1_000.0)
"""Read a current in mA, in A, as :data:`amperes` does."""

centiamperes: Final = _parts(amperes, 100.0)
"""Read a current in hundredths of an ampere, in A, as :data:`amperes` does."""


clock: Final = _within(0.0, MAX_MEGAHERTZ, "frequency", zero=False)
"""Read a clock in MHz. Exactly 0 is that of a chip or board that stands still or is not there."""


def megahertz(value: object) -> float | None:
    """Read a clock in MHz, in Hz, as :data:`clock` does."""
    known = clock(value)
    return None if known is None else hertz(known)


_usual[megahertz] = _Usual(MAX_MEGAHERTZ, factor=HERTZ_PER_MEGAHERTZ, zero=False)

ratio: Final = _within(0.0, 1.0, "ratio")
"""Read a share of a whole, from 0 to 1."""


_percents: Final = _within(0.0, 100.0, "ratio")


def percentage(value: object) -> float | None:
    """Read a share of a whole that is written from 0 to 100, as one from 0 to 1."""
    known = _percents(value)
    return None if known is None else known / 100


_usual[percentage] = _Usual(100.0, divisor=100.0)


def difficulty(value: object) -> float | None:
    """Read a difficulty, which may be written short: ``262K``, ``1.5M``, ``483 k``. Exactly 0 is that of no share."""
    if isinstance(value, str) and value[-1:] in _SCALES and len(value) <= MAX_TEXT:
        value = _written_out(value)
    return counter(value) or None


@lru_cache(maxsize=4_096)  # each rig names the difficulty of its shares at each poll
def _written_out(short: str) -> float | None:
    try:
        return float(short[:-1]) * _SCALES[short[-1]]
    except ValueError:
        return None


_usual[difficulty] = _Usual(MAX_COUNTER, zero=False)
rpm: Final = _within(0.0, MAX_RPM, "fan_speed")
"""Read a fan speed."""

fan: Final = lru_cache(maxsize=4_096)(Fan)
"""Make a fan of an index and a speed. Those that are equal are one object: firmware reports few speeds."""

seconds: Final = _within(0.0, MAX_UPTIME, "uptime")
"""Read a duration."""


_rate: Final = _within(0.0, MAX_COUNTER, "hashrate")


def hashrate(value: object, unit: str) -> float | None:
    """Read one hashrate (of a board, or an expected one) in H/s, up to what a rig can do."""
    return hashrate_in(unit)(value)


@lru_cache(maxsize=64)  # each poll of each rig reads a dozen, all in the same few units
def hashrate_in(unit: str) -> NumberReader:
    """Return what :func:`hashrate` does for one unit. Of an unknown one nothing is read."""
    try:
        return _hashrate_times(hashes_per_second(1.0, unit))
    except ValueError:
        return _nothing


@cache
def _hashrate_times(factor: float) -> NumberReader:
    def read(value: object) -> float | None:
        known = _rate(value)
        if known is None:
            return None
        if (rate := known * factor) <= MAX_RIG_HASHRATE:
            return rate
        note("hashrate")
        return None

    _usual[read] = _Usual(MAX_RIG_HASHRATE / factor, factor)
    return read


def _nothing(_value: object) -> None:
    """Read nothing."""


_usual[_nothing] = _Usual(0.0, zero=False)


_age: Final = _within(0.0, MAX_UPTIME, "share_time")


def share_time(value: object, now: float) -> float | None:
    """Read when a share was sent, in unix seconds: as such, or as an age like ``0:00:03``. 0 is never.

    Before bitcoin, as where the rig's clock begins in 1970, and after ``now`` there are none.
    """
    if isinstance(value, str) and ":" in value and len(value) <= MAX_TEXT:
        age = _age(_clock_seconds(value))
        at = None if age is None else now - age
    else:
        at = number(value, 0, MAX_COUNTER, "share_time") or None
    if at is None or BITCOIN_BEGAN <= at <= now + CLOCK_SKEW:
        return at
    note("share_time")
    return None


@lru_cache(maxsize=4_096)  # most rigs sent a share in the last minutes
def _clock_seconds(written: str) -> float | None:
    """Return the seconds of ``1:02:03``; infinite if a part of it cannot be, None if one is no number."""
    seconds = 0.0
    for part in written.split(":"):
        try:
            known = float(part)
        except ValueError:
            return None
        seconds = seconds * 60 + known if 0 <= known <= MAX_UPTIME else math.inf
    return seconds


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


def total(parts: Sequence[float | None]) -> float | None:
    """Return the sum; None if a part is unknown or there are no parts."""
    return sum(parts) if parts and None not in parts else None  # type: ignore[arg-type]


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


def first_key(row: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Return the first of the keys that is in a row; empty if none is."""
    for key in keys:
        if key in row:
            return key
    return ""


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
    return None if supply.input_voltage is None and supply == _NOT_MEASURED else supply


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
