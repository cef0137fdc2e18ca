"""What the reader of Avalons does beyond the plain read that the contract suite holds it to."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from rig_servers import NETWORK, Handler, cgminer, hanging, joining, serving

from exporter.model.failures import Failure, Reason
from exporter.model.nameplate import nameplate
from exporter.model.readings import PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import avalon

FIXTURE = Path(__file__).parent.parent / "fixtures" / "rigs" / "avalon.json"
TARGET = Target(f"{NETWORK}.67")
AVALON = RigIdentity(reader="avalon", make="AvalonMiner", model="Avalon 1246", serial="02010000aabbccdd")


def answers() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FIXTURE.read_text())["rpc"]
    return content


def rig(summary: Mapping[str, Any] = {}, **fields: str) -> dict[str, Any]:
    """Answers in whose text these fields are replaced, or added."""
    served = answers()
    served["summary"]["SUMMARY"][0] |= summary
    row = served["estats"]["STATS"][0]
    for name, value in fields.items():
        text = re.sub(rf"\b{name}\[[^]]*\]", "", row["MM ID0"])
        row["MM ID0"] = f"{text} {name}[{value}]"
    return served


async def read(served: Mapping[str, Any]) -> RigReading:
    async with serving(TARGET.address, 4028, cgminer(served)):
        return await avalon.Reader().read(TARGET, AVALON)


async def known(served: Mapping[str, Any]) -> tuple[avalon.Reader, RigIdentity]:
    """A reader that has identified the rig."""
    reader = avalon.Reader()
    async with serving(TARGET.address, 4028, cgminer(served)):
        return reader, await reader.identify(TARGET)


async def test_everything_is_asked_in_one_question() -> None:
    reader, identity = await known(rig())
    alone = await read(rig())
    asked: list[str] = []
    async with serving(TARGET.address, 4028, joining(rig(), asked)):
        for _ in range(2):
            assert await reader.read(TARGET, identity) == alone
    assert asked == ["summary+estats+pools"] * 2


@pytest.mark.parametrize("refused", ["summary", "estats", "pools"])
async def test_a_build_that_answers_joined_commands_only_in_part_is_asked_one_by_one(refused: str) -> None:
    async def in_part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = json.loads(await reader.read(4096))["command"]
        asked.append(command)
        answer = served.get(command) or {part: [served[part]] for part in command.split("+") if part != refused}
        writer.write(json.dumps(answer).encode() + b"\0")

    served, asked = rig(), list[str]()
    reader, identity = await known(served)
    alone = await read(served)
    async with serving(TARGET.address, 4028, in_part):
        for _ in range(2):
            assert await reader.read(TARGET, identity) == alone
        await reader.identify(TARGET)
        await reader.read(TARGET, identity)
    one_by_one = ["summary", "estats", "pools"]
    joined = ["summary+estats+pools", *one_by_one]
    assert asked == [*joined, *one_by_one, "version", "estats", *joined]


@pytest.mark.parametrize("joins", [True, False])
async def test_a_build_that_hangs_at_joined_commands_loses_one_read(*, joins: bool) -> None:
    reader, identity = await known(rig())
    handlers: list[Handler] = [*([joining(rig())] if joins else []), hanging]
    for handler in handlers:
        with suppress(TimeoutError):
            async with serving(TARGET.address, 4028, handler), asyncio.timeout(0.2 if handler is hanging else 60):
                await reader.read(TARGET, identity)
    asked: list[str] = []
    async with serving(TARGET.address, 4028, joining(rig(), asked)):
        await reader.read(TARGET, identity)
    assert asked == (["summary+estats+pools"] if joins else ["summary", "estats", "pools"])


@pytest.mark.parametrize(
    ("version", "model"),
    [
        ({"PROD": "AvalonMiner 1246-81", "MODEL": "1246-81"}, "Avalon 1246"),
        ({"PROD": "AvalonMiner 1166Pro", "MODEL": "1166Pro"}, "Avalon 1166Pro"),
        ({"PROD": "AvalonMiner 15-194", "MODEL": "15-194"}, "Avalon 1566"),
        ({"PROD": "Avalon Mini3", "MODEL": "Mini3"}, "Avalon Mini3"),
        ({"PROD": "AvalonNano", "MODEL": "Nano3"}, "Avalon Nano3"),
        ({"PROD": "Avalonnano", "MODEL": "nano3"}, "Avalon Nano3"),
        ({"PROD": "Avalon0o", "MODEL": "0o3"}, "Avalon Mini3"),
        ({"PROD": "AVALON Q", "MODEL": "q"}, "Avalon Q"),
        ({"PROD": "Avalonfoo", "MODEL": "foo9"}, "Avalon foo9"),
        ({"PROD": "Antminer S19"}, ""),
        ({"CGMiner": "4.10.0"}, ""),
    ],
)
def test_an_avalon_is_known_by_its_product_in_any_case(version: Mapping[str, str], model: str) -> None:
    assert avalon.Reader().recognises({"VERSION": [version]}) is bool(model)
    assert avalon._model(version) == model


@pytest.mark.parametrize("model", ["Avalon 1246", "Avalon 1566", "Avalon Nano3", "Avalon Nano3s", "Avalon Mini3"])
def test_what_an_avalon_is_called_has_a_nameplate(model: str) -> None:
    assert nameplate(model, 1e12) is not None


@pytest.mark.parametrize("product", ["AvalonMiner 1246-81", "AvalonMiner 15-194", "Avalon Mini3"])
async def test_its_model_is_that_which_it_is_sold_as(product: str) -> None:
    served = answers()
    served["version"]["VERSION"][0] |= {"PROD": product, "MODEL": product.partition(" ")[2]}
    async with serving(TARGET.address, 4028, cgminer(served)):
        identity = await avalon.Reader().identify(TARGET)
    assert identity.model == {"15": "Avalon 1566", "12": "Avalon 1246"}.get(product[12:14], "Avalon Mini3")


@pytest.mark.parametrize(
    ("managers", "reason"),
    [
        ({}, Reason.NOT_READY),  # it has just begun
        ({"MM ID0": "Ver[8] MGHS[1 2]"}, Reason.UNSUPPORTED),
        ({"MM ID0": "PS[0 1214 1316 242 3189 1320 3504]", "MM ID1": "PS[0 0]"}, Reason.UNSUPPORTED),
    ],
)
async def test_one_without_a_supply_or_with_several_managers_is_left_to_others(
    managers: Mapping[str, str], reason: Reason
) -> None:
    served = answers()
    served["estats"]["STATS"] = [{"ID": "AVA80", **managers}]
    served.pop("stats", None)
    async with serving(TARGET.address, 4028, cgminer(served)):
        with pytest.raises(Failure) as failure:
            await avalon.Reader().identify(TARGET)
    assert failure.value.reason is reason


@pytest.mark.parametrize(
    ("supply", "wall", "power", "measured"),
    [
        ("0 1209 1187 297 3526 1188 3731", "3731", 3731.0, (11.87, 297.0, 3526.0)),
        ("0 1209 1187 297 3526 1188 3731", "", 3731.0, (11.87, 297.0, 3526.0)),
        ("0 1217 1279 221 2834 1280", "", None, (12.79, 221.0, 2834.0)),  # the A10 does not report what it draws
        ("0 1209 1187 297 3526 1188 9000", "", None, (11.87, 297.0, 3526.0)),  # nothing is that wasteful
        ("0 1198 0 0 0 1393 11", "", 11.0, None),  # it sleeps
        ("0 0 27548 4 0 3683 131", "", 131.0, None),  # a small one, in other units
        ("0 0 27548 4 0 3683 4500", "", None, None),  # more than it may draw
        ("0 0 27548 4 110 3683 131", "", None, None),
        ("0 0 0 3 2800 88 318", "", 88.0, None),  # a Nano 3: its adapter gives 28.00 V and 3.18 A
        ("0 0 0 3 2800 88 900", "", None, None),
        ("0 0 0 3 2800 88", "", None, None),
        ("", "", None, None),
    ],
)
async def test_what_the_supply_says_is_believed_where_its_figures_agree(
    supply: str, wall: str, power: float | None, measured: tuple[float, float, float] | None
) -> None:
    reading = await read(rig(PS=supply, WALLPOWER=wall))
    volts, amperes, watts = measured or (None, None, None)
    known = PowerSupply(input_power=power, output_voltage=volts, output_current=amperes, output_power=watts)
    assert reading.power == power
    assert reading.power_supply == (None if known == PowerSupply() else known)


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("0", set()),
        ("6", {("psu_temperature", "OT1")}),  # two sensors, one fault
        ("96", {("psu_output", "UV_out"), ("psu_overcurrent", "OC_out")}),
        ("n/a", set()),
    ],
)
async def test_the_supplys_error_code_names_faults(code: str, faults: set[tuple[str, str]]) -> None:
    reading = await read(rig(PS=f"{code} 1214 1316 242 3189 1320 3504", MW0="600 600"))
    assert {(one.code, one.vendor_code) for one in reading.faults} == faults


@pytest.mark.parametrize(
    ("state", "switch", "hashrate", "suspended"),
    [
        ("Work: In Idle, Hash Board: 3 ", "5", 0.0, True),
        ("Work: In Idle, Hash Board: 3 ", "6", 0.0, None),  # it boots
        ("Work: In Idle, Hash Board: 3 ", "0", 0.0, False),
        ("Work: In Work, Hash Board: 3 ", "0", 1_102.8e6, False),
        ("Work: In Work, Hash Board: 3 ", "5", 1_102.8e6, None),
        ("", "", 1_102.8e6, None),
    ],
)
async def test_an_idle_rig_does_not_hash_what_its_average_fades_to(
    state: str, switch: str, hashrate: float, suspended: bool | None
) -> None:
    reading = await read(rig({"MHS 1m": 1_102.8}, SYSTEMSTATU=state, SoftOFF=switch, GHSmm="0.00"))
    assert (reading.hashrate, reading.mining) == (pytest.approx(hashrate), hashrate > 0)
    assert reading.suspended is suspended


@pytest.mark.parametrize(("inlet", "known"), [("-273", {"outlet": 65.0}), ("31", {"inlet": 31.0, "outlet": 65.0})])
async def test_a_sensor_that_is_not_there_has_no_temperature(inlet: str, known: Mapping[str, float]) -> None:
    assert dict((await read(rig(Temp="-273", ITemp=inlet, OTemp="65"))).temperatures) == known


@pytest.mark.parametrize(
    ("rate", "works", "failed"),
    [
        (4e7, "600 0 610 0", (1, 3)),
        (4e7, "12 0 9 11", ()),  # it has just begun
        (4e7, "0 0 0 0", ()),
        (0.0, "600 0 610 0", ()),  # of the time before it stopped
    ],
)
async def test_a_chip_has_failed_that_does_no_work_among_those_that_do(
    rate: float, works: str, failed: tuple[int, ...]
) -> None:
    assert (await read(rig({"MHS 1m": rate}, MW0=works))).boards[0].failed_chips == failed


async def test_an_idle_rig_keeps_neither_clock_nor_coolest_chip() -> None:
    reading = await read(rig({"MHS 1m": 0.0}, MTmax="0 0 0", MTavg="0 0 0"))
    board = reading.boards[0]
    assert (board.frequency, board.chip_temperature, board.chip_temperature_min) == (None, None, None)


@pytest.mark.parametrize(
    ("said_at", "share", "age"),
    [(24_701, 24_690, 11.0), (24_701, 0, None), (24_701, 99_999, None), (1_774_051_200, 31_279, None)],
)
async def test_a_share_is_dated_by_the_clock_of_the_answer(said_at: int, share: int, age: float | None) -> None:
    served = rig()
    served["pools"]["STATUS"][0]["When"] = said_at
    served["pools"]["POOLS"][0]["Last Share Time"] = share
    before = time.time()
    at = (await read(served)).last_share_at
    assert at is None if age is None else at is not None and before - age <= at <= time.time() - age


async def test_a_rig_with_a_clock_dates_its_shares_itself() -> None:
    served = rig()
    served["pools"]["STATUS"][0]["When"] = 1_774_051_200
    served["pools"]["POOLS"][0]["Last Share Time"] = 1_774_051_195
    assert (await read(served)).last_share_at == 1_774_051_195.0


async def test_another_rig_at_the_address_is_not_taken_for_it() -> None:
    with pytest.raises(Failure) as failure:
        await read(rig(DNA="0201000000000000"))
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize(
    "text", ["", "A" * 100_000, "A[" * 50_000, "Fan1[" + "9" * 5_000 + "]", "MGHS[" + "1 " * 5_000 + "]"]
)
async def test_odd_text_loses_its_fields_only(text: str) -> None:
    served = answers()
    served["estats"]["STATS"][0]["MM ID0"] = text
    reading = await read(served)
    assert reading.hashrate == pytest.approx(80.95e12, rel=1e-3)
    assert len(reading.boards) <= 32


@pytest.mark.parametrize("command", ["stats", "litestats"])
async def test_statistics_are_had_by_the_command_that_the_rig_answers(command: str) -> None:
    served = answers()
    served[command] = served.pop("estats")
    for other in {"stats", "litestats"} - {command}:
        served.pop(other, None)
    firmware, asked = avalon.Reader(), list[str]()
    async with serving(TARGET.address, 4028, joining(served, asked)):
        identity = await firmware.identify(TARGET)
        reading = await firmware.read(TARGET, identity)
    assert asked[-1] == f"summary+{command}+pools"
    assert reading.boards
    assert reading.power is not None


async def test_a_nano_3_whose_dna_is_zeros_is_told_from_others_by_its_other_one() -> None:
    served = rig(DNA="0000000000000000", HDNA="02010000aabbccdd")
    served["version"]["VERSION"][0]["DNA"] = "0000000000000000"
    async with serving(TARGET.address, 4028, cgminer(served)):
        identity = await avalon.Reader().identify(TARGET)
        assert (await avalon.Reader().read(TARGET, identity)).hashrate > 0
    assert identity.serial == "02010000aabbccdd"
    served = rig(DNA="0000000000000000", HDNA="02010000aabbccde")
    async with serving(TARGET.address, 4028, cgminer(served)):
        with pytest.raises(Failure) as failure:
            await avalon.Reader().read(TARGET, identity)
    assert failure.value.reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize(
    ("version", "text", "serial"),
    [("02010000aabbccdd", "", "02010000aabbccdd"), ("", "0a01", "0a01"), ("0000000000000000", "0000000000000000", "")],
)
async def test_the_dna_is_the_serial_number_wherever_it_is_but_for_zeros(version: str, text: str, serial: str) -> None:
    served = rig(DNA=text)
    served["version"]["VERSION"][0]["DNA"] = version
    async with serving(TARGET.address, 4028, cgminer(served)):
        assert (await avalon.Reader().identify(TARGET)).serial == serial


async def test_a_model_in_oil_has_no_fans() -> None:
    still = {f"Fan{number}": "0" for number in range(1, 5)}
    assert (await read(rig(**still))).fans == ()
    assert [fan.rpm for fan in (await read(rig(**still | {"Fan2": "5000"}))).fans][:2] == [0, 5_000]


async def test_a_rig_without_a_summary_is_read_by_its_statistics() -> None:
    served = rig(GHSspd="199000.50", GHSmm="202000.00", GHSavg="184000.25", Elapsed="975")
    del served["summary"]
    reading = await read(served)
    assert (reading.hashrate, reading.hashrate_window) == (pytest.approx(199.0005e12), None)
    assert (reading.average_hashrate, reading.expected_hashrate) == (pytest.approx(184.00025e12), 202e12)
    assert reading.uptime == 975


async def test_an_a15_has_three_boards_of_160_chips_and_a_limit_below_what_it_draws() -> None:
    chips = {f"PVT_T{board}": " ".join(["66"] * 159 + ["78"]) for board in range(3)}
    rates = {"MGHS": "59400.5 61400.5 63100.5", "MTmax": "77 78 77", "MTavg": "69 70 71", "MH": "0 0 0"}
    works = {f"MW{board}": " ".join(["500"] * 160) for board in range(3)}
    clocks = {f"SF{board}": "300 318 339 360" for board in range(3)}
    supply = {"PS": "0 1209 1187 297 3526 1188 3731", "WALLPOWER": "3731", "MPO": "3515"}
    reading = await read(rig(**chips, **rates, **works, **clocks, **supply))
    assert [(board.chips, board.chip_temperature, board.frequency) for board in reading.boards] == [
        (160, 77, 329.25e6),
        (160, 78, 329.25e6),
        (160, 77, 329.25e6),
    ]
    assert (reading.power, reading.power_limit) == (3731, 3515)
    assert reading.faults == ()


async def test_the_mean_voltage_of_a_boards_chips_is_in_millivolts() -> None:
    """As on the A15; others do not report it."""
    assert [board.voltage for board in (await read(rig(MVavg="285.5 286.25"))).boards] == [0.2855, 0.28625, None]
    assert {board.voltage for board in (await read(rig())).boards} == {None}
