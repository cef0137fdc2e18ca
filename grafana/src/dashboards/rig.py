"""Rig: one rig in depth."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import RIG, RIG_BLOCK, begin
from dashboards.panels import (
    AMPERES,
    CELSIUS,
    EFFICIENCY,
    GAIN,
    HASHRATE,
    HERTZ,
    NONE_WANTED,
    NUMBER,
    PER_SECOND,
    PLAIN,
    RATIO,
    RPM,
    SECONDS,
    SINCE,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    VOLTS,
    WATTS,
    YES_OR_NO,
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
_MARGIN_LEFT: Final[Steps] = ((None, "red"), (5.0, "orange"), (10.0, "green"))
_SAME_RIG: Final = "on (job, site, instance, rig, code, component)"


def series(metric: str) -> str:
    """The chosen rig's series of ``metric``."""
    return _series(metric, _RIG)


def build() -> builders.Dashboard:
    """What it is, how it is, what it earns, how it hashes; folded away below, its parts."""
    page = begin(
        "hashmargin / Rig",
        "hashmargin-rig",
        "One rig in depth. Where a line stops, the rig did not answer: nothing is held or filled in.",
        RIG_BLOCK,
        RIG,
        several_sites=False,
    )
    for panel in (*_identity(), *_now(), *_state(), _faults(), *_money(), *_work(), *_health(), *_pools()):
        page.with_panel(panel)
    for title, folded in (
        ("Operating points", _points()),
        ("Hash boards", _boards()),
        ("Power supply", _power_supply()),
        ("Shares", _shares()),
        ("Hardware and serial numbers", _hardware()),
    ):
        page.with_row(panels.detail(title, folded))
    return page


def _identity() -> list[Panel]:
    inventory = "block, rack, position, customer, tariff"
    identity = "make, model, firmware, firmware_version, ip, mac, serial"
    return [
        panels.rows(
            Face("Inventory", "Its entry in the inventory. Shown whether it answers or not.", PLAIN, 10, 4),
            Column("In the inventory", largest("mining_rig_inventory_info", _RIG, by=inventory), PLAIN),
            key="block",
        ),
        panels.rows(
            Face("Identity", "The rig that answers at its address.", PLAIN, 14, 4),
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
            (_series("mining_rig_verdict", _RIG, 'verdict!="unknown"'), "verdict"),
            (series("mining_rig_power_source"), "source"),
        ),
    ]


def _state() -> list[Panel]:
    return [
        panels.figure(
            Face(
                "Told to stop",
                "Yes: an operator or a schedule paused it or put it to sleep. Having no hashrate is then not a fault.",
                YES_OR_NO,
                4,
                4,
            ),
            Query(series("mining_rig_suspended")),
            NONE_WANTED,
        ),
        panels.names(
            Face(
                "Power mode and tuner",
                "Mode, profile or preset as the firmware names it, and what its tuner does. "
                "While it is tuning, hashrate and power still change.",
                PLAIN,
                6,
                4,
            ),
            (series("mining_rig_power_mode"), "mode"),
            (series("mining_rig_tuner_state"), "state"),
        ),
        panels.figure(
            Face(
                "Thermal margin",
                "How much hotter it may get until it throttles or stops. Below 5 °C: see to fans, filters, air.",
                CELSIUS,
                4,
                4,
            ),
            Query(series("mining_rig_thermal_margin_celsius")),
            _MARGIN_LEFT,
        ),
        panels.figure(
            Face(
                "Fan duty",
                "Fan speed that its controller demands, of full speed. At 100 % it has no cooling left to add.",
                RATIO,
                4,
                4,
            ),
            Query(series("mining_rig_fan_duty_ratio")),
        ),
        panels.figure(
            Face("Locate light", "Yes: the light that helps to find the rig is on.", YES_OR_NO, 3, 4),
            Query(series("mining_rig_fault_light")),
        ),
        panels.figure(
            Face(
                "Login refused",
                "Yes: its web interface rejects the login. Values that only it provides are unknown.",
                YES_OR_NO,
                3,
                4,
            ),
            Query(series("mining_rig_login_refused")),
            NONE_WANTED,
        ),
    ]


def _faults() -> Panel:
    since = series("mining_rig_fault_since_timestamp_seconds")
    with_code = f"{series('mining_rig_fault_vendor_info')} * {_SAME_RIG} group_left (severity) {since}"
    return panels.rows(
        Face(
            "Faults",
            "What the rig reports as broken now, since when, and the vendor's own code to look up in its manual.",
            PLAIN,
            24,
            5,
        ),
        Column(
            "Since",
            f"1000 * max by (code, severity, component, vendor_code) ({with_code} or {_SAME_RIG} {since})",
            SINCE,
            ((None, "orange"),),
        ),
        key="code",
        descending=False,
    )


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


def _points() -> list[Panel]:
    watts, rate = series("mining_rig_point_power_watts"), series("mining_rig_point_hashrate_hashes_per_second")
    efficiency, by_point = series("mining_rig_point_efficiency_joules_per_terahash"), "max by (point)"
    return [
        panels.rows(
            Face(
                "Measured points",
                "What the rig did at each operating point. Empty without the section points.",
                PLAIN,
                12,
            ),
            Column("Hashrate", f"{by_point} ({rate})", HASHRATE),
            Column("Power", f"{by_point} ({watts})", WATTS),
            Column("Efficiency", f"{by_point} ({efficiency})", EFFICIENCY),
            key="point",
        ),
        panels.against(
            Face("Power against hashrate", "The points that were measured on the rig.", WATTS, 12),
            Column("Hashrate", f"{by_point} ({rate})", HASHRATE),
            Column("Power", f"{by_point} ({watts})", WATTS),
        ),
        panels.bars(
            Face("Efficiency by point", "Joules per terahash, over all of a point's power.", EFFICIENCY, 12),
            Query(f"{by_point} ({efficiency})", "{{point}}"),
        ),
        panels.lines(
            Face(
                "Best point",
                "What it earns, with the band of its figures, and more than the point in force.",
                USD_PER_DAY,
            ),
            Query(series("mining_rig_best_margin_usd_per_day"), "best point"),
            Query(series("mining_rig_best_margin_low_usd_per_day"), "low"),
            Query(series("mining_rig_best_margin_high_usd_per_day"), "high"),
            Query(series("mining_rig_tuning_gain_usd_per_day"), "gain"),
        ),
        panels.lines(
            Face("Power of the best point", "Beside what the rig draws.", WATTS),
            Query(series("mining_rig_best_power_watts"), "best point"),
            Query(series("mining_rig_power_watts"), "drawn"),
        ),
    ]


def _work() -> list[Panel]:
    return [
        panels.lines(
            Face("Hashrate", "Realised, expected, computed from accepted shares, and average.", HASHRATE, 8),
            Query(series("mining_rig_hashrate_hashes_per_second"), "realised"),
            Query(series("mining_rig_expected_hashrate_hashes_per_second"), "expected"),
            Query(series("mining_rig_work_hashrate_hashes_per_second"), "from accepted work"),
            Query(series("mining_rig_average_hashrate_hashes_per_second"), "average since it started"),
        ),
        panels.lines(
            Face("Power", "From its best source, its nameplate, its limit, and its tuner's target.", WATTS, 8),
            Query(series("mining_rig_power_watts"), "power"),
            Query(series("mining_rig_rated_power_watts"), "nameplate"),
            Query(series("mining_rig_power_limit_watts"), "limit"),
            Query(series("mining_rig_power_target_watts"), "target"),
        ),
        panels.lines(
            Face(
                "Boards",
                "Hashrate of each hash board: one that stays below its expected rate has lost chips or is throttled.",
                HASHRATE,
                8,
            ),
            Query(series("mining_rig_board_hashrate_hashes_per_second"), "board {{board}}"),
            Query(series("mining_rig_board_expected_hashrate_hashes_per_second"), "board {{board}}, expected"),
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
    ]


def _pools() -> list[Panel]:
    accepted = f"rate({series('mining_rig_pool_accepted_shares_total')}[$__rate_interval])"
    rejected = f"rate({series('mining_rig_pool_rejected_shares_total')}[$__rate_interval])"
    named = "pool, host, scheme, worker"
    details = f"on (job, site, instance, rig, pool) group_left (host, scheme, worker) {series('mining_rig_pool_info')}"
    return [
        panels.rows(
            Face("Pools", "What is configured, which is alive, which is used.", PLAIN, 12, 6),
            Column(
                "Alive",
                f"max by ({named}) ({series('mining_rig_pool_up')} * {details})",
                PLAIN,
                shown_as=panels.YES_GOOD,
            ),
            Column(
                "Used",
                f"max by ({named}) ({series('mining_rig_pool_active')} * {details})",
                PLAIN,
                shown_as=panels.YES_PLAIN,
            ),
            Column("Difficulty", f"max by ({named}) ({series('mining_rig_pool_difficulty')} * {details})", NUMBER),
            key="host",
            order="pool",
            descending=False,
        ),
        panels.lines(
            Face("Shares rejected", "Rejected of all that were sent, by pool.", RATIO, 12, 6),
            Query(f"{rejected} / ({rejected} + {accepted} > 0)", "pool {{pool}}"),
        ),
    ]


def _boards() -> list[Panel]:
    board = "mining_rig_board"
    errors = f"rate({series(f'{board}_hardware_errors_total')}[$__rate_interval])"
    return [
        panels.band(
            Face(
                "Chips, hottest to coolest",
                "Over all boards. A widening band means that one spot lacks air or paste. A rising one means warm air.",
                CELSIUS,
                8,
            ),
            Query(f"max({series(f'{board}_chip_temperature_celsius')})", "hottest"),
            Query(f"avg({series(f'{board}_average_chip_temperature_celsius')})", "mean"),
            Query(f"min({series(f'{board}_min_chip_temperature_celsius')})", "coolest"),
        ),
        panels.band(
            Face(
                "Circuit boards, hottest to coolest",
                "Sensors on the circuit boards, over all boards: inlet side to outlet side.",
                CELSIUS,
                8,
            ),
            Query(f"max({series(f'{board}_temperature_celsius')})", "hottest"),
            Query(f"avg({series(f'{board}_average_temperature_celsius')})", "mean"),
            Query(f"min({series(f'{board}_min_temperature_celsius')})", "coolest"),
        ),
        panels.lines(
            Face("Clock", "Mean clock of each board's chips: it falls when the firmware throttles.", HERTZ, 8),
            Query(series(f"{board}_frequency_hertz"), "board {{board}}"),
        ),
        panels.lines(
            Face("Board voltage", "Voltage at each board: one that differs has a bad regulator or cable.", VOLTS, 8),
            Query(series(f"{board}_voltage_volts"), "board {{board}}"),
        ),
        panels.lines(
            Face("Board power", "Power of each board, if the firmware reports it.", WATTS, 8),
            Query(series(f"{board}_power_watts"), "board {{board}}"),
        ),
        panels.lines(
            Face(
                "Hardware errors by board",
                "Wrong results of each board's chips. Replace the board that leads.",
                PER_SECOND,
                8,
            ),
            Query(errors, "board {{board}}"),
        ),
        panels.rows(
            Face(
                "Chips",
                "Chips found on each board, and how many there should be: missing ones mean a board to repair.",
                PLAIN,
                24,
                5,
            ),
            Column("Found", largest(f"{board}_chips", _RIG, by="board"), PLAIN),
            Column("Expected", largest(f"{board}_chips_expected", _RIG, by="board"), PLAIN),
            key="board",
            order="board",
            descending=False,
        ),
    ]


def _power_supply() -> list[Panel]:
    supply = "mining_rig_power_supply"
    return [
        panels.lines(
            Face(
                "Input voltage",
                "At the power supply's inlet. If the neighbours sag too it is the feeder, else the cable or outlet.",
                VOLTS,
                8,
            ),
            Query(series(f"{supply}_input_voltage_volts"), "input"),
        ),
        panels.lines(
            Face("Output voltage", "What the boards are given: it moves with the power mode.", VOLTS, 8),
            Query(series(f"{supply}_output_voltage_volts"), "output"),
        ),
        panels.lines(
            Face("Current", "Into the power supply, and out of it to the boards.", AMPERES, 8),
            Query(series(f"{supply}_input_current_amperes"), "input"),
            Query(series(f"{supply}_output_current_amperes"), "output"),
        ),
        panels.lines(
            Face("Power in and out", "What lies between them heats the power supply: 5 to 8 % is usual.", WATTS, 8),
            Query(series(f"{supply}_input_power_watts"), "input"),
            Query(series(f"{supply}_output_power_watts"), "output"),
        ),
        panels.lines(
            Face("Power supply's temperature", "Its hottest sensor. Rising at the same load: clean it.", CELSIUS, 8),
            Query(series(f"{supply}_temperature_celsius"), "hottest"),
        ),
        panels.lines(
            Face("Power supply's fan", "At 0 the supply will soon stop: change the fan or the supply.", RPM, 8),
            Query(series(f"{supply}_fan_speed_rpm"), "fan"),
        ),
    ]


def _shares() -> list[Panel]:
    accepted = f"rate({series('mining_rig_accepted_difficulty_total')}[$__rate_interval])"
    rejected = f"rate({series('mining_rig_rejected_difficulty_total')}[$__rate_interval])"
    return [
        panels.lines(
            Face(
                "Work rejected",
                "Rejected of all difficulty sent: unpaid. Above 1 %: look at the pool and the network's delay.",
                RATIO,
                8,
            ),
            Query(f"{rejected} / ({rejected} + {accepted} > 0)", "rejected"),
        ),
        panels.lines(
            Face("Work discarded", "Pieces of work that came to nothing because a new block was found.", PER_SECOND, 8),
            Query(f"rate({series('mining_rig_discarded_work_total')}[$__rate_interval])", "discarded"),
        ),
        panels.figure(
            Face("Best share", "Difficulty of the best share since the miner process started.", NUMBER, 4),
            Query(series("mining_rig_best_share_difficulty")),
        ),
        panels.figure(
            Face(
                "Hardware error ratio",
                "Share of hashes that the chips got wrong. Above 1 %, find the board and check its temperature.",
                RATIO,
                4,
            ),
            Query(series("mining_rig_hardware_error_ratio")),
            ((None, "green"), (0.01, "orange")),
        ),
    ]


def _hardware() -> list[Panel]:
    parts = "hostname, control_board, power_supply_model, power_supply_serial, algorithm"
    return [
        panels.rows(
            Face(
                "Hardware",
                "As reported at identification, for orders and warranty. Empty if its firmware does not report it.",
                PLAIN,
                14,
                5,
            ),
            Column("Identified", largest("mining_rig_hardware_info", _RIG, by=parts), PLAIN),
            key="control_board",
        ),
        panels.rows(
            Face("Hash boards' serial numbers", "As reported at identification.", PLAIN, 10, 5),
            Column("Identified", largest("mining_rig_board_info", _RIG, by="board, serial"), PLAIN),
            key="board",
            order="board",
            descending=False,
        ),
    ]
