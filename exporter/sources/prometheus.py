"""The current value of a PromQL query: what another exporter already scrapes, such as PDU watts, prices or GPUs."""

from typing import Any, NamedTuple

from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.sources.contract import number, translating
from exporter.sources.http import MAX_BYTES, Endpoint, HttpSettings


class PrometheusSettings(HttpSettings):
    """A Prometheus, or what speaks its API (Mimir, Thanos, VictoriaMetrics), and what to ask it."""

    url: str = Field(description="Where it is, without /api, such as http://prometheus:9090.")
    query: str = Field(min_length=1, description="The PromQL query.")


class LabelledSettings(PrometheusSettings):
    """A query that gives one series for each rig or block, and the label that tells which."""

    rig_label: str = Field(default="rig", description="The label that holds the rig's name in the inventory.")
    block_label: str | None = Field(
        default=None, description="The label that holds the block's name, where the series are of whole blocks."
    )

    @property
    def label(self) -> str:
        """The label that tells the series apart."""
        return self.block_label or self.rig_label


class Series(NamedTuple):
    """One series of an answer: its labels, its value, and when it was evaluated (unix seconds)."""

    labels: dict[str, str]
    value: float
    time: float


async def ask_prometheus(endpoint: Endpoint, query: str, *, max_bytes: int = MAX_BYTES) -> list[Series]:
    """Evaluate an instant query. Series without a finite value are left out; raises a Failure where none is left."""
    answer = await endpoint.get_json("/api/v1/query", {"query": query}, max_bytes=max_bytes)
    with translating():
        if answer["status"] != "success":
            raise Failure(Reason.GARBLED, f"the query failed: {answer.get('error')!s:.120}")
        kind, result = answer["data"]["resultType"], answer["data"]["result"]
        if kind not in ("vector", "scalar"):
            raise Failure(Reason.UNSUPPORTED, f"the query gives a {kind!s:.20}, not an instant vector")
        samples = [({}, result)] if kind == "scalar" else [(series["metric"], series["value"]) for series in result]
        found = [
            Series(_labels(metric), number(value), number(at)) for metric, (at, value) in samples if _is_finite(value)
        ]
    if not found:
        raise Failure(Reason.NOT_READY, "the query gives no value")
    return found


async def ask_one(endpoint: Endpoint, query: str) -> Series:
    """Evaluate a query that must give exactly one value."""
    found = await ask_prometheus(endpoint, query)
    if len(found) > 1:
        raise Failure(Reason.IMPLAUSIBLE, f"the query gives {len(found)} series, not one: sum or narrow it down")
    return found[0]


def _labels(metric: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in metric.values()):
        raise TypeError("a label that is no text")
    return metric


async def ask_by_label(endpoint: Endpoint, query: str, label: str) -> tuple[dict[str, float], float]:
    """Evaluate a query that gives one series per value of ``label``; gives the values, and when they were evaluated.

    Series without the label are left aside; raises a Failure where no other is left, or where two share a value.
    """
    found = [series for series in await ask_prometheus(endpoint, query) if label in series.labels]
    values = {series.labels[label]: series.value for series in found}
    if len(values) < len(found):
        raise Failure(Reason.IMPLAUSIBLE, f"the query gives two series for one {label}: sum them by ({label})")
    if not values:
        raise Failure(Reason.GARBLED, f"no series has the label {label}")
    return values, found[0].time


def _is_finite(value: Any) -> bool:
    return value not in ("NaN", "+Inf", "-Inf")


async def ask_range(
    endpoint: Endpoint, query: str, start: float, end: float, step: float
) -> list[tuple[dict[str, str], dict[float, float]]]:
    """Evaluate a query from ``start`` to ``end`` (unix seconds), every ``step`` seconds.

    Gives each series' labels, and its finite values by time. Raises a Failure where there is none.
    """
    window = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
    answer = await endpoint.get_json("/api/v1/query_range", window, max_bytes=4 * MAX_BYTES)
    with translating():
        if answer["status"] != "success":
            raise Failure(Reason.GARBLED, f"the query failed: {answer.get('error')!s:.120}")
        found = [
            (
                _labels(series["metric"]),
                {number(at): number(value) for at, value in series["values"] if _is_finite(value)},
            )
            for series in answer["data"]["result"]
        ]
    if not any(values for _, values in found):
        raise Failure(Reason.NOT_READY, "the query gives no value in that time")
    return [(labels, values) for labels, values in found if values]
