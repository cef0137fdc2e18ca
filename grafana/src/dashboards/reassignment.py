"""AI reassignment: which block's power would earn more as AI hosting."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import BLOCKS, VERDICT, begin
from dashboards.panels import (
    GAIN,
    PLAIN,
    RATIO,
    USD,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    USD_PER_KILOWATT_YEAR,
    WATTS,
    YEARS,
    Column,
    Face,
    Panel,
    Query,
    largest,
    series,
    site,
    total,
)

_BLOCK = 'block=~"$block"'
_VERDICT = 'verdict=~"$verdict"'


def build() -> builders.Dashboard:
    """Ranked blocks and rigs, mining against AI per kilowatt-hour, the scenarios' band."""
    page = begin(
        "hashmargin / AI reassignment",
        "hashmargin-reassignment",
        "Mining against AI hosting on the same kilowatt-hours. Recommended per block, never for one rig. "
        "Empty where the configuration has no ai section.",
        BLOCKS,
        VERDICT,
    )
    for panel in (*_axis(), *_blocks(), *_course()):
        page.with_panel(panel)
    return page


def _axis() -> list[Panel]:
    gpus = site("gpu_revenue_usd_per_day")
    return [
        panels.lines(
            Face(
                "Mining against AI hosting, per kilowatt-hour",
                "The AI value in three scenarios, and what mining earns.",
                USD_PER_KILOWATT_HOUR,
                12,
                9,
            ),
            Query(
                largest("mining_ai_value_usd_per_kilowatt_hour", by="site, scenario"),
                "{{site}} AI hosting, {{scenario}}",
            ),
            Query(
                f"{total('mining_block_margin_usd_per_day', _BLOCK, by='site')}"
                f" / (24 * {total('mining_block_billed_power_watts', _BLOCK, by='site')} / 1000)",
                "{{site}} mining, chosen blocks",
            ),
        ),
        panels.figures(
            Face("Breakeven rent", "Rent per IT kilowatt and month at which AI hosting earns nothing.", USD, 4, 9),
            largest("mining_ai_breakeven_rent_usd_per_kilowatt_month", by="site"),
        ),
        panels.figures(
            Face(
                "Own GPUs",
                "Margin over energy of the GPUs that are already there; their capital cost is not in it.",
                USD_PER_KILOWATT_HOUR,
                4,
                9,
            ),
            largest("site:mining_gpu_margin_usd_per_kilowatt_hour:ratio", by="site"),
            GAIN,
        ),
        panels.figures(
            Face("AI in revenue", "What the site's own GPUs earn, of all that it earns.", RATIO, 4, 9),
            f"{gpus} / ({gpus} + {site('revenue_usd_per_day')})",
        ),
    ]


def _blocks() -> list[Panel]:
    by = "site, block"
    return [
        panels.rows(
            Face("Blocks, best candidates first", "The score decides; payback and kilowatts inform.", PLAIN, 24, 9),
            Column(
                "Reassign score",
                largest("mining_block_reassign_score_usd_per_kilowatt_year", _BLOCK, by=by),
                USD_PER_KILOWATT_YEAR,
                GAIN,
            ),
            Column(
                "Conversion margin",
                largest("mining_block_conversion_margin_usd_per_kilowatt_year", _BLOCK, by=by),
                USD_PER_KILOWATT_YEAR,
            ),
            Column("Evidence", largest("mining_block_verdict_evidence_ratio", _BLOCK, by=by), RATIO),
            Column("Frees", largest("mining_block_power_freed_watts", _BLOCK, by=by), WATTS),
            Column("AI value", largest("mining_block_ai_value_usd_per_day", _BLOCK, by=by), USD_PER_DAY),
            Column("Mining margin", largest("mining_block_margin_usd_per_day", _BLOCK, by=by), USD_PER_DAY, GAIN),
            Column("Margin lost", largest("mining_block_margin_lost_usd_per_day", _BLOCK, by=by), USD_PER_DAY),
            Column("Payback", largest("mining_block_reassign_payback_years", _BLOCK, by=by), YEARS),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
        ),
    ]


def _course() -> list[Panel]:
    score = series("mining_rig_reassign_score_usd_per_kilowatt_year")
    place = series("mining_rig_inventory_info", _BLOCK)
    return [
        panels.rows(
            Face(
                "Rigs with the highest score",
                "The 20 rigs whose power would gain most. For information: one rig cannot host AI.",
                USD_PER_KILOWATT_YEAR,
                8,
                10,
            ),
            Column(
                "Score",
                f"max by (site, block, rig)"
                f" (topk(20, {score} * on (job, site, instance, rig) group_left (block) {place}))",
                USD_PER_KILOWATT_YEAR,
                GAIN,
            ),
            key="rig",
            link=panels.open_with("hashmargin-rig", "rig"),
        ),
        panels.lines(
            Face("Score by block", "Above zero, AI hosting would earn more.", USD_PER_KILOWATT_YEAR, 8, 10),
            Query(
                largest("mining_block_reassign_score_usd_per_kilowatt_year", _BLOCK, by="site, block"),
                "{{site}} {{block}}",
            ),
        ),
        panels.lines(
            Face("Rigs by verdict", "How the verdicts of the chosen blocks' rigs moved.", PLAIN, 8, 10),
            Query(total("mining_block_rigs", _BLOCK, _VERDICT, by="site, verdict"), "{{site}} {{verdict}}"),
            stacked=True,
        ),
    ]
