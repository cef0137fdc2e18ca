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
    Steps,
    largest,
    series,
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
        _figures(
            Face("Margin", "Revenue less the charges of the contract.", USD_PER_DAY, 6, 5),
            total("customer:mining_margin_usd_per_day:sum", _CHOSEN, by=_BY),
            GAIN,
        ),
        _figures(
            Face("Margin, mean of 30 days", "Below zero, the customer loses money at his rate.", USD_PER_DAY, 6, 5),
            total("customer:mining_margin_usd_per_day:avg30d", _CHOSEN, by=_BY),
            GAIN,
        ),
        _figures(
            Face(
                "Avoidable loss",
                "Saved by switching off the rigs that lose money. Unknown where the host may curtail them.",
                USD_PER_DAY,
                6,
                5,
            ),
            total("customer:mining_avoidable_loss_usd_per_day:sum", _CHOSEN, by=_BY),
            NONE_WANTED,
        ),
        _figures(
            Face("Rigs not mining", "Rigs that should mine, less those that do.", PLAIN, 6, 5),
            f"clamp_min({expected} - {mining}, 0)",
            NONE_WANTED,
        ),
    ]


def _figures(face: Face, expr: str, steps: Steps) -> Panel:
    """One big number for each customer: "not a number" for one without a value, and for a site without customers."""
    customers = total("customer:mining_rigs:count", _CHOSEN, by=_BY)
    without = f"or {customers} * NaN or on (site) max by (site) ({series('up')}) * NaN"
    return panels.figure(face, Query(f"{expr} {without}", "{{site}} {{customer}}"), steps)


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
