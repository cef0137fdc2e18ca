"""Ops room: one screen that is read from five metres."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import begin
from dashboards.panels import GAIN, NONE_WANTED, Column, Face, Query, series


def build() -> builders.Dashboard:
    """Margin now, hashrate, power, what is wrong, rigs by margin, blocks by reassign score."""
    page = begin(
        "hashmargin / Ops room",
        "hashmargin-ops-room",
        "What the site earns now, what is wrong, and which block to look at. Everything unknown is absent, never zero.",
    )
    for panel in (*_now(), *_course(), *_worst()):
        page.with_panel(panel)
    return page


def _now() -> list[panels.Panel]:
    return [
        panels.figure(
            Face(
                title="Margin",
                description="Revenue less avoidable power cost of all rigs whose inputs are known.",
                unit=panels.USD_PER_DAY,
                width=6,
                height=6,
            ),
            Query(f"sum({series('site:mining_margin_usd_per_day:sum')})"),
            GAIN,
        ),
        panels.figure(
            Face(
                title="Avoidable loss",
                description="What rigs lose that draw power at a negative potential margin: curtail them and it is gone.",
                unit=panels.USD_PER_DAY,
                width=4,
                height=6,
            ),
            Query(f"sum({series('site:mining_avoidable_loss_usd_per_day:sum')})"),
            ((None, "green"), (1.0, "orange"), (50.0, "red")),
        ),
        panels.figure(
            Face(
                title="Hashrate",
                description="Realised hashrate of all rigs that answer.",
                unit=panels.HASHRATE,
                width=4,
                height=6,
            ),
            Query(f"sum({series('site:mining_hashrate_hashes_per_second:sum')})"),
        ),
        panels.figure(
            Face(
                title="Power",
                description="Power of all rigs whose power is known.",
                unit=panels.WATTS,
                width=4,
                height=6,
            ),
            Query(f"sum({series('site:mining_power_watts:sum')})"),
        ),
        panels.figure(
            Face(
                title="Rigs that do not answer",
                description="Rigs of the inventory whose last poll failed.",
                unit=panels.PLAIN,
                width=3,
                height=6,
            ),
            Query(f"sum({series('site:mining_rig_down:count')})"),
            NONE_WANTED,
        ),
        panels.figure(
            Face(
                title="Alerts firing",
                description="Critical and warning alerts of this site that fire now.",
                unit=panels.PLAIN,
                width=3,
                height=6,
            ),
            Query(
                'count(ALERTS{alertname=~"Mining.*",alertstate="firing",severity=~"critical|warning",site=~"$site"})'
                " or vector(0)"
            ),
            NONE_WANTED,
        ),
    ]


def _course() -> list[panels.Panel]:
    return [
        panels.lines(
            Face(
                title="Revenue, power cost and margin",
                description="The margin is the first less the second, over the same rigs.",
                unit=panels.USD_PER_DAY,
            ),
            Query(f"sum({series('site:mining_revenue_usd_per_day:sum')})", "revenue"),
            Query(f"sum({series('site:mining_power_cost_usd_per_day:sum')})", "power cost"),
            Query(f"sum({series('site:mining_margin_usd_per_day:sum')})", "margin"),
        ),
        panels.spread(
            Face(
                title="Rigs by margin per kilowatt-hour",
                description="How many rigs stand at which margin per metered kilowatt-hour; below zero they lose money.",
                unit=panels.USD_PER_KILOWATT_HOUR,
            ),
            Query(f"sum by (le) ({series('site:mining_rig_margin_usd_per_kilowatt_hour:bucket')})"),
        ),
    ]


def _worst() -> list[panels.Panel]:
    score = series("mining_block_reassign_score_usd_per_kilowatt_year")
    return [
        panels.bars(
            Face(
                title="Rigs that lose most",
                description="The 15 rigs with the lowest margin now.",
                unit=panels.USD_PER_DAY,
                width=8,
                height=10,
            ),
            Query(f"bottomk(15, {series('mining_rig_margin_usd_per_day')})", "{{rig}}"),
            GAIN,
        ),
        panels.rows(
            Face(
                title="Blocks by reassign score",
                description="What a kilowatt-year would earn more as AI hosting than by mining, for each block.",
                unit=panels.USD_PER_KILOWATT_YEAR,
                width=16,
                height=10,
            ),
            Column("Reassign score", f"max by (site, block) ({score})", panels.USD_PER_KILOWATT_YEAR),
            Column(
                "Margin",
                f"max by (site, block) ({series('mining_block_margin_usd_per_day')})",
                panels.USD_PER_DAY,
                GAIN,
            ),
            Column(
                "Avoidable loss",
                f"max by (site, block) ({series('mining_block_avoidable_loss_usd_per_day')})",
                panels.USD_PER_DAY,
                NONE_WANTED,
            ),
            Column("Power", f"max by (site, block) ({series('mining_block_power_watts')})", panels.WATTS),
            Column(
                "Hashrate",
                f"max by (site, block) ({series('mining_block_hashrate_hashes_per_second')})",
                panels.HASHRATE,
            ),
            Column("Rigs priced", f"max by (site, block) ({series('mining_block_rigs_priced')})", panels.PLAIN),
            key="block",
        ),
    ]
