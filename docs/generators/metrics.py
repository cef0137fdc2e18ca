"""Renders ``docs/metrics.md`` from catalogue and telemetry."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric as Family

from exporter.exposition.catalogue import SECTIONS, Metric, Stability
from exporter.telemetry import Telemetry

PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"

_INTRODUCTION: Final = """\
# Metrics

Written by `make docs` from the catalogue: do not edit it here.

What is unknown is absent. A rig that stops answering keeps `mining_rig_up 0`, its inventory and the time of its last
success; its other series vanish once its last reading is older than 2.5 poll intervals. Nothing is published as 0, or
as its last value, because it is not known.

A scrape serves the last evaluation, ready and compressed, and never touches a rig. Samples carry no timestamps. Sums
over a site are recording rules over its blocks, so that the shards of a site add up.

A rig's series carry `rig`, its stable name. Its model, firmware and address stand in `mining_rig_info`; block, rack
and customer in `mining_rig_inventory_info`. Join them: `mining_rig_power_watts * on (rig) group_left (block)
mining_rig_inventory_info`. The name of the site is a label of the scrape target.

Metrics of a group can be switched off: `exposition: {groups: {board: false}}`. All are stable but those called
experimental, whose name or meaning may still change.
"""
_SITE_TABLE: Final = ("| metric | type | labels | meaning |", "|---|---|---|---|")
_OWN_TITLE: Final = "The exporter itself"
_OWN_TABLE: Final = ("| metric | type | meaning |", "|---|---|---|")
_SUFFIXES: Final = {"counter": "_total", "info": "_info"}


def page() -> str:
    """The whole page."""
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
    return f"{metric.help}{group}{' Experimental.' if metric.stability is Stability.EXPERIMENTAL else ''}"


def _own() -> Iterator[str]:
    yield from (f"## {_OWN_TITLE}", "", "Beside these, the usual `process_*` and `python_*`.", "", *_OWN_TABLE)
    for family in _own_families():
        yield f"| `{_own_name(family)}` | {family.type} | {family.documentation} |"


def _own_families() -> list[Family]:
    families = (family for family in Telemetry().registry.collect() if family.name.startswith("mining_"))
    return sorted(families, key=lambda family: family.name)


def _own_name(family: Family) -> str:
    return f"{family.name}{_SUFFIXES.get(family.type, '')}"
