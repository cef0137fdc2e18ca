"""Any power price that is served as JSON: a URL, and JMESPath expressions that find the slots."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

import jmespath
from pydantic import Field, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import PriceSlot, Reading
from exporter.model.units import midnight, per_kilowatt_hour
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import Answer, HttpSettings, HttpSource
from exporter.sources.jmespaths import Expression, search
from exporter.sources.local_times import instants, newest_first, read_time
from exporter.sources.stated import stated_error
from exporter.sources.tables import UNPRICED, DecimalMark, decimal_mark, plain_number
from exporter.sources.tariffs import Slots, TariffSettings

_ENERGY_UNITS: Final = frozenset({"WH", "KWH", "MWH", "GWH"})
_LONGEST_QUOTE: Final = 40
_FARTHEST_DAY: Final = 8
_HOUR: Final = 3600.0
_MOST_HOURS: Final = 25  # of the day on which the clock is set back


class Settings(HttpSettings, TariffSettings):
    """Where the prices are, and how to read them.

    ``slots`` returns a list of objects, in each of which ``start``, ``end`` and ``price`` are looked up. Without
    ``slots`` each of these three returns a list, and the lists are read side by side.
    """

    kind: Literal["http_json"] = "http_json"
    body: dict[str, Any] | None = Field(default=None, description="JSON to POST, such as a GraphQL query; else GET.")
    days: tuple[int, ...] = Field(
        default=(), description="One request for each day from today (0). {date} in url and parameters is its date."
    )
    date_format: str = Field(default="%Y-%m-%d", description="Format of {date}, {date+1}, {date-1} and so on.")
    slots: Expression | None = Field(default=None, description="JMESPath to the list of slots.")
    columns: Expression | None = Field(
        default=None, description="JMESPath to the names of the columns, if each slot is a list of values."
    )
    filter: Expression | None = Field(default=None, description="JMESPath that filters the slots: [?zone=='WEST'].")
    start: Expression | None = Field(default="start", description="JMESPath to the start of a slot.")
    end: Expression | None = Field(
        default=None,
        description="JMESPath to the end of a slot. By default a slot ends when the next one starts.",
    )
    hour_ending: Expression | None = Field(
        default=None, description="JMESPath to the hour, 1 to 24 on the requested day, at whose end a slot ends."
    )
    price: Expression = Field(default="price", description="JMESPath to the price of a slot; null if not known yet.")
    numbered_hours: bool = Field(
        default=False, description="True if `end` is the number of an hour, such as 24, and not the clock at its end."
    )
    duration: Duration | None = Field(default=None, description="Length of a slot, if only one end of it is given.")
    time_format: str = Field(
        default="iso", description="iso, epoch_seconds, epoch_milliseconds, or a pattern such as %m/%d/%Y %H:%M."
    )
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of dates, and of times without one.")
    unit: Literal["Wh", "kWh", "MWh", "GWh"] = Field(default="kWh", description="Unit of energy of the price.")
    minor_units: bool = Field(default=False, description="True if prices are in cents or pence.")
    decimal: DecimalMark | None = Field(
        default=None, description="Decimal mark of prices that are texts, if it is not clear from the column."
    )
    stated: Expression = Field(
        default="[currency, unit]",
        description="JMESPath to the currency and unit in the answer. They must match `currency` and `unit`.",
    )
    missing: dict[Expression, str] = Field(
        default={}, description="What it means if a part of the answer is null: JMESPath to the part, and a sentence."
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.hour_ending is not None:
            if self.end is not None or "start" in self.model_fields_set:
                raise ValueError("give hour_ending, or start and end, not both")
            return self
        given = sum(name is not None for name in (self.start, self.end, self.duration))
        if (self.start is None and given < 2) or given > 2:  # noqa: PLR2004
            raise ValueError("give start alone or two of start, end and duration")
        return self

    def energy(self, context: SourceContext) -> "HttpSlots":
        """Create the source."""
        return HttpSlots(self, context)

    def parse(self, answer: Answer) -> Any:
        """Read the body of an answer as the document in which the expressions are looked up."""
        return answer.json()

    @property
    def columns_wanted(self) -> tuple[str, ...]:
        """Names of the columns that the expressions for times and price look up."""
        expressions = (self.start if self.hour_ending is None else None, self.end, self.hour_ending, self.price)
        names = (name for each in expressions if each is not None for name in _fields(jmespath.compile(each).parsed))
        return tuple(dict.fromkeys(names))


class _Row(NamedTuple):
    """One slot as the answer writes it, and ``where`` in the answer it is, for messages."""

    where: str
    start: Any
    end: Any
    hour: Any
    price: Any


class _Times(NamedTuple):
    """One slot with its times read; None is a time that is not given."""

    row: _Row
    start: datetime | float | None
    end: datetime | float | None


class HttpSlots(HttpSource[Settings]):
    """The energy prices of an HTTP answer, in the tariff's currency per kilowatt-hour."""

    async def fetch(self) -> Reading[Slots]:
        """Request each day. Days ahead that are not published yet are left out."""
        settings, now = self._settings, self._clock()
        today = datetime.fromtimestamp(now, settings.timezone).date()
        found: list[PriceSlot] = []
        observed_at = now
        asked: set[str] = set()
        for ahead in settings.days or (0,):
            day = today + timedelta(days=ahead)
            placeholders = self._placeholders(day)
            request = _filled(settings, placeholders)
            if request in asked:
                continue  # one answer holds both days
            asked.add(request)
            try:
                answer = await self._ask(placeholders)
                found += self._slots_of(answer, day, now)
                observed_at = min(observed_at, now - answer.age)
            except Failure:
                if ahead <= 0:
                    raise
        return Reading(tuple(found), observed_at)

    async def _ask(self, placeholders: Mapping[str, str]) -> Answer:
        """Send one request, unless another area's tariff got the same answer in the last half interval."""
        settings = self._settings
        method = "GET" if settings.body is None else "POST"
        share = settings.interval / 2
        answer = await self._endpoint.ask(method, payload=settings.body, placeholders=placeholders, share=share)
        return answer.check()

    def _placeholders(self, day: date) -> dict[str, str]:
        settings = self._settings
        monday = midnight(day - timedelta(days=day.weekday()), settings.timezone)
        near = range(-_FARTHEST_DAY, _FARTHEST_DAY + 1)
        dates = {f"date{ahead:+d}": (day + timedelta(days=ahead)).strftime(settings.date_format) for ahead in near}
        week = f"{monday * 1000:.0f}"
        return dates | {"date": day.strftime(settings.date_format), "week_milliseconds": week}

    def _slots_of(self, answer: Answer, day: date, now: float) -> list[PriceSlot]:
        settings = self._settings
        document = settings.parse(answer)
        with translating():
            try:
                return list(self._read(document, day, now))
            except _NothingError as nothing:
                if stated_error(document):
                    answer.check_stated(document)
                raise Failure(
                    nothing.reason, answer.quote(str(nothing)), retry_after=settings.interval, advice=nothing.advice
                ) from None

    def _read(self, document: Any, day: date, now: float) -> Iterator[PriceSlot]:
        settings = self._settings
        self._check_stated(search(settings.stated, document))
        written = list(self._rows(document))
        if not written:
            raise _NothingError(f"the answer has no prices: {settings.likely_cause}", Reason.NOT_READY)
        rows = self._timed(written, day)
        prices = self._prices([times.row for times in rows], getattr(document, "delimiter", ","))
        if newest_first([time for times in rows if (time := times.start or times.end) is not None]):
            rows, prices = rows[::-1], prices[::-1]
        starts = _instants([times.start for times in rows], now)
        ends = _instants([times.end for times in rows], now)
        spans = _spans(starts, ends, settings.duration, complete=len(rows) == len(written))
        for (start, end), price in zip(spans, prices, strict=True):
            if price is not None:
                yield PriceSlot(start, end, per_kilowatt_hour(price, settings.unit))

    def _rows(self, document: Any) -> Iterable[_Row]:
        """Yield start, end, hour and price of each slot as the answer writes them."""
        settings = self._settings
        hourly = settings.hour_ending is not None
        columns = (None if hourly else settings.start, settings.end, settings.hour_ending, settings.price)
        if settings.slots is None:
            lists = [_look(column, document) for column in columns]
            for column, values in zip(columns, lists, strict=True):
                if column is not None and not isinstance(values, list):
                    raise self._nothing(document, column)
            length = max(len(values) for values in lists if values is not None)
            sides = zip(*([None] * length if values is None else values for values in lists), strict=True)
            return [_Row(f"entry {count}", *values) for count, values in enumerate(sides, start=1)]
        slots = search(settings.slots, document)
        if not isinstance(slots, list):
            raise self._nothing(document, settings.slots)
        if settings.columns is not None:
            names = search(settings.columns, document)
            whole = [values for values in slots if isinstance(values, list) and len(values) == len(names)]
            if len(whole) < len(slots):
                self._discards.note("row", f"not {len(names)} values in each row", len(slots) - len(whole))
            slots = [dict(zip(names, values, strict=True)) for values in whole]
        if settings.filter is not None:
            slots = search(settings.filter, slots) or []
        lines: Mapping[int, int] = getattr(document, "lines", {})
        return [
            _Row(
                f"line {lines[id(slot)]}" if id(slot) in lines else f"row {count}",
                *(_look(column, slot) for column in columns),
            )
            for count, slot in enumerate(slots, start=1)
        ]

    def _nothing(self, document: Any, expression: str) -> "_NothingError":
        """Explain why an expression finds nothing in the answer."""
        for path, sentence in self._settings.missing.items():
            if search(path, document) is None:
                return _NothingError(sentence, Reason.NOT_READY)
        return _NothingError(
            f"the answer has nothing at {expression!r}: {_outline(document)}",
            Reason.GARBLED,
            "correct slots, start, end and price to what the answer has, or url to the right answer",
        )

    def _timed(self, rows: Sequence[_Row], day: date) -> list[_Times]:
        """Read the times of the rows. A row whose time is unreadable is discarded."""
        timed: list[_Times] = []
        bad: list[str] = []
        for row in rows:
            try:
                timed.append(self._times(row, day))
            except ValueError as error:
                bad.append(f"{row.where}: {error}")
        if bad and not timed:
            raise _NothingError(bad[0], Reason.GARBLED, "set time_format and timezone as the answer writes its times")
        if bad:
            self._discards.note("row", bad[0], len(bad))
        return timed

    def _times(self, row: _Row, day: date) -> _Times:
        settings = self._settings
        if settings.hour_ending is not None:
            try:
                hour = round(number(row.hour))
            except (TypeError, ValueError) as error:
                raise ValueError(f"column {settings.hour_ending!r}: {error}") from None
            if not 1 <= hour <= _MOST_HOURS:
                raise ValueError(f"column {settings.hour_ending!r}: {hour} is not an hour from 1 to {_MOST_HOURS}")
            began = midnight(day, settings.timezone)
            return _Times(row, began + (hour - 1) * _HOUR, began + hour * _HOUR)
        read: list[datetime | float | None] = []
        for column, value in ((settings.start, row.start), (settings.end, row.end)):
            try:
                read.append(None if column is None else read_time(value, settings.time_format, settings.timezone))
            except ValueError as error:
                raise ValueError(f"column {_as_named(column)!r}: {error}") from None
        start, end = read
        if settings.numbered_hours and isinstance(end, datetime) and settings.duration is not None:
            return _Times(row, (end - timedelta(seconds=settings.duration)).replace(fold=end.fold), None)
        return _Times(row, start, end)

    def _prices(self, rows: Sequence[_Row], delimiter: str) -> list[float | None]:
        """Read the prices. None is a price that is not known yet, or is unreadable and discarded."""
        settings = self._settings
        texts = [row.price for row in rows if isinstance(row.price, str) and row.price.strip().lower() not in UNPRICED]
        mark = settings.decimal or decimal_mark(texts, delimiter)
        prices: list[float | None] = []
        bad: list[str] = []
        for row in rows:
            try:
                prices.append(_price(row.price, mark))
            except (TypeError, ValueError) as error:
                prices.append(None)
                bad.append(f"{row.where}: column {_as_named(settings.price)!r}: {error}")
        if bad and len(bad) == len(rows):
            raise _NothingError(bad[0], Reason.GARBLED, "set price to the right column, and decimal if it has commas")
        if bad:
            self._discards.note("price", bad[0], len(bad))
        scale = 0.01 if settings.minor_units else 1.0
        return [None if price is None else price * scale for price in prices]

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


class _NothingError(Exception):
    """An answer without a usable row. The text is the reason."""

    def __init__(self, text: str, reason: Reason, advice: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.advice = advice


def _as_named(column: str | None) -> str:
    """Return a column as its table names it, without the quotation marks that JMESPath needs."""
    return (column or "").strip('"')


def _price(value: Any, mark: DecimalMark | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, str):
        if value.strip().lower() in UNPRICED:
            return None
        value = plain_number(value, mark)
    return number(value)


def _look(column: str | None, where: Any) -> Any:
    return None if column is None else search(column, where)


def _fields(tree: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a parsed JMESPath expression needs. Of alternatives none is needed."""
    if tree["type"] == "or_expression":
        return
    if tree["type"] == "field":
        yield tree["value"]
    for child in tree["children"]:
        if isinstance(child, Mapping):
            yield from _fields(child)


def _outline(document: Any) -> str:
    """Describe a document by its keys, for a message about an expression that finds nothing in it."""
    if isinstance(document, Mapping):
        return f"it has {', '.join(map(str, list(document)[:8])) or 'no keys'}"
    if isinstance(document, list):
        return f"it is a list of {len(document)}"
    return f"it is {document!r:.{_LONGEST_QUOTE}}"


def _filled(settings: Settings, placeholders: Mapping[str, str]) -> str:
    """Return the part of a request that differs between days."""
    texts = [settings.url, *(value.get_secret_value() for value in settings.parameters.values())]
    used = [name for name in placeholders if any(f"{{{name}}}" in text for text in texts)]
    return "\n".join(f"{name}={placeholders[name]}" for name in used)


def _instants(times: Sequence[datetime | float | None], now: float) -> list[float] | None:
    given = [time for time in times if time is not None]
    return instants(given, now) if given else None


def _spans(
    starts: list[float] | None, ends: list[float] | None, duration: float | None, *, complete: bool
) -> Iterable[tuple[float, float]]:
    """Return start and end of each slot. Without an end a slot lasts until the next; the last one as the one before.

    If rows are missing (not ``complete``), no slot is longer than the shortest: its price must not cover theirs.
    """
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
    spans = list(pairwise([*starts, 2 * starts[-1] - starts[-2]])) if starts else []
    longest = float("inf") if complete else min((end - start for start, end in spans if end > start), default=0.0)
    return [(start, min(end, start + longest)) for start, end in spans]


def _flat(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
