"""Whatsminers with API V2: cgminer's commands on 4028, joined in one question; power is what the power supply says.

Hashrate is ``MHS 1m``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.failures import Failure, Reason
from exporter.readings import Board, Fan, Fault, RigIdentity, RigReading
from exporter.sources.miners import cgminer, coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import whatsminer_faults
from exporter.sources.miners.transport import rpc

_READ: Final = "summary+devs+pools"
_RATES: Final = ("MHS 1m", "MHS 5s", "HS RT", "MHS av")
_FANS: Final = ("Fan Speed In", "Fan Speed Out")


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "whatsminer_v2"
    probe = staticmethod(cgminer.version)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`.

        btminer writes ``STATUS`` as a letter where cgminer has a list.
        """
        return isinstance(answer.get("STATUS"), str) or "btminer" in str(answer).lower()

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        model = coerce.text(coerce.first(await rpc(target.address, "devdetails"), "DEVDETAILS").get("Model"))
        version = coerce.mapping((await rpc(target.address, "get_version")).get("Msg"))
        model = model or coerce.text(version.get("miner_type"))
        info = coerce.mapping((await cgminer.optional(target.address, "get_miner_info")).get("Msg"))
        return RigIdentity(
            reader=self.name,
            make="WhatsMiner",
            model=model.replace("_", " "),
            firmware="Stock",
            firmware_version=coerce.text(version.get("fw_ver")),
            mac=coerce.mac(info.get("mac")),
            serial=coerce.text(info.get("minersn")),
            hostname=coerce.text(info.get("hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        answer = await rpc(target.address, _READ)
        summary = coerce.first(coerce.first(answer, "summary"), "SUMMARY")
        if not summary:
            return await _stopped(target)
        coerce.expect_mac(summary.get("MAC"), identity.mac)
        expected = coerce.hashrate(summary.get("Factory GHS"), "GH/s") or None
        hashrate = coerce.realised(next((summary[key] for key in _RATES if key in summary), None), "MH/s", expected)
        pools = coerce.first(answer, "pools")
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(summary.get("Power")) or None,
            power_limit=coerce.watts(summary.get("Power Limit")) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=_accepted_difficulty(summary, pools),
            last_share_at=cgminer.last_share(pools),
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            temperatures=_temperatures(summary),
            fans=tuple(Fan(index, coerce.rpm(summary[key])) for index, key in enumerate(_FANS) if key in summary),
            boards=tuple(_boards(coerce.first(answer, "devs"))),
            pools=cgminer.pools(pools),
            faults=await _faults(target, summary),
        )


async def _stopped(target: Target) -> RigReading:
    """Read a rig whose miner answers nothing: one that was stopped hashes nothing, anything else is a failure."""
    status = coerce.mapping((await rpc(target.address, "status")).get("Msg"))
    if "true" not in (status.get("mineroff"), status.get("btmineroff")):
        raise Failure(Reason.GARBLED, "no summary in what it answered")
    return RigReading(hashrate=0.0, mining=False)


def _accepted_difficulty(summary: Mapping[str, Any], pools: Answer) -> float | None:
    """Give the total the summary has, else the sum over pools; unknown where one pool does not say."""
    if "Difficulty Accepted" in summary:
        return coerce.counter(summary["Difficulty Accepted"])
    return cgminer.accepted_difficulty(pools)


def _temperatures(summary: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    ambient = coerce.celsius(summary.get("Env Temp"))
    return () if ambient is None else (("ambient", ambient),)


def _boards(devs: Answer) -> Iterator[Board]:
    for position, row in enumerate(coerce.items(devs.get("DEVS"))):
        index = coerce.count(row.get("Slot", row.get("ASC")), coerce.MAX_ITEMS)
        yield Board(
            index=position if index is None else index,
            hashrate=coerce.hashrate(next((row[key] for key in _RATES if key in row), None), "MH/s"),
            temperature=coerce.celsius(row.get("Temperature")),
            chip_temperature=coerce.celsius(row.get("Chip Temp Max", row.get("Chip Temp Avg"))),
            chips=coerce.count(row.get("Effective Chips")),
        )


async def _faults(target: Target, summary: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Translate the vendor's codes: newer firmware has them in the summary, older in an answer of its own."""
    known = coerce.count(summary.get("Error Code Count"), coerce.MAX_ITEMS)
    if known is not None:
        return whatsminer_faults([summary.get(f"Error Code {index}") for index in range(known)])
    message = coerce.mapping((await cgminer.optional(target.address, "get_error_code")).get("Msg"))
    return whatsminer_faults(message.get("error_code"))
