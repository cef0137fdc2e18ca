"""Fleet: rigs that have the same fault, over time and by model and firmware."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import BLOCKS, begin
from dashboards.panels import (
    ALERTS_KNOWN,
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
)

_RIG: Final = "on (job, site, instance, rig)"
_CHOSEN: Final = series("mining_rig_inventory_info", 'block=~"$block"')
_PLACE: Final = f"{_RIG} group_left (block) {_CHOSEN}"
_RIG_LINK: Final = panels.open_with("hashmargin-rig", "rig")
_SHOULD_MINE: Final = f"{_RIG} {series('mining_rig_expected_mining')} == 1"


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


def _counted(condition: str, every: str) -> str:
    """How many rigs of the chosen blocks meet the condition; 0 where none of ``every`` does."""
    return f"count by (site) (({condition}) * {_PLACE}) or 0 * count by (site) ({every} * {_PLACE})"


def _over_time() -> list[Panel]:
    up, mining = series("mining_rig_up"), series("mining_rig_mining")
    pools = f"max by (job, site, instance, rig) ({series('mining_rig_pool_up')})"
    worker = series("mining_rig_worker_expected")
    boards = f"count by (job, site, instance, rig) ({series('mining_rig_board_hashrate_hashes_per_second')} > 0)"
    before = (
        f"max_over_time(count by (job, site, instance, rig)"
        f" ({series('mining_rig_board_hashrate_hashes_per_second')} > 0)[1d:1h])"
    )
    hot = series("rig:mining_rig_overheating_celsius:max")
    temperatures = " or ".join(
        f"max by (job, site, instance, rig) ({series(f'mining_rig_board_{each}temperature_celsius')})"
        for each in ("chip_", "")
    )
    return [
        panels.lines(
            Face("Rigs that are down", "They do not answer, of those that should mine.", PLAIN, 8),
            Query(_counted(f"{up} == 0 and {_SHOULD_MINE}", up), "{{site}}"),
        ),
        panels.lines(
            Face("Rigs that do not mine", "They answer, should mine, and do not hash.", PLAIN, 8),
            Query(_counted(f"{mining} == 0 and {_SHOULD_MINE}", mining), "{{site}}"),
        ),
        panels.lines(
            Face("Rigs without a live pool", "Of those that should mine. Their work earns nothing.", PLAIN, 8),
            Query(_counted(f"{pools} == 0 and {_SHOULD_MINE}", pools), "{{site}}"),
        ),
        panels.lines(
            Face("Rigs of a wrong worker", "They mine for a worker that the inventory does not expect.", PLAIN, 8),
            Query(_counted(f"{worker} == 0", worker), "{{site}}"),
        ),
        panels.lines(
            Face("Rigs with fewer boards", "Fewer boards hash than did at some hour of the last day.", PLAIN, 8),
            Query(_counted(f"{boards} < {before}", boards), "{{site}}"),
        ),
        panels.lines(
            Face("Rigs that are too hot", "By temperature, or as they report it.", PLAIN, 8),
            Query(_counted(hot, f"({temperatures}) and on (site) {ALERTS_KNOWN}"), "{{site}}"),
        ),
    ]


def _grouped(title: str, description: str, label: str, order: str) -> Panel:
    by = f"site, {label}"
    identity = series("mining_rig_info")
    same = f"{_RIG} group_left ({label}) {identity} and {_RIG} {_CHOSEN}"

    def per_group(operation: str, expr: str) -> str:
        return f"{operation} by ({by}) ({expr} * {same})"

    return panels.rows(
        Face(title, description, PLAIN, 12, 9),
        Column("Rigs", f"count by ({by}) ({identity} and {_RIG} {_CHOSEN})", PLAIN),
        Column("Down", per_group("sum", f"(1 - {series('mining_rig_up')})"), PLAIN, NONE_WANTED),
        Column("Not mining", per_group("sum", f"(1 - {series('mining_rig_mining')})"), PLAIN, NONE_WANTED),
        Column("Hashrate", per_group("sum", series("mining_rig_hashrate_hashes_per_second")), HASHRATE),
        Column(
            "Of rated",
            f"{per_group('sum', series('mining_rig_hashrate_hashes_per_second'))} / "
            f"{per_group('sum', series('mining_rig_rated_hashrate_hashes_per_second'))}",
            RATIO,
        ),
        Column("Efficiency", per_group("avg", series("mining_rig_efficiency_joules_per_terahash")), EFFICIENCY),
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
    wrong = f"{series('mining_rig_worker_expected')} == 0"
    used = f"{series('mining_rig_pool_info')} and on (job, site, instance, rig, pool)"
    used = f"({used} {series('mining_rig_pool_active')} == 1)"
    return [
        panels.rows(
            Face("Workers that are not expected", "Up to 50 rigs, with worker and pool.", PLAIN, 12, 9),
            Column(
                "Found",
                f"max by (site, block, rig, worker, host) (topk(50, ({used} and {_RIG} {wrong}) * {_PLACE}))",
                PLAIN,
            ),
            key="rig",
            link=_RIG_LINK,
        ),
        panels.rows(
            Face("Rigs that have no live pool", "Up to 50 rigs, with their pools.", PLAIN, 12, 9),
            Column(
                "Dead pools",
                "max by (site, block, rig) (topk(50,"
                f" count by (job, site, instance, rig) ({series('mining_rig_pool_up')} == 0)"
                f" * {_PLACE} unless {_RIG} max by (job, site, instance, rig) ({series('mining_rig_pool_up')}) == 1))",
                PLAIN,
                NONE_WANTED,
            ),
            key="rig",
            link=_RIG_LINK,
        ),
    ]
