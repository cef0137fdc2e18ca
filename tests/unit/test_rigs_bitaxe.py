"""What BitAxes say beyond the plain read that the contract suite holds the reader to, and what is believed."""

import asyncio
import json
from typing import Any

import pytest
from rig_servers import NETWORK, serving

from exporter.model.readings import PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware.bitaxe import Reader

TARGET = Target(f"{NETWORK}.44")
GAMMA = RigIdentity(reader="bitaxe", make="BitAxe", model="Gamma")


async def read(**changes: Any) -> RigReading:
    page = json.dumps({"hashRate": 1200.0, "power": 18.2, "stratumURL": "pool.example", **changes}).encode()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\n\r\n".encode() + page)
        await writer.drain()

    async with serving(TARGET.address, 80, handle):
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
    ("said", "best"), [("50.4M", 50_400_000), ("0", None), (123_456_789, 123_456_789), ("n/a", None)]
)
async def test_the_best_share_is_that_since_it_started(said: Any, best: float | None) -> None:
    assert (await read(bestSessionDiff=said, bestDiff="9.8G")).best_share == best


async def test_what_it_realises_has_a_window_where_it_says_one() -> None:
    assert ((await read()).hashrate, (await read()).hashrate_window) == (1.2e12, None)
    reading = await read(hashRate_1m=1190.0)
    assert (reading.hashrate, reading.hashrate_window) == (1.19e12, 60)


async def test_a_paused_one_is_suspended() -> None:
    assert [(await read(miningPaused=paused)).suspended for paused in (True, False, None)] == [True, False, None]


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


async def test_a_hardware_fault_is_told() -> None:
    (fault,) = (await read(hardware_fault="Fan 1 failed")).faults
    assert (fault.code, fault.vendor_code) == ("fan_failed", "Fan 1 failed")
