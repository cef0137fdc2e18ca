"""What asic-rs says of one rig, as a line of JSON, in a process of its own: it can abort when an interpreter ends."""

import asyncio
import json
import os
import sys
from typing import Any

UNITS = {"H/s": 1.0, "GH/s": 1e9, "TH/s": 1e12, "PH/s": 1e15}


def rate(value: Any) -> float | None:
    return None if value is None else value["value"] * UNITS[value["unit"]]


async def read(address: str) -> dict[str, Any] | None:
    from pyasic_rs import MinerFactory  # noqa: PLC0415 - only in this process

    miner = await MinerFactory().get_miner(address)
    if miner is None:
        return None
    data = await miner.get_data()
    said = data.model_dump()
    pools = [pool for group in said["pools"] for pool in group["pools"]]
    return {
        "hashrate": rate(said["hashrate"]),
        "expected_hashrate": rate(said["expected_hashrate"]),
        "power": said["wattage"],
        "uptime": None if data.uptime is None else data.uptime.total_seconds(),
        "fans": [fan["rpm"] for fan in said["fans"]],
        "board_hashrates": [rate(board["hashrate"]) for board in said["hashboards"]],
        "chips": [board["working_chips"] for board in said["hashboards"]],
        "pools": [pool["url"].rpartition("/")[2] for pool in pools],
        "workers": [pool["user"] for pool in pools],
        "active": [pool["active"] for pool in pools],
        "accepted": [pool["accepted_shares"] for pool in pools],
        "api_version": said["api_version"],
        "board_serials": [board["serial_number"] for board in said["hashboards"]],
        "board_expected": [rate(board["expected_hashrate"]) for board in said["hashboards"]],
        "frequencies": [board["frequency"] and board["frequency"] * 1e6 for board in said["hashboards"]],
        "voltages": [board["voltage"] for board in said["hashboards"]],
        "power_supply_fan": next((fan["rpm"] for fan in said["psu_fans"]), None),
        "best_share": said["session_best_share"],
        "fault_light": said["light_flashing"],
        "fluid": said["fluid_temperature"],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(read(sys.argv[1]))), flush=True)  # noqa: T201 - its output is its answer
    os._exit(0)
