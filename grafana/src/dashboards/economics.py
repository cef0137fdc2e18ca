"""Economics: what the margin is made of, and what would turn it."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import CURVE_FIRMWARE, CURVE_MODEL, begin
from dashboards.panels import (
    EFFICIENCY,
    GAIN,
    HASHRATE,
    NUMBER,
    RATIO,
    SINCE,
    USD,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    USD_PER_PETAHASH_DAY,
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

_CAUSES = (
    *("bitcoin_price", "difficulty", "efficiency", "fees"),
    *("hashrate", "power_price", "subsidy", "uptime"),
)
_PRICED = f"({site('power_cost_usd_per_day')}) / ({site('revenue_usd_per_day')})"
_IDENTITY = f"on (job, site, instance, rig) group_left (model) {series('mining_rig_info')}"
_MODEL = ('model="$model"', 'firmware="$firmware"')
_KILOWATT_HOURS = f"(24 * {total('mining_block_billed_power_watts', by='site')} / 1000)"


def build() -> builders.Dashboard:
    """Hashprice against breakeven, the margin's parts, forward margin, price bands, spread over rigs."""
    page = begin(
        "hashmargin / Economics",
        "hashmargin-economics",
        "What the margin is made of, how far breakeven is, and what the next retarget does to it.",
        CURVE_MODEL,
        CURVE_FIRMWARE,
    )
    for panel in (*_figures(), *_breakeven(), *_margins(), *_change(), *_spread(), *_market()):
        page.with_panel(panel)
    page.with_row(panels.detail("Day-ahead plan", _plan()))
    page.with_row(panels.detail("Operating points", _points()))
    page.with_row(panels.detail("Obligations and peaks", _obligations()))
    return page


def _figures() -> list[Panel]:
    return [
        panels.figures(
            Face(
                "Margin per kilowatt-hour", "All dollars over all billed kilowatt-hours.", USD_PER_KILOWATT_HOUR, 5, 5
            ),
            f"{site('margin_usd_per_day')} / {_KILOWATT_HOURS}",
            GAIN,
        ),
        panels.figures(
            Face("Power cost per bitcoin", "What the power for one mined bitcoin costs.", USD, 5, 5),
            f"{_PRICED} * {largest('mining_bitcoin_price_usd', by='site')}",
        ),
        panels.figures(
            Face(
                "Lost at a tenth less hashprice",
                "Revenue moves with hashprice, power cost does not.",
                USD_PER_DAY,
                5,
                5,
            ),
            total("site:mining_margin_at_risk_usd_per_day:tenth", by="site"),
        ),
        panels.figures(
            Face("Next retarget", "When difficulty changes next, as estimated.", SINCE, 5, 5),
            f"1000 * {largest('mining_network_retarget_timestamp_seconds', by='site')}",
        ),
        panels.figures(
            Face("Next halving", "When the subsidy halves, as estimated.", SINCE, 4, 5),
            f"1000 * {largest('mining_network_halving_timestamp_seconds', by='site')}",
        ),
    ]


def _breakeven() -> list[Panel]:
    hashprice = largest("mining_hashprice_usd_per_petahash_day", by="site")
    return [
        panels.lines(
            Face(
                "Hashprice against breakeven",
                "Below its breakeven the site as a whole earns less than its power costs.",
                USD_PER_PETAHASH_DAY,
            ),
            Query(hashprice, "{{site}} hashprice"),
            Query(
                largest("mining_forward_hashprice_usd_per_petahash_day", by="site"), "{{site}} after the next retarget"
            ),
            Query(f"{hashprice} * {_PRICED}", "{{site}} breakeven"),
            Query(largest("site:mining_hashprice_usd_per_petahash_day:avg7d", by="site"), "{{site}} mean of 7 days"),
        ),
        panels.lines(
            Face(
                "Power price against breakeven",
                "Curtail when the price is above the breakeven: at it, mining earns exactly its power.",
                USD_PER_KILOWATT_HOUR,
            ),
            Query(largest("mining_power_price_usd_per_kilowatt_hour", by="site, tariff"), "{{site}} {{tariff}}"),
            Query(
                largest("mining_power_price_next_usd_per_kilowatt_hour", by="site, tariff"), "{{site}} {{tariff}}, next"
            ),
            Query(f"{site('revenue_usd_per_day')} / {_KILOWATT_HOURS}", "{{site}} breakeven"),
        ),
    ]


def _margins() -> list[Panel]:
    return [
        panels.rows(
            Face(
                "From revenue to all-in margin",
                "Each step takes off the next kind of cost. Other costs: demand charges, hosting, operations.",
                USD_PER_DAY,
                12,
                9,
            ),
            Column("Revenue", site("revenue_usd_per_day"), USD_PER_DAY),
            Column("Power", f"-{site('power_cost_usd_per_day')}", USD_PER_DAY),
            Column("Cash margin", site("margin_usd_per_day"), USD_PER_DAY, GAIN),
            Column("Other costs", f"{site('allin_margin_usd_per_day')} - {site('margin_usd_per_day')}", USD_PER_DAY),
            Column("All-in margin", site("allin_margin_usd_per_day"), USD_PER_DAY, GAIN),
            key="site",
            order="site",
            descending=False,
        ),
        panels.lines(
            Face(
                "Margin, potential and forward",
                "Potential: if all rigs ran. Forward: after the next retarget. Low and high: the power figures' band.",
                USD_PER_DAY,
                12,
                9,
            ),
            Query(site("margin_usd_per_day"), "{{site}} margin"),
            Query(site("potential_margin_usd_per_day"), "{{site}} potential"),
            Query(site("forward_margin_usd_per_day"), "{{site}} forward"),
            Query(total("mining_rig_margin_low_usd_per_day", by="site"), "{{site}} low"),
            Query(total("mining_rig_margin_high_usd_per_day", by="site"), "{{site}} high"),
        ),
    ]


def _change() -> list[Panel]:
    return [
        panels.waterfall(
            Face(
                "Why the margin changed since yesterday",
                "From the left, each cause begins where the one before it ends; together they are the whole change. "
                "Empty until the exporter has run for a day.",
                USD_PER_DAY,
                24,
                9,
            ),
            "mining_margin_change_usd_per_day",
            "cause",
            _CAUSES,
            "whole change",
        )
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
        panels.rows(
            Face("Headroom by block", "How far revenue is above power cost. At zero the block breaks even.", RATIO),
            Column(
                "Headroom",
                f"{margin} / ({cost} > 0)",
                RATIO,
                ((None, "red"), (0.0, "orange"), (0.1, "green")),
            ),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
            descending=False,
        ),
    ]


def _of_model(metric: str) -> str:
    return f"avg by (point) ({series(metric, *_MODEL)})"


def _points() -> list[Panel]:
    hashrate = _of_model("mining_model_point_hashrate_hashes_per_second")
    power = _of_model("mining_model_point_power_watts")
    step = _of_model("mining_model_point_marginal_joules_per_terahash")
    paid = f"scalar(avg({series('mining_model_breakeven_joules_per_terahash', *_MODEL)}))"
    gain = total("mining_block_tuning_gain_usd_per_day", by="site, block")
    return [
        panels.rows(
            Face(
                "Money left on the table, by block",
                "What the best operating points would earn more than those in force. Empty without the section points.",
                USD_PER_DAY,
            ),
            Column("Gain", gain, USD_PER_DAY, ((None, "green"), (1.0, "orange"))),
            Column("At least", total("mining_block_tuning_gain_low_usd_per_day", by="site, block"), USD_PER_DAY),
            Column("Share of revenue", largest("mining_block_tuning_gain_ratio", by="site, block"), RATIO),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
        ),
        panels.bars(
            Face("Money left on the table, by model", "The same, by the model of the rigs.", USD_PER_DAY),
            Query(
                f"sum by (site, model) ({series('mining_rig_tuning_gain_usd_per_day')} * {_IDENTITY})",
                "{{site}} {{model}}",
            ),
        ),
        panels.against(
            Face(
                "Power against hashrate, $model $firmware",
                "The operating points of the chosen model, at their medians. Paid for: the power that the hashes of a "
                "point pay for at today's price; a point below it earns.",
                WATTS,
                12,
                10,
            ),
            Column("Hashrate", hashrate, HASHRATE),
            Column("Power", power, WATTS),
            Column("Paid for at today's price", f"{paid} * {hashrate} / 1e12", WATTS),
        ),
        panels.against(
            Face(
                "Energy of one more terahash, $model $firmware",
                "Step: energy per additional hash of the step to a point. It pays below today's price, whatever the "
                "mean of the point is. Points that are never the best are left out.",
                EFFICIENCY,
                12,
                10,
            ),
            Column("Hashrate", f"{hashrate} and on (point) {step}", HASHRATE),
            Column("Step", step, EFFICIENCY),
            Column("Mean", f"1e12 * {power} / {hashrate} and on (point) {step}", EFFICIENCY),
            Column("Paid for at today's price", f"{paid} + 0 * {step}", EFFICIENCY),
        ),
    ]


def _market() -> list[Panel]:
    return [
        panels.lines(
            Face("Bitcoin", "The price that revenue is computed with.", USD, 8),
            Query(largest("mining_bitcoin_price_usd", by="site"), "{{site}} bitcoin"),
        ),
        panels.lines(
            Face("Difficulty", "Now, and as expected after the next retarget.", NUMBER, 8),
            Query(largest("mining_network_difficulty", by="site"), "{{site}} now"),
            Query(largest("mining_network_next_difficulty", by="site"), "{{site}} next"),
        ),
        panels.lines(
            Face("Network hashrate", "From the network's source, else computed from the difficulty.", HASHRATE, 8),
            Query(largest("mining_network_hashrate_hashes_per_second", by="site"), "{{site}} network"),
        ),
    ]


def _obligations() -> list[Panel]:
    event = "site, source, event"
    return [
        panels.lines(
            Face(
                "Delivered against obliged",
                "Mean power of the interval if power stays as it is, with the cap and the floor of each event.",
                WATTS,
                12,
                9,
            ),
            Query(largest("mining_obligation_projected_watts", by=event), "{{site}} {{event}} projected"),
            Query(largest("mining_obligation_cap_watts", by=event), "{{site}} {{event}} cap"),
            Query(largest("mining_obligation_floor_watts", by=event), "{{site}} {{event}} floor"),
        ),
        panels.lines(
            Face(
                "Probability of a coincident peak",
                "Probability that this interval is one of the grid's peaks that a program bills by.",
                RATIO,
                12,
                9,
            ),
            Query(largest("mining_peak_probability_ratio", by="site, program"), "{{site}} {{program}}"),
        ),
    ]


def _plan() -> list[Panel]:
    return [
        panels.bars(
            Face("Planned power", "By hours from now, as far as prices are known.", WATTS, 8, 12),
            Query(total("mining_plan_site_watts", by="site, offset_hours"), "{{site}} +{{offset_hours}} h"),
        ),
        panels.rows(
            Face("Next change by block", "What the plan wants of each block now, and next.", WATTS, 8, 12),
            Column("Now", total("mining_plan_block_watts", by="site, block"), WATTS),
            Column("Next", total("mining_plan_next_change_watts", by="site, block"), WATTS),
            Column(
                "When",
                f"1000 * {largest('mining_plan_next_change_timestamp_seconds', by='site, block')}",
                SINCE,
            ),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
            order="When",
            descending=False,
        ),
        panels.lines(
            Face("Earned today", "By the plan, by the verdicts, and as done, since midnight UTC.", USD, 8, 12),
            Query(total("mining_plan_earned_usd", 'day="today"', by="site, policy"), "{{site}} {{policy}}"),
        ),
    ]
