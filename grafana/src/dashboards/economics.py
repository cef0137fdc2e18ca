"""Economics: what the margin is made of, and what would turn it."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import begin
from dashboards.panels import (
    GAIN,
    HASHRATE,
    NUMBER,
    RATIO,
    SINCE,
    USD,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    USD_PER_PETAHASH_DAY,
    Face,
    Panel,
    Query,
    largest,
    series,
    site,
    total,
)

_PRICED = f"({site('power_cost_usd_per_day')}) / ({site('revenue_usd_per_day')})"


def build() -> builders.Dashboard:
    """Hashprice against breakeven, the margin's parts, forward margin, price bands, spread over rigs."""
    page = begin(
        "hashmargin / Economics",
        "hashmargin-economics",
        "What the margin is made of, how far breakeven is, and what the next retarget does to it.",
    )
    for panel in (*_figures(), *_breakeven(), *_margins(), *_spread(), *_market()):
        page.with_panel(panel)
    return page


def _figures() -> list[Panel]:
    return [
        panels.figure(
            Face(
                "Margin per kilowatt-hour", "All dollars over all billed kilowatt-hours.", USD_PER_KILOWATT_HOUR, 5, 5
            ),
            Query(f"{site('margin_usd_per_day')} / (24 * {total('mining_block_billed_power_watts')} / 1000)"),
            GAIN,
        ),
        panels.figure(
            Face("Power cost per bitcoin", "What the power for one mined bitcoin costs.", USD, 5, 5),
            Query(f"{_PRICED} * max({series('mining_bitcoin_price_usd')})"),
        ),
        panels.figure(
            Face(
                "Lost at a tenth less hashprice",
                "Revenue moves with hashprice, power cost does not.",
                USD_PER_DAY,
                5,
                5,
            ),
            Query(total("site:mining_margin_at_risk_usd_per_day:tenth")),
        ),
        panels.figure(
            Face("Next retarget", "When difficulty changes next, as estimated.", SINCE, 5, 5),
            Query(f"1000 * max({series('mining_network_retarget_timestamp_seconds')})"),
        ),
        panels.figure(
            Face("Next halving", "When the subsidy halves, as estimated.", SINCE, 4, 5),
            Query(f"1000 * max({series('mining_network_halving_timestamp_seconds')})"),
        ),
    ]


def _breakeven() -> list[Panel]:
    hashprice = f"max({series('mining_hashprice_usd_per_petahash_day')})"
    return [
        panels.lines(
            Face(
                "Hashprice against breakeven",
                "Below its breakeven the site as a whole earns less than its power costs.",
                USD_PER_PETAHASH_DAY,
            ),
            Query(hashprice, "hashprice"),
            Query(f"max({series('mining_forward_hashprice_usd_per_petahash_day')})", "after the next retarget"),
            Query(f"{hashprice} * {_PRICED}", "breakeven"),
            Query(f"max({series('site:mining_hashprice_usd_per_petahash_day:avg7d')})", "mean of 7 days"),
        ),
        panels.lines(
            Face(
                "Power price against breakeven",
                "Curtail when the price is above the breakeven: at it, mining earns exactly its power.",
                USD_PER_KILOWATT_HOUR,
            ),
            Query(largest("mining_power_price_usd_per_kilowatt_hour", by="tariff"), "{{tariff}}"),
            Query(largest("mining_power_price_next_usd_per_kilowatt_hour", by="tariff"), "{{tariff}}, next"),
            Query(
                f"{site('revenue_usd_per_day')} / (24 * {total('mining_block_billed_power_watts')} / 1000)", "breakeven"
            ),
        ),
    ]


def _margins() -> list[Panel]:
    return [
        panels.bars(
            Face("From revenue to all-in margin", "Each step takes off the next kind of cost.", USD_PER_DAY, 8, 9),
            Query(site("revenue_usd_per_day"), "revenue"),
            Query(f"-{site('power_cost_usd_per_day')}", "power"),
            Query(site("margin_usd_per_day"), "= cash margin"),
            Query(f"{site('allin_margin_usd_per_day')} - {site('margin_usd_per_day')}", "demand, hosting, operations"),
            Query(site("allin_margin_usd_per_day"), "= all-in margin"),
            steps=GAIN,
        ),
        panels.lines(
            Face(
                "Margin, potential and forward",
                "Potential: if all rigs ran. Forward: after the next retarget. Low and high: the power figures' band.",
                USD_PER_DAY,
                16,
                9,
            ),
            Query(site("margin_usd_per_day"), "margin"),
            Query(site("potential_margin_usd_per_day"), "potential"),
            Query(site("forward_margin_usd_per_day"), "forward"),
            Query(total("mining_rig_margin_low_usd_per_day"), "low"),
            Query(total("mining_rig_margin_high_usd_per_day"), "high"),
        ),
    ]


def _spread() -> list[Panel]:
    margin = total("mining_block_margin_usd_per_day", by="site, block")
    cost = total("mining_block_power_cost_usd_per_day", by="site, block")
    return [
        panels.spread(
            Face(
                "Rigs by margin per kilowatt-hour",
                "How many rigs stand at which margin per billed kilowatt-hour; below zero they lose money.",
                USD_PER_KILOWATT_HOUR,
            ),
            Query(total("site:mining_rig_margin_usd_per_kilowatt_hour:bucket", by="le")),
        ),
        panels.bars(
            Face(
                "Headroom by block",
                "How far revenue is above power cost: at zero the block breaks even.",
                RATIO,
            ),
            Query(f"sort({margin} / ({cost} > 0))", "{{site}} {{block}}"),
            steps=((None, "red"), (0.0, "orange"), (0.1, "green")),
        ),
    ]


def _market() -> list[Panel]:
    return [
        panels.lines(
            Face("Bitcoin", "The price that revenue is computed with.", USD, 8),
            Query(f"max({series('mining_bitcoin_price_usd')})", "bitcoin"),
        ),
        panels.lines(
            Face("Difficulty", "Now, and as expected after the next retarget.", NUMBER, 8),
            Query(f"max({series('mining_network_difficulty')})", "now"),
            Query(f"max({series('mining_network_next_difficulty')})", "next"),
        ),
        panels.lines(
            Face("Network hashrate", "As the network's source or the difficulty tells.", HASHRATE, 8),
            Query(f"max({series('mining_network_hashrate_hashes_per_second')})", "network"),
        ),
    ]
