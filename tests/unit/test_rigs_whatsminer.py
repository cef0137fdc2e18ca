"""What Whatsminers report beyond the plain read that the contract suite holds the readers to, and what is believed."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, cgminer, serving

from exporter.model.failures import Failure, Reason
from exporter.model.readings import PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import whatsminer_v2, whatsminer_v3

TARGET = Target(f"{NETWORK}.43")
AIR = RigIdentity(reader="whatsminer_v2", make="WhatsMiner", model="M50 VH50")
HYDRO = RigIdentity(reader="whatsminer_v2", make="WhatsMiner", model="M53 VH30")
V3 = RigIdentity(reader="whatsminer_v3", make="WhatsMiner", model="M63S++ VM30")
SUMMARY = {"MHS 1m": 114e6, "Factory GHS": 114_000, "Power": 3300, "Elapsed": 60, "Error Code Count": 0}
PSU = {"model": "P222B", "iin": "14042", "vin": "23500", "pin": "3310", "fan_speed": "6720", "temp0": "41.5"}


def message(content: Any) -> dict[str, Any]:
    return {"STATUS": "S", "Code": 131, "Msg": content}


def v2(summary: Mapping[str, Any] | None = SUMMARY, boards: Any = (), **messages: Any) -> dict[str, Any]:
    """The answers of a V2 rig; without a summary its miner does not answer."""
    joined: dict[str, Any] = {"devs": [{"DEVS": list(boards)}]} if summary is not None else {}
    joined |= {} if summary is None else {"summary": [{"SUMMARY": [summary]}]}
    return {"summary+devs+pools": joined} | {name: message(content) for name, content in messages.items()}


async def read_v2(
    answers: dict[str, Any], identity: RigIdentity = AIR, reader: whatsminer_v2.Reader | None = None
) -> RigReading:
    async with serving(TARGET.address, 4028, cgminer(answers)):
        return await (reader or whatsminer_v2.Reader()).read(TARGET, identity)


async def test_a_power_supply_says_hundredths_of_a_volt_and_milliamperes() -> None:
    assert (await read_v2(v2(get_psu=PSU))).power_supply == PowerSupply(
        input_voltage=235.0, input_current=14.042, input_power=3310, fan_rpm=6720, temperature=41.5
    )


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({"vin": "235"}, {"input_voltage", "input_current"}),  # V, and so no watts to hold the amperes against
        ({"vin": "235000"}, {"input_voltage", "input_current"}),  # mV
        ({"iin": "14.042"}, {"input_current"}),  # A
        ({"iin": "1404"}, {"input_current"}),  # hundredths
        ({"pin": "33100"}, {"input_power"}),  # tenths
    ],
)
async def test_a_value_in_another_unit_is_dropped(changes: dict[str, str], lost: set[str]) -> None:
    supply = (await read_v2(v2(get_psu=PSU | changes))).power_supply
    whole = (await read_v2(v2(get_psu=PSU))).power_supply
    assert {name for name in PowerSupply.__slots__ if getattr(supply, name) != getattr(whole, name)} == lost
    assert all(getattr(supply, name) is None for name in lost)


async def test_three_phases_draw_less_current_than_their_voltage_makes_of_the_power() -> None:
    psu = PSU | {"vin": "40900", "iin": "10520", "pin": "7460", "fan_speed": "0"}
    supply = (await read_v2(v2(SUMMARY | {"Power": 7477}, get_psu=psu))).power_supply
    assert supply == PowerSupply(input_voltage=409.0, input_current=10.52, input_power=7460, temperature=41.5)


async def test_builds_that_write_names_out_give_whole_volts_and_amperes() -> None:
    psu = {
        "Vin": 231.5,
        "Iin": 14.4,
        "Pin": 3330,
        "Vout": 12.6,
        "Iout": 250.0,
        "Pout": 3150,
        "Temp 0": 44,
        "Temp 1": 51,
    }
    assert (await read_v2(v2(get_psu=psu | {"Fan Speed": 6100}))).power_supply == PowerSupply(
        input_voltage=231.5,
        input_current=14.4,
        input_power=3330,
        output_voltage=12.6,
        output_current=250,
        output_power=3150,
        fan_rpm=6100,
        temperature=51,
    )
    supply = (await read_v2(v2(get_psu=psu | {"Vout": 1260}))).power_supply
    assert supply is not None
    assert (supply.output_voltage, supply.output_current, supply.output_power) == (None, None, None)


async def test_a_power_supply_that_does_not_talk_loses_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whatsminer_v2, "_EXTRA_TIMEOUT", 0.05)
    talking = cgminer(v2())

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.read(4096)
        if b"get_psu" in request:
            await asyncio.Event().wait()
        again = asyncio.StreamReader()
        again.feed_data(request)
        await talking(again, writer)
        writer.close()

    async with serving(TARGET.address, 4028, handle):
        reading = await whatsminer_v2.Reader().read(TARGET, AIR)
    assert (reading.hashrate, reading.power_supply) == (114e12, None)


@pytest.mark.parametrize(
    ("passed", "power", "volts"),
    [
        (30, 3_300, 235.0),
        (30, 3_150, 235.0),  # within 5 %
        (30, 3_100, 228.0),
        (30, 3_500, 228.0),
        (30, None, 228.0),
        (whatsminer_v2.SUPPLY_SECONDS + 1, 3_300, 228.0),
    ],
)
async def test_a_power_supply_is_asked_at_every_second_read_and_when_the_power_changes(
    passed: float, power: float | None, volts: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, now = whatsminer_v2.Reader(), 1_000.0
    monkeypatch.setattr("exporter.sources.rigs.seldom.time", SimpleNamespace(monotonic=lambda: now))
    assert (await read_v2(v2(get_psu=PSU), reader=reader)).power_supply.input_voltage == 235.0
    now += passed
    later = v2(SUMMARY | {"Power": power}, get_psu=PSU | {"vin": "22800"})
    assert (await read_v2(later, reader=reader)).power_supply.input_voltage == volts


async def test_a_power_supply_that_measures_nothing_is_none() -> None:
    assert (await read_v2(v2(get_psu={"model": "P222B", "vin": "0", "iin": "0", "temp0": "0"}))).power_supply is None


@pytest.mark.parametrize(("pattern", "on"), [("auto", False), ("1,200,100,0 0,200,100,0 ", True), ("", None)])
async def test_the_locate_light_is_on_where_somebody_set_a_pattern(pattern: str, on: bool | None) -> None:
    assert (await read_v2(v2(get_miner_info={"ledstat": pattern}))).fault_light is on


async def test_a_liquid_cooled_rig_is_asked_for_its_fluid_at_each_read() -> None:
    answers = v2(SUMMARY | {"Env Temp": 31.5}, status={"mineroff": "false", "liquid_temp": 49})
    assert (await read_v2(answers, HYDRO)).temperatures == (("ambient", 31.5), ("fluid", 49))
    turning = v2(SUMMARY | {"Env Temp": 31.5, "Fan Speed In": 3_700}, status={"mineroff": "false", "liquid_temp": 49})
    assert (await read_v2(turning, AIR)).temperatures == (("ambient", 31.5),)


async def test_a_liquid_cooled_rig_has_no_fans_that_stand_still() -> None:
    answers = v2(SUMMARY | {"Fan Speed In": 0, "Fan Speed Out": 0, "Env Temp": 54.0})
    for identity in (HYDRO, AIR):  # an air-cooled model in oil, too
        reading = await read_v2(answers, identity)
        assert (reading.fans, reading.temperatures) == ((), (("fluid", 54.0),))
    one_turns = v2(SUMMARY | {"Fan Speed In": 0, "Fan Speed Out": 3_700, "Env Temp": 28.0})
    reading = await read_v2(one_turns, HYDRO)
    assert ([fan.rpm for fan in reading.fans], reading.temperatures) == ([0, 3_700], (("ambient", 28.0),))
    assert (await read_v3(v3({"fan-speed-in": 0, "fan-speed-out": 0}))).fans == ()


@pytest.mark.parametrize("word", ["mineroff", "btmineroff"])
async def test_a_rig_whose_miner_was_stopped_reads_zero(word: str) -> None:
    reading = await read_v2(v2(None, status={word: "true"}))
    assert (reading.hashrate, reading.mining, reading.power) == (0.0, False, None)


async def test_a_rig_that_says_nothing_and_was_not_stopped_has_failed() -> None:
    with pytest.raises(Failure) as failure:
        await read_v2(v2(None, status={"mineroff": "false"}))
    assert failure.value.reason is Reason.GARBLED


async def test_a_rig_without_codes_in_its_summary_is_asked_for_them() -> None:
    summary = {key: value for key, value in SUMMARY.items() if key != "Error Code Count"}
    codes = {"error_code": [{"530": "2026-03-20 10:00:00"}, {"110": "2026-03-20 10:00:00"}]}
    assert [(fault.code, fault.component) for fault in (await read_v2(v2(summary, get_error_code=codes))).faults] == [
        ("board_missing", "board 0"),
        ("fan_speed", "fan 0"),
    ]


async def test_a_rig_that_was_stopped_is_suspended_until_it_says_otherwise() -> None:
    reader = whatsminer_v2.Reader()
    readings = [
        await read_v2(v2(status={"mineroff": "false"}), reader=reader),
        await read_v2(v2(None, status={"mineroff": "true", "power_mode": "low"}), reader=reader),
        await read_v2(v2(SUMMARY | {"MHS 1m": 0.0}, status={"mineroff": "true"}), reader=reader),
        await read_v2(v2(status={"mineroff": "false"}), reader=reader),
    ]
    assert [reading.suspended for reading in readings] == [False, True, True, False]
    assert [reading.hashrate for reading in readings] == [114e12, 0, 0, 114e12]
    assert readings[1].power_mode == "low"


async def test_another_rig_that_was_stopped_is_not_taken_for_it() -> None:
    known = replace(AIR, mac="c4:08:28:00:00:01")
    with pytest.raises(Failure) as failure:
        await read_v2(v2(None, status={"mineroff": "true"}, get_miner_info={"mac": "c4:08:28:00:00:02"}), known)
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize(
    ("finished", "state"), [((1, 1), TunerState.TUNED), ((1, 0), TunerState.TUNING), ((None, None), None)]
)
async def test_its_tuner_is_done_when_every_board_is(finished: tuple[Any, ...], state: TunerState | None) -> None:
    boards = [{"Slot": slot, "Upfreq Complete": done} for slot, done in enumerate(finished)]
    assert (await read_v2(v2(boards=boards))).tuner is state


async def test_a_board_whose_rate_is_in_terahashes_is_read_as_such() -> None:
    boards = [{"Slot": 0, "MHS 1m": 57e6}, {"Slot": 1, "MHS 1m": 57.1}, {"Slot": 2, "MHS 1m": 0}]
    assert [board.hashrate for board in (await read_v2(v2(boards=boards))).boards] == [57e12, 57.1e12, 0]


@pytest.mark.parametrize(
    ("terahash", "of_boards"),
    [
        (114.0, [57e12, 38e12, 19e12]),
        (110.0, [57e12, 38e12, 19e12]),
        (57.0, [None, None, None]),  # one board or two died
        (0.0, [None, None, None]),
    ],
)
async def test_boards_averages_since_start_hold_while_they_make_what_the_rig_does(
    terahash: float, of_boards: list[float | None]
) -> None:
    averages = (57, 38, 19)
    old = v2(
        SUMMARY | {"MHS 1m": terahash * 1e6}, boards=[{"Slot": i, "MHS av": r * 1e6} for i, r in enumerate(averages)]
    )
    assert [board.hashrate for board in (await read_v2(old)).boards] == of_boards
    new = v3({"hash-1min": terahash}, None, [{"id": i, "hash-average": r} for i, r in enumerate(averages)])
    assert [board.hashrate for board in (await read_v3(new)).boards] == of_boards


@pytest.mark.parametrize(("terahash", "of_boards"), [(57.0, [57e12, 0.0]), (0.0, [57e12, 0.0])])
async def test_what_boards_do_now_holds_whatever_the_rig_says(terahash: float, of_boards: list[float]) -> None:
    rows = [{"Slot": 0, "MHS 1m": 57e6, "MHS av": 60e6}, {"Slot": 1, "MHS 1m": 0, "MHS av": 60e6}]
    assert [
        board.hashrate for board in (await read_v2(v2(SUMMARY | {"MHS 1m": terahash * 1e6}, boards=rows))).boards
    ] == of_boards
    new = [{"id": 0, "hash-realtime": 57, "hash-average": 60}, {"id": 1, "hash-realtime": 0, "hash-average": 60}]
    assert [board.hashrate for board in (await read_v3(v3({"hash-1min": terahash}, None, new))).boards] == of_boards


async def test_boards_tell_their_serial_numbers_once() -> None:
    boards = [{"Slot": slot, "PCB SN": f"HB{slot}"} for slot in range(2)]
    answers = v2(boards=boards, get_version={"api_ver": "2.0.5", "platform": "H616"}, get_miner_info={"powersn": "P1"})
    async with serving(TARGET.address, 4028, cgminer(answers | {"devdetails": {"DEVDETAILS": [{"Model": "M50"}]}})):
        identity = await whatsminer_v2.Reader().identify(TARGET)
    assert identity.board_serials == ((0, "HB0"), (1, "HB1"))
    assert (identity.api_version, identity.control_board, identity.power_supply_serial) == ("2.0.5", "H616", "P1")


# --- API V3 ---------------------------------------------------------------------------------------------------------


def v3(summary: Mapping[str, Any], setting: Any = None, boards: Any = (), /, **device: Any) -> Handler:
    """A V3 rig, whose answer to a command that is None refuses it."""
    answers: dict[str, Any] = {
        "get.miner.status": {
            "summary": {"hash-1min": 690.0, "factory-hash": 560.974} | summary,
            "edevs": list(boards),
        },
        "get.miner.setting": setting,
        "get.device.info": {"miner": {"type": "M63S++_VM30", "working": "true"}} | device,
    }

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = json.loads(await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little")))
        content = answers[request["cmd"]]
        answer = {"code": 0, "msg": content} if content is not None else {"code": -4, "msg": "no permission"}
        body = json.dumps(answer).encode()
        writer.write(len(body).to_bytes(4, "little") + body)
        await writer.drain()

    return handle


async def read_v3(handler: Handler) -> RigReading:
    async with serving(TARGET.address, 4433, handler):
        return await whatsminer_v3.Reader().read(TARGET, V3)


async def test_a_v3_power_supply_gives_its_output_in_hundredths_and_the_fluid_in_degrees() -> None:
    power = {
        "iin": 10.52,
        "vin": 409,
        "vout": 4084,
        "pin": 7477,
        "fanspeed": 0,
        "temp0": 55.0,
        "liquid-temperature": 44,
    }
    reading = await read_v3(v3({}, power=power))
    assert reading.power_supply == PowerSupply(
        input_voltage=409, input_current=10.52, input_power=7477, output_voltage=40.84, temperature=55
    )
    assert reading.temperatures == (("fluid", 44),)


async def test_a_setting_that_may_not_be_asked_for_loses_the_mode_only() -> None:
    assert (await read_v3(v3({}, {"power-mode": "high"}))).power_mode == "high"
    reading = await read_v3(v3({}))
    assert (reading.power_mode, reading.hashrate) == ("", 690e12)


async def test_a_setting_that_may_not_be_asked_for_is_not_asked_at_each_read() -> None:
    reader = whatsminer_v3.Reader()
    async with serving(TARGET.address, 4433, v3({"elapsed": 100})) as connections:
        for _ in range(3):
            await reader.read(TARGET, V3)
    assert len(connections) == 3 * 2 + 1


async def test_a_v3_setting_is_asked_again_once_limit_uptime_or_time_say_that_it_may_be_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = whatsminer_v3.Reader()

    async def mode(setting: str, **summary: float) -> str:
        answers = v3({"power-limit": 3_600, "elapsed": 100} | summary, {"power-mode": setting})
        async with serving(TARGET.address, 4433, answers):
            return (await reader.read(TARGET, V3)).power_mode

    assert await mode("normal") == "normal"
    assert await mode("high", elapsed=130) == "normal"  # not asked
    assert await mode("high", elapsed=130, **{"power-limit": 4_000}) == "high"
    assert await mode("low", elapsed=20, **{"power-limit": 4_000}) == "low"
    monkeypatch.setattr(whatsminer_v3, "SETTING_SECONDS", -1.0)
    assert await mode("normal", elapsed=10) == "normal"
    assert await mode("high", elapsed=10) == "high"


@pytest.mark.parametrize(
    ("working", "errors", "suspended"),
    [("true", [], False), ("false", [], True), ("false", [{"531": "2026-01-01 00:00:00"}], None), (None, [], None)],
)
async def test_a_v3_rig_that_stands_still_with_faults_may_have_stopped_by_itself(
    working: str | None, errors: list[Any], suspended: bool | None
) -> None:
    device = {"miner": {"type": "M60S", "working": working}, "error-code": errors}
    assert (await read_v3(v3({"hash-1min": 0.0}, **device))).suspended is suspended


@pytest.mark.parametrize(("since_boot", "known"), [(1175, 1175), (60, None)])
async def test_a_rig_did_not_boot_after_its_miner_process(since_boot: int, known: float | None) -> None:
    assert (await read_v3(v3({"elapsed": 1074, "bootup-time": since_boot}))).system_uptime == known


@pytest.mark.parametrize(
    ("boards", "known"),
    [((0, 1, 2), {0: 57.3, 1: 60.4, 2: 60.3}), ((0, 2), {0: None, 2: None}), ((0, 1, 2, 3), dict.fromkeys(range(4)))],
)
async def test_a_lost_boards_temperature_is_not_given_to_another(
    boards: Sequence[int], known: Mapping[int, float | None]
) -> None:
    reading = await read_v3(v3({"board-temperature": [57.3, 60.4, 60.3]}, None, ({"id": index} for index in boards)))
    assert {board.index: board.temperature for board in reading.boards} == known


async def test_firmware_whose_v2_answers_have_gaps_is_left_to_v3() -> None:
    """As recorded of 2026's: its summary is no list of rows."""
    answers = {
        "devdetails": message("invalid cmd"),
        "get_version": message({"api_ver": "2.2.2", "miner_type": "M63S++_VM30"}),
        "summary+devs+pools": message({"MHS 1m": 690e6}),
        "status": message({"mineroff": "false"}),
    }
    async with serving(TARGET.address, 4028, cgminer(answers)), serving(TARGET.address, 4433, v3({})):
        with pytest.raises(Failure) as failure:
            await whatsminer_v2.Reader().identify(TARGET)
    assert failure.value.reason is Reason.UNSUPPORTED
    async with serving(TARGET.address, 4028, cgminer(answers)):
        assert (await whatsminer_v2.Reader().identify(TARGET)).model == "M63S++ VM30"


# --- builds since 2024 ------------------------------------------------------------------------------------------------

NEW_SUMMARY = {"Elapsed": 884.01, "MHS av": 111e6, "MHS 1m": 140_540_000, "HS RT": 140_540_000, "Power": 3173.45}
NEW_SUMMARY |= {"Factory GHS": 165_848, "Env Temp": 28.7, "Fan Speed In": 3764, "Fan Speed Out": 3735, "Uptime": 911}
NEW_BOARDS = [
    {"Slot": slot, "HS RT": rate, "MHS 1m": rate, "Factory GHS": 55_000, "Temperature": 73.9, "Effective Chips": 215}
    for slot, rate in enumerate((45.61, 50.13, 44.8))
]
DEPRECATED = {"STATUS": "E", "Code": 132, "Msg": "This command is deprecated."}


def since_2024(**answers: Any) -> dict[str, Any]:
    """The answers of a build that joins nothing, has its summary under Msg, and edevs in place of devs."""
    return {
        "version": {"STATUS": "S", "Msg": {"api_ver": "2.0.5"}},
        "devdetails": DEPRECATED,
        "devs": DEPRECATED,
        "summary": message(NEW_SUMMARY),
        "edevs": {"STATUS": [{"STATUS": "S"}], "DEVS": NEW_BOARDS},
    } | answers


async def test_a_build_that_joins_no_commands_is_asked_one_by_one_and_so_from_then_on() -> None:
    reader = whatsminer_v2.Reader()
    async with serving(TARGET.address, 4028, cgminer(since_2024())) as connections:
        reading = await reader.read(TARGET, AIR)
        first = len(connections)
        await reader.read(TARGET, AIR)
        assert len(connections) - first < first
    assert reading.hashrate == 140.54e12
    assert [board.hashrate for board in reading.boards] == [45.61e12, 50.13e12, 44.8e12]
    assert [board.expected_hashrate for board in reading.boards] == [55e12] * 3
    assert [fan.rpm for fan in reading.fans] == [3764, 3735]
    assert (reading.power, reading.uptime, reading.system_uptime) == (3173.45, 884.01, 911)


async def test_a_mac_that_only_the_summary_has_and_a_supply_fan_that_only_it_has_are_used() -> None:
    summary = SUMMARY | {"MAC": "C6:0C:1D:00:2A:53", "Power Fanspeed": 6688}
    answers = v2(summary) | {
        "version": {"STATUS": "S", "Msg": {"api_ver": "1.4.0"}},
        "devdetails": {"DEVDETAILS": [{"Model": "M20S_V10"}]},
    }
    async with serving(TARGET.address, 4028, cgminer(answers)):
        identity = await whatsminer_v2.Reader().identify(TARGET)
        reading = await whatsminer_v2.Reader().read(TARGET, identity)
    assert (identity.model, identity.mac) == ("M20S V10", "c6:0c:1d:00:2a:53")
    assert reading.power_supply == PowerSupply(fan_rpm=6688)


async def test_a_build_that_names_no_model_is_read_without_one() -> None:
    async with serving(TARGET.address, 4028, cgminer(since_2024())):
        identity = await whatsminer_v2.Reader().identify(TARGET)
    assert (identity.model, identity.algorithm) == ("unknown", "SHA256")


@pytest.mark.parametrize(
    ("boards", "temperatures"),
    [
        ([{"Slot": 0, "Temperature": 73.5}], {"ambient": 28.5, "hottest_chip": 84.25}),
        ([{"Slot": 0, "Chip Temp Max": 83.5}], {"ambient": 28.5}),
    ],
)
async def test_the_rigs_hottest_chip_is_used_if_no_board_has_one(
    boards: list[dict[str, Any]], temperatures: dict[str, float]
) -> None:
    fans = {"Fan Speed In": 3_700, "Fan Speed Out": 3_720}
    reading = await read_v2(v2(SUMMARY | fans | {"Env Temp": 28.5, "Chip Temp Max": 84.25}, boards))
    assert dict(reading.temperatures) == temperatures
