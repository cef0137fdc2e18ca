"""Recorded answers of real rigs, field by field against pyasic and asic-rs: they agree, or a table says who is right.

The recordings are no part of the project: ``HASHMARGIN_CAPTURES`` names their folder. Who is right follows from the
recorded figures themselves: from their sums, their units and the rig's other answers.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from recordings import CAPTURES
from rig_replay import NETWORK, replaying
from test_rig_captures import RECORDED, recorded
from test_rig_second_opinions import NOTHING, by_asicrs, by_pyasic, comparable, differing, with_pages_for_rivals

from exporter.model.fleet import Credentials
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners

SHARES = ("accepted", "active", "pools", "workers")
NO_SUCH_READER = "we: it does not know this maker"
NO_POOLS = dict.fromkeys(SHARES, "we: it reads no pools here")
UNUSED_POOL = "we: a slot without an address is no pool"
OTHER_WINDOW = "both: the average of another window"
NOT_REALISED = "we: it takes the average since start for the present"
BOARD_OFF = "both: it lists the board that is switched off, which we report as a fault"
AIR_FOR_FLUID = "we: `Env Temp` is the air around a rig that is not cooled by liquid"
MODELS_CHIPS = "both: it gives the chips of the model, we only a count of those that work"
LOGIN_AND_ADDRESS = "both: it gives the login with the address that the rig appends, we the configured one"
OTHER_VERSION = "we: it repeats the firmware's version"
RATED = "we: it gives the rating, not what the clocks in force make"
JUDGED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "antminer": {
        "pyasic": {
            "board_hashrates": "we: it asks the web interface for boards, which has none in this recording",
            "chips": "we: the same",
        },
        "asic-rs": {},
    },
    "whatsminer-v2": {
        "pyasic": {NOTHING: "we: it takes the hashrate from `MHS 1m` only, which this release does not have"},
        "asic-rs": {"fluid": AIR_FOR_FLUID},
    },
    "whatsminer-stock": {
        "pyasic": dict.fromkeys(SHARES, UNUSED_POOL),
        "asic-rs": {
            **dict.fromkeys(SHARES, UNUSED_POOL),
            "hashrate": "we: it takes MH/s for H/s where `HS RT` is missing: its boards make a million times more",
            "board_hashrates": NOT_REALISED,
        },
    },
    "whatsminer-v3": {"pyasic": NO_POOLS, "asic-rs": {"fluid": AIR_FOR_FLUID}},
    "bitaxe": {
        "pyasic": {**NO_POOLS, "api_version": OTHER_VERSION, "power": "we: it rounds to whole watts"},
        "asic-rs": {
            "accepted": "we: the rig counts shares for its pools together, so they stand with the pool in use",
            "api_version": OTHER_VERSION,
            "best_share": "we: 0 is no share",
            "voltages": "we: it gives the supply's 5 V for the chip's",
        },
    },
    "luxos": {
        "pyasic": {"hashrate": NOT_REALISED, "board_hashrates": NOT_REALISED},
        "asic-rs": {
            "hashrate": OTHER_WINDOW,
            "board_hashrates": NOT_REALISED,
            "board_serials": "we: it goes by the order of rows, which name their board",
        },
    },
    "vnish": {
        "pyasic": dict.fromkeys(SHARES, "we: it lists the developer's fee as a pool and loses addresses"),
        "asic-rs": {
            **dict.fromkeys(SHARES, "we: it lists the developer's fee as a pool, and a standby pool as in use"),
            "api_version": OTHER_VERSION,
            "board_serials": "we: N/A is no serial number",
            "chips": "we: `stats` on port 4028 counts them",
            "expected_hashrate": "we: it gives the stock firmware's figure; the clocks in force make ours",
            "uptime": "we: it gives that of the system",
        },
    },
    "epic": {
        "pyasic": {
            "board_hashrates": BOARD_OFF,
            "voltages": BOARD_OFF,
            "board_serials": "we: of two serials for three slots nothing says whose they are",
            "chips": MODELS_CHIPS,
            "fans": "we: it has twelve slots for four fans",
            "workers": LOGIN_AND_ADDRESS,
        },
        "asic-rs": {
            **dict.fromkeys(("board_hashrates", "frequencies", "voltages", "board_expected"), BOARD_OFF),
            "board_serials": "we: of two serials for three slots nothing says whose they are",
            "chips": MODELS_CHIPS,
            "expected_hashrate": RATED,
            "workers": LOGIN_AND_ADDRESS,
        },
    },
    "auradine": {
        "pyasic": {**NO_POOLS, "hashrate": "both: it gives the last 5 s, we the last minute", "power": "we: it rounds"},
        "asic-rs": {
            "hashrate": "both: it gives the last 5 s, we the last minute",
            "chips": MODELS_CHIPS,
            "expected_hashrate": RATED,
        },
    },
    "sealminer": {
        "pyasic": {NOTHING: NO_SUCH_READER},
        "asic-rs": {
            "board_hashrates": "we: they make the rig's total",
            "expected_hashrate": RATED,
            "uptime": "both: it gives that of the system, we that of the miner process",
        },
    },
    "proto": {
        "pyasic": {NOTHING: NO_SUCH_READER},
        "asic-rs": {
            "api_version": OTHER_VERSION,
            "board_expected": "both: it divides the rig's rating by its boards",
            "chips": MODELS_CHIPS,
            "power": "both: it gives the rig's own sum, we what its supplies draw",
        },
    },
    "braiins-rest": {
        "pyasic": {NOTHING: "we: it asks port 4028, which this release does not serve"},
        "asic-rs": {
            "board_hashrates": "both: it gives the last 5 s, we the last minute",
            "expected_hashrate": RATED,
            "uptime": "both: it gives that of the system, we that of the miner process",
        },
    },
}


def details_of(model: str, words: str) -> dict[str, Any]:
    """Make up the answer to ``devdetails`` of a recording without one: the rivals take the model from it."""
    status = {"STATUS": "S", "When": 1, "Code": 69, "Msg": "Device Details", "Description": words}
    return {"STATUS": [status], "DEVDETAILS": [{"DEVDETAILS": 0, "ID": 0, "Name": "x", "Model": model}], "id": 1}


def titled(title: str) -> dict[str, Any]:
    """Make up the first page of a web interface: the rivals know the firmware by its title."""
    return {"/": f"<html><head><title>{title}</title></head></html>"}


def web_for_rivals(name: str, folder: Path, pages: Mapping[str, Any]) -> dict[str, Any]:
    """Give the pages on port 80 that only the rivals ask for."""
    match name:
        case "antminer":  # the recorded page is of another model than the other answers
            page = json.loads((folder / "system_info.json").read_text())
            return {"/cgi-bin/get_system_info.cgi": page | {"minertype": "Antminer S19 Pro"}}
        case "vnish":
            return {"/": (folder / "root.html").read_text()}
        case "proto":
            telemetry = json.loads((folder / "telemetry_full.json").read_text())
            return {**titled("Proto OS"), "/api/v1/telemetry?level=miner%2Chashboard%2Cpsu": telemetry}
        case "braiins-rest":
            return {**with_pages_for_rivals(pages, "Antminer S19 XP"), **titled("Braiins OS")}
    titles = {"bitaxe": "AxeOS", "epic": "Miner Web Dashboard"}
    return titled(titles[name]) if name in titles else {}


def commands_for_rivals(name: str, folder: Path) -> dict[str, Any]:
    """Give the answers on port 4028 that only the rivals ask for."""
    match name:
        case "whatsminer-v3":
            firmware = {"api_ver": "3.0.2", "fw_ver": "20251209.16.Rel2"}
            version = {"STATUS": "S", "When": 1, "Code": 131, "Msg": firmware, "Description": "btminer"}
            return {"version": version, "get_version": version}
        case "vnish":
            return answers(folder / ".." / "rpc")
    models = {"whatsminer-v2": "M50S+VK30", "auradine": "AT1500", "sealminer": "A2"}
    words = "btminer" if name.startswith("whatsminer") else ""
    return {"devdetails": details_of(models[name], words)} if name in models else {}


def served(name: str) -> dict[str, Any]:
    """Give a recording's answers, and beside them what only the rivals ask for."""
    reader, kind, path, *_ = RECORDED[name]
    folder = CAPTURES / path
    fixture = copy.deepcopy(recorded(kind, reader, folder))
    if web := web_for_rivals(name, folder, fixture.get("http", {}).get("80", {})):
        fixture.setdefault("http", {}).setdefault("80", {}).update(web)
    if commands := commands_for_rivals(name, folder):
        fixture.setdefault("rpc", {}).update(commands)
    if "v3" in fixture:
        fixture["v3"]["get.device.info miner"] = fixture["v3"]["get.device.info"]
    return fixture


def answers(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


async def ours(target: Target) -> dict[str, Any]:
    async with Miners() as miners:
        identity = await miners.identify(target)
        return comparable(identity, await miners.read(target, identity))


def test_every_recording_is_judged() -> None:
    assert set(JUDGED) == set(RECORDED)


@pytest.mark.recordings
@pytest.mark.parametrize("name", JUDGED)
async def test_recorded_answers_are_read_as_rivals_read_them_or_judged(name: str) -> None:
    target = Target(f"{NETWORK}.{list(RECORDED).index(name) + 101}", Credentials("root", "root"))
    pyasic = PyasicReader(read_deadline=4.0, identify_deadline=10.0)
    try:
        async with replaying(target.address, served(name)):
            known = await ours(target)
            found = {
                "pyasic": differing(known, await by_pyasic(pyasic, target)),
                "asic-rs": differing(known, await by_asicrs(target)),
            }
    finally:
        await pyasic.close()
    assert found == {rival: set(fields) for rival, fields in JUDGED[name].items()}
