"""vast.ai's on-demand offers, from the metrics page of 500farm's vastai_exporter (``/metrics/global``).

https://github.com/500farm/prometheus-vastai. USD per GPU-hour.
"""

from collections import defaultdict
from collections.abc import Mapping
from math import isfinite
from typing import Final, Literal

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Commitment, Reading
from exporter.sources.ai_prices import AiPriceSettings, Prices, Quote, prices_of
from exporter.sources.contract import SourceContext
from exporter.sources.http import HttpSettings, HttpSource
from exporter.sources.metrics_text import samples

MEDIAN: Final = "vastai_ondemand_price_median_dollars"
LOW: Final = "vastai_ondemand_price_10th_percentile_dollars"
HIGH: Final = "vastai_ondemand_price_90th_percentile_dollars"
_COUNT: Final = "vastai_gpu_count"

Group = Literal["yes", "no", "any"]


class Settings(HttpSettings, AiPriceSettings):
    """An exporter of your own; all prices are firm."""

    kind: Literal["vastai_exporter"] = "vastai_exporter"
    url: str = Field(description="Address of its page, such as http://127.0.0.1:8622/metrics/global.")
    verified: Group = Field(default="yes", description="Which hosts count: verified ones, others, or any.")
    rented: Group = Field(
        default="any", description="Which GPUs count: rented ones, free ones (they are dearer), or any."
    )

    @property
    def commitments(self) -> frozenset[Commitment]:
        """Which prices the feed has."""
        return frozenset({Commitment.FIRM})

    def connect(self, context: SourceContext) -> "_VastaiExporter":
        """Create the source."""
        return _VastaiExporter(self, context)


class _VastaiExporter(HttpSource[Settings]):
    async def fetch(self) -> Reading[Prices]:
        """Scrape the exporter. The number of offers is the number of GPUs in them."""
        text = await self._endpoint.get_text()
        unreadable: list[str] = []
        figures: dict[str, dict[str, float]] = defaultdict(dict)
        counts: dict[str, float] = defaultdict(float)
        for family, labels, value in samples(text, (MEDIAN, LOW, HIGH, _COUNT), unreadable):
            model = labels.get("gpu_name", "")
            if family == _COUNT and self._counts(labels):
                counts[model] += value
            elif family != _COUNT and isfinite(value) and self._is_wanted(labels):
                figures[model][family] = value
        if unreadable:
            self._discards.note("line", unreadable[0], len(unreadable))
        if not figures:
            detail = f"it has no {MEDIAN} with these labels: is it the page /metrics/global?"
            raise Failure(Reason.GARBLED, unreadable[0] if unreadable else detail)
        quotes = [
            Quote(
                model=model,
                commitment=Commitment.FIRM,
                price=found.get(MEDIAN),
                low=found.get(LOW),
                high=found.get(HIGH),
                offers=round(counts[model]) if model in counts and isfinite(counts[model]) else None,
            )
            for model, found in figures.items()
        ]
        return prices_of(quotes, self._settings, self._discards, self._clock())

    def _is_wanted(self, labels: Mapping[str, str]) -> bool:
        return labels.get("verified") == self._settings.verified and labels.get("rented") == self._settings.rented

    def _counts(self, labels: Mapping[str, str]) -> bool:
        """Whether a count is part of the wanted one: there are none for `any`."""
        settings = self._settings
        return settings.verified in ("any", labels.get("verified")) and settings.rented in ("any", labels.get("rented"))
