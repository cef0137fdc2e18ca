"""Block: one container, building or feeder."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import BLOCK, MODEL, VERDICT, begin
from dashboards.panels import (
    CELSIUS,
    EFFICIENCY,
    GAIN,
    HASHRATE,
    NONE_WANTED,
    PLAIN,
    RATIO,
    SINCE,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    WATTS,
    Column,
    Face,
    Panel,
    Query,
    largest,
    series,
    total,
)

_BLOCK = 'block=~"$block"'
_PLACE = f"on (job, site, instance, rig) group_left (block) {series('mining_rig_inventory_info', _BLOCK)}"
_MODEL = 'model=~"$model"'
_IDENTITY = f"on (job, site, instance, rig) group_left (model) {series('mining_rig_info', _MODEL)}"
_RIG_LINK = panels.open_with("hashmargin-rig", "rig")


def build() -> builders.Dashboard:
    """Its money, its power against what its feeder carries, its rigs, the worst of them."""
    page = begin(
        "hashmargin / Block",
        "hashmargin-block",
        "What can be switched or converted as one: its margin, its rigs, and the worst of them.",
        BLOCK,
        MODEL,
        VERDICT,
        several_sites=False,
    )
    for panel in (*_now(), *_course(), *_rigs()):
        page.with_panel(panel)
    return page


def _total(metric: str) -> str:
    return total(metric, _BLOCK, by="site, block")


def _now() -> list[Panel]:
    return [
        panels.figure(
            Face("Margin", "Revenue less power cost of the priced rigs.", USD_PER_DAY, 5, 5),
            Query(_total("mining_block_margin_usd_per_day")),
            GAIN,
        ),
        panels.figure(
            Face("Avoidable loss", "What switching off its losing rigs would save.", USD_PER_DAY, 5, 5),
            Query(
                f"{_total('mining_block_avoidable_loss_usd_per_day')} and {_total('mining_block_margin_usd_per_day')}"
            ),
            ((None, "green"), (1.0, "orange"), (50.0, "red")),
        ),
        panels.figure(
            Face(
                "Margin per kilowatt-hour", "All dollars over all billed kilowatt-hours.", USD_PER_KILOWATT_HOUR, 5, 5
            ),
            Query(
                f"{_total('mining_block_margin_usd_per_day')}"
                f" / (24 * {_total('mining_block_billed_power_watts')} / 1000)"
            ),
            GAIN,
        ),
        panels.figure(
            Face("Rigs that answer", "Of those that should mine.", RATIO, 4, 5),
            Query(f"{_total('block:mining_rig_up:sum')} / {_total('block:mining_rig_expected:count')}"),
            ((None, "red"), (0.9, "orange"), (0.99, "green")),
        ),
        panels.bars(
            Face("Rigs by verdict", "What should be done with its rigs.", PLAIN, 5, 5),
            Query(total("mining_block_rigs", _BLOCK, 'verdict=~"$verdict"', by="site, block, verdict"), "{{verdict}}"),
        ),
    ]


def _course() -> list[Panel]:
    return [
        panels.lines(
            Face("Revenue, power cost and margin", "Of its priced rigs.", USD_PER_DAY, 8),
            Query(_total("mining_block_revenue_usd_per_day"), "revenue"),
            Query(_total("mining_block_power_cost_usd_per_day"), "power cost"),
            Query(_total("mining_block_margin_usd_per_day"), "margin"),
        ),
        panels.lines(
            Face("Power", "What its rigs draw, and what its feeder can carry.", WATTS, 8),
            Query(_total("mining_block_power_watts"), "drawn"),
            Query(_total("mining_block_capacity_watts"), "feeder"),
        ),
        panels.lines(
            Face("Hashrate", "Of the rigs that answer.", HASHRATE, 8),
            Query(_total("mining_block_hashrate_hashes_per_second"), "{{block}}"),
            stacked=True,
        ),
    ]


def _rigs() -> list[Panel]:
    margin = series("mining_rig_margin_usd_per_day")
    here = f"on (job, site, instance, rig) {series('mining_rig_inventory_info', _BLOCK)}"
    chips = f"{series('mining_rig_board_chip_temperature_celsius')} and {here}"
    down = f"({series('mining_rig_up')} == 0)"
    since = series("mining_rig_last_success_timestamp_seconds")
    return [
        panels.rows(
            Face("Rigs that earn least", "The 25 with the lowest margin, of the chosen models.", USD_PER_DAY, 12, 10),
            Column(
                "Margin",
                f"max by (site, block, model, rig) (bottomk(25, ({margin} * {_PLACE}) * {_IDENTITY}))",
                USD_PER_DAY,
                GAIN,
            ),
            key="rig",
            link=_RIG_LINK,
            descending=False,
        ),
        panels.rows(
            Face("Rigs that do not answer", "Up to 25, with when they last did.", PLAIN, 12, 10),
            Column("Down", f"max by (site, block, rig) (topk(25, ({down} + 1) * {_PLACE}))", PLAIN, NONE_WANTED),
            Column(
                "Last answer",
                f"1000 * max by (site, block, rig)"
                f" (topk(25, ({since} and on (job, site, instance, rig) {down}) * {_PLACE}))",
                SINCE,
            ),
            key="rig",
            link=_RIG_LINK,
        ),
        panels.rows(
            Face("Hottest rigs", "The 25 rigs with the hottest chips.", CELSIUS, 12),
            Column(
                "Chips",
                f"max by (site, block, rig) (topk(25, max by (job, site, instance, rig) ({chips}) * {_PLACE}))",
                CELSIUS,
                ((None, "green"), (85.0, "orange"), (95.0, "red")),
            ),
            key="rig",
            link=_RIG_LINK,
        ),
        panels.bars(
            Face("Efficiency by model", "The median rig of each model at the site.", EFFICIENCY, 12),
            Query(
                largest("model:mining_rig_efficiency_joules_per_terahash:median", _MODEL, by="site, model"),
                "{{model}}",
            ),
        ),
    ]
