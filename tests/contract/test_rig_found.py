"""Recorded answers found in public material, and what is in them: model, hashrate, power, boards, fans and faults.

They are no part of the project: the folder ``found`` beside the other recordings has them, as fixtures. What is right
follows from the recorded figures themselves and from what their owners wrote of them. Where pyasic and asic-rs read
them, every field that they have is compared: it agrees, or a table says who is right.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from recordings import CAPTURES
from rig_replay import NETWORK, replaying
from test_rig_conformance import ours, titled
from test_rig_second_opinions import (
    NOTHING,
    by_asicrs,
    by_pyasic,
    differing,
    opinion,
    with_pages_for_rivals,
)

from exporter.model.fleet import Credentials
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners

FOUND = {path.stem: path for path in sorted((CAPTURES / "found").glob("*.json"))}


class Right(NamedTuple):
    """What a recording says."""

    reader: str
    model: str
    terahash: float
    watts: float | None
    boards: int
    fans: tuple[int, ...]
    pools: int
    faults: tuple[str, ...] = ()


RIGHT: Mapping[str, Right] = {
    "avalon-10xx-2": Right("avalon", "Avalon 1047", 0.0, None, 2, (2896, 2927), 3),
    "avalon-10xx": Right("avalon", "Avalon 1047", 28.134, None, 2, (2896, 2927), 3),
    "avalon-1566": Right("avalon", "Avalon 1566", 199.241, 3731.0, 3, (4275, 4282), 3),
    "avalon-mini3": Right("avalon", "Avalon Mini3", 37.21, 824.0, 1, (3000,), 0),
    "avalon-nano3": Right("avalon", "Avalon Nano3", 2.631, 89.0, 1, (3030,), 0),
    "braiins-v25-07": Right("braiins_rest", "S19 XP", 144.009, 3137.0, 3, (5904, 5874, 5874, 5904), 2),
    "braiins-v25-11": Right("braiins_rest", "S19 XP", 119.995, 2472.0, 3, (5879, 5819, 5909, 5909), 2),
    "braiins-v26-04": Right("braiins_rest", "S21 Pro", 247.351, 3480.0, 3, (5943, 5943, 5943, 5973), 2),
    "m20s-new-firmware": Right("whatsminer_v2", "M20SV20", 67.266, 3491.0, 3, (4950, 4920), 2),
    "m20s-old-firmware": Right("whatsminer_v2", "M20SV10", 65.464, None, 0, (4590, 4560), 2),
    "m3": Right("whatsminer_v2", "M3V1", 12.239, None, 0, (5730, 5880), 3),
    "m31s-new-firmware-2": Right(
        "whatsminer_v2",
        "M31SV10",
        77.909,
        3553.0,
        3,
        (5700, 0),
        3,
        ("fan_speed fan 0 110", "fan_speed fan 1 111", "fan_speed fan 1 131"),
    ),
    "m31s-new-firmware": Right(
        "whatsminer_v2",
        "M31SV10",
        97.879,
        3496.0,
        3,
        (3870, 3930),
        1,
        ("psu_input_voltage psu 206", "hashrate_low  2320"),
    ),
    "m31s-sleeping": Right(
        "whatsminer_v2", "M31SV10", 85.163, 3230.0, 3, (2370, 2430), 3, ("psu_overcurrent psu 205",)
    ),
    "m60s-2026": Right("whatsminer_v2", "unknown", 140.544, 3173.5, 3, (3764, 3735), 0),
    "s17-sleeping": Right("antminer", "S17+", 0.0, None, 3, (), 3),
    "s19-88-msk": Right("antminer", "S19 No PIC", 99.99, 3358.0, 3, (5010, 5160, 5070, 5040), 3),
    "s19-overheating-2": Right("antminer", "S19 Pro", 0.0, None, 3, (6000, 5880, 6120, 6120), 3),
    "s19-really-cold": Right("antminer", "S19 Pro", 110.787, None, 3, (5520, 5400, 5040, 5040), 1),
    "s19-sleeping": Right("antminer", "S19", 0.0, None, 3, (1560, 1560, 600, 720), 3),
    "s19-stock-2023": Right("antminer", "S19", 88.422, None, 3, (4080, 4380, 3750, 3690), 3),
    "s19-vnish-1-2-6-failed": Right("vnish", "S19", 0.0, None, 0, (), 0, ("config_invalid  1002",)),
    "s19jpro-vnish-1-2-0-rc3": Right("vnish", "S19j Pro", 54.479, 2631.0, 3, (5820, 5880, 5850, 5790), 2),
    "s19xp-vnish-1-2-0": Right("vnish", "S19 XP", 140.259, None, 3, (2790, 2850, 2940, 2910), 3),
    "s9-asicseer": Right("antminer", "S9", 13.402, None, 3, (2880, 3840), 3),
    "s9-bad-temps": Right("antminer", "S9", 13.884, None, 3, (3720, 2400), 2),
    "s9-bos-2019": Right("antminer", "S9", 13.816, None, 3, (3360, 4440), 0),
    "s9-hiveon-two-boards": Right("antminer", "S9", 5.905, 456.8, 3, (4080, 4920), 0, ("board_missing board 2",)),
    "s9-hiveon": Right("antminer", "S9", 11.781, 34.6, 3, (3840, 4920), 3),
    "s9-mskminer": Right("antminer", "S9 Pro", 9.04, 967.5, 3, (5280,), 3),
    "s9-nicehash": Right("vnish", "S9", 12.795, 1485.0, 3, (5400, 5880), 3),
    "s9k": Right("antminer", "S9k", 14.359, None, 3, (2280, 3720), 3),
    "t15": Right("antminer", "T15", 21.616, None, 3, (2880, 2880), 1),
    "t17-sleeping": Right("antminer", "T17+", 0.0, None, 3, (), 3),
    "whatsminer-2023": Right("whatsminer_v2", "M30SV10", 124.5, 3200.0, 3, (5400, 5280), 3),
    "whatsminer-2021": Right("whatsminer_v2", "M50SV10", 67.439, 3417.0, 3, (6450, 6480), 3),
    "avalon-1066": Right("avalon", "Avalon 1066", 0.0, None, 3, (6206, 6171, 6126, 6126), 0),
    "avalon-1126pro": Right("avalon", "Avalon 1126Pro", 40.587, None, 2, (6757, 6617, 6582, 6757), 0),
    "avalon-q-standby": Right("avalon", "Avalon Q", 0.0, 17.0, 0, (0, 0, 0, 0), 0),
    "bitaxe-bm1372-duo": Right("bitaxe", "1201", 5.521, 58.1, 1, (1683,), 2),
    "bitforge-nano-v1-0": Right("bitaxe", "Nano", 2.592, 40.8, 1, (3651,), 2),
    "bmm100": Right("braiins", "BMM 100", 1.474, None, 1, (1973,), 3),
    "hammer-bc01": Right("bitaxe", "BC01", 1.62, 23.8, 1, (4558,), 2),
    "m30s-plus-2022": Right("whatsminer_v2", "M30S+", 86.361, 3593.0, 3, (4530, 4530), 1, ("sensor_failed  329",)),
    "nerdqaxe-v1-1-0": Right("bitaxe", "NerdQAxe++ TPS546", 6.053, 103.1, 1, (2161, 0), 2),
    "nerdqaxe-v1-1-0-beta1": Right("bitaxe", "NerdQAxe++", 5.511, 103.0, 1, (1796, 1557), 2),
    "s19-88-vnish-1-2-6-immersion": Right("vnish", "S19 No PIC", 63.851, None, 3, (0, 0, 0, 0), 1),
    "s19jpro-2021": Right("antminer", "S19j Pro", 102.233, None, 3, (5760, 5880, 5880, 5880), 0),
    "s19jpro-vnish-rc5-immersion": Right("vnish", "S19j Pro", 0.0, 146.0, 3, (0, 0, 0, 0), 3),
    "s19kpro-vnish-1-3-3": Right("vnish", "S19k Pro", 22.977, 683.0, 0, (3000, 3010), 2),
    "s19pro-plus-web-2023": Right("antminer", "S19 Pro+", 121.056, None, 3, (3270, 3420, 3510, 3510), 0),
    "s21plus-hydro-vnish-1-2-8": Right("vnish", "S21+ Hyd.", 420.23, None, 1, (0,), 0),
    "s21pro-stock-2025": Right("antminer", "S21 Pro", 251.471, None, 3, (6570, 6570, 6450, 6450), 3),
    "s21pro-vnish-1-3-4-rpc": Right("vnish", "S21 Pro", 162.987, 3342.0, 3, (6390, 6420, 6270, 6240), 3),
    "s9-bosminer-2020": Right("braiins", "S9", 13.9, 1419.0, 0, (5340, 4620, 0, 0), 0),
    "whatsminer-api1-2022": Right("whatsminer_v2", "M30SV10", 54.747, 3412.0, 0, (6840, 6840), 0),
}


@pytest.mark.recordings
@pytest.mark.parametrize("name", FOUND)
async def test_a_recording_that_was_found_is_read_right(name: str) -> None:
    target = Target(f"{NETWORK}.{list(FOUND).index(name) + 160}", Credentials("root", "root"))
    async with replaying(target.address, json.loads(FOUND[name].read_text())), Miners() as miners:
        identity = await miners.identify(target)
        reading = await miners.read(target, identity)
    assert name in RIGHT, "say in RIGHT what is in it"
    assert (
        Right(
            identity.reader,
            identity.model,
            round(reading.hashrate / 1e12, 3),
            None if reading.power is None else round(reading.power, 1),
            len(reading.boards),
            tuple(int(fan.rpm or 0) for fan in reading.fans),
            len(reading.pools),
            tuple(f"{fault.code} {fault.component} {fault.vendor_code}".strip() for fault in reading.faults),
        )
        == RIGHT[name]
    )


SHARES = ("accepted", "active", "pools", "workers")
UNKNOWN = {NOTHING: "neither: it knows such a rig by an answer that was not recorded"}
NO_RATE_FOR_IT = {NOTHING: "neither: it takes the hashrate from an answer that was not recorded"}
NO_1M = {NOTHING: "we: it takes the hashrate from `MHS 1m` only, which this release does not have"}
NO_4028 = {NOTHING: "we: it asks port 4028, which this release does not serve"}
WINDOW = "both: the average of another window"
NO_RATE = "we: it reports none, which `MHS 1m`, `MHS av` or `GHSspd` has"
NO_BOARDS = "we: it lists boards without values, where the rig lists those or none"
SINCE_START = "we: it gives the boards' average since start for the present"
ONE_MANAGER = "we: it makes a third board, with the rig's mean clock"
OUTPUT = "we: it takes another number of `PS` for what the supply draws"
RATED = "we: it gives the rating, not what the clocks in force make"
OF_SYSTEM = "both: it gives that of the system, we that of the miner process"
FEE = "we: it lists the developer's fee as a pool"
AIR_FOR_FLUID = "we: `Env Temp` is the air around a rig that is not cooled by liquid"
OTHER_VERSION = "we: it repeats the firmware's version or cgminer's"
AVALON_10XX = {
    "board_hashrates": SINCE_START,
    "chips": "both: it counts those that work, we the list of chips; and a slot without a board has none",
    "frequencies": ONE_MANAGER,
    "hashrate": NO_RATE,
    "power": "we: 0 W is no power",
}
WHATSMINER_EDEVS = {"board_hashrates": NO_BOARDS, "chips": NO_BOARDS}
NO_4028_RS = {NOTHING: "we: it asks GraphQL and REST only"}
BY_CORES = "we: cores times clock make it"
SECOND_FAN = "we: it loses `fanrpm2`"
ESTATS_ONLY = dict.fromkeys(("chips", "expected_hashrate", "fans", "hashrate", "uptime"), "we: `estats` has it")
AXEOS = {**dict.fromkeys(SHARES, "we: it reads no pools here"), "api_version": OTHER_VERSION}
AXEOS_RS = {
    "accepted": "we: the rig counts shares for its pools together, so they stand with the pool in use",
    "api_version": OTHER_VERSION,
    "voltages": "we: it gives the supply's for the chip's",
}
BRAIINS = {"board_hashrates": WINDOW, "expected_hashrate": RATED}
# By recording, what pyasic and asic-rs say otherwise.
JUDGED: Mapping[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    **dict.fromkeys(("m60s-2026", "s19-88-msk", "s9-bos-2019", "s9-mskminer", "s9k"), (UNKNOWN, UNKNOWN)),
    **dict.fromkeys(
        (
            *("s17-sleeping", "s19-overheating-2", "s19-really-cold", "s19-sleeping", "s9-bad-temps"),
            *("s9-hiveon-two-boards", "s9-hiveon", "t15", "t17-sleeping"),
        ),
        (NO_RATE_FOR_IT, UNKNOWN),
    ),
    "avalon-10xx-2": (NO_RATE_FOR_IT, AVALON_10XX),
    "avalon-10xx": (NO_RATE_FOR_IT, AVALON_10XX),
    "avalon-1566": (
        {"hashrate": WINDOW},
        {"hashrate": WINDOW, "board_hashrates": SINCE_START, "power": OUTPUT},
    ),
    "avalon-mini3": (
        NO_RATE_FOR_IT,
        {
            **dict.fromkeys(("board_hashrates", "chips"), "we: it lists no board, where `MGHS` has one"),
            "fans": "we: it loses the one that turns",
            "hashrate": NO_RATE,
            "power": OUTPUT,
            "uptime": "we: it reads the row around the text, which is made up in this recording",
        },
    ),
    "avalon-nano3": (NO_RATE_FOR_IT, {"hashrate": NO_RATE, "power": "we: it takes hundredths of a volt for watts"}),
    "braiins-v25-07": (NO_4028, {**BRAIINS, "hashrate": WINDOW}),
    "braiins-v25-11": (NO_4028, {**BRAIINS, "uptime": OF_SYSTEM}),
    "braiins-v26-04": (NO_4028, {**BRAIINS, "uptime": OF_SYSTEM}),
    "m20s-new-firmware": (
        UNKNOWN,
        {
            **dict.fromkeys(("expected_hashrate", "fans", "hashrate", "power", "uptime"), "we: it loses the summary"),
            "board_hashrates": SINCE_START,
        },
    ),
    "m20s-old-firmware": (UNKNOWN, {**WHATSMINER_EDEVS, "hashrate": NO_RATE}),
    "m3": (UNKNOWN, {"hashrate": NO_RATE}),
    "m31s-new-firmware-2": (UNKNOWN, {**WHATSMINER_EDEVS, "hashrate": WINDOW, "fluid": AIR_FOR_FLUID}),
    "m31s-new-firmware": (UNKNOWN, {**WHATSMINER_EDEVS, "hashrate": WINDOW}),
    "m31s-sleeping": (UNKNOWN, {**WHATSMINER_EDEVS, "hashrate": NO_RATE, "fluid": AIR_FOR_FLUID}),
    "s19-stock-2023": (
        dict.fromkeys(("expected_hashrate", "fans", "uptime"), "we: `stats.cgi` has it"),
        {
            **dict.fromkeys(("expected_hashrate", "fans", "uptime"), "we: `stats.cgi` has it"),
            **WHATSMINER_EDEVS,
        },
    ),
    "s19-vnish-1-2-6-failed": (
        UNKNOWN,
        {
            **dict.fromkeys(SHARES, FEE),
            "api_version": OTHER_VERSION,
            **WHATSMINER_EDEVS,
            **dict.fromkeys(("expected_hashrate", "power"), "we: 0 is not measured"),
            "uptime": OF_SYSTEM,
        },
    ),
    "s19jpro-vnish-1-2-0-rc3": (
        UNKNOWN,
        {
            **dict.fromkeys(SHARES, FEE),
            "api_version": OTHER_VERSION,
            "chips": "we: `chip_statuses` counts them",
            "uptime": OF_SYSTEM,
        },
    ),
    "s19xp-vnish-1-2-0": (
        {
            **dict.fromkeys(SHARES, FEE),
            "api_version": "it: cgminer's `version` has it, which we take for no version of VNish's own API",
            **WHATSMINER_EDEVS,
        },
        UNKNOWN,
    ),
    "s9-asicseer": ({}, UNKNOWN),
    "s9-nicehash": (
        {
            **dict.fromkeys(SHARES, FEE),
            "api_version": "it: cgminer's `version` has it, which we take for no version of VNish's own API",
            "power": "we: the boards' `chain_consumption` add up to it",
        },
        UNKNOWN,
    ),
    "whatsminer-2023": (NO_1M, {"fluid": AIR_FOR_FLUID}),
    "whatsminer-2021": (
        {NOTHING: "we: it finds no hashrate in a summary that has `MHS 1m`"},
        {
            "api_version": "both: it leaves out the words before the number",
            **dict.fromkeys(("board_hashrates", "chips"), "we: it loses the boards, which `devs` lists"),
        },
    ),
    "avalon-1066": (NO_RATE_FOR_IT, ESTATS_ONLY),
    "avalon-1126pro": (NO_RATE_FOR_IT, {**ESTATS_ONLY, "board_hashrates": NO_BOARDS}),
    "avalon-q-standby": (NO_RATE_FOR_IT, {**ESTATS_ONLY, "board_hashrates": NO_BOARDS, "power": NO_RATE}),
    "bitaxe-bm1372-duo": (
        {
            **AXEOS,
            **dict.fromkeys(("board_hashrates", "chips", "expected_hashrate", "fans"), "we: it knows no such board"),
        },
        {**AXEOS_RS, "chips": "we: `hashrateMonitor` lists them"},
    ),
    "bitforge-nano-v1-0": (AXEOS, {**AXEOS_RS, "expected_hashrate": BY_CORES}),
    "bmm100": (
        dict.fromkeys((*SHARES, "board_hashrates", "chips", "expected_hashrate", "fans"), "we: it asks gRPC"),
        NO_4028_RS,
    ),
    "hammer-bc01": (AXEOS, {**AXEOS_RS, "expected_hashrate": BY_CORES}),
    "m30s-plus-2022": (NO_1M, {**WHATSMINER_EDEVS, "fluid": AIR_FOR_FLUID, "hashrate": WINDOW}),
    "nerdqaxe-v1-1-0": (
        {**AXEOS, "fans": SECOND_FAN},
        {**AXEOS_RS, "expected_hashrate": BY_CORES, "fans": SECOND_FAN},
    ),
    "nerdqaxe-v1-1-0-beta1": (
        {**AXEOS, **dict.fromkeys(("board_hashrates", "hashrate"), WINDOW), "fans": SECOND_FAN},
        {
            **AXEOS_RS,
            **dict.fromkeys(("board_hashrates", "hashrate"), WINDOW),
            "expected_hashrate": BY_CORES,
            "fans": SECOND_FAN,
        },
    ),
    "s19-88-vnish-1-2-6-immersion": (
        UNKNOWN,
        {
            **dict.fromkeys(SHARES, FEE),
            "api_version": OTHER_VERSION,
            **dict.fromkeys(
                ("board_hashrates", "chips"), "we: it does not know the model S19 (88), and lists no boards"
            ),
            "expected_hashrate": RATED,
            "power": "we: 0 is not measured",
            "uptime": OF_SYSTEM,
        },
    ),
    "s19jpro-2021": (NO_RATE_FOR_IT, UNKNOWN),
    "s19jpro-vnish-rc5-immersion": (
        UNKNOWN,
        {
            **dict.fromkeys(SHARES, FEE),
            "api_version": OTHER_VERSION,
            **dict.fromkeys(("board_expected", "frequencies"), "we: 0 is not measured"),
            "chips": "we: `chip_statuses` counts them",
        },
    ),
    "s19kpro-vnish-1-3-3": (
        UNKNOWN,
        {
            "active": "we: a pool that would work is not the one in use",
            "api_version": OTHER_VERSION,
            **WHATSMINER_EDEVS,
            "expected_hashrate": RATED,
            "uptime": OF_SYSTEM,
        },
    ),
    "s19pro-plus-web-2023": (
        dict.fromkeys(("expected_hashrate", "fans", "uptime"), "we: `stats.cgi` has it"),
        dict.fromkeys(
            ("board_hashrates", "chips", "expected_hashrate", "fans", "hashrate", "uptime"), "we: `stats.cgi` has it"
        ),
    ),
    "s21plus-hydro-vnish-1-2-8": (
        UNKNOWN,
        {
            "api_version": OTHER_VERSION,
            **dict.fromkeys(
                ("board_expected", "board_hashrates", "frequencies", "voltages"), "both: it lists boards without values"
            ),
            "chips": "we: `chip_statuses` counts them",
            "expected_hashrate": RATED,
            "fluid": "both: it gives the inlet, for which we have a name",
            "hashrate": "we: `instant_hashrate` has it",
        },
    ),
    "s21pro-stock-2025": (NO_RATE_FOR_IT, UNKNOWN),
    "s21pro-vnish-1-3-4-rpc": (UNKNOWN, UNKNOWN),
    "s9-bosminer-2020": (
        {
            **dict.fromkeys(("board_hashrates", "chips"), NO_BOARDS),
            "fans": "both: it leaves out the two that never turned, as our poller does",
        },
        NO_4028_RS,
    ),
    "whatsminer-api1-2022": (UNKNOWN, WHATSMINER_EDEVS),
}


def served(name: str) -> dict[str, Any]:
    """Give a recording's answers, and beside them the pages that only the rivals ask for."""
    fixture: dict[str, Any] = copy.deepcopy(json.loads(FOUND[name].read_text()))
    pages = fixture.get("http", {}).get("80", {})
    if RIGHT[name].reader == "braiins_rest":
        pages = with_pages_for_rivals(pages, f"Antminer {RIGHT[name].model}") | titled("Braiins OS")
    elif pages and RIGHT[name].reader == "vnish":
        pages = titled("AnthillOS") | pages
    elif RIGHT[name].reader == "bitaxe":
        pages = titled("AxeOS") | pages
    return fixture | ({"http": {"80": pages}} if pages else {})


def test_every_recording_that_was_found_is_judged() -> None:
    assert set(JUDGED) == set(RIGHT)


@pytest.mark.recordings
@pytest.mark.parametrize("name", FOUND)
async def test_a_recording_that_was_found_is_read_as_rivals_read_it_or_judged(name: str) -> None:
    target = Target(f"{NETWORK}.{list(FOUND).index(name) + 100}", Credentials("root", "root"))
    pyasic = PyasicReader(read_deadline=4.0, identify_deadline=10.0)
    by_name = dict(zip(("pyasic", "asic-rs"), JUDGED[name], strict=True))
    try:
        async with replaying(target.address, json.loads(FOUND[name].read_text())):
            known = await ours(target)
        async with replaying(target.address, served(name)):
            theirs = {
                "pyasic": await opinion(lambda: by_pyasic(pyasic, target), by_name["pyasic"]),
                "asic-rs": await opinion(lambda: by_asicrs(target), by_name["asic-rs"]),
            }
    finally:
        await pyasic.close()
    found = {rival: differing(known, said) for rival, said in theirs.items()}
    assert found == {rival: set(fields) for rival, fields in by_name.items()}
