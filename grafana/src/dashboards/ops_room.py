"""Ops room: one screen that is read from five metres."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import begin
from dashboards.panels import (
    GAIN,
    HASHRATE,
    NONE_WANTED,
    PLAIN,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    USD_PER_KILOWATT_YEAR,
    WATTS,
    Column,
    Face,
    Panel,
    Query,
    largest,
    series,
    site,
    total,
)

_FIRING = 'ALERTS{alertname=~"Mining.+",alertstate="firing",severity=~"critical|warning",site=~"$site"}'


def build() -> builders.Dashboard:
    """Margin now, hashrate, power, what is wrong, rigs by margin, blocks by verdict and reassign score."""
    page = begin(
        "hashmargin / Ops room",
        "hashmargin-ops-room",
        "What the site earns now, what is wrong, and which block to look at. What is unknown is absent, never zero.",
    )
    for panel in (*_now(), *_wrong(), *_course(), *_worst()):
        page.with_panel(panel)
    return page


def _now() -> list[Panel]:
    return [
        panels.figure(
            Face("Margin", "Revenue less avoidable power cost, of all rigs whose inputs are known.", USD_PER_DAY, 7, 6),
            Query(site("margin_usd_per_day")),
            GAIN,
        ),
        panels.figure(
            Face(
                "Avoidable loss",
                "What losing rigs cost while they draw power: curtail them and it is gone.",
                USD_PER_DAY,
                5,
                6,
            ),
            Query(site("avoidable_loss_usd_per_day")),
            ((None, "green"), (1.0, "orange"), (100.0, "red")),
        ),
        panels.figure(
            Face("Hashrate", "Realised hashrate of all rigs that answer.", HASHRATE, 4, 6),
            Query(site("hashrate_hashes_per_second")),
        ),
        panels.figure(
            Face("Power", "Power of all rigs whose power is known.", WATTS, 4, 6), Query(site("power_watts"))
        ),
        panels.figure(
            Face("Alerts firing", "Critical and warning alerts of the site that fire now.", PLAIN, 4, 6),
            Query(f"count({_FIRING}) or vector(0)"),
            NONE_WANTED,
        ),
    ]


def _wrong() -> list[Panel]:
    return [
        panels.rows(
            Face(
                "What is wrong",
                "Alerts that fire now, critical ones first, with how many blocks or rigs each names.",
                PLAIN,
                9,
                8,
            ),
            Column("Firing", f"count by (site, severity, alertname) ({_FIRING})", PLAIN, NONE_WANTED),
            key="alertname",
            order="severity",
            descending=False,
        ),
        panels.bars(
            Face(
                "Rigs by status",
                "Each rig has one: mining, stopped (answers, does not hash), expected_off, down, unknown.",
                PLAIN,
                5,
                8,
            ),
            Query(total("mining_rigs", by="status"), "{{status}}"),
        ),
        panels.bars(
            Face("Blocks by verdict", "What should be done with the blocks as a whole.", PLAIN, 5, 8),
            Query(total("mining_block_verdict", by="verdict"), "{{verdict}}"),
        ),
        panels.bars(
            Face("Rigs by verdict", "What should be done with the rigs.", PLAIN, 5, 8),
            Query(total("mining_block_rigs", by="verdict"), "{{verdict}}"),
        ),
    ]


def _course() -> list[Panel]:
    return [
        panels.lines(
            Face("Revenue, power cost and margin", "The margin is the first less the second.", USD_PER_DAY),
            Query(site("revenue_usd_per_day"), "revenue"),
            Query(site("power_cost_usd_per_day"), "power cost"),
            Query(site("margin_usd_per_day"), "margin"),
        ),
        panels.spread(
            Face(
                "Rigs by margin per kilowatt-hour",
                "How many rigs stand at which margin per billed kilowatt-hour; below zero they lose money.",
                USD_PER_KILOWATT_HOUR,
            ),
            Query(total("site:mining_rig_margin_usd_per_kilowatt_hour:bucket", by="le")),
        ),
    ]


def _worst() -> list[Panel]:
    by_block = "site, block"
    return [
        panels.bars(
            Face("Rigs that lose most", "The 15 rigs with the lowest margin now.", USD_PER_DAY, 8, 10),
            Query(f"bottomk(15, {series('mining_rig_margin_usd_per_day')})", "{{rig}}"),
            steps=GAIN,
        ),
        panels.rows(
            Face(
                "Blocks by reassign score",
                "What a kilowatt-year of each block would earn more as AI hosting than by mining.",
                USD_PER_KILOWATT_YEAR,
                16,
                10,
            ),
            Column(
                "Reassign score",
                largest("mining_block_reassign_score_usd_per_kilowatt_year", by=by_block),
                USD_PER_KILOWATT_YEAR,
            ),
            Column("Margin", largest("mining_block_margin_usd_per_day", by=by_block), USD_PER_DAY, GAIN),
            Column(
                "Avoidable loss",
                largest("mining_block_avoidable_loss_usd_per_day", by=by_block),
                USD_PER_DAY,
                NONE_WANTED,
            ),
            Column("Power", largest("mining_block_power_watts", by=by_block), WATTS),
            Column("Hashrate", largest("mining_block_hashrate_hashes_per_second", by=by_block), HASHRATE),
            Column("Rigs priced", largest("mining_block_rigs_priced", by=by_block), PLAIN),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
        ),
    ]
