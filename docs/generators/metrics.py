"""Renders ``docs/metrics.md`` from the catalogue and the telemetry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric as Family

from exporter.exposition.catalogue import DETAILS, SECTIONS, Metric, Stability
from exporter.telemetry import Telemetry

PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"

_INTRODUCTION: Final = """\
# Metrics

Look up the type, labels, unit and meaning of a metric. `make docs` generates this page from the code: do not edit it.

- A value that is unknown is absent. It is never 0 and never an old value.
- A rig that does not answer keeps `mining_rig_up 0`, its inventory and the time of its last success. Its other series
  disappear when its last reading is older than 2.5 poll intervals.
- "Absent if not reported" means that the rig or its firmware does not provide the value.
- A scrape returns the latest publication and never contacts a rig. Samples have no timestamps.
- Sums over a site are recording rules over its blocks, so the shards of a site add up.
- The site's name is a label of the scrape target.
- A metric of a group can be switched off: `exposition: {groups: {board: false}}`.
- `exposition: {profile: lean}` leaves out the metrics marked detail. No dashboard, rule, alert or command uses them.
- Metrics are stable, except those marked experimental: their name or meaning may change.

The label `rig` is a rig's stable name. Model, firmware and address are labels of `mining_rig_info`. Block, rack and
customer are labels of `mining_rig_inventory_info`. Join them like this:

```promql
mining_rig_power_watts * on (rig) group_left (block) mining_rig_inventory_info
```
"""
_SITE_TABLE: Final = ("| metric | type | labels | meaning |", "|---|---|---|---|")
_OWN_TITLE: Final = "The exporter itself"
_OWN_TABLE: Final = ("| metric | type | meaning |", "|---|---|---|")
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}


def page() -> str:
    """Return the whole page."""
    return "\n".join([_INTRODUCTION, *_site(), *_own()]) + "\n"


def _site() -> Iterator[str]:
    for title, metrics in SECTIONS.items():
        yield from (f"## {title}", "", *_SITE_TABLE)
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.scope.labels)
            yield f"| `{metric.name}` | {metric.kind} | {labels} | {_meaning(metric)} |"
        yield ""


def _meaning(metric: Metric[Any]) -> str:
    group = f" Group `{metric.group}`." if metric.group else ""
    detail = " Detail." if metric.name in DETAILS else ""
    return f"{metric.help}{group}{detail}{' Experimental.' if metric.stability is Stability.EXPERIMENTAL else ''}"


def _own() -> Iterator[str]:
    yield from (
        f"## {_OWN_TITLE}",
        "",
        "The usual `process_*` and `python_*` are exported too.",
        "",
        *_OWN_TABLE,
    )
    for family in _own_families():
        yield f"| `{_own_name(family)}` | {family.type} | {family.documentation} |"


def _own_families() -> list[Family]:
    families = (family for family in Telemetry(has_lease=True).registry.collect() if family.name.startswith("mining_"))
    return sorted(families, key=lambda family: family.name)


def _own_name(family: Family) -> str:
    return f"{family.name}{_SUFFIXES.get(family.type, '')}"
