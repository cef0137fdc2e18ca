"""AI reassignment: which block's power would earn more as AI hosting."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import BLOCKS, VERDICT, begin
from dashboards.panels import (
    GAIN,
    PLAIN,
    RATIO,
    SECONDS,
    USD,
    USD_PER_DAY,
    USD_PER_GPU_HOUR,
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
    for panel in (*_axis(), *_blocks(), *_market(), *_income(), *_course()):
        page.with_panel(panel)
    return page


def _axis() -> list[Panel]:
    ai = site("ai_revenue_usd_per_day")
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
            Face("AI in revenue", "What own GPUs and signed leases earn, of all that the site earns.", RATIO, 4, 9),
            f"{ai} / ({ai} + {site('revenue_usd_per_day')})",
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
            Column("Known history", largest("mining_block_verdict_evidence_seconds", _BLOCK, by=by), SECONDS),
            Column("Needed", largest("mining_block_verdict_evidence_needed_seconds", _BLOCK, by=by), SECONDS),
            Column("Now is best", largest("mining_block_conversion_probability_ratio", _BLOCK, by=by), RATIO),
            Column("Frees", largest("mining_block_power_freed_watts", _BLOCK, by=by), WATTS),
            Column("AI value", largest("mining_block_ai_value_usd_per_day", _BLOCK, by=by), USD_PER_DAY),
            Column("Mining margin", largest("mining_block_margin_usd_per_day", _BLOCK, by=by), USD_PER_DAY, GAIN),
            Column("Margin lost", largest("mining_block_margin_lost_usd_per_day", _BLOCK, by=by), USD_PER_DAY),
            Column("Payback", largest("mining_block_reassign_payback_years", _BLOCK, by=by), YEARS),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
        ),
        panels.rows(
            Face(
                "From revenue to the conversion margin",
                "What each block's conversion margin is made of: the lines add up to it.",
                USD_PER_KILOWATT_YEAR,
                8,
                9,
            ),
            Column(
                "Part of the margin",
                largest("mining_block_conversion_margin_line_usd_per_kilowatt_year", _BLOCK, by="site, block, line"),
                USD_PER_KILOWATT_YEAR,
                GAIN,
            ),
            key="line",
        ),
        panels.rows(
            Face(
                "Value of waiting",
                "Mean gain of converting later instead of now, over the outlook's paths. Below zero: now is better.",
                PLAIN,
                8,
                9,
            ),
            Column(
                "Gain per kW, USD",
                largest("mining_block_value_of_waiting_usd_per_kilowatt", _BLOCK, by="site, block, months"),
                USD,
                GAIN,
            ),
            key="block",
        ),
        panels.rows(
            Face(
                "All-in cost, and income from power sales",
                "All-in figures hold every cost, also those that do not stop with the rigs.",
                PLAIN,
                8,
                9,
            ),
            Column(
                "All-in breakeven hashprice",
                largest("mining_block_allin_breakeven_hashprice_usd_per_petahash_day", _BLOCK, by=by),
                USD,
            ),
            Column("All-in cost per bitcoin", largest("mining_block_allin_cost_usd_per_bitcoin", _BLOCK, by=by), USD),
            Column("Power sales", largest("mining_block_resale_income_usd_per_day", _BLOCK, by=by), USD_PER_DAY),
            key="block",
        ),
    ]


def _market() -> list[Panel]:
    by = "site, feed, model, commitment"
    price = "mining_ai_price_usd_per_gpu_hour"
    base = largest(price, 'scenario="base"', by=by)
    answered = series("mining_source_last_success_timestamp_seconds", 'source=~"ai_price:.+"')
    age = f'time() - max by (site, feed) (label_replace({answered}, "feed", "$1", "source", "ai_price:(.+)"))'
    return [
        panels.lines(
            Face(
                "GPU prices by feed",
                "Feeds price different things, and are never mixed: compare their courses, not their levels.",
                USD_PER_GPU_HOUR,
            ),
            Query(base, "{{site}} {{feed}}: {{model}}, {{commitment}}"),
        ),
        panels.lines(
            Face(
                "Mining against renting GPUs, per kilowatt-hour",
                "Margin over energy and before capital, per kilowatt-hour consumed: rigs, own GPUs, and own GPUs at "
                "the feeds' prices.",
                USD_PER_KILOWATT_HOUR,
            ),
            Query(largest("site:mining_margin_usd_per_kilowatt_hour:ratio", by="site"), "{{site}} mining"),
            Query(largest("site:mining_gpu_margin_usd_per_kilowatt_hour:ratio", by="site"), "{{site}} own GPUs"),
            Query(
                largest("mining_ai_renting_margin_usd_per_kilowatt_hour", by=f"{by}, scenario"),
                "{{site}} {{model}} at {{feed}}, {{scenario}}",
            ),
        ),
        panels.rows(
            Face("Feeds", "The price of each feed, its offers' tenths, and its age.", PLAIN, 14, 8),
            Column("Price", base, USD_PER_GPU_HOUR),
            Column("Low", largest(price, 'scenario="low"', by=by), USD_PER_GPU_HOUR),
            Column("High", largest(price, 'scenario="high"', by=by), USD_PER_GPU_HOUR),
            Column("Offers", largest("mining_ai_price_offers", by=by), PLAIN),
            Column("Age", f"({age}) * on (site, feed) group_right () ({base} ^ 0)", SECONDS),
            Column("Prices the AI value", largest("mining_ai_pricing_feed_info", by=by), PLAIN),
            key="feed",
        ),
        panels.rows(
            Face(
                "Renting by feed, per reserved kilowatt",
                "Net of fee, power and failures, and before capital. A feeder is occupied whether a GPU is rented or "
                "not.",
                USD_PER_KILOWATT_YEAR,
                10,
                8,
            ),
            Column(
                "Margin",
                largest("mining_ai_renting_margin_usd_per_kilowatt_year", 'scenario="base"', by=by),
                USD_PER_KILOWATT_YEAR,
                GAIN,
            ),
            key="feed",
        ),
    ]


def _income() -> list[Panel]:
    part = "site, lease, tenant, commitment"
    return [
        panels.lines(
            Face("Own GPUs: earned, and at the market's price", "Sums of the GPUs that are there.", USD_PER_DAY, 10),
            Query(site("gpu_revenue_usd_per_day"), "{{site}} earned"),
            Query(site("gpu_margin_usd_per_day"), "{{site}} earned, less power"),
            Query(total("mining_gpu_market_value_usd_per_day", by="site"), "{{site}} all hours at the market's price"),
            Query(
                total("mining_gpu_market_margin_usd_per_day", by="site"),
                "{{site}} expected hours at it, less power and failures",
            ),
        ),
        panels.figures(
            Face("Unrented GPUs", "What it costs that nobody rents them.", USD_PER_DAY, 4),
            site("gpu_unrented_cost_usd_per_day"),
        ),
        panels.rows(
            Face("Leases", "Signed power, its rent, and what a kilowatt of it is worth.", PLAIN, 10, 8),
            Column("Signed", largest("mining_ai_lease_power_watts", by=part), WATTS),
            Column("Rent", largest("mining_ai_lease_revenue_usd_per_day", by=part), USD_PER_DAY),
            Column("Worth", largest("mining_ai_lease_value_usd_per_kilowatt_year", by=part), USD_PER_KILOWATT_YEAR),
            key="lease",
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
