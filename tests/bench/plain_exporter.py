"""The exporter that most people would write: pyasic's ``get_data`` and prometheus-client, all rigs in rounds.

``python -m tests.bench.plain_exporter PORT ADDRESS...``
"""

import asyncio
import logging
import sys
from typing import Any

import pyasic
from prometheus_client import Counter, Gauge, start_http_server

INTERVAL = 30.0  # s between the starts of two rounds

_RIG = ("rig",)
_HASHRATE = Gauge("rig_hashrate_terahash", "Hashrate.", _RIG)
_POWER = Gauge("rig_power_watts", "Power.", _RIG)
_UPTIME = Gauge("rig_uptime_seconds", "Uptime.", _RIG)
_FAN = Gauge("rig_fan_rpm", "Speed of a fan.", ("rig", "fan"))
_BOARD_HASHRATE = Gauge("rig_board_hashrate_terahash", "Hashrate of a board.", ("rig", "board"))
_BOARD_TEMPERATURE = Gauge("rig_board_temperature_celsius", "Temperature of a board.", ("rig", "board"))
_BOARD_CHIPS = Gauge("rig_board_chips", "Chips of a board.", ("rig", "board"))
_POLLS = Counter("rig_polls", "Polls that succeeded.", _RIG)


def _set(gauge: Gauge, value: Any, *labels: object) -> None:
    if value is not None:
        gauge.labels(*labels).set(float(value))


async def _poll(rig: str, miners: dict[str, Any]) -> None:
    if rig not in miners:
        miners[rig] = await pyasic.get_miner(rig)
    data = await miners[rig].get_data()
    _set(_HASHRATE, data.hashrate, rig)
    _set(_POWER, data.wattage, rig)
    _set(_UPTIME, data.uptime, rig)
    for number, fan in enumerate(data.fans):
        _set(_FAN, fan.speed, rig, number)
    for board in data.hashboards:
        _set(_BOARD_HASHRATE, board.hashrate, rig, board.slot)
        _set(_BOARD_TEMPERATURE, board.temp, rig, board.slot)
        _set(_BOARD_CHIPS, board.chips, rig, board.slot)
    _POLLS.labels(rig).inc()


async def main(port: int, rigs: list[str]) -> None:
    """Poll all rigs at each interval, for ever."""
    logging.disable(logging.CRITICAL)
    start_http_server(port, "127.0.0.1")
    miners: dict[str, Any] = {}
    while True:
        due = asyncio.get_running_loop().time() + INTERVAL
        await asyncio.gather(*(_poll(rig, miners) for rig in rigs), return_exceptions=True)
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
