"""Renders templates, with escaping, and formats values for people."""

import time
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from exporter import __version__
from exporter.model.units import HASHES_PER_PETAHASH, HASHES_PER_TERAHASH, WATTS_PER_KILOWATT

UNKNOWN: Final = Markup('<span class="unknown">unknown</span>')  # grey on every page
_MINUS: Final = "−"  # noqa: RUF001 -- a real one
_LARGE: Final = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"))
_SMALL: Final = 1e-3
_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0


def usd(value: float | None, digits: int = 2) -> str:
    """Format US dollars, with the minus before the dollar sign."""
    if value is None:
        return UNKNOWN
    return f"{_MINUS if round(value, digits) < 0 else ''}${abs(value):,.{digits}f}"


def hashrate(value: float | None) -> str:
    """Format H/s in PH/s, or in TH/s below 1 PH/s."""
    if value is None:
        return UNKNOWN
    if value >= HASHES_PER_PETAHASH:
        return f"{value / HASHES_PER_PETAHASH:,.2f} PH/s"
    return f"{value / HASHES_PER_TERAHASH:,.1f} TH/s"


def power(value: float | None) -> str:
    """Format watts in MW, or in kW below 1 MW."""
    if value is None:
        return UNKNOWN
    kilowatts = value / WATTS_PER_KILOWATT
    return f"{kilowatts / 1_000:,.2f} MW" if kilowatts >= 1_000 else f"{kilowatts:,.2f} kW"  # noqa: PLR2004 -- kW per MW


def number(value: float | None, digits: int = 0) -> str:
    """Format a number with thousands separators."""
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """Format seconds in the largest unit that fits."""
    if seconds is None:
        return UNKNOWN
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}" if seconds < 10 * size else f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def moment(timestamp: float | None) -> str:
    """Format unix seconds as date and time in UTC."""
    return UNKNOWN if timestamp is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(timestamp))


def figure(value: float | None) -> str:
    """Format a number of any size with its significant digits."""
    if value is None:
        return UNKNOWN
    size, unit = next(((size, unit) for size, unit in _LARGE if abs(value) >= size), (1.0, ""))
    scaled = abs(value) / size
    text = f"{scaled:.3g}" if 0 < scaled < _SMALL else f"{scaled:,.4f}".rstrip("0").rstrip(".")
    return f"{_MINUS if value < 0 else ''}{text}{unit}"


def words(name: str | None) -> str:
    """Format a code such as ``expected_off`` as words."""
    return UNKNOWN if name is None else name.replace("_", " ")


_environment: Final = Environment(
    loader=PackageLoader("exporter.server"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    usd=usd, hashrate=hashrate, power=power, number=number, duration=duration, figure=figure, moment=moment, words=words
)
_environment.globals.update(version=__version__, unknown=UNKNOWN)


def page(template: str, *, status: int = 200, **values: Any) -> web.Response:
    """Render a template as a response.

    Macros get all that they use as arguments. One that looks up a value of the page becomes a reference cycle with all
    of them, which keeps a whole evaluation in memory until garbage is collected.
    """
    text = _environment.get_template(template).render(values)
    body = text.encode("utf-8", "replace")  # rigs may send invalid text
    return web.Response(status=status, body=body, content_type="text/html", charset="utf-8")
