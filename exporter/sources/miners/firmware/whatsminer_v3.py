"""Whatsminers with API V3: JSON with a length before it on 4433. Hashrate is ``hash-1min``."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.failures import Failure, Reason
from exporter.readings import Board, Fan, Pool, RigIdentity, RigReading
from exporter.sources.miners import coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import whatsminer_faults
from exporter.sources.miners.transport import LengthPrefixed, exchange, parse_json

_PORT: Final = 4433
_PERMISSION_DENIED: Final = -4
_STATUS: Final = "get.miner.status"
_DEVICE: Final = "get.device.info"
_RATES: Final = ("hash-1min", "hash-realtime", "hash-average")
_BOARD_RATES: Final = ("hash-realtime", "hash-average")
_FANS: Final = ("fan-speed-in", "fan-speed-out")
_FRAMING: Final = LengthPrefixed()


async def _ask(address: str, command: str, parameter: str = "") -> Mapping[str, Any]:
    """Send one command, give its ``msg``. Raises Failure."""
    question = json.dumps({"cmd": command, "param": parameter} if parameter else {"cmd": command}).encode()
    content = await exchange(address, _PORT, len(question).to_bytes(4, "little") + question, _FRAMING)
    answer = parse_json(content)
    if answer.get("code") == _PERMISSION_DENIED:
        raise Failure(Reason.AUTH, f"this host may not ask it for {command}")
    return coerce.mapping(answer.get("msg"))


async def _device_info(address: str) -> Answer:
    return await _ask(address, _DEVICE)


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "whatsminer_v3"
    probe = staticmethod(_device_info)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        return "type" in coerce.mapping(answer.get("miner"))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        info = await _device_info(target.address)
        miner, network, system = (coerce.mapping(info.get(part)) for part in ("miner", "network", "system"))
        model = coerce.text(miner.get("type"))
        return RigIdentity(
            reader=self.name,
            make="WhatsMiner",
            model=model.replace("_", " "),
            firmware="Stock",
            firmware_version=coerce.text(system.get("fwversion")),
            mac=coerce.mac(network.get("mac")),
            serial=coerce.text(miner.get("miner-sn")),
            hostname=coerce.text(network.get("hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        address = target.address
        summary = coerce.mapping((await _ask(address, _STATUS, "summary")).get("summary"))
        info = await _device_info(address)
        coerce.expect_mac(coerce.mapping(info.get("network")).get("mac"), identity.mac)
        working = coerce.flag(coerce.mapping(info.get("miner")).get("working"))
        expected = coerce.hashrate(summary.get("factory-hash"), "TH/s") or None
        said = next((summary[key] for key in _RATES if key in summary), 0.0 if working is False else None)
        hashrate = coerce.realised(said, "TH/s", expected)
        boards = (await _ask(address, _STATUS, "edevs")).get("edevs")
        ambient = coerce.celsius(summary.get("environment-temperature"))
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(summary.get("power-realtime")) or None,
            power_limit=coerce.watts(summary.get("power-limit")) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(summary.get("elapsed")),
            temperatures=() if ambient is None else (("ambient", ambient),),
            fans=tuple(Fan(index, coerce.rpm(summary[key])) for index, key in enumerate(_FANS) if key in summary),
            boards=tuple(_boards(coerce.items(boards), summary.get("board-temperature"))),
            pools=tuple(_pools(coerce.items((await _ask(address, _STATUS, "pools")).get("pools")))),
            faults=whatsminer_faults(info.get("error-code")),
        )


def _boards(rows: list[Mapping[str, Any]], temperatures: object) -> Iterator[Board]:
    surfaces = temperatures if isinstance(temperatures, list) else []
    for position, row in enumerate(rows):
        index = coerce.count(row.get("id"), coerce.MAX_ITEMS)
        yield Board(
            index=position if index is None else index,
            hashrate=coerce.hashrate(next((row[key] for key in _BOARD_RATES if key in row), None), "TH/s"),
            temperature=coerce.celsius(surfaces[position]) if position < len(surfaces) else None,
            chip_temperature=coerce.celsius(row.get("chip-temp-max")),
            chips=coerce.count(row.get("effective-chips")),
        )


def _pools(rows: list[Mapping[str, Any]]) -> Iterator[Pool]:
    for index, row in enumerate(rows):
        scheme, host = coerce.endpoint(row.get("url"))
        status = row.get("status")
        if host:
            yield Pool(
                index=index,
                host=host,
                scheme=scheme,
                worker=coerce.text(row.get("account")),
                up=status == "alive" if isinstance(status, str) else None,
                active=coerce.flag(row.get("stratum-active")),
            )
