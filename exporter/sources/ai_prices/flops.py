"""FLOPS Index: ``{"slug":"FLOPS-H100-OD","value":6.155,"unit":"USD/GPU-hr","as_of":"2026-05-18T13:00:00Z",...}``.

https://app.flopsindex.com/onboarding-tech. Anonymous values change every six hours.
"""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from exporter.model.failures import Failure, Reason
from exporter.model.fields import Duration
from exporter.model.readings import Commitment, Reading
from exporter.sources.ai_prices import AiPriceSettings, Prices, Quote, ask_each, instant, prices_of
from exporter.sources.contract import SourceContext, number, translating
from exporter.sources.http import HttpSettings, HttpSource

Market = Literal["OD", "SPOT", "DEPIN"]

_COMMITMENTS: Final = {
    "OD": Commitment.FIRM,
    "SPOT": Commitment.INTERRUPTIBLE,
    "DEPIN": Commitment.INTERRUPTIBLE,
}
_UNITS: Final = ("USD/GPU-HR", "USD/GPU-HOUR", "USD/GPU/HR", "USD/GPU-H")


class Settings(HttpSettings, AiPriceSettings):
    """One request per model and market. No login."""

    kind: Literal["flops"] = "flops"
    url: str = Field(default="https://app.flopsindex.com", description="Address of the API.")
    interval: Duration = Field(default=3600.0, description="How often the prices are requested.")
    max_age: Duration = Field(
        default=14 * 3600.0,
        description="A price older than this is not used, and neither is an AI value made of it.",
    )
    markets: tuple[Market, ...] = Field(
        default=("OD", "SPOT"), min_length=1, description="OD is firm; SPOT or DEPIN is interruptible."
    )

    @model_validator(mode="after")
    def _one_index_each(self) -> Self:
        if {"SPOT", "DEPIN"} <= set(self.markets):
            raise ValueError("markets: SPOT and DEPIN are both interruptible and are not mixed: make two feeds")
        for model in self.models:
            if any(form in model.split() for form in ("SXM", "PCIe", "NVL")):
                raise ValueError(f"models: FLOPS has one price for all forms: write {model.split()[0]}, not {model}")
        return self

    @property
    def commitments(self) -> frozenset[Commitment]:
        """Which prices the feed has."""
        return frozenset(_COMMITMENTS[market] for market in self.markets)

    def connect(self, context: SourceContext) -> "_Flops":
        """Create the source."""
        return _Flops(self, context)


class _Flops(HttpSource[Settings]):
    async def fetch(self) -> Reading[Prices]:
        """Request each index."""
        indices = {
            f"FLOPS-{model.replace(' ', '')}-{market}": (model, _COMMITMENTS[market])
            for model in self._settings.models
            for market in self._settings.markets
        }

        async def ask(slug: str) -> Quote:
            return await self._ask(slug, *indices[slug])

        quotes = await ask_each(indices, ask, self._discards)
        return prices_of(quotes, self._settings, self._discards, self._clock())

    async def _ask(self, slug: str, model: str, commitment: Commitment) -> Quote:
        answer = await self._endpoint.get_json(f"/v1/price/{slug}")
        with translating():
            stated = answer["slug"] if "slug" in answer else answer["index_id"]
            if stated != slug:
                raise ValueError(f"the index {stated!r:.40}, not {slug}")
            unit = str(answer["unit"])
            if unit.upper() not in _UNITS:
                raise Failure(Reason.IMPLAUSIBLE, f"{slug} is in {unit!r:.20}, not in USD/GPU-hr")
            value = answer["value"]
            return Quote(
                model=model,
                commitment=commitment,
                price=None if value is None else number(value),
                observed_at=instant(answer["as_of"]),
            )
