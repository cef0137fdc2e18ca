"""What BitAxes report beyond the plain read that the contract suite holds the reader to, and what is believed."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, serving

from exporter.model.readings import PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware.bitaxe import Reader

TARGET = Target(f"{NETWORK}.44")
GAMMA = RigIdentity(reader="bitaxe", make="BitAxe", model="Gamma")


def serving_page(content: Mapping[str, Any]) -> Handler:
    page = json.dumps(content).encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n".encode() + page)
        await writer.drain()

    return handle


async def read(**changes: Any) -> RigReading:
    content = {"hashRate": 1200.0, "power": 18.2, "stratumURL": "pool.example", **changes}
    async with serving(TARGET.address, 80, serving_page(content)):
        return await Reader().read(TARGET, GAMMA)


@pytest.mark.parametrize(
    ("milliamperes", "supply"),
    [
        (3_570, PowerSupply(input_voltage=5.1, input_current=3.57, input_power=18.2)),  # measured at the inlet
        (11_600, PowerSupply(input_voltage=5.1, output_voltage=1.138, output_current=11.6)),  # behind the regulator
        (30_000, PowerSupply(input_voltage=5.1)),  # more than the power there is
        (None, PowerSupply(input_voltage=5.1)),
    ],
)
async def test_the_current_is_the_inlets_or_the_chips(milliamperes: float | None, supply: PowerSupply) -> None:
    reading = await read(voltage=5_100, coreVoltageActual=1_138, current=milliamperes)
    assert reading.power_supply == supply
    assert reading.boards[0].voltage == 1.138


async def test_a_sensor_that_does_not_answer_is_not_a_frost() -> None:
    reading = await read(temp=61.5, temp2=-1, vrTemp=-1)
    assert (reading.boards[0].chip_temperature, reading.temperatures) == (61.5, ())
    assert (await read(temp=-1)).boards[0].chip_temperature is None
    assert (await read(temp=61.5, temp2=64)).boards[0].chip_temperature == 64


@pytest.mark.parametrize(
    ("value", "best"), [("50.4M", 50_400_000), ("0", None), (123_456_789, 123_456_789), ("n/a", None)]
)
async def test_the_best_share_is_that_since_it_started(value: Any, best: float | None) -> None:
    assert (await read(bestSessionDiff=value, bestDiff="9.8G")).best_share == best


async def test_what_it_realises_has_a_window_where_it_says_one() -> None:
    assert ((await read()).hashrate, (await read()).hashrate_window) == (1.2e12, None)
    reading = await read(hashRate_1m=1190.0)
    assert (reading.hashrate, reading.hashrate_window) == (1.19e12, 60)


async def test_a_paused_one_is_suspended() -> None:
    assert [(await read(miningPaused=paused)).suspended for paused in (True, False, None)] == [True, False, None]


@pytest.mark.parametrize(("voltage", "point"), [(1_150, "750 MHz 1150 mV"), (115, "750 MHz 1150 mV"), (0, "")])
async def test_its_point_is_its_clock_and_voltage(voltage: int, point: str) -> None:
    assert (await read(frequency=750, coreVoltage=voltage)).point == point


async def test_its_clock_is_the_one_it_runs_at() -> None:
    assert (await read(frequency=600, actualFrequency=485.5)).boards[0].frequency == 485.5e6
    assert (await read(frequency=600)).boards[0].frequency == 600e6


async def test_the_pool_in_use_has_the_difficulty() -> None:
    pools = (await read(isUsingFallbackStratum=1, fallbackStratumURL="other.example", poolDifficulty=2_048)).pools
    assert [(pool.active, pool.difficulty) for pool in pools] == [(False, None), (True, 2_048)]
    assert (await read(isUsingFallbackStratum=0, stratumDiff=512)).pools[0].difficulty == 512


async def test_a_share_of_errors_and_of_fan_speed_are_ratios_and_a_ceiling_leaves_a_margin() -> None:
    reading = await read(errorPercentage=0.5, fanspeed=62, temp=61.5, overheat_temp=75)
    assert (reading.hardware_error_ratio, reading.fan_duty, reading.thermal_margin) == (0.005, 0.62, 13.5)


async def test_a_hardware_fault_is_reported() -> None:
    (fault,) = (await read(hardware_fault="Fan 1 failed")).faults
    assert (fault.code, fault.vendor_code) == ("fan_failed", "Fan 1 failed")


# --- boards, releases and forks ---------------------------------------------------------------------------------------

NERD = {
    "hashRate": 4_800.0,
    "deviceModel": "NerdOCTAXE-\N{GREEK SMALL LETTER GAMMA}",
    "ASICModel": "BM1370",
    "asicCount": 8,
    "fanCount": 2,
}
NERD |= {"fanrpm": 3_100, "fanrpm2": 2_900, "fans": [{"rpm": 3_100}, {"rpm": 2_900}], "fanspeed": 55, "temp": 63.5}
NERD |= {"asicTemps": [60.5, 63.5, 61.0, 0], "stratumPort": 3333, "fallbackStratumURL": "spare.example"}
NERD |= {"fallbackStratumPort": 3334, "sharesAccepted": 90, "sharesRejected": 2, "poolDifficulty": 1_000}
ROW = {"connected": True, "accepted": 70, "rejected": 1, "poolDifficulty": 2_048}


@pytest.mark.parametrize(
    ("facts", "make", "model"),
    [
        ({"boardVersion": "801", "ASICModel": "BM1370"}, "BitAxe", "GammaTurbo"),
        ({"boardVersion": "650", "ASICModel": "BM1370"}, "BitAxe", "GammaDuo"),
        ({"boardVersion": "601", "ASICModel": "BM1370"}, "BitAxe", "Gamma"),
        ({"boardVersion": "302", "ASICModel": "BM1366"}, "BitAxe", "Hex"),
        ({"boardVersion": "9001", "ASICModel": "BM1370"}, "BitAxe", "9001"),
        ({"ASICModel": "BM1366"}, "BitAxe", "BM1366"),
        ({"boardVersion": "800", "chiptemp1": 52.5, "ASICModel": "BM1370"}, "BitForge", "Nano"),
        ({"deviceModel": "BITFORGE_NANO", "ASICModel": "BM1370"}, "BitForge", "Nano"),
        ({"DeviceModel": "BC01", "boardVersion": "V02", "ASICModel": "BM1370"}, "Hammer", "BC01"),
        ({"deviceModel": "NerdQAxe++", "ASICModel": "BM1370"}, "NerdAxe", "NerdQAxe++"),
        (
            {"deviceModel": "NerdOCTAXE-\N{GREEK SMALL LETTER GAMMA}", "ASICModel": "BM1370"},
            "NerdAxe",
            "NerdOCTAXE-\N{GREEK SMALL LETTER GAMMA}",
        ),
    ],
)
async def test_a_board_is_called_by_its_own_number_or_name_never_by_its_chip(
    facts: dict[str, str], make: str, model: str
) -> None:
    async with serving(TARGET.address, 80, serving_page({"hashRate": 1_200.0, **facts})):
        identity = await Reader().identify(TARGET)
    assert (identity.make, identity.model) == (make, model)


@pytest.mark.parametrize(
    ("facts", "speeds"),
    [
        ({"boardVersion": "601", "fanrpm": 5_400, "fan2rpm": 0}, {0: 5_400}),
        ({"boardVersion": "302", "fanrpm": 5_400, "fan2rpm": 0}, {0: 5_400, 1: 0}),
        ({"fanSpeedRpm": 4_000}, {0: 4_000}),
        ({"fanspeed": 60}, {}),
        ({"deviceModel": "NerdAxe", "fanrpm": 3_000, "fanrpm2": 0, "fanCount": 1}, {0: 3_000}),
        (NERD, {0: 3_100, 1: 2_900}),
    ],
)
async def test_a_fan_is_one_only_where_the_board_has_it(facts: dict[str, Any], speeds: dict[int, float]) -> None:
    assert {fan.index: fan.rpm for fan in (await read(**facts)).fans} == speeds


async def test_a_nerdaxe_reports_its_hottest_chip_and_its_pools_on_their_own() -> None:
    reading = await read(**NERD, stratum={"usingFallback": False, "pools": [ROW]})
    (board,) = reading.boards
    assert (board.chips, board.chip_temperature, board.chip_temperature_average) == (8, 63.5, pytest.approx(61.6667))
    first, second = reading.pools
    assert (first.active, first.up, first.accepted, first.rejected, first.difficulty) == (True, True, 70, 1, 2_048)
    assert (second.active, second.accepted) == (False, None)
    assert reading.faults == ()


async def test_a_board_without_a_known_number_is_called_by_the_page_of_its_options() -> None:
    pages = {
        "/api/system/info": {"hashRate": 900.0, "boardVersion": "9001"},
        "/api/system/asic": {"deviceModel": "Delta"},
    }

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split()[1]
        page = json.dumps(pages[path]).encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n".encode() + page)
        await writer.drain()

    async with serving(TARGET.address, 80, handle):
        identity = await Reader().identify(TARGET)
    assert (identity.make, identity.model, identity.control_board) == ("BitAxe", "Delta", "9001")


@pytest.mark.parametrize(
    ("first", "second", "hottest", "average"),
    [(51.0, 55.0, 55.0, 53.0), (51.0, 0, 51.0, 51.0), (-1, -1, None, None)],
)
async def test_a_bitforge_has_a_sensor_per_chip_and_reports_their_mean_as_its_own(
    first: float, second: float, hottest: float | None, average: float | None
) -> None:
    (board,) = (await read(temp=53.0, chiptemp1=first, chiptemp2=second)).boards
    assert (board.chip_temperature, board.chip_temperature_average) == (hottest, average)
    assert (await read(chiptemp1=first, fanSpeed=66)).fan_duty == 0.66


async def test_a_nerdaxe_on_its_fallback_reports_the_row_of_that_pool() -> None:
    reading = await read(**NERD, stratum={"usingFallback": True, "pools": [ROW]})
    assert [(pool.host, pool.active, pool.accepted) for pool in reading.pools] == [
        ("pool.example:3333", False, None),
        ("spare.example:3334", True, 70),
    ]
    assert [one.code for one in reading.faults] == ["pool_dead"]


async def test_a_nerdaxe_with_two_pools_at_once_has_both_in_use() -> None:
    rows = [ROW, ROW | {"accepted": 5, "connected": False}]
    reading = await read(**NERD, stratum={"usingFallback": False, "pools": rows})
    assert [(pool.active, pool.up, pool.accepted) for pool in reading.pools] == [(True, True, 70), (True, False, 5)]


async def test_a_thermal_shutdown_is_a_fault_and_leaves_no_temperature() -> None:
    reading = await read(**NERD | {"hashRate": 0, "temp": 0, "asicTemps": [0, 0, 0, 0], "shutdown": True})
    assert [(one.code, one.vendor_code) for one in reading.faults] == [("chip_temperature", "shutdown")]
    assert (reading.mining, reading.boards[0].chip_temperature) == (False, None)


async def test_an_old_release_counts_its_shares_for_its_only_pool() -> None:
    (pool,) = (await read(sharesAccepted=12, sharesRejected=1, stratumPort=21_496)).pools
    assert (pool.active, pool.accepted, pool.rejected) == (True, 12, 1)


async def test_a_release_without_a_present_rate_is_read_by_that_of_ten_minutes() -> None:
    page = {"hashRate_10m": 480.0, "stratumURL": "pool.example"}
    async with serving(TARGET.address, 80, serving_page(page)):
        reading = await Reader().read(TARGET, GAMMA)
    assert (reading.hashrate, reading.hashrate_window) == (480e9, 600.0)
