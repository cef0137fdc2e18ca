"""One customer: his rigs, what they earn at his rate, and what they lose. It reads only series with his label."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import CUSTOMER, begin
from dashboards.panels import (
    GAIN,
    HASHRATE,
    NONE_WANTED,
    PLAIN,
    USD_PER_DAY,
    WATTS,
    Column,
    Face,
    Panel,
    Query,
    largest,
    total,
)

_CHOSEN = 'customer=~"$customer"'
_BY = "site, customer"


def build() -> builders.Dashboard:
    """Figures, courses and rigs of one customer. A proxy that enforces `customer` shows each his own."""
    page = begin(
        "hashmargin / Customer",
        "hashmargin-customer",
        "The rigs of one hosted customer, in his own book. Needs hosting contracts for the margins.",
        CUSTOMER,
    )
    for panel in (*_now(), *_over_time(), *_each()):
        page.with_panel(panel)
    return page


def _now() -> list[Panel]:
    mining = total("customer:mining_rigs_mining:count", _CHOSEN, by=_BY)
    expected = total("customer:mining_rigs_expected:count", _CHOSEN, by=_BY)
    return [
        panels.figures(
            Face("Margin", "Revenue less the charges of the contract.", USD_PER_DAY, 6, 5),
            total("customer:mining_margin_usd_per_day:sum", _CHOSEN, by=_BY),
            GAIN,
        ),
        panels.figures(
            Face("Margin, mean of 30 days", "Below zero, the customer loses money at his rate.", USD_PER_DAY, 6, 5),
            total("customer:mining_margin_usd_per_day:avg30d", _CHOSEN, by=_BY)
            + f" or {total('customer:mining_margin_usd_per_day:sum', _CHOSEN, by=_BY)} * NaN",
            GAIN,
        ),
        panels.figures(
            Face("Avoidable loss", "Saved by switching off the rigs that lose money.", USD_PER_DAY, 6, 5),
            total("customer:mining_avoidable_loss_usd_per_day:sum", _CHOSEN, by=_BY),
            NONE_WANTED,
        ),
        panels.figures(
            Face("Rigs not mining", "Rigs that should mine, less those that do.", PLAIN, 6, 5),
            f"clamp_min({expected} - {mining}, 0)",
            NONE_WANTED,
        ),
    ]


def _over_time() -> list[Panel]:
    legend = "{{site}} {{customer}}"
    return [
        panels.lines(
            Face("Margin", "Revenue less the charges of the contract.", USD_PER_DAY),
            Query(total("customer:mining_margin_usd_per_day:sum", _CHOSEN, by=_BY), legend),
        ),
        panels.lines(
            Face("Hashrate", "Of the rigs that answer.", HASHRATE),
            Query(total("customer:mining_hashrate_hashes_per_second:sum", _CHOSEN, by=_BY), legend),
        ),
        panels.lines(
            Face("Power", "At the rigs, of those whose power is known.", WATTS),
            Query(total("customer:mining_power_watts:sum", _CHOSEN, by=_BY), legend),
        ),
        panels.lines(
            Face("Rigs", "Owned, and mining.", PLAIN),
            Query(total("customer:mining_rigs:count", _CHOSEN, by=_BY), f"{legend} owned"),
            Query(total("customer:mining_rigs_mining:count", _CHOSEN, by=_BY), f"{legend} mining"),
        ),
    ]


def _each() -> list[Panel]:
    by = "site, customer, rig"
    return [
        panels.rows(
            Face("Rigs", "The rigs that earn least come first.", USD_PER_DAY, 24, 10),
            Column("Margin", largest("mining_rig_customer_margin_usd_per_day", _CHOSEN, by=by), USD_PER_DAY, GAIN),
            Column("Hashrate", largest("rig:mining_hashrate_hashes_per_second:customer", _CHOSEN, by=by), HASHRATE),
            Column("Power", largest("rig:mining_power_watts:customer", _CHOSEN, by=by), WATTS),
            Column("Answers", largest("rig:mining_up:customer", _CHOSEN, by=by), PLAIN),
            key="rig",
        ),
    ]
