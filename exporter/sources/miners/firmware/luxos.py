"""LuxOS on Antminers: cgminer's API on 4028 with Luxor's own commands beside it. Hashrate is ``GHS 1m``.

Power is the firmware's estimate where the power supply does not measure (``PSU`` false).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.readings import Fault, RigIdentity, RigReading
from exporter.sources.miners import cgminer, coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import worded_fault
from exporter.sources.miners.transport import rpc

_RATES: Final = ("GHS 1m", "GHS 5m", "GHS 5s")
_BOARDS: Final = 3


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "luxos"
    probe = staticmethod(cgminer.version)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        return "LUXminer" in coerce.first(answer, "VERSION")

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        config = coerce.first(await cgminer.optional(target.address, "config"), "CONFIG")
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=coerce.bitmain_model(config.get("Model") or version.get("Type")),
            firmware="LuxOS",
            firmware_version=coerce.text(version.get("Miner")),
            mac=coerce.mac(config.get("MACAddr")),
            serial=coerce.text(config.get("SerialNumber")),
            hostname=coerce.text(config.get("Hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        address = target.address
        summary = coerce.first(await rpc(address, "summary"), "SUMMARY")
        rows = coerce.items((await cgminer.optional(address, "stats")).get("STATS"))
        stats: Mapping[str, Any] = rows[-1] if rows else {}
        coerce.expect_model(coerce.bitmain_model(rows[0].get("Type")) if rows else "", identity.model)
        expected = coerce.hashrate(stats.get("total_rateideal"), coerce.text(stats.get("rate_unit")) or "GH") or None
        rate = next((summary[key] for key in _RATES if key in summary), None)
        hashrate = coerce.realised(rate, "GH/s", expected)
        power = coerce.first(await cgminer.optional(address, "power"), "POWER")
        pools = await cgminer.optional(address, "pools")
        boards = cgminer.chains(stats, coerce.text(stats.get("rate_unit")) or "GH", _BOARDS)
        fans, fans_expected = cgminer.fans(stats)
        seen = (*cgminer.board_faults(boards), *cgminer.fan_faults(fans)) if hashrate > 0 else ()
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(power.get("Watts")) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            last_share_at=cgminer.last_share(pools),
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            fans=fans,
            fans_expected=fans_expected,
            boards=boards,
            pools=cgminer.pools(pools),
            faults=cgminer.merged(seen, _events(await cgminer.optional(address, "events"))),
        )


def _events(answer: Answer) -> Iterator[Fault]:
    for row in coerce.items(answer.get("EVENTS")):
        board = coerce.count(row.get("ID"), coerce.MAX_ITEMS) if row.get("Target") == "BOARD" else None
        code = coerce.text(row.get("Code"), 64)
        message = f"{code} {coerce.text(row.get('Description'))}"
        yield worded_fault(message, "" if board is None else f"board {board}", code)
