"""Prices of GPU-hours in US dollars: one file per feed. A feed is never averaged with another one."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median, quantiles
from typing import Any, Final, Self

from pydantic import Field, model_validator

from exporter.economics.settings import GpuModel
from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.gpu_names import gpu_model
from exporter.model.readings import Commitment, GpuPrice, Reading
from exporter.sources.contract import Discards, Guarded, Kept, Source, SourceContext, SourceSettings, in_words
from exporter.sources.exchange import check_convertible
from exporter.sources.fx import Currency
from exporter.sources.registry import FxSource

Prices = tuple[GpuPrice, ...]

_MIN_PRICE: Final = 0.05  # USD per GPU-hour
_MAX_PRICE: Final = 20.0
_MAX_FACTOR: Final = 2.0  # within `max_age`
_MAX_AHEAD: Final = 300.0  # s, of a feed's clock before ours
_MOST_MODELS: Final = 20
_MOST_NAMED: Final = 8

_OWN: Final = (Reason.GARBLED, Reason.IMPLAUSIBLE, Reason.NOT_READY, Reason.UNSUPPORTED)
"""Failures of one request that say nothing about the next one."""


class AiPriceSettings(SourceSettings):
    """Settings of all feeds: the models that are read, age and plausibility."""

    interval: Duration = Field(default=900.0, description="How often the prices are requested.")
    max_age: Duration = Field(
        default=2 * 3600.0,
        description="A price older than this is not used, and neither is an AI value made of it.",
    )
    models: tuple[GpuModel, ...] = Field(
        min_length=1,
        max_length=_MOST_MODELS,
        description="GPU models whose prices are read, such as `[H100 SXM, B200]`, in any spelling.",
    )
    least_offers: int = Field(
        default=1, ge=1, le=1_000, description="A price of fewer offers is not used, if the feed reports how many."
    )

    def build(self, context: SourceContext, remembered: Reading[Any] | None = None) -> Guarded:
        """Create the source with its checks. A price that doubles or halves within `max_age` is left out."""
        return Guarded(_Steady(self, context, remembered), self, context, remembered)

    @property
    def commitments(self) -> frozenset[Commitment]:
        """Which prices the feed has: firm, interruptible or both. Each kind defines it."""
        raise NotImplementedError

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a usable price."""
        return "are the names of the models those of the feed, and are there offers?"


class ForeignSettings(AiPriceSettings):
    """Settings of feeds whose currency and commitment are the operator's to state."""

    commitment: Commitment = Field(
        description="firm (on-demand, reserved: the hours may not be cut) or interruptible (spot, bids, community)."
    )
    currency: Currency = Field(default="USD", description="Currency of the feed's prices. Others than USD need `fx`.")
    fx: FxSource | None = Field(default=None, description="Source of the exchange rate.")

    @property
    def commitments(self) -> frozenset[Commitment]:
        """The stated one."""
        return frozenset({self.commitment})

    @model_validator(mode="after")
    def _convertible(self) -> Self:
        check_convertible(self.currency, self.fx)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One price as a feed states it, in US dollars per GPU-hour: an offer, or a figure made of offers.

    A ``price`` of None is a model without stock.
    """

    model: str
    commitment: Commitment
    price: float | None
    low: float | None = None
    high: float | None = None
    offers: int | None = None
    observed_at: float | None = None  # unix seconds; None is now


def prices_of(quotes: Iterable[Quote], settings: AiPriceSettings, discards: Discards, now: float) -> Reading[Prices]:
    """Make the prices of the configured models from the quotes of one answer.

    Several quotes of one model and commitment are offers: their median, 10th and 90th percentile are the price, its
    low and its high. Quotes older than `max_age` are left out; the time is that of the oldest other one. Raises a
    Failure if no price is left.
    """
    named: dict[tuple[str, Commitment], list[Quote]] = defaultdict(list)
    known: set[str] = set()
    for quote in quotes:
        model = gpu_model(quote.model)
        known.add(model)
        if model in settings.models:
            named[model, quote.commitment].append(quote)
    missing = [model for model in settings.models if model not in known]
    if missing:
        detail = f"no price of {', '.join(missing)}: it has {_listed(known) or 'no model at all'}"
        if len(missing) == len(settings.models):
            raise Failure(Reason.NOT_READY, detail, retry_after=settings.interval)
        discards.note("gpu_model", detail, len(missing))
    found: list[GpuPrice] = []
    times: list[float] = []
    stale = False
    for (model, commitment), stated in named.items():
        usable = [quote for quote in stated if quote.price is not None and _plausible(quote, discards)]
        ages = [now - (now if quote.observed_at is None else quote.observed_at) for quote in usable]
        fresh = [quote for quote, age in zip(usable, ages, strict=True) if -_MAX_AHEAD <= age <= settings.max_age]
        if usable and not fresh:
            when = f"{min(ages):.0f} s ago" if min(ages) > 0 else f"{-min(ages):.0f} s ahead of this host's clock"
            discards.note("price", f"{model} {commitment}: observed {when}")
            stale = True
        price = _combined(model, commitment, fresh, discards)
        if price is None:
            continue
        if price.offers is not None and price.offers < settings.least_offers:
            discards.note("price", f"{model} {commitment}: {price.offers} offers, fewer than least_offers")
            continue
        found.append(price)
        times += [now if quote.observed_at is None else quote.observed_at for quote in fresh]
    if not found:
        words = discards.notes.get("price", f"no stock of {_listed(settings.models)}")
        raise Failure(Reason.STALE if stale else Reason.NOT_READY, words, retry_after=settings.interval)
    return Reading(tuple(sorted(found, key=lambda price: (price.model, price.commitment))), min(*times, now))


async def ask_each(names: Iterable[str], ask: Callable[[str], Awaitable[Quote]], discards: Discards) -> list[Quote]:
    """Request one thing after the other. Those that fail are discarded.

    Raises the first Failure if all fail, and any at once that the others would meet too, such as a rate limit.
    """
    quotes: list[Quote] = []
    failures: list[Failure] = []
    for name in names:
        try:
            quotes.append(await ask(name))
        except Failure as failure:
            if failure.reason not in _OWN:
                raise
            failures.append(failure.with_traceback(None))  # whose frame holds the list
            discards.note("price", f"{name}: {failure.detail}")
    if not quotes:
        raise failures.pop(0)
    return quotes


def readable(entries: Iterable[Any], read: Callable[[Any], Iterable[Quote]], discards: Discards) -> list[Quote]:
    """Read the quotes of each entry of a list. Unreadable entries are discarded; raises ValueError if all are."""
    quotes: list[Quote] = []
    errors: list[str] = []
    count = 0
    for count, entry in enumerate(entries, start=1):
        try:
            quotes += read(entry)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            errors.append(f"entry {count}: {in_words(error)}")
    if errors and len(errors) == count:
        raise ValueError(errors[0])
    if errors:
        discards.note("offer", errors[0], len(errors))
    return quotes


def instant(text: str) -> float:
    """Read an ISO time as unix seconds; UTC where it has no zone. Raises ValueError or TypeError for others."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _plausible(quote: Quote, discards: Discards) -> bool:
    for price in (quote.price, quote.low, quote.high):
        if price is not None and not _MIN_PRICE <= price <= _MAX_PRICE:
            limits = f"{_MIN_PRICE:g} to {_MAX_PRICE:g} USD per GPU-hour"
            discards.note("price", f"{quote.model}: {price:g} is outside {limits}: check unit and number of GPUs")
            return False
    if not (quote.low or 0.0) <= (quote.price or 0.0) <= (quote.high or _MAX_PRICE):
        discards.note("price", f"{quote.model}: {quote.price:g} is not between {quote.low} and {quote.high}")
        return False
    return True


def _combined(model: str, commitment: Commitment, quotes: Sequence[Quote], discards: Discards) -> GpuPrice | None:
    if not quotes:
        return None
    first = quotes[0]
    if len(quotes) == 1 and first.price is not None:
        return GpuPrice(
            model=model, commitment=commitment, price=first.price, low=first.low, high=first.high, offers=first.offers
        )
    if any(quote.low is not None or quote.offers is not None for quote in quotes):
        discards.note("price", f"{model} {commitment}: {len(quotes)} figures for one model: select one")
        return None
    offered = [quote.price for quote in quotes if quote.price is not None]
    tenths = quantiles(offered, n=10, method="inclusive")
    return GpuPrice(
        model=model,
        commitment=commitment,
        price=median(offered),
        low=tenths[0],
        high=tenths[-1],
        offers=len(offered),
    )


def _listed(models: Iterable[str]) -> str:
    names = sorted(models)
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


class _Steady:
    """A feed without the prices that doubled or halved since they were last accepted, at most `max_age` ago."""

    def __init__(self, settings: AiPriceSettings, context: SourceContext, remembered: Reading[Prices] | None) -> None:
        self._settings = settings
        self._feed: Source[Prices] = settings.connect(context)
        self._context = context
        self._accepted: dict[tuple[str, Commitment], Kept[GpuPrice]] = {}
        if remembered is not None:
            self._accept(remembered)

    async def fetch(self) -> Reading[Prices]:
        """Request the prices once."""
        reading = await self._feed.fetch()
        jumps = {price: last for price in reading.value if (last := self._jumped_from(price)) is not None}
        for price, last in jumps.items():
            detail = f"{price.model} {price.commitment}: {price.price:g} after {last:g}, more than a factor of 2"
            if len(jumps) == len(reading.value):
                raise Failure(Reason.IMPLAUSIBLE, detail)
            self._context.discards.note("price", detail)
        steady = replace(reading, value=tuple(price for price in reading.value if price not in jumps))
        self._accept(steady)
        return steady

    def _jumped_from(self, price: GpuPrice) -> float | None:
        last = self._accepted.get((price.model, price.commitment))
        if last is None or last.age > self._settings.max_age:
            return None
        before = last.reading.value.price
        return None if before / _MAX_FACTOR <= price.price <= before * _MAX_FACTOR else before

    def _accept(self, reading: Reading[Prices]) -> None:
        for price in reading.value:
            self._accepted[price.model, price.commitment] = Kept(Reading(price, reading.observed_at), self._context)
