"""Fleet: rigs that have the same fault, over time and by model and firmware."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import BLOCKS, begin
from dashboards.panels import (
    EFFICIENCY,
    HASHRATE,
    NONE_WANTED,
    PLAIN,
    RATIO,
    Column,
    Face,
    Panel,
    Query,
    series,
    total,
)

_RIG: Final = "on (job, site, instance, rig)"
_CHOSEN_BLOCKS: Final = 'block=~"$block"'
_PLACE: Final = f"{_RIG} group_left (block) {series('mining_rig_inventory_info', _CHOSEN_BLOCKS)}"
_RIG_LINK: Final = panels.open_with("hashmargin-rig", "rig")


def build() -> builders.Dashboard:
    """Rigs by fault over time, by model and firmware version, and the lists of the worst."""
    page = begin(
        "hashmargin / Fleet",
        "hashmargin-fleet",
        "What many rigs have in common: the same fault, model or firmware version.",
        BLOCKS,
    )
    for panel in (*_over_time(), *_groups(), *_lists()):
        page.with_panel(panel)
    return page


def _counted(fault: str) -> Query:
    """How many rigs of the chosen blocks have a fault."""
    return Query(total(f"block:mining_rig_{fault}:count", _CHOSEN_BLOCKS, by="site"), "{{site}}")


def _over_time() -> list[Panel]:
    return [
        panels.lines(
            Face("Rigs that are down", "They do not answer, of those that should mine.", PLAIN, 8), _counted("down")
        ),
        panels.lines(
            Face("Rigs that do not mine", "They answer, should mine, and do not hash.", PLAIN, 8),
            _counted("not_mining"),
        ),
        panels.lines(
            Face("Rigs without a live pool", "Of those that should mine. Their work earns nothing.", PLAIN, 8),
            _counted("without_pool"),
        ),
        panels.lines(
            Face("Rigs of a wrong worker", "They mine for a worker that the inventory does not expect.", PLAIN, 8),
            _counted("worker_wrong"),
        ),
        panels.lines(
            Face("Rigs with fewer boards", "Fewer boards hash than did at some hour of the last day.", PLAIN, 8),
            _counted("boards_fewer"),
        ),
        panels.lines(
            Face("Rigs that are too hot", "By temperature, or as they report it.", PLAIN, 8), _counted("overheating")
        ),
    ]


def _grouped(title: str, description: str, label: str, order: str) -> Panel:
    def of_group(recorded: str) -> str:
        return total(f"firmware:mining_{recorded}", _CHOSEN_BLOCKS, by=f"site, {label}")

    hashrate = of_group("hashrate_hashes_per_second:sum")
    efficiency = "rig_efficiency_joules_per_terahash"
    return panels.rows(
        Face(title, description, PLAIN, 12, 9),
        Column("Rigs", of_group("rigs:count"), PLAIN),
        Column("Down", of_group("rig_down:count"), PLAIN, NONE_WANTED),
        Column("Not mining", of_group("rig_not_mining:count"), PLAIN, NONE_WANTED),
        Column("Hashrate", hashrate, HASHRATE),
        Column("Of rated", f"{hashrate} / {of_group('rated_hashrate_hashes_per_second:sum')}", RATIO),
        Column("Efficiency", f"{of_group(f'{efficiency}:sum')} / {of_group(f'{efficiency}:count')}", EFFICIENCY),
        key=label,
        order=order,
        widths={
            "site": 90,
            "Rigs": 60,
            "Down": 65,
            "Not mining": 90,
            "Hashrate": 90,
            "Of rated": 80,
            "Efficiency": 100,
        },
    )


def _groups() -> list[Panel]:
    return [
        _grouped("By model", "A model that is worse than the others has a weakness in common.", "model", "Rigs"),
        _grouped(
            "By firmware version",
            "A version that is worse than the others of its kind is the cause.",
            "firmware, firmware_version",
            "Rigs",
        ),
    ]


def _lists() -> list[Panel]:
    return [
        panels.rows(
            Face("Workers that are not expected", "Up to 50 rigs, with worker and pool.", PLAIN, 12, 9),
            Column(
                "Found",
                "max by (site, block, rig, worker, host)"
                f" (topk(50, {series('rig:mining_rig_pool_info:unexpected')} * {_PLACE}))",
                PLAIN,
            ),
            key="rig",
            link=_RIG_LINK,
        ),
        panels.rows(
            Face("Rigs that have no live pool", "Up to 50 rigs, with their pools.", PLAIN, 12, 9),
            Column(
                "Dead pools",
                f"max by (site, block, rig) (topk(50, {series('rig:mining_rig_pools_dead:count')} * {_PLACE}))",
                PLAIN,
                NONE_WANTED,
            ),
            key="rig",
            link=_RIG_LINK,
        ),
    ]
