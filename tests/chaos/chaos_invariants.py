"""What must hold in every scrape, whatever fails."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_REVENUE, _COST, _MARGIN = (f"mining_rig_{part}_usd_per_day" for part in ("revenue", "power_cost", "margin"))
_BLOCK_MARGIN: Final = "mining_block_margin_usd_per_day"
_INVENTORY: Final = "mining_rig_inventory_info"
_GPU: Final = "mining_gpu_"
_CLOSE: Final = 1e-6
_CLOCK: Final = 1.0  # s, that a time may be ahead of ours
_LAST_SUCCESS: Final = "mining_rig_last_success_timestamp_seconds"
_UPTIME: Final = "mining_rig_uptime_seconds"
_ENERGY: Final = "mining_rig_energy_joules_total"
_OWN: Final = ("mining_rig_dropped_values_total", "mining_rig_identity_changes_total")
"""What the exporter counts about rigs from its own start."""
_MOST_EXAMPLES: Final = 5
_ROUNDING: Final = 2.0  # s, of an uptime

Series = Mapping[str, Mapping[str, float]]
"""Values by name of the metric, then by its labels as text."""


def parsed(text: str) -> Series:
    """Read the samples of an exposition in Prometheus' text format."""
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        if line and line[0] != "#":
            labelled, _, value = line.rpartition(" ")
            name, _, labels = labelled.partition("{")
            found.setdefault(name, {})[labels.rstrip("}")] = float(value)
    return found


def label(labels: str, name: str) -> str:
    """Return the value of a label. Values in our exposition have no escaped quotes here."""
    return labels.partition(f'{name}="')[2].partition('"')[0]


@dataclass
class Invariants:
    """Checks scrape after scrape, and counts what did not hold."""

    broken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    scrapes: int = 0
    _counters: dict[tuple[str, str], float] = field(default_factory=dict)
    _starts: dict[tuple[str, str], float] = field(default_factory=dict)

    def check(self, series: Series, now: float) -> None:
        """Check one scrape of ``now`` (unix seconds)."""
        self.scrapes += 1
        for rule, example in (
            *self._finite(series),
            *self._margins(series),
            *self._sums(series),
            *self._times(series, now),
            *self._falls(series),
        ):
            self.broken[rule] += 1
            self.examples.setdefault(rule, [])
            if len(self.examples[rule]) < _MOST_EXAMPLES:
                self.examples[rule].append(example)

    def forget_process(self) -> None:
        """Note that the process was started anew: its own counters begin at 0, those of rigs and GPUs continue."""
        self._counters = {
            (name, labels): value
            for (name, labels), value in self._counters.items()
            if name not in _OWN and (label(labels, "rig") or _GPU in name)
        }

    def _finite(self, series: Series) -> Iterator[tuple[str, str]]:
        for name, samples in series.items():
            for labels, value in samples.items():
                if not math.isfinite(value):
                    yield "finite", f"{name}{{{labels}}} {value}"

    def _margins(self, series: Series) -> Iterator[tuple[str, str]]:
        revenue, cost = series.get(_REVENUE, {}), series.get(_COST, {})
        for rig, margin in series.get(_MARGIN, {}).items():
            if rig not in revenue or rig not in cost or abs(revenue[rig] - cost[rig] - margin) > _CLOSE:
                yield "margin", f"{rig}: {margin} is not {revenue.get(rig)} - {cost.get(rig)}"

    def _sums(self, series: Series) -> Iterator[tuple[str, str]]:
        block_of = {label(labels, "rig"): label(labels, "block") for labels in series.get(_INVENTORY, {})}
        sums: Counter[str] = Counter()
        for labels, margin in series.get(_MARGIN, {}).items():
            sums[block_of[label(labels, "rig")]] += margin  # type: ignore[assignment]
        for labels, margin in series.get(_BLOCK_MARGIN, {}).items():
            if abs(sums[label(labels, "block")] - margin) > _CLOSE * max(1.0, abs(margin)):
                yield "sum", f"{labels}: {margin} is not the sum {sums[label(labels, 'block')]}"

    def _times(self, series: Series, now: float) -> Iterator[tuple[str, str]]:
        for name, samples in series.items():
            if name.endswith(("_last_success_timestamp_seconds", "_age_seconds")):
                for labels, value in samples.items():
                    age = value if name.endswith("_age_seconds") else now - value
                    if age < -_CLOCK:
                        yield "age", f"{name}{{{labels}}} is {-age:.1f} s in the future"

    def _falls(self, series: Series) -> Iterator[tuple[str, str]]:
        started = _process_starts(series)
        for name, samples in series.items():
            if name.endswith("_total"):
                for labels, value in samples.items():
                    key = name, labels
                    start = started.get(label(labels, "rig")) if name != _ENERGY else None
                    before = self._counters.get(key, 0.0)
                    if value < before and (start is None or start <= self._starts.get(key, start) + _ROUNDING):
                        yield "counter", f"{name}{{{labels}}} fell from {before} to {value}"
                    self._counters[key] = value
                    if start is not None:
                        self._starts[key] = start


def _process_starts(series: Series) -> dict[str, float]:
    """Return when each rig's miner process was started, which is when its counters begin at 0, in unix seconds."""
    read = {label(labels, "rig"): at for labels, at in series.get(_LAST_SUCCESS, {}).items()}
    return {
        rig: read[rig] - uptime
        for labels, uptime in series.get(_UPTIME, {}).items()
        if (rig := label(labels, "rig")) in read
    }
