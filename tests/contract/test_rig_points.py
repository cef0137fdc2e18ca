"""Operating points of the firmware that lists them, read over real sockets from answers with each known trap."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from rig_replay import NETWORK, replaying

from exporter.model.failures import Failure, Reason
from exporter.model.points import Point, PointList
from exporter.model.readings import RigIdentity, RigReading, TunerState
from exporter.sources.rigs.contract import ListsPoints, Target
from exporter.sources.rigs.firmware import native_readers

FIXTURES = Path(__file__).parent.parent / "fixtures" / "rigs"


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str:
    return f"{NETWORK}.{sum(map(ord, request.node.name)) % 40 + 1}"


def fixture_of(firmware: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FIXTURES / f"{firmware}.json").read_text())
    return copy.deepcopy(content)


async def points_of(address: str, fixture: dict[str, Any]) -> PointList:
    reader = native_readers()[fixture["reader"]]
    assert isinstance(reader, ListsPoints)
    async with replaying(address, fixture):
        return await reader.points(Target(address), RigIdentity(**fixture["identity"]))


async def read(address: str, fixture: dict[str, Any]) -> RigReading:
    async with replaying(address, fixture):
        return await native_readers()[fixture["reader"]].read(Target(address), RigIdentity(**fixture["identity"]))


def allowed(listed: PointList) -> list[str]:
    return [point.name for point in listed.points if point.allowed]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"Enabled": True, "MinProfileStep": "-1", "MaxProfileStep": "0"}, ["465MHz", "490MHz"]),
        ({"Enabled": True, "MinProfile": "", "MaxProfile": "", "MaxProfileStep": "-1"}, ["440MHz", "465MHz"]),
        ({"Enabled": False, "MinProfileStep": "0", "MaxProfileStep": "0"}, ["440MHz", "465MHz", "490MHz"]),
        ({}, ["440MHz", "465MHz", "490MHz"]),
    ],
    ids=["both", "unbounded below", "ATM is off", "an old build"],
)
async def test_luxos_allows_the_profiles_that_its_thermal_management_may_use(
    address: str, bounds: dict[str, Any], expected: list[str]
) -> None:
    fixture = fixture_of("luxos")
    fixture["rpc"]["atm"]["ATM"] = [bounds]
    assert allowed(await points_of(address, fixture)) == expected


async def test_luxos_profiles_keep_the_default_clock_and_volts_that_differ_between_rigs(address: str) -> None:
    listed = await points_of(address, fixture_of("luxos"))
    assert (listed.variant, listed.power_limit) == ("490 MHz 13.3 V", 3400.0)


async def test_luxos_names_the_profile_that_the_thermal_management_moved_it_to(address: str) -> None:
    fixture = fixture_of("luxos")
    fixture["rpc"]["config"]["CONFIG"][0].update({"Profile": "440MHz", "IsTuning": True})
    reading = await read(address, fixture)
    assert (reading.point, reading.tuner) == ("440MHz", TunerState.TUNING)


@pytest.mark.parametrize(
    ("pretty", "hashrate", "power"),
    [
        ("1450 watt ~ 62 TH", 62e12, 1450.0),
        ("1450 watt ~ 62.5 TH LC", 62.5e12, 1450.0),
        ("1450 watt ~ 9500 GH", 9.5e12, 1450.0),
        ("tuned by hand", None, None),
        ("1450", None, None),
    ],
)
async def test_vnish_presets_have_figures_only_in_their_text(
    address: str, pretty: str, hashrate: float | None, power: float | None
) -> None:
    fixture = fixture_of("vnish")
    preset = {"name": "1450", "pretty": pretty, "status": "untuned", "modded_psu_required": False}
    fixture["http"]["80"]["/api/v1/autotune/presets"] = [preset]
    fixture["http"]["80"]["/api/v1/perf-summary"]["preset_switcher"]["enabled"] = False
    listed = await points_of(address, fixture)
    assert listed.points == (Point(name="1450", hashrate=hashrate, power=power, tuned=False),)
    assert listed.power_limit == 3800.0


async def test_vnish_presets_outside_of_the_switcher_or_of_the_supply_are_not_allowed(address: str) -> None:
    fixture = fixture_of("vnish")
    fixture["http"]["80"]["/api/v1/perf-summary"]["preset_switcher"] = {
        "enabled": True,
        "top_preset": "2800",
        "min_preset": "2550",
    }
    assert allowed(await points_of(address, fixture)) == ["2550", "2800"]
    fixture["http"]["80"]["/api/v1/perf-summary"]["preset_switcher"]["enabled"] = False
    assert allowed(await points_of(address, fixture)) == ["2300", "2550", "2800", "3250"]


async def test_a_vnish_rig_that_is_throttled_or_set_by_hand_does_not_run_at_its_preset(address: str) -> None:
    fixture = fixture_of("vnish")
    fixture["http"]["80"]["/api/v1/status"]["throttled"] = 80
    assert (await read(address, fixture)).point == "2800 at 80 %"
    fixture["http"]["80"]["/api/v1/perf-summary"]["current_preset"] = {"name": "disabled", "pretty": "disabled"}
    assert (await read(address, fixture)).point == ""


async def test_a_locked_vnish_lists_no_points_and_says_why(address: str) -> None:
    fixture = fixture_of("vnish")
    del fixture["http"]["80"]["/api/v1/autotune/presets"]
    with pytest.raises(Failure) as failure:
        await points_of(address, fixture)
    assert failure.value.reason is Reason.GARBLED


async def test_braiins_measures_in_gigahashes_and_aims_in_terahashes(address: str) -> None:
    fixture = fixture_of("braiins_rest")
    listed = await points_of(address, fixture)
    assert [(each.name, each.hashrate, each.power) for each in listed.points] == [
        ("2400 W", 112_300.5e9, 2_391.0),
        ("3031 W", 134_100e9, 3_012.0),
        ("125 TH/s", 124.8e12, None),
    ]
    assert listed.power_limit == 4_120.0
    state = {"current_target": {"terahash_per_second": 125.0}, "profile": None}
    fixture["http"]["80"]["/api/v1/performance/tuner-state"] = {
        "overall_tuner_state": 5,
        "mode_state": {"powertargetmodestate": None, "hashratetargetmodestate": state},
    }
    reading = await read(address, fixture)
    assert (reading.point, reading.tuner, reading.settled) == ("125 TH/s", TunerState.TUNED, None)


@pytest.mark.parametrize("missing", [None, {}, {"power_target_profiles": None}, {"power_target_profiles": [None, {}]}])
async def test_braiins_without_tuned_profiles_lists_none(address: str, missing: Any) -> None:
    fixture = fixture_of("braiins_rest")
    fixture["http"]["80"]["/api/v1/performance/target-profiles"] = missing
    fixture["http"]["80"]["/api/v1/configuration/constraints"] = None
    assert await points_of(address, fixture) == PointList()


async def test_braiins_that_preheats_has_not_settled(address: str) -> None:
    fixture = fixture_of("braiins_rest")
    fixture["http"]["80"]["/api/v1/performance/tuner-state"]["overall_tuner_state"] = 6
    reading = await read(address, fixture)
    assert (reading.settled, reading.tuner) == (False, None)


async def test_epic_presets_are_in_millivolts_and_the_throttled_target_is_in_force(address: str) -> None:
    fixture = fixture_of("epic")
    listed = await points_of(address, fixture)
    point = Point(name="80 TH/s", hashrate=80e12, power=1_710.0, frequency=272e6, voltage=12.3)
    assert (listed.points[0], listed.variant) == (point, "485 MHz 12900 mV")
    goal = fixture["http"]["4028"]["/summary"]["PerpetualTune"]["Algorithm"]["VoltageOptimizer"]
    goal["Throttle Target"] = 120
    assert (await read(address, fixture)).point == "120 TH/s"
    fixture["http"]["4028"]["/summary"]["PerpetualTune"]["Running"] = False
    assert (await read(address, fixture)).point == ""


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"power-mode": "low", "power-limit": 2_500, "power-percent": 0, "target-freq": 0}, "low 2500 W"),
        ({"power-mode": "normal", "power-limit": 99_999, "power-percent": 100}, "normal"),
        ({"power-mode": "normal", "power-limit": 3_600, "power-percent": 80}, "normal 3600 W 80 % power"),
        ({"power-mode": "high", "power-limit": None, "target-freq": -5}, "high -5 % clock"),
        ({"power-limit": 3_600}, ""),
    ],
)
async def test_a_whatsminer_v3_names_its_mode_limit_and_changes(
    address: str, setting: dict[str, Any], expected: str
) -> None:
    fixture = fixture_of("whatsminer_v3")
    fixture["v3"]["get.miner.setting"]["msg"] = setting
    assert (await read(address, fixture)).point == expected


async def test_a_whatsminer_v2_reports_how_long_its_ramp_took(address: str) -> None:
    fixture = fixture_of("whatsminer_v2")
    fixture["rpc"]["summary"]["SUMMARY"][0]["Hash Stable"] = False
    reading = await read(address, fixture)
    assert (reading.point, reading.settled, reading.ramp) == ("normal 3471 W", False, 1_180.0)


async def test_axeos_options_are_points_without_figures(address: str) -> None:
    listed = await points_of(address, fixture_of("bitaxe"))
    assert [each.name for each in listed.points][:2] == ["400 MHz 1150 mV", "490 MHz 1150 mV"]
    assert all(each.hashrate is None and each.power is None for each in listed.points)
