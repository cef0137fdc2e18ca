"""ePIC PowerPlay (UMC OS) on Antminers: HTTP on port 4028, readable without login. Power is the supply's input power.

Hashrate is the sum over the boards now; ``Average MHs`` is since start.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.readings import Board, Fan, Fault, Pool, RigIdentity, RigReading
from exporter.sources.miners import coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import fault, worded_fault
from exporter.sources.miners.transport import RPC_PORT
from exporter.sources.miners.web import get_json

_FANS: Final = 12


async def _ask(address: str, page: str) -> Answer:
    return await get_json(address, f"/{page}", port=RPC_PORT)


async def _capabilities(address: str) -> Answer:
    return await _ask(address, "capabilities")


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "epic"
    probe = staticmethod(_capabilities)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        return "Model" in answer and "Max HBs" in answer

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        capabilities = await _capabilities(target.address)
        summary = await _ask(target.address, "summary")
        network = await _ask(target.address, "network")
        interface = next((coerce.mapping(value) for value in network.values()), {})
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=coerce.bitmain_model(capabilities.get("Model")),
            firmware="ePIC",
            firmware_version=coerce.text(summary.get("Software")),
            mac=coerce.mac(interface.get("mac_address")),
            serial=coerce.text(coerce.mapping(capabilities.get("Control Board Version")).get("cpuSerial")),
            hostname=coerce.text(summary.get("Hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:  # noqa: ARG002 - it never says who it is
        """See :class:`exporter.sources.miners.contract.Reader`."""
        summary = await _ask(target.address, "summary")
        session = coerce.mapping(summary.get("Session"))
        rows = coerce.items(summary.get("HBs"))
        state = coerce.mapping(summary.get("Status"))
        expected = coerce.total([_board_expected(row) for row in rows])
        hashrate = coerce.realised(_rate(rows, session), "MH/s", expected)
        supply = coerce.mapping(summary.get("Power Supply Stats"))
        fans = tuple(_fans(coerce.mapping(summary.get("Fans Rpm"))))
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(supply.get("Input Power")) or None,
            power_limit=coerce.watts(coerce.mapping(summary.get("PresetInfo")).get("Target Power")) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(session.get("Uptime")),
            fans=fans,
            boards=tuple(_board(row) for row in rows),
            pools=tuple(_pools(summary, session)),
            faults=tuple(_faults(state, coerce.items(summary.get("HBStatus")))),
        )


def _rate(rows: list[Mapping[str, Any]], session: Mapping[str, Any]) -> object:
    """Sum the boards in MH/s; where one does not say, give the average that the session has."""
    rates = [_board_rate(row) for row in rows]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known and len(known) == len(rates) else session.get("Average MHs")


def _board_rate(row: Mapping[str, Any]) -> float | None:
    said = row.get("Hashrate")
    return coerce.number(said[0], 0, math.inf) if isinstance(said, list) and said else None


def _board_expected(row: Mapping[str, Any]) -> float | None:
    """Give what a board should do at its clock in H/s, from what it does and the percentage that this is."""
    rate, said = _board_rate(row), row.get("Hashrate")
    share = coerce.number(said[1], 1, 1_000) if isinstance(said, list) and len(said) > 1 else None
    return None if rate is None or share is None else coerce.hashrate(rate / share * 100, "MH/s")


def _board(row: Mapping[str, Any]) -> Board:
    return Board(
        index=coerce.count(row.get("Index"), coerce.MAX_ITEMS) or 0,
        hashrate=coerce.hashrate(_board_rate(row), "MH/s"),
        temperature=coerce.celsius(row.get("Temperature")),
    )


def _fans(speeds: Mapping[str, Any]) -> Iterator[Fan]:
    for number in range(1, _FANS + 1):
        speed = coerce.rpm(speeds.get(f"Fans Speed {number}"))
        if speed is not None:
            yield Fan(number - 1, speed)


def _pools(summary: Answer, session: Mapping[str, Any]) -> Iterator[Pool]:
    """Give the configured pools; the share totals are of the session, so they stand with the pool in use."""
    stratum = coerce.mapping(summary.get("Stratum"))
    current = coerce.count(stratum.get("Config Id"), coerce.MAX_ITEMS)
    for index, row in enumerate(coerce.items(summary.get("StratumConfigs"))):
        scheme, host = coerce.endpoint(row.get("pool"))
        active = None if current is None else index == current
        yield Pool(
            index=index,
            host=host,
            scheme=scheme or "stratum+tcp",
            worker=coerce.text(row.get("login")),
            up=coerce.flag(stratum.get("IsPoolConnected")) if active else None,
            active=active,
            accepted=coerce.counter(session.get("Accepted")) if active else None,
            rejected=coerce.counter(session.get("Rejected")) if active else None,
        )


def _faults(state: Mapping[str, Any], boards: list[Mapping[str, Any]]) -> Iterator[Fault]:
    last = coerce.text(state.get("Last Error"), 64)
    if last:
        yield worded_fault(last)
    for row in boards:
        board = f"board {coerce.count(row.get('Index'), coerce.MAX_ITEMS)}"
        if row.get("Detected") is False:
            yield fault("board_missing", board, "not detected")
        elif row.get("Enabled") is False:
            yield fault("board_hashrate", board, "disabled")
