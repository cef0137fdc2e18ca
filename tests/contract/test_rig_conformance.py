"""Recorded answers of real rigs, field by field against pyasic and asic-rs: they agree, or here stands who is right.

The recordings are no part of the project: ``HASHMARGIN_CAPTURES`` names their folder. Without one there is nothing to
compare, and no test.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from rig_replay import NETWORK, replaying
from test_rig_captures import CAPTURES, RECORDED, recorded
from test_rig_second_opinions import NOTHING, by_asicrs, by_pyasic, comparable, differing

from exporter.model.fleet import Credentials
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners

FEWER_PAGES = "neither: the recording lacks pages that it asks for, and that we do without"
UNUSED_POOL = "we: a slot without an address is no pool"
OTHER_WINDOW = "both: the average of another window"
JUDGED: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "antminer": {
        "pyasic": {
            "board_hashrates": "we: it asks the web interface only, of which this recording has no statistics",
            "chips": "we: the same",
        },
        "asic-rs": {NOTHING: FEWER_PAGES},
    },
    "whatsminer-stock": {
        "pyasic": dict.fromkeys(("accepted", "active", "pools", "workers"), UNUSED_POOL),
        "asic-rs": {
            **dict.fromkeys(("accepted", "active", "pools", "workers"), UNUSED_POOL),
            "hashrate": "we: it takes MH/s for H/s where `HS RT` is missing",
            "board_hashrates": OTHER_WINDOW,
        },
    },
    "whatsminer-v3": {"pyasic": {NOTHING: FEWER_PAGES}, "asic-rs": {NOTHING: FEWER_PAGES}},
    "bitaxe": {"pyasic": {NOTHING: FEWER_PAGES}, "asic-rs": {NOTHING: FEWER_PAGES}},
    "luxos": {
        "pyasic": {"hashrate": OTHER_WINDOW, "board_hashrates": "we: it takes the average since start for the present"},
        "asic-rs": {
            "hashrate": OTHER_WINDOW,
            "board_hashrates": "we: it takes the average since start for the present",
            "board_serials": "we: it goes by the order of rows, which say of what board they are",
        },
    },
    "vnish": {"pyasic": {NOTHING: FEWER_PAGES}, "asic-rs": {NOTHING: FEWER_PAGES}},
    "epic": {"pyasic": {NOTHING: FEWER_PAGES}, "asic-rs": {NOTHING: FEWER_PAGES}},
}


async def ours(target: Target) -> dict[str, Any]:
    async with Miners() as miners:
        identity = await miners.identify(target)
        return comparable(identity, await miners.read(target, identity))


if CAPTURES.is_dir():  # elsewhere there is no such test: CI takes a skip for a failure

    @pytest.mark.parametrize("name", JUDGED)
    async def test_recorded_answers_are_read_as_rivals_read_them_or_judged(name: str) -> None:
        reader, kind, folder, *_ = RECORDED[name]
        target = Target(f"{NETWORK}.{list(RECORDED).index(name) + 101}", Credentials("root", "root"))
        pyasic = PyasicReader(read_deadline=4.0, identify_deadline=10.0)
        try:
            async with replaying(target.address, recorded(kind, reader, CAPTURES / folder)):
                known = await ours(target)
                found = {
                    "pyasic": differing(known, await by_pyasic(pyasic, target)),
                    "asic-rs": differing(known, await by_asicrs(target)),
                }
        finally:
            await pyasic.close()
        assert found == {rival: set(fields) for rival, fields in JUDGED[name].items()}
