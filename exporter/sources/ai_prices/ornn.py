"""Ornn's daily index: ``{"success":true,"data":[{"timestamp":"2026-11-28T21:00:00.000Z","index_value":1.85}]}``.

https://dashboard.ornnai.com/docs. With a key another address is requested, which answers the last value only.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import Commitment, Reading
from exporter.model.units import SECONDS_PER_HOUR
from exporter.sources.ai_prices import AiPriceSettings, Prices, Quote, ask_each, instant, prices_of
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource

_PUBLISHED: Final = time(21, tzinfo=UTC)
_WINDOW: Final = timedelta(days=4)
_ITS_NAMES: Final = {"A100 SXM": "A100 SXM4", "A100 SXM 80GB": "A100 SXM4"}


class Settings(HttpSettings, AiPriceSettings):
    """One request per model. `bearer_token` is the key, where there is one."""

    kind: Literal["ornn"] = "ornn"
    url: str = Field(default="https://api.ornnai.com", description="Address of the API.")
    interval: Duration = Field(default=3600.0, description="How often the prices are requested.")
    max_age: Duration = Field(
        default=36 * 3600.0,
        description="A price older than this is not used, and neither is an AI value made of it.",
    )
    commitment: Commitment = Field(
        description="What the index is taken for: firm or interruptible. Ornn has one index for both."
    )

    @property
    def commitments(self) -> frozenset[Commitment]:
        """Which prices the feed has."""
        return frozenset({self.commitment})

    def connect(self, context: SourceContext) -> "_Ornn":
        """Create the source."""
        return _Ornn(self, context)


class _Ornn(HttpSource[Settings]):
    async def fetch(self) -> Reading[Prices]:
        """Request the last value of each model."""
        keyed = self._settings.bearer_token is not None or self._settings.bearer_token_file is not None
        quotes = await ask_each(self._settings.models, self._keyed if keyed else self._public, self._discards)
        return prices_of(quotes, self._settings, self._discards, self._clock())

    async def _public(self, model: str) -> Quote:
        start = (datetime.fromtimestamp(self._clock(), UTC) - _WINDOW).date()
        path = f"/api/gpu/{quote(_ITS_NAMES.get(model, model))}/index-history"
        answer = await self._endpoint.get_json(path, {"startDate": start.isoformat()})
        with translating():
            _check_success(answer)
            entries = [(instant(entry["timestamp"]), entry["index_value"]) for entry in answer["data"]]
            at, value = max(entries, key=lambda entry: entry[0], default=(self._clock(), None))
            return self._quote(model, answer.get("gpu_type"), value, at)

    async def _keyed(self, model: str) -> Quote:
        answer = await self._endpoint.get_json("/api/daily-index-simple", {"gpuType": _ITS_NAMES.get(model, model)})
        with translating():
            _check_success(answer)
            data = answer["data"]
            return self._quote(model, data["gpu_type"], data["index_value"], self._published(data["date"]))

    def _published(self, text: str) -> float:
        """Read a time or a date. The index of a day is that of 21:00 UTC; that of today is already there before."""
        if len(text) > len("2026-11-28"):
            return instant(text)
        at, now = datetime.combine(date.fromisoformat(text), _PUBLISHED).timestamp(), self._clock()
        return now if now < at <= now + _PUBLISHED.hour * SECONDS_PER_HOUR else at

    def _quote(self, model: str, stated: Any, value: Any, at: float) -> Quote:
        """Return the value under the requested name. Raises ValueError if the answer is about another model."""
        own = _ITS_NAMES.get(model, model)
        if stated is not None and str(stated).upper() != own.upper():
            raise ValueError(f"the index of {stated!r:.40}, not of {own}")
        return Quote(
            model=model,
            commitment=self._settings.commitment,
            price=None if value is None else number(value),
            observed_at=at,
        )


def _check_success(answer: Any) -> None:
    if answer["success"] is not True:
        raise ValueError("success is not true")
