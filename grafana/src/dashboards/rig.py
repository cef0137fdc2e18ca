"""Rig: one rig in depth."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import RIG, RIG_BLOCK, begin
from dashboards.panels import (
    CELSIUS,
    EFFICIENCY,
    GAIN,
    HASHRATE,
    PER_SECOND,
    PLAIN,
    RATIO,
    RPM,
    SECONDS,
    SINCE,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    WATTS,
    Column,
    Face,
    Panel,
    Query,
    Steps,
    largest,
)
from dashboards.panels import series as _series

_RIG = 'rig="$rig"'
_UP: Final[Steps] = ((None, "red"), (1.0, "green"))


def series(metric: str) -> str:
    """The chosen rig's series of ``metric``."""
    return _series(metric, _RIG)


def build() -> builders.Dashboard:
    """What it is, what it earns, how it hashes, how it is."""
    page = begin(
        "hashmargin / Rig",
        "hashmargin-rig",
        "One rig in depth. Where a line stops, the rig did not answer: nothing is held or filled in.",
        RIG_BLOCK,
        RIG,
    )
    for panel in (*_identity(), *_now(), *_money(), *_work(), *_health(), *_pools()):
        page.with_panel(panel)
    return page


def _identity() -> list[Panel]:
    inventory = "block, rack, position, customer, tariff"
    identity = "make, model, firmware, firmware_version, ip, mac, serial"
    return [
        panels.rows(
            Face("Inventory", "Where the inventory has it; there whether it answers or not.", PLAIN, 10, 4),
            Column("In the inventory", largest("mining_rig_inventory_info", _RIG, by=inventory), PLAIN),
            key="block",
        ),
        panels.rows(
            Face("Identity", "Who answers at its address.", PLAIN, 14, 4),
            Column("Identified", largest("mining_rig_info", _RIG, by=identity), PLAIN),
            key="model",
        ),
    ]


def _now() -> list[Panel]:
    return [
        panels.figure(
            Face("Answers", "Whether the last poll succeeded.", PLAIN, 3, 4),
            Query(series("mining_rig_up")),
            _UP,
        ),
        panels.figure(
            Face("Last answer", "When it last answered.", SINCE, 4, 4),
            Query(f"1000 * {series('mining_rig_last_success_timestamp_seconds')}"),
        ),
        panels.figure(
            Face("Margin", "Revenue less power cost.", USD_PER_DAY, 4, 4),
            Query(series("mining_rig_margin_usd_per_day")),
            GAIN,
        ),
        panels.figure(
            Face("Efficiency", "Power over hashrate.", EFFICIENCY, 4, 4),
            Query(series("mining_rig_efficiency_joules_per_terahash")),
        ),
        panels.figure(
            Face("Uptime", "Of the miner process where it is known.", SECONDS, 4, 4),
            Query(series("mining_rig_uptime_seconds")),
        ),
        panels.names(
            Face(
                "Verdict and power source", "The verdict in force, and where the power figure comes from.", PLAIN, 5, 4
            ),
            Query(f"max by (verdict) ({series('mining_rig_verdict')})", "{{verdict}}"),
            Query(f"max by (source) ({series('mining_rig_power_source')})", "{{source}}"),
        ),
    ]


def _money() -> list[Panel]:
    return [
        panels.lines(
            Face("Money", "Low and high: the band of the power figure's source.", USD_PER_DAY),
            Query(series("mining_rig_revenue_usd_per_day"), "revenue"),
            Query(series("mining_rig_power_cost_usd_per_day"), "power cost"),
            Query(series("mining_rig_margin_usd_per_day"), "margin"),
            Query(series("mining_rig_potential_margin_usd_per_day"), "potential margin"),
            Query(series("mining_rig_margin_low_usd_per_day"), "low"),
            Query(series("mining_rig_margin_high_usd_per_day"), "high"),
        ),
        panels.lines(
            Face(
                "Power price against its breakeven",
                "Above its breakeven power price the rig loses money.",
                USD_PER_KILOWATT_HOUR,
            ),
            Query(series("mining_rig_breakeven_power_price_usd_per_kilowatt_hour"), "breakeven"),
            Query(
                f"{_series('mining_power_price_usd_per_kilowatt_hour')} and on (job, site, instance, tariff) "
                f"{series('mining_rig_inventory_info')}",
                "price, {{tariff}}",
            ),
        ),
    ]


def _work() -> list[Panel]:
    return [
        panels.lines(
            Face("Hashrate", "Realised, expected, and as the accepted shares tell.", HASHRATE, 8),
            Query(series("mining_rig_hashrate_hashes_per_second"), "realised"),
            Query(series("mining_rig_expected_hashrate_hashes_per_second"), "expected"),
            Query(series("mining_rig_work_hashrate_hashes_per_second"), "from accepted work"),
        ),
        panels.lines(
            Face("Power", "From its best source, its limit, and its nameplate.", WATTS, 8),
            Query(series("mining_rig_power_watts"), "power"),
            Query(series("mining_rig_rated_power_watts"), "nameplate"),
            Query(series("mining_rig_power_limit_watts"), "limit"),
        ),
        panels.lines(
            Face("Boards", "Hashrate of each hash board.", HASHRATE, 8),
            Query(series("mining_rig_board_hashrate_hashes_per_second"), "board {{board}}"),
        ),
    ]


def _health() -> list[Panel]:
    return [
        panels.lines(
            Face("Temperatures", "Boards, chips and sensors.", CELSIUS, 8),
            Query(series("mining_rig_board_temperature_celsius"), "board {{board}}"),
            Query(series("mining_rig_board_chip_temperature_celsius"), "chips of board {{board}}"),
            Query(series("mining_rig_temperature_celsius"), "{{sensor}}"),
        ),
        panels.lines(
            Face("Fans", "Speed of each fan.", RPM, 8),
            Query(series("mining_rig_fan_speed_rpm"), "fan {{fan}}"),
        ),
        panels.lines(
            Face("Hardware errors", "Results that the chips got wrong.", PER_SECOND, 8),
            Query(f"rate({series('mining_rig_hardware_errors_total')}[$__rate_interval])", "errors"),
        ),
        panels.rows(
            Face("Faults", "What the rig reports as broken now.", PLAIN, 12, 6),
            Column(
                "Reported",
                largest("mining_rig_fault", _RIG, by="code, severity, component"),
                PLAIN,
                ((None, "orange"),),
            ),
            key="code",
        ),
        panels.rows(
            Face("Chips", "Chips found on each board, and how many there should be.", PLAIN, 12, 6),
            Column("Found", largest("mining_rig_board_chips", _RIG, by="board"), PLAIN),
            Column("Expected", largest("mining_rig_board_chips_expected", _RIG, by="board"), PLAIN),
            key="board",
        ),
    ]


def _pools() -> list[Panel]:
    accepted = f"rate({series('mining_rig_pool_accepted_shares_total')}[$__rate_interval])"
    rejected = f"rate({series('mining_rig_pool_rejected_shares_total')}[$__rate_interval])"
    named = "pool, host, scheme, worker"
    details = f"on (job, site, instance, rig, pool) group_left (host, scheme, worker) {series('mining_rig_pool_info')}"
    return [
        panels.rows(
            Face("Pools", "What is configured, which is alive, which is used.", PLAIN, 12, 6),
            Column("Alive", f"max by ({named}) ({series('mining_rig_pool_up')} * {details})", PLAIN, _UP),
            Column("Used", f"max by ({named}) ({series('mining_rig_pool_active')} * {details})", PLAIN),
            key="host",
            order="pool",
            descending=False,
        ),
        panels.lines(
            Face("Shares rejected", "Rejected of all that were sent, by pool.", RATIO, 12, 6),
            Query(f"{rejected} / ({rejected} + {accepted} > 0)", "pool {{pool}}"),
        ),
    ]
