"""Any power price that is served as JSON: a URL, and JMESPath expressions that say where the slots are."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import per_kilowatt_hour
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import Answer, HttpSettings, HttpSource
from exporter.sources.tariffs import Slots, TariffSettings


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"{text!r} is not JMESPath: {str(error).splitlines()[0]}") from None
    return text


Expression = Annotated[str, AfterValidator(_expression)]
"""A JMESPath expression, checked when the configuration is read."""

_EPOCH_UNITS: Final = {"epoch_seconds": 1.0, "epoch_milliseconds": 1e-3}
_ENERGY_UNITS: Final = frozenset({"WH", "KWH", "MWH", "GWH"})


class Settings(HttpSettings, TariffSettings):
    """Where the prices are, and how to read them.

    ``slots`` gives a list of objects, on each of which ``start``, ``end`` and ``price`` are looked up. Without
    ``slots`` these three give a list each, taken side by side.
    """

    kind: Literal["http_json"] = "http_json"
    body: dict[str, Any] | None = Field(default=None, description="JSON to POST, such as a GraphQL query; else GET.")
    days: tuple[int, ...] = Field(
        default=(), description="One request per day from today (0): {date} in url and query is replaced by its date."
    )
    date_format: str = Field(default="%Y-%m-%d", description="How {date} is written.")
    slots: Expression | None = Field(default=None, description="JMESPath to the list of slots.")
    start: Expression | None = Field(default="start", description="JMESPath to a slot's beginning.")
    end: Expression | None = Field(
        default=None,
        description="JMESPath to a slot's end; else the next one's beginning, across slots that are missing.",
    )
    price: Expression = Field(default="price", description="JMESPath to a slot's price; null where there is none.")
    duration: Duration | None = Field(default=None, description="Length of a slot, where only one end of it is told.")
    time_format: str = Field(
        default="iso", description="iso, epoch_seconds, epoch_milliseconds, or a pattern such as %m/%d/%Y %H:%M."
    )
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of dates, and of times without one.")
    unit: Literal["Wh", "kWh", "MWh", "GWh"] = Field(default="kWh", description="Energy that the price is for.")
    minor_units: bool = Field(default=False, description="True where prices are in cents or pence.")
    stated: Expression = Field(
        default="[currency, unit]",
        description="JMESPath to where the answer states currency and unit: others than the configured are refused.",
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = sum(name is not None for name in (self.start, self.end, self.duration))
        if (self.start is None and given < 2) or given > 2:  # noqa: PLR2004
            raise ValueError("give start alone or two of start, end and duration")
        return self

    def energy(self, context: SourceContext) -> "HttpSlots":
        """Make the source."""
        return HttpSlots(self, context)

    def parse(self, answer: Answer) -> Any:
        """Read an answer's body as what the expressions are looked up in."""
        return answer.json()


class HttpSlots(HttpSource[Settings]):
    """The energy prices of an HTTP answer, in the tariff's currency per kilowatt-hour."""

    async def fetch(self) -> Reading[Slots]:
        """Ask for each day; days ahead that are not published yet are left out."""
        settings, now = self._settings, self._clock()
        today = datetime.fromtimestamp(now, settings.timezone).date()
        found: list[PriceSlot] = []
        for ahead in settings.days or (0,):
            date = (today + timedelta(days=ahead)).strftime(settings.date_format)
            try:
                document = settings.parse(await self._ask({"date": date} if settings.days else {}))
                with translating():
                    found += list(self._read(document))  # all of it or nothing
            except Failure:
                if ahead <= 0:
                    raise
        if not found:
            raise Failure(Reason.NOT_READY, "the answer holds no prices")
        return Reading(tuple(found), now)

    async def _ask(self, placeholders: Mapping[str, str]) -> Answer:
        body = self._settings.body
        method = "GET" if body is None else "POST"
        return (await self._endpoint.ask(method, payload=body, placeholders=placeholders)).check()

    def _read(self, document: Any) -> Iterator[PriceSlot]:
        settings = self._settings
        self._check_stated(jmespath.search(settings.stated, document))
        rows = self._oldest_first(list(self._rows(document)))
        scale = 0.01 if settings.minor_units else 1.0
        starts = list(_ascending(self._time(row[0]) for row in rows)) if settings.start else None
        ends = list(_ascending(self._time(row[1]) for row in rows)) if settings.end else None
        for (_, _, price), (start, end) in zip(rows, _spans(starts, ends, settings.duration), strict=True):
            if price is not None:
                yield PriceSlot(start, end, per_kilowatt_hour(number(price) * scale, settings.unit))

    def _rows(self, document: Any) -> Iterable[tuple[Any, ...]]:
        """Start, end and price of each slot, as the answer writes them."""
        settings = self._settings
        columns = (settings.start, settings.end, settings.price)
        if settings.slots is not None:
            slots = jmespath.search(settings.slots, document)
            return [tuple(_look(column, slot) for column in columns) for slot in slots]
        lists = [_look(column, document) for column in columns]
        length = max(len(values) for values in lists if values is not None)
        return zip(*([None] * length if values is None else values for values in lists), strict=True)

    def _oldest_first(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        column = 0 if self._settings.start else 1
        newest_first = len(rows) > 1 and _instant(self._time(rows[0][column])) > _instant(self._time(rows[-1][column]))
        return rows[::-1] if newest_first else rows

    def _check_stated(self, stated: Any) -> None:
        """Refuse an answer that states another currency or unit than the configured one."""
        settings = self._settings
        for word in re.findall(r"[A-Za-z]+", " ".join(text for text in _flat(stated) if isinstance(text, str))):
            if word.upper() in _ENERGY_UNITS:
                right = word.upper() == settings.unit.upper()
            else:
                right = word == settings.currency or re.fullmatch(r"[A-Z]{3}", word) is None
            if not right:
                raise Failure(Reason.IMPLAUSIBLE, f"prices in {word}, not {settings.currency} per {settings.unit}")

    def _time(self, value: Any) -> datetime | float:
        """A time as unix seconds, or as a local time without its offset."""
        form = self._settings.time_format
        if form in _EPOCH_UNITS:
            return number(value) * _EPOCH_UNITS[form]
        if not isinstance(value, str):
            raise TypeError(f"a time that is no text: {value!r:.40}: is time_format epoch_seconds?")
        read = datetime.fromisoformat(value) if form == "iso" else datetime.strptime(value, form)  # noqa: DTZ007
        return read.timestamp() if read.tzinfo is not None else read.replace(tzinfo=self._settings.timezone)


def _look(column: str | None, where: Any) -> Any:
    return None if column is None else jmespath.search(column, where)


def _ascending(times: Iterable[datetime | float]) -> Iterator[float]:
    """Unix seconds of times in rising order: of a local hour that comes twice in autumn, the second is the later."""
    last = float("-inf")
    for time in times:
        instant = _instant(time)
        if isinstance(time, datetime) and instant <= last:
            instant = time.replace(fold=1).timestamp()
        last = instant
        yield instant


def _instant(time: datetime | float) -> float:
    return time.timestamp() if isinstance(time, datetime) else time


def _spans(
    starts: list[float] | None, ends: list[float] | None, duration: float | None
) -> Iterable[tuple[float, float]]:
    """Start and end of each slot. Else a slot lasts until the next one, and the last as long as the one before."""
    if starts is None:
        if ends is None or duration is None:
            raise ValueError("neither a start nor an end with a duration")
        return [(end - duration, end) for end in ends]
    if ends is not None:
        return zip(starts, ends, strict=True)
    if duration is not None:
        return [(start, start + duration) for start in starts]
    if len(starts) == 1:
        raise ValueError("one slot alone has no end: give end or duration")
    return pairwise([*starts, 2 * starts[-1] - starts[-2]]) if starts else ()


def _flat(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
