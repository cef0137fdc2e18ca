"""Results of PromQL queries, such as watts of PDUs, prices or GPUs that another exporter provides."""

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

import orjson
from pydantic import Field

from exporter.model.failures import Failure, Reason
from exporter.sources.contract import Discards, number, translating
from exporter.sources.http import MAX_BYTES, Endpoint, HttpSettings

_COLUMNS_BYTES: Final = 64 * MAX_BYTES


class PrometheusSettings(HttpSettings):
    """A Prometheus, or a server with its API (Mimir, Thanos, VictoriaMetrics), and the query."""

    url: str = Field(description="Address of the server, without /api, such as http://prometheus:9090.")
    query: str = Field(min_length=1, description="The PromQL query.")


class LabelledSettings(PrometheusSettings):
    """A query that returns one series for each rig or block, and the label with its name."""

    rig_label: str = Field(default="rig", description="Label with the name of the rig in the inventory.")
    block_label: str | None = Field(
        default=None, description="Label with the name of the block, if the series are of whole blocks."
    )

    @property
    def label(self) -> str:
        """Label that identifies the series."""
        return self.block_label or self.rig_label


class Series(NamedTuple):
    """One series of an answer: labels, value and time of evaluation (unix seconds)."""

    labels: dict[str, str]
    value: float
    time: float


async def ask_prometheus(endpoint: Endpoint, query: str, *, max_bytes: int = MAX_BYTES) -> list[Series]:
    """Evaluate an instant query. Series without a finite value are left out. Raises a Failure if none is left."""
    answer = await endpoint.get_json("/api/v1/query", {"query": query}, max_bytes=max_bytes)
    with translating():
        data = _data(answer)
        kind, result = data["resultType"], data["result"]
        if kind not in ("vector", "scalar"):
            raise Failure(Reason.UNSUPPORTED, f"the query returns a {kind!s:.20}, not an instant vector")
        samples = [({}, result)] if kind == "scalar" else [(series["metric"], series["value"]) for series in result]
        found = [
            Series(_labels(metric), number(value), number(at)) for metric, (at, value) in samples if _is_finite(value)
        ]
    if not found:
        raise Failure(Reason.NOT_READY, "the query returns no value: is the metric scraped, and are its labels right?")
    return found


async def ask_one(endpoint: Endpoint, query: str) -> Series:
    """Evaluate a query that must return exactly one value."""
    found = await ask_prometheus(endpoint, query)
    if len(found) > 1:
        raise Failure(Reason.IMPLAUSIBLE, f"the query returns {len(found)} series, not one: sum them or select one")
    return found[0]


def _labels(metric: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in metric.values()):
        raise TypeError("a label that is not a text")
    return metric


async def ask_by_label(
    endpoint: Endpoint, query: str, label: str, discards: Discards
) -> tuple[dict[str, float], float]:
    """Evaluate a query that returns one series per value of ``label``. Returns the values and their time.

    Series without the label, and those that share a value of it, are left out. Raises a Failure if no other is left.
    """
    everything = await ask_prometheus(endpoint, query)
    found = [series for series in everything if label in series.labels]
    counts = Counter(series.labels[label] for series in found)
    values = {series.labels[label]: series.value for series in found if counts[series.labels[label]] == 1}
    shared = sorted(name for name, count in counts.items() if count > 1)
    if shared:
        detail = f"the query returns several series for {shared[0]}: sum them by ({label})"
        if not values:
            raise Failure(Reason.IMPLAUSIBLE, detail)
        discards.note("series", detail, len(shared))
    if not values:
        others = ", ".join(sorted({name for series in everything for name in series.labels})[:8])
        raise Failure(
            Reason.GARBLED,
            f"no series has the label {label}: they have {others or 'none'}",
            advice="set rig_label or block_label to the label with the name, or keep the label in the query's by (...)",
        )
    return values, found[0].time


def _data(answer: Any) -> Any:
    """Return the data of an answer. Raises Failure if the query failed."""
    if answer["status"] != "success":
        raise Failure(Reason.GARBLED, f"the query failed: {answer.get('error')!s:.120}")
    return answer["data"]


def _is_finite(value: Any) -> bool:
    return value not in ("NaN", "+Inf", "-Inf")


async def ask_range(
    endpoint: Endpoint, query: str, start: float, end: float, step: float, *, allow_empty: bool = False
) -> list[tuple[dict[str, str], dict[float, float]]]:
    """Evaluate a query from ``start`` to ``end`` (unix seconds), every ``step`` seconds.

    Returns the labels of each series and its finite values by time. Raises a Failure if there is none, unless
    ``allow_empty``.
    """
    window = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
    answer = await endpoint.get_json("/api/v1/query_range", window, max_bytes=4 * MAX_BYTES)
    with translating():
        found = [
            (
                _labels(series["metric"]),
                {number(at): number(value) for at, value in series["values"] if _is_finite(value)},
            )
            for series in _data(answer)["result"]
        ]
    if not allow_empty and not any(values for _, values in found):
        raise Failure(Reason.NOT_READY, "the query returns no value in that time")
    return [(labels, values) for labels, values in found if values]


def quoted(text: str) -> str:
    """Return ``text`` as the inside of a string literal of PromQL, in double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


async def ask_columns(
    endpoint: Endpoint, query: str, times: Sequence[float], step: float
) -> list[tuple[dict[str, str], list[float | None]]]:
    """Evaluate a query at ``times`` (unix seconds), which are ``step`` seconds apart.

    Returns the labels of each series and its values in the order of the times, None where it has none. Much faster than
    :func:`ask_range`. Raises a Failure if the server does not answer.
    """
    start, count = times[0], len(times)
    window = {"query": query, "start": f"{start:.3f}", "end": f"{times[-1]:.3f}", "step": f"{step:.3f}"}
    answer = (await endpoint.ask("GET", "/api/v1/query_range", params=window, max_bytes=_COLUMNS_BYTES)).check()
    try:
        document = orjson.loads(answer.body)
    except ValueError:
        document = answer.json()  # raises, and says what is wrong with the text
    answer.check_stated(document)
    with translating():
        found: list[tuple[dict[str, str], list[float | None]]] = []
        for series in _data(document)["result"]:
            values = series["values"]
            column: list[float | None] = [float(value) for _, value in values]
            if len(column) != count or not isfinite(sum(column)):  # type: ignore[arg-type]
                column = [None] * count
                for at, value in values:
                    index = round((at - start) / step)
                    if _is_finite(value) and 0 <= index < count:
                        column[index] = number(value)
            found.append((_labels(series["metric"]), column))
    return found
