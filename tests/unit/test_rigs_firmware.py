"""What the readers do beyond the plain read that the contract suite holds them to."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, antminer, cgminer, joining, serving

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import Severity
from exporter.model.readings import PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import antminer as stock
from exporter.sources.rigs.firmware import luxos, vnish

TARGET = Target(f"{NETWORK}.41")
S19 = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro", mac="28:e2:97:00:00:01")


def pages(content: Mapping[str, Any], asked: list[str] | None = None) -> Handler:
    """A web interface without login; what it has no page for is not found."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        if asked is not None:
            asked.append(path)
        body = json.dumps(content.get(path, "")).encode()
        status = "200 OK" if path in content else "404 Not Found"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return handle


async def test_an_old_antminer_whose_stats_have_no_rate_is_asked_for_its_summary() -> None:
    answers = antminer()
    async with serving(TARGET.address, 4028, cgminer(answers)):
        reading = await stock.Reader().read(TARGET, S19)
    assert reading.hashrate == pytest.approx(99.3015e12)
    assert reading.hardware_errors == 30


async def test_an_antminer_whose_stats_have_all_is_not_asked_for_its_summary() -> None:
    answers = antminer()
    answers["stats"]["STATS"][1] |= {"GHS 5s": 98_000.0, "no_matching_work": 12}
    del answers["summary"]
    async with serving(TARGET.address, 4028, cgminer(answers)) as connections:
        reading = await stock.Reader().read(TARGET, S19)
    assert (reading.hashrate, reading.hardware_errors) == (pytest.approx(98e12), 12)
    assert len(connections) == 2


async def test_a_dead_chip_a_missing_board_and_a_standing_fan_are_faults() -> None:
    answers = antminer(chain_acs1="oooo oxoo", chain_acn2=0, chain_rate2="", fan3=0)
    async with serving(TARGET.address, 4028, cgminer(answers)):
        reading = await stock.Reader().read(TARGET, S19)
    assert [board.failed_chips for board in reading.boards] == [(5,), (), ()]
    assert {(fault.code, fault.component) for fault in reading.faults} == {
        ("board_chips", "board 0"),
        ("board_missing", "board 1"),
        ("fan_failed", "fan 2"),
    }


async def visited(status: list[dict[str, Any]], mac: str) -> list[tuple[str, str]]:
    """Read a rig when its web interface is due, and give the faults."""
    firmware = stock.Reader()
    web = {
        "/cgi-bin/summary.cgi": {"SUMMARY": [{"status": status}]},
        "/cgi-bin/get_system_info.cgi": {"macaddr": mac},
    }
    async with serving(TARGET.address, 4028, cgminer(antminer())), serving(TARGET.address, 80, pages(web)):
        await firmware.read(TARGET, S19)
        firmware._web[TARGET.address].due = 0.0
        if mac != S19.mac.upper():
            with pytest.raises(Failure):
                await firmware.read(TARGET, S19)
        first = await firmware.read(TARGET, S19)
        again = await firmware.read(TARGET, S19)
    assert first.faults == again.faults  # kept until it is asked again
    return [(fault.code, fault.vendor_code) for fault in first.faults]


async def test_the_web_interface_says_what_is_wrong() -> None:
    status = [
        {"type": "rate", "status": "s", "code": 0, "msg": ""},
        {"type": "fans", "status": "e", "code": 1, "msg": "ERROR_FAN_LOST"},
        {"type": "temp", "status": "e", "code": 1, "msg": ""},
        {"type": "network"},
    ]
    faults = await visited(status, "28:E2:97:00:00:01")
    assert faults == [("fan_failed", "ERROR_FAN_LOST"), ("board_temperature", "temp")]


async def test_an_antminer_with_anothers_mac_is_not_taken_for_it() -> None:
    with pytest.raises(Failure) as failure:
        await visited([], "28:E2:97:00:00:02")
    assert failure.value.reason is Reason.IMPLAUSIBLE


def stock_pages(mode: int, *, blink: bool = False) -> dict[str, Any]:
    """The pages of a stock rig in a mode."""
    return {
        "/cgi-bin/get_system_info.cgi": {"macaddr": S19.mac},
        "/cgi-bin/stats.cgi": {"STATS": [{"miner-mode": mode, "hwp_total": 0.5, "rate_5s": 0.0 if mode else 99e3}]},
        "/cgi-bin/get_blink_status.cgi": {"blink": blink},
    }


async def test_an_antminer_that_stops_or_starts_hashing_is_asked_for_its_mode_at_once() -> None:
    firmware, answers, content = stock.Reader(), antminer(), stock_pages(0)
    modes = []
    async with serving(TARGET.address, 4028, cgminer(answers)), serving(TARGET.address, 80, pages(content)):
        await firmware.identify(TARGET)
        for rate, mode in (("99301.50", 0), ("0.00", 1), ("0.00", 1), ("99301.50", 3)):
            answers["summary"]["SUMMARY"][0]["GHS 5s"] = rate
            content |= stock_pages(mode)
            reading = await firmware.read(TARGET, S19)
            modes.append((reading.mining, reading.suspended, reading.power_mode))
    assert modes == [(True, False, "normal"), (False, True, "sleep"), (False, True, "sleep"), (True, False, "3")]


async def test_what_the_web_interface_said_is_dropped_where_it_is_silent() -> None:
    firmware = stock.Reader()
    async with serving(TARGET.address, 4028, cgminer(antminer())):
        async with serving(TARGET.address, 80, pages(stock_pages(0, blink=True))):
            await firmware.identify(TARGET)
            reading = await firmware.read(TARGET, S19)
        firmware._web[TARGET.address].due = 0.0
        silent = await firmware.read(TARGET, S19)
    assert (reading.fault_light, reading.login_refused, reading.hardware_error_ratio) == (True, False, 0.005)
    assert (silent.fault_light, silent.login_refused, silent.power_mode) == (None, None, "")


async def test_an_antminer_that_refuses_the_login_says_so_and_is_asked_no_further() -> None:
    asked = []

    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        challenge = 'WWW-Authenticate: Digest realm="antMiner Configuration", nonce="1", qop="auth"'
        writer.write(f"HTTP/1.1 401 Unauthorized\r\n{challenge}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    firmware = stock.Reader()
    async with serving(TARGET.address, 4028, cgminer(antminer())), serving(TARGET.address, 80, refusing):
        identity = await firmware.identify(TARGET)
        reading = await firmware.read(TARGET, S19)
    assert (identity.mac, reading.login_refused, reading.suspended) == ("", True, None)
    assert asked == ["/cgi-bin/get_system_info.cgi"] * 2  # the challenge, and the one login


async def test_one_page_that_is_forbidden_costs_an_antminer_that_page_only() -> None:
    content = stock_pages(0)
    del content["/cgi-bin/stats.cgi"]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        body = json.dumps(content.get(path)).encode()
        status = "200 OK" if path in content else "403 Forbidden"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    firmware = stock.Reader()
    async with serving(TARGET.address, 4028, cgminer(antminer())), serving(TARGET.address, 80, handle):
        identity = await firmware.identify(TARGET)
        reading = await firmware.read(TARGET, S19)
    assert (identity.mac, reading.login_refused, reading.fault_light, reading.power_mode) == (S19.mac, False, False, "")


async def test_a_hydro_antminer_tells_its_water_from_its_boards() -> None:
    sensors = {"temp_pcb1": "35-58-47-60", "temp_pic1": "71-55-57-56", "temp_chip1": "0-0-0-0"}
    answers = antminer(**sensors, temp_pcb2="34-57-46-0", temp_pic2="70-0-0-0", temp_pcb3="", chain_acn3=0)
    hydro = RigIdentity(reader="antminer", make="AntMiner", model="S21+ Hyd.")
    answers["stats"]["STATS"][0]["Type"] = "Antminer S21+ Hyd."
    async with serving(TARGET.address, 4028, cgminer(answers)):
        reading = await stock.Reader().read(TARGET, hydro)
    assert reading.temperatures == (("inlet", 35.0), ("outlet", 47.0))
    first, second = reading.boards
    assert (first.temperature, first.temperature_min, first.temperature_average) == (60.0, 55.0, 57.2)
    assert (first.chip_temperature, first.chip_temperature_min) == (71.0, None)
    assert (second.temperature, second.chip_temperature) == (57.0, 70.0)


async def test_of_other_hydro_antminers_only_the_hottest_sensors_are_reported() -> None:
    hydro = RigIdentity(reader="antminer", make="AntMiner", model="S19 Pro+ Hyd.")
    answers = antminer()
    answers["stats"]["STATS"][0]["Type"] = "Antminer S19 Pro+ Hyd."
    async with serving(TARGET.address, 4028, cgminer(answers)):
        reading = await stock.Reader().read(TARGET, hydro)
    assert reading.temperatures == ()
    assert {(board.temperature, board.temperature_min, board.temperature_average) for board in reading.boards} == {
        (61.0, None, None)
    }


async def test_an_antminer_that_is_another_model_now_is_not_taken_for_it() -> None:
    answers = antminer()
    answers["stats"]["STATS"][0]["Type"] = "Antminer S21"
    async with serving(TARGET.address, 4028, cgminer(answers)):
        with pytest.raises(Failure) as failure:
            await stock.Reader().read(TARGET, S19)
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize("kind", ["Antminer L7", "Antminer KS5", "Antminer Z15 Pro", "Antminer S21 (Vnish 1.2.7)"])
async def test_what_mines_no_bitcoin_or_runs_other_firmware_is_not_stock(kind: str) -> None:
    assert not stock.Reader().recognises({"VERSION": [{"BMMiner": "1.0.0", "Type": kind}]})


S21 = RigIdentity(reader="luxos", make="AntMiner", model="S21 Hyd.")


def luxos_rig(config: Mapping[str, Any], **answers: Any) -> dict[str, Any]:
    """A LuxOS rig by command; ``answers`` stand beside the least that a read needs."""
    board = {"chain_acn1": 108, "temp_pcb1": "58-42-56-48", "temp_chip1": "58-42-56-48", "chain_rate1": "60000"}
    return {
        "summary": {"SUMMARY": [{"GHS 5m": 61_000.0, "Elapsed": 60}]},
        "stats": {"STATS": [{"Type": "Antminer S21 Hyd."}, board]},
        "config": {"CONFIG": [config]},
    } | answers


async def luxos_reading(answers: Mapping[str, Any]) -> RigReading:
    async with serving(TARGET.address, 4028, joining(answers)) as connections:
        reading = await luxos.Reader().read(TARGET, S21)
    assert len(connections) <= 4  # all that joins, the profiles, the chips of its board, the supply
    return reading


@pytest.mark.parametrize(
    ("config", "suspended", "light"),
    [
        ({"CurtailMode": "Sleep", "RedLed": "blink"}, True, True),
        ({"CurtailMode": "None", "RedLed": "auto"}, False, False),
        ({"CurtailMode": "Unheard", "RedLed": 7}, None, None),
        ({}, None, None),
    ],
)
async def test_a_luxos_rig_says_whether_it_is_curtailed_and_lit(
    config: Mapping[str, Any], *, suspended: bool | None, light: bool | None
) -> None:
    reading = await luxos_reading(luxos_rig(config))
    assert (reading.suspended, reading.fault_light) == (suspended, light)


async def test_a_power_target_that_luxos_does_not_aim_at_is_none() -> None:
    targets = {"ActualPowerTarget": 2650, "PowerLimit": 3200}
    idle = await luxos_reading(luxos_rig(targets | {"IsPowerTargetEnabled": False}))
    aiming = await luxos_reading(luxos_rig(targets | {"IsPowerTargetEnabled": True}))
    assert [(reading.power_target, reading.power_limit) for reading in (idle, aiming)] == [(None, 3200), (2650, 3200)]


@pytest.mark.parametrize(
    ("tunes", "tuned", "tuner"),
    [(True, True, TunerState.TUNING), (False, True, TunerState.TUNED), (False, False, None), (None, None, None)],
)
async def test_a_luxos_rig_tunes_or_has_tuned_its_profile(
    *, tunes: bool | None, tuned: bool | None, tuner: TunerState | None
) -> None:
    profiles = [{"Profile Name": "other", "IsTuned": not tuned}, {"Profile Name": "490MHz", "IsTuned": tuned}]
    rig = luxos_rig({"Profile": "490MHz", "IsTuning": tunes}, profiles={"PROFILES": profiles})
    assert (await luxos_reading(rig)).tuner is tuner


async def test_a_power_supply_under_luxos_raises_its_flags() -> None:
    flags = {"FanFault": "true", "InputVoltageOvervoltageWarning": "true", "InputCurrentWarning": "false"}
    flags |= {"OvertemperatureFault": "true", "VoutFault": "true", "InputPowerWarning": "N/A", "PowerGood": "true"}
    supply = {"PSUFLAGS": [flags], "PSUFAN": [{"SpeedRPM": "6400"}]}
    reading = await luxos_reading(luxos_rig({}, psuget=supply))
    assert reading.power_supply == PowerSupply(fan_rpm=6400.0)
    assert {(one.code, one.severity) for one in reading.faults if one.component == "psu"} == {
        ("psu_fan", Severity.WARNING),
        ("psu_input_voltage", Severity.WARNING),
        ("psu_temperature", Severity.CRITICAL),
        ("psu_output", Severity.CRITICAL),
    }


async def test_a_hydro_luxos_rig_tells_its_water() -> None:
    places = {"TopLeft": "Board Inlet", "TopRight": "Water Outlet", "BottomRight": "Water Inlet"}
    temps = {
        "METADATA": [{key: {"Label": label} for key, label in places.items()}],
        "TEMPS": [
            {"ID": 0, "TopLeft": 56, "TopRight": 48, "BottomRight": 42},
            {"ID": 1, "TopLeft": 55, "TopRight": 49, "BottomRight": 0},
        ],
    }
    reading = await luxos_reading(luxos_rig({}, temps=temps, tempctrl={"TEMPCTRL": [{"Dangerous": 70, "Hot": 65}]}))
    assert sorted(reading.temperatures) == [("inlet", 42.0), ("outlet", 49.0)]
    assert reading.thermal_margin == 12.0


@pytest.mark.parametrize(("accepted", "known"), [(0, False), (3, True)])
async def test_a_pool_that_took_no_share_under_luxos_has_no_time_of_its_last(accepted: int, *, known: bool) -> None:
    pool = {"URL": "stratum+tcp://pool.example:3333", "Accepted": accepted, "Last Share Time": "00:57:33"}
    reading = await luxos_reading(luxos_rig({}, pools={"POOLS": [pool]}))
    assert (reading.last_share_at is not None) is known


async def test_a_luxos_board_that_is_gone_does_not_keep_its_average() -> None:
    here = luxos_rig({}, devs={"DEVS": [{"ID": 0, "MHS 1m": 61e6}]})
    assert [(await luxos_reading(rig)).boards[0].hashrate for rig in (here, luxos_rig({}))] == [61e12, None]


def chips(*healthy: str) -> dict[str, Any]:
    return {"CHIPS": [{"Board": 0, "Chip": chip, "Healthy": flag} for chip, flag in enumerate(healthy)]}


async def test_luxos_tells_of_chips_that_do_not_work_with_those_that_are_gone() -> None:
    rig = luxos_rig({}, **{"healthchipget 0": chips("Y", "N", "Unknown", "Y")})
    rig["stats"]["STATS"][1]["chain_acs1"] = "ooox"
    reading = await luxos_reading(rig)
    assert reading.boards[0].failed_chips == (1, 3)
    assert [(one.code, one.component) for one in reading.faults] == [("board_chips", "board 0")]


@pytest.mark.parametrize(("seconds", "elapsed", "asked"), [(299.0, 359, 1), (301.0, 361, 2), (1.0, 0, 2)])
async def test_luxos_is_asked_for_chips_again_when_they_are_old_or_it_restarted(
    seconds: float, elapsed: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = luxos_rig({}, **{"healthchipget 0": chips("N")})
    reader = luxos.Reader()
    now = 1_000.0
    monkeypatch.setattr(luxos, "time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    questions: list[str] = []
    async with serving(TARGET.address, 4028, joining(rig, questions)):
        await reader.read(TARGET, S21)
        now += seconds
        rig["summary"]["SUMMARY"][0]["Elapsed"] = elapsed
        del rig["healthchipget 0"]
        reading = await reader.read(TARGET, S21)
    assert questions.count("healthchipget 0") == asked
    assert reading.boards[0].failed_chips == ((0,) if asked == 1 else ())


async def test_a_luxos_rig_that_stands_still_is_not_asked_for_its_chips() -> None:
    rig = luxos_rig({"IsSingleVoltage": True}, summary={"SUMMARY": [{"GHS 5m": 0.0}]})
    questions: list[str] = []
    async with serving(TARGET.address, 4028, joining(rig, questions)):
        await luxos.Reader().read(TARGET, S21)
    assert {"healthchipget 0", "voltageget 0"}.isdisjoint(questions)


async def test_luxos_is_asked_for_its_profiles_again_when_they_are_old_or_it_tuned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config: dict[str, Any] = {"Profile": "a"}
    profiles = [{"Profile Name": "a", "IsTuned": False}, {"Profile Name": "b", "IsTuned": False}]
    reader, questions, now = luxos.Reader(), list[str](), 1_000.0
    monkeypatch.setattr("exporter.sources.rigs.seldom.time", SimpleNamespace(monotonic=lambda: now))

    async def asks() -> tuple[int, TunerState | None]:
        before = questions.count("profiles")
        reading = await reader.read(TARGET, S21)
        return questions.count("profiles") - before, reading.tuner

    async with serving(TARGET.address, 4028, joining(luxos_rig(config, profiles={"PROFILES": profiles}), questions)):
        assert [await asks(), await asks()] == [(1, None), (0, None)]
        config["Profile"] = "b"
        assert [await asks(), await asks()] == [(1, None), (0, None)]
        config["IsTuning"] = True
        assert await asks() == (0, TunerState.TUNING)
        config["IsTuning"] = False
        profiles[1]["IsTuned"] = True
        assert [await asks(), await asks()] == [(1, TunerState.TUNED), (0, TunerState.TUNED)]
        now += luxos.PROFILES_SECONDS
        assert await asks() == (1, TunerState.TUNED)


@pytest.mark.parametrize(
    ("config", "row", "volts"),
    [
        ({"IsSingleVoltage": True}, {"IsOnBoard": False, "Voltage": 13.2}, 13.2),
        ({"IsSingleVoltage": True}, {"Voltage": 13.2}, 13.2),
        ({"IsSingleVoltage": True}, {"IsOnBoard": True, "Voltage": 13.2}, None),
        ({"IsSingleVoltage": False}, {"Voltage": 13.2}, None),
        ({}, {"Voltage": 13.2}, None),
    ],
)
async def test_the_supply_under_luxos_has_an_output_voltage_where_there_is_one_for_all_boards(
    config: Mapping[str, Any], row: Mapping[str, Any], volts: float | None
) -> None:
    reading = await luxos_reading(luxos_rig(config, **{"voltageget 0": {"VOLTAGE": [row]}}))
    assert reading.power_supply == (None if volts is None else PowerSupply(output_voltage=volts))


@pytest.mark.parametrize(
    ("code", "words", "known"),
    [
        ("REBOOT_NOT_HASHING", "Board reboot due to it not hashing.", "board_hashrate"),
        ("NOPIC_SHUTDOWN", "Board protection activated for this board.", "board_chain"),
        ("INVALID_MINER_MODEL", "Miner model is not valid.", "config_invalid"),
        ("SLEEP", "Miner is in Sleep mode.", None),
        ("REBOOT_SYSINIT", "Board reboot due to system initialization. This can take up to 5 minutes.", None),
        ("MINER_TUNING", "Miner is tuning.", None),
    ],
)
async def test_luxos_events_are_faults_unless_they_tell_of_a_state(code: str, words: str, known: str | None) -> None:
    event = {"Code": code, "Description": words, "Target": "BOARD", "ID": 1}
    faults = (await luxos_reading(luxos_rig({}, events={"EVENTS": [event]}))).faults
    assert [(one.code, one.component, one.vendor_code) for one in faults] == (
        [(known, "board 1", code)] if known else []
    )


@pytest.mark.parametrize(
    ("created", "off_by", "since"),
    [
        ("2026-04-08T03:38:27+00:00", 0.0, 1_775_619_507.0),
        ("2026-04-08T03:38:27+00:00", 86_400.0, None),  # its clock is wrong
        ("2026-04-08T03:38:27", 0.0, None),  # without a zone
        ("soon", 0.0, None),
    ],
)
async def test_luxos_says_since_when_a_fault_is(
    created: str, off_by: float, since: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_775_620_000.0
    monkeypatch.setattr("time.time", lambda: now)
    event = {"Code": "FAN_FAILURE", "Description": "Fan failure.", "CreatedAt": created}
    events = {"STATUS": [{"STATUS": "S", "When": now + off_by}], "EVENTS": [event]}
    (one,) = (await luxos_reading(luxos_rig({}, events=events))).faults
    assert (one.code, one.since) == ("fan_failed", since)


async def test_luxos_boards_whose_chips_have_sensors_tell_the_hottest() -> None:
    temps = {"METADATA": [{"Hot": {"Label": "Chip (Max)"}}], "TEMPS": [{"ID": 0, "Hot": 81.5}]}
    limits = {"TEMPCTRL": [{"Dangerous": 80, "ChipDangerous": 95}]}
    reading = await luxos_reading(luxos_rig({}, temps=temps, tempctrl=limits))
    assert (reading.boards[0].chip_temperature, reading.thermal_margin) == (81.5, 13.5)


async def test_luxos_boards_have_no_chip_temperature_that_copies_theirs() -> None:
    (board, *_) = (await luxos_reading(luxos_rig({}))).boards
    assert (board.temperature, board.temperature_min, board.chip_temperature) == (58.0, 42.0, None)


async def test_a_luxos_rig_that_takes_no_joined_commands_is_asked_one_by_one() -> None:
    reader = luxos.Reader()
    async with serving(TARGET.address, 4028, cgminer(luxos_rig({"Profile": "default"}))) as connections:
        first = await reader.read(TARGET, S21)
        before = len(connections)
        second = await reader.read(TARGET, S21)
    assert first == second
    assert (first.power_mode, first.hashrate_window) == ("default", 300.0)
    assert before == 15  # all together, twelve one by one, the profiles, and the chips of its board
    assert len(connections) == before + 3  # summary, stats and config: it knows nothing else


async def test_a_luxos_rig_with_anothers_mac_is_not_taken_for_it() -> None:
    identity = replace(S21, mac="62:f7:5e:00:00:01")
    async with serving(TARGET.address, 4028, joining(luxos_rig({"MACAddr": "62:f7:5e:00:00:02"}))):
        with pytest.raises(Failure) as failure:
            await luxos.Reader().read(TARGET, identity)
    assert failure.value.reason is Reason.IMPLAUSIBLE


S21_PRO = RigIdentity(reader="vnish", make="AntMiner", model="S21 Pro", mac="02:95:23:00:00:01")


async def vnish_reading(miner: Mapping[str, Any], preset: Mapping[str, Any], **system: Any) -> RigReading:
    """Read a VNish rig that serves no status page, and whose cgminer API is closed."""
    web = {
        "/api/v1/summary": {
            "miner": {"hr_realtime": 190_000.0, "miner_type": "Antminer S21 Pro (Vnish 1.2.7)"} | miner
        },
        "/api/v1/info": {"system": system},
        "/api/v1/perf-summary": {"current_preset": preset},
    }
    async with serving(TARGET.address, 80, pages(web)):
        return await vnish.Reader().read(TARGET, S21_PRO)


@pytest.mark.parametrize(
    ("mode", "lost"),
    [("immersion", []), ("immers", []), ("auto", ["fan 0", "fan 1"]), (None, ["fan 0", "fan 1"])],
)
async def test_fans_that_vnish_calls_lost_are_none_in_immersion(mode: str | None, lost: list[str]) -> None:
    fans = [{"id": index, "rpm": 0, "status": "lost"} for index in range(2)]
    reading = await vnish_reading({"cooling": {"fans": fans, "settings": {"mode": {"name": mode}}}}, {})
    assert [one.component for one in reading.faults] == lost


async def test_a_release_before_hr_realtime_has_its_hashrate_in_terahashes() -> None:
    web = {"/api/v1/summary": {"miner": {"instant_hashrate": 54.25, "average_hashrate": 53.5}}}
    async with serving(TARGET.address, 80, pages(web)):
        reading = await vnish.Reader().read(TARGET, S21_PRO)
    assert (reading.hashrate, reading.average_hashrate) == (pytest.approx(54.25e12), pytest.approx(53.5e12))


@pytest.mark.parametrize(
    ("chip", "water", "temperatures"),
    [
        ({"min": 56, "max": 64}, {}, (41.0, 49.0, 56.0, 64.0)),  # in air
        ({"min": 29, "max": 49}, {"inlet_water_temp": 29, "outlet_water_temp": 39}, (None, 49.0, None, None)),
        ({"min": 29, "max": 57}, {"inlet_water_temp": 29, "outlet_water_temp": 39}, (None, 49.0, None, 57.0)),
        ({"min": 30, "max": 44}, {}, (41.0, 49.0, None, None)),  # no chip is cooler than its board
    ],
)
async def test_a_vnish_board_in_water_has_its_sensors_by_what_they_measure(
    chip: dict[str, int], water: dict[str, int], temperatures: tuple[float | None, ...]
) -> None:
    chain = {"id": 1, "pcb_temp": {"min": 41, "max": 49}, "chip_temp": chip, **water}
    (board,) = (await vnish_reading({"chains": [chain]}, {})).boards
    found = (board.temperature_min, board.temperature, board.chip_temperature_min, board.chip_temperature)
    assert found == temperatures


@pytest.mark.parametrize(
    ("state", "suspended", "tuner"),
    [
        ("auto-tuning", False, TunerState.TUNING),
        ("mining", False, TunerState.TUNED),
        ("stopped", True, TunerState.TUNED),
        ("failure", None, TunerState.TUNED),
        ("shutting-down", None, TunerState.TUNED),
    ],
)
async def test_the_state_of_a_vnish_rig(state: str, *, suspended: bool | None, tuner: TunerState) -> None:
    preset = {"name": "2800", "pretty": "2800 watt ~ 188 TH", "status": "tuned"}
    reading = await vnish_reading({"miner_status": {"miner_state": state}}, preset)
    assert (reading.suspended, reading.tuner, reading.fault_light) == (suspended, tuner, None)


@pytest.mark.parametrize(
    ("preset", "mode", "target", "tuner"),
    [
        ({"name": "2800", "pretty": "2800 watt ~ 188 TH", "status": "untuned"}, "2800", 2800.0, None),
        ({"name": "3200", "pretty": "3200W ~ 65 TH", "status": "tuned"}, "3200", 3200.0, TunerState.TUNED),
        ({"name": "2800", "pretty": "2800 MHz", "status": "tuned"}, "2800", None, TunerState.TUNED),
        ({"name": "disabled", "pretty": "Disabled", "status": "untuned"}, "disabled", None, TunerState.OFF),
        ({}, "", None, None),
    ],
)
async def test_a_vnish_preset_is_a_power_target_where_it_says_watts(
    preset: Mapping[str, Any], mode: str, target: float | None, tuner: TunerState | None
) -> None:
    reading = await vnish_reading({}, preset)
    assert (reading.power_mode, reading.power_target, reading.tuner) == (mode, target, tuner)


@pytest.mark.parametrize(
    ("text", "read"),
    [("1:55", 6_900), ("2 days, 17:02", 234_120), ("1 day, 0:00", 86_400), ("14 min", 840), ("soon", None), (7, None)],
)
async def test_the_uptime_of_a_vnish_system(text: object, read: float | None) -> None:
    assert (await vnish_reading({}, {}, uptime=text)).system_uptime == read


@pytest.mark.parametrize(("age", "accepted", "known"), [("0:00:04", 9, 4.0), ("0", 0, None), ("0:00:04", 0, None)])
async def test_the_last_share_of_a_vnish_rig_is_as_old_as_its_summary_has_it(
    age: str, accepted: int, known: float | None
) -> None:
    before = time.time()
    reading = await vnish_reading({"pools": [{"url": "a:1", "accepted": accepted, "ls_time": age}]}, {})
    at = reading.last_share_at
    assert at is None if known is None else at is not None and before - known <= at <= time.time() - known


async def test_a_hydro_vnish_rig_tells_its_water_and_its_slots() -> None:
    chains = [
        {"id": 1, "inlet_water_temp": 35, "outlet_water_temp": 44, "voltage": 13_720},
        {"id": 3, "inlet_water_temp": 36, "outlet_water_temp": 43, "status": {"state": "disconnected"}},
    ]
    reading = await vnish_reading({"chains": chains}, {})
    assert reading.temperatures == (("inlet", 36.0), ("outlet", 44.0))
    assert [(board.index, board.voltage) for board in reading.boards] == [(0, 13.72), (2, None)]
    assert [(fault.code, fault.component) for fault in reading.faults] == [("board_missing", "board 2")]


async def test_a_vnish_rig_with_anothers_mac_is_not_taken_for_it() -> None:
    with pytest.raises(Failure) as failure:
        await vnish_reading({}, {}, network_status={"mac": "02:95:23:00:00:02"})
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize("status", [401, 403])
async def test_a_vnish_rig_that_wants_a_login_is_read_by_its_other_doors(status: int) -> None:
    rpc = antminer()
    rpc["stats"]["STATS"][1]["chain_consumption1"] = 0

    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
        known = {"/api/v1/info": {"system": {}}, "/api/v1/status": {"miner_state": "mining", "find_miner": False}}
        body = json.dumps(known.get(path, {}))
        code = status if path == "/api/v1/summary" else 200 if path in known else 404
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()

    async with serving(TARGET.address, 80, web):
        with pytest.raises(Failure) as failure:
            await vnish.Reader().read(TARGET, S21_PRO)
        async with serving(TARGET.address, 4028, cgminer(rpc)):
            reading = await vnish.Reader().read(TARGET, S21_PRO)
    assert failure.value.reason is Reason.AUTH
    assert (reading.hashrate, reading.login_refused, reading.suspended) == (pytest.approx(99.3015e12), True, False)
    assert (reading.power, len(reading.boards), len(reading.fans)) == (None, 3, 4)
