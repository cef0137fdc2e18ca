"""VNish where its web interface is closed: port 4028 has the figures of Bitmain's API."""

from typing import Any

import pytest
from rig_servers import NETWORK, Handler, cgminer, saying, serving

from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigIdentity
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware.vnish import Reader
from exporter.sources.rigs.reader import Miners

TARGET = Target(f"{NETWORK}.71")
KIND = {"Cgminer": "4.11.1", "Miner": "uart_trans.1.3", "Type": "Antminer S19 XP (Vnish 1.2.0-rc1)"}


def answers() -> dict[str, Any]:
    row: dict[str, Any] = {"GHS 5s": "140000.50", "total_rateideal": 144_000.0, "fan_num": 4, "fan_pwm": 25}
    for slot in (1, 2, 3):
        row |= {f"chain_acn{slot}": 110, f"chain_rate{slot}": 46_600.0 + slot, f"chain_acs{slot}": "o" * 110}
        row |= {f"temp_pcb{slot}": f"{35 + slot}-{57 + slot}", f"temp_chip{slot}": f"{50 + slot}-{72 + slot}"}
        row |= {f"freq_avg{slot}": 490.0, f"fan{slot}": 2_800}
    pool = {"POOL": 0, "URL": "stratum+tcp://pool.example:1800", "Status": "Alive", "User": "acme.a-01"}
    fee = {"POOL": 1, "URL": "DevFee", "Status": "Alive", "User": "DevFee", "Accepted": 200_000}
    summary = {"GHS 5s": "140000.50", "GHS av": 142_000.0, "Elapsed": 331_780, "Fee Percent": 3.5}
    status = [{"STATUS": "S"}]
    return {
        "version": {"STATUS": status, "VERSION": [{"API": "3.7", **KIND}], "id": 1},
        "stats": {"STATUS": status, "STATS": [KIND, row | {"fan4": 2_900}], "id": 1},
        "summary": {"STATUS": status, "SUMMARY": [summary], "id": 1},
        "pools": {"STATUS": status, "POOLS": [pool | {"Accepted": 19_000}, fee], "id": 1},
    }


async def test_a_rig_with_a_closed_web_interface_is_identified_and_read_by_the_other_port() -> None:
    async with serving(TARGET.address, 4028, cgminer(answers())), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.reader, identity.model, identity.firmware_version) == ("vnish", "S19 XP", "1.2.0-rc1")
    assert (reading.hashrate, reading.expected_hashrate) == (140.0005e12, 144e12)
    assert (reading.login_refused, reading.uptime, reading.firmware_fee) == (None, 331_780, pytest.approx(0.035))
    assert [(board.temperature, board.chip_temperature, board.chips) for board in reading.boards] == [
        (58, 73, 110),
        (59, 74, 110),
        (60, 75, 110),
    ]
    assert [(pool.host, pool.accepted) for pool in reading.pools] == [("pool.example:1800", 19_000)]


async def test_a_rig_that_refuses_version_is_identified_by_its_statistics() -> None:
    refusing = {name: answer for name, answer in answers().items() if name != "version"}
    async with serving(TARGET.address, 4028, cgminer(refusing)), Miners() as miners:
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.reader, identity.model, identity.firmware_version) == ("vnish", "S19 XP", "1.2.0-rc1")
    assert reading.hashrate == 140.0005e12


@pytest.mark.parametrize(("watts", "of_rig"), [((861, 850.5, 870), 2_581.5), ((0, 0, 0), None), ((861, 0, 870), None)])
async def test_port_4028_has_the_power_and_voltage_of_the_boards_on_some_releases(
    watts: tuple[float, ...], of_rig: float | None
) -> None:
    here = answers()
    row = here["stats"]["STATS"][1]
    for slot, power in enumerate(watts, 1):
        row |= {f"chain_consumption{slot}": power, f"chain_vol{slot}": 13_000 + slot}
        row |= {f"chain_rateideal{slot}": 48_000.0 + slot}
    row["state"] = "auto-tuning"
    here["summary"]["SUMMARY"][0]["Best Share"] = 169_000_000
    async with serving(TARGET.address, 4028, cgminer(here)):
        reading = await Reader().read(TARGET, RigIdentity(reader="vnish", make="AntMiner", model="S19 XP"))
    assert reading.power == of_rig
    assert [board.power for board in reading.boards] == [power or None for power in watts]
    assert [board.voltage for board in reading.boards] == pytest.approx([13.001, 13.002, 13.003])
    assert [board.expected_hashrate for board in reading.boards] == [48_001e9, 48_002e9, 48_003e9]
    assert (reading.fan_duty, reading.best_share) == (0.25, 169_000_000)
    assert (reading.suspended, reading.tuner) == (False, "tuning")


async def test_another_model_at_the_address_is_not_taken_for_it() -> None:
    who = RigIdentity(reader="vnish", make="AntMiner", model="S21")
    async with serving(TARGET.address, 4028, cgminer(answers())):
        with pytest.raises(Failure) as failure:
            await Reader().read(TARGET, who)
    assert failure.value.reason is Reason.IMPLAUSIBLE


async def test_two_closed_ports_are_refused() -> None:
    for asked in (Reader().identify(TARGET), Reader().read(TARGET, RigIdentity(reader="vnish", make="", model="S21"))):
        with pytest.raises(Failure) as failure:
            await asked
        assert failure.value.reason is Reason.REFUSED


async def test_other_firmware_behind_a_closed_web_interface_is_not_taken_for_it() -> None:
    other = {
        "version": {"STATUS": [{"STATUS": "S"}], "VERSION": [{"Type": "Antminer S19 XP", "BMMiner": "2"}], "id": 1}
    }
    async with serving(TARGET.address, 4028, cgminer(other)):
        assert not Reader().recognises(await Reader().second_probe(TARGET.address))
        with pytest.raises(Failure) as failure:
            await Reader().identify(TARGET)
    assert failure.value.reason is Reason.REFUSED


def release_3(**changes: Any) -> dict[str, Any]:
    """Answers of a release for the S9: boards from slot 6 on, voltages in hundredths of a volt; figures invented."""
    here = answers()
    here["version"]["VERSION"][0]["Type"] = "Antminer S9 (vnish 3.9.0)"
    row: dict[str, Any] = {"GHS 5s": "12800.10", "GHS av": 12_900.0, "total_rateideal": 12_930.0, "Elapsed": 3_600}
    for slot in range(1, 17):
        here_is_one = slot in (6, 7, 8)
        row |= {f"chain_acn{slot}": 63 if here_is_one else 0, f"chain_rate{slot}": "4266.00" if here_is_one else ""}
        row |= {f"chain_vol{slot}": 915, f"chain_consumption{slot}": 420} if here_is_one else {}
    here["stats"]["STATS"] = [{"Type": "Antminer S9 (vnish 3.9.0)"}, row]
    here["summary"]["SUMMARY"][0] |= {"GHS 5s": "12800.10", "GHS av": 12_900.0}
    return here | changes


@pytest.mark.parametrize(
    "web",
    [
        saying(b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=x, nonce=y\r\nContent-Length: 0\r\n\r\n"),
        saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["behind a login", "without this page"],
)
async def test_a_release_before_the_api_is_read_by_the_other_port_whatever_port_80_serves(web: Handler) -> None:
    async with (
        serving(TARGET.address, 4028, cgminer(release_3())),
        serving(TARGET.address, 80, web),
        Miners() as miners,
    ):
        identity = await miners.identify(TARGET)
        reading = await miners.read(TARGET, identity)
    assert (identity.reader, identity.model, identity.firmware_version) == ("vnish", "S9", "3.9.0")
    assert (reading.login_refused, reading.power) == (None, 1_260.0)
    assert [(board.voltage, board.power) for board in reading.boards] == [(9.15, 420.0)] * 3


async def test_a_release_without_a_summary_is_read_by_its_statistics() -> None:
    refusal = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}], "id": 1}
    async with serving(TARGET.address, 4028, cgminer(release_3(summary=refusal))), Miners() as miners:
        reading = await miners.read(TARGET, await miners.identify(TARGET))
    assert (reading.hashrate, reading.uptime) == (12.8001e12, 3_600)
