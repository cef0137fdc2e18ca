"""VNish (AnthillOS) on Antminers: one page of JSON on port 80, readable without login, and cgminer's summary on 4028.

Hashrate is ``hr_realtime``; power is the firmware's ``power_consumption``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.readings import Board, Fan, Fault, Pool, RigIdentity, RigReading
from exporter.sources.miners import cgminer, coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import fault, worded_fault
from exporter.sources.miners.web import get_json

_INFO: Final = "/api/v1/info"
_SUMMARY: Final = "/api/v1/summary"
_OWN_POOLS: Final = "DevFee"
_POOL_STATES: Final = {"active": (True, True), "working": (True, False), "offline": (False, False)}  # up, active


async def _info(address: str) -> Answer:
    return await get_json(address, _INFO)


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "vnish"
    probe = staticmethod(_info)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        bitcoin = coerce.text(answer.get("algorithm")).lower() in ("", "sha256", "sha256d")
        return bitcoin and coerce.text(answer.get("fw_name")).lower() in ("vnish", "anthillos")

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        info = await _info(target.address)
        network = coerce.mapping(coerce.mapping(info.get("system")).get("network_status"))
        serial = coerce.text(info.get("serial"))
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=coerce.bitmain_model(info.get("miner")),
            firmware="VNish",
            firmware_version=coerce.text(info.get("fw_version")),
            mac=coerce.mac(network.get("mac")),
            serial="" if serial == "N/A" else serial,
            hostname=coerce.text(network.get("hostname")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        miner = coerce.mapping((await get_json(target.address, _SUMMARY)).get("miner"))
        coerce.expect_model(coerce.bitmain_model(miner.get("miner_type")), identity.model)
        summary = coerce.first(await cgminer.optional(target.address, "summary"), "SUMMARY")
        expected = coerce.hashrate(miner.get("hr_nominal"), "GH/s") or None
        stopped = coerce.mapping(miner.get("miner_status")).get("miner_state") in ("stopped", "failure")
        hashrate = coerce.realised(miner.get("hr_realtime", 0.0 if stopped else None), "GH/s", expected)
        cooling = coerce.mapping(miner.get("cooling"))
        chains = coerce.items(miner.get("chains"))
        own = [row for row in coerce.items(miner.get("pools")) if row.get("pool_type") != _OWN_POOLS]
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(miner.get("power_consumption", miner.get("power_usage"))) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=coerce.total([coerce.counter(row.get("diffa")) for row in own]),
            hardware_errors=coerce.counter(miner.get("hw_errors")),
            fans=tuple(_fan(index, row) for index, row in enumerate(coerce.items(cooling.get("fans")))),
            fans_expected=coerce.count(cooling.get("fan_num"), coerce.MAX_ITEMS),
            boards=tuple(_board(index, row) for index, row in enumerate(chains)),
            pools=tuple(_pool(index, row) for index, row in enumerate(own)),
            faults=tuple(_faults(miner, chains, coerce.items(cooling.get("fans")))),
        )


def _fan(index: int, row: Mapping[str, Any]) -> Fan:
    return Fan(index, coerce.rpm(row.get("rpm")))


def _board(index: int, row: Mapping[str, Any]) -> Board:
    chips = [coerce.count(number) or 0 for number in coerce.mapping(row.get("chip_statuses")).values()]
    return Board(
        index=index,
        hashrate=coerce.hashrate(row.get("hashrate_rt"), "GH/s"),
        temperature=coerce.celsius(coerce.mapping(row.get("pcb_temp")).get("max")),
        chip_temperature=coerce.celsius(coerce.mapping(row.get("chip_temp")).get("max")),
        chips=sum(chips) if chips else None,
    )


def _pool(index: int, row: Mapping[str, Any]) -> Pool:
    scheme, host = coerce.endpoint(row.get("url"))
    up, active = _POOL_STATES.get(coerce.text(row.get("status")), (None, None))
    return Pool(
        index=index,
        host=host,
        scheme=scheme or "stratum+tcp",
        worker=coerce.text(row.get("user")),
        up=up,
        active=active,
        accepted=coerce.counter(row.get("accepted")),
        rejected=coerce.counter(row.get("rejected")),
        stale=coerce.counter(row.get("stale")),
    )


def _faults(
    miner: Mapping[str, Any], chains: list[Mapping[str, Any]], fans: list[Mapping[str, Any]]
) -> Iterator[Fault]:
    status = coerce.mapping(miner.get("miner_status"))
    if status.get("miner_state") == "failure":
        yield worded_fault(
            coerce.text(status.get("description")), vendor_code=str(status.get("failure_code", "failure"))
        )
    for index, row in enumerate(chains):
        state = coerce.mapping(row.get("status"))
        word = coerce.text(state.get("state"), 64)
        if word in ("failure", "disconnected"):
            yield worded_fault(f"board {word}: {coerce.text(state.get('description'))}", f"board {index}", word)
    for index, row in enumerate(fans):
        if row.get("status") not in (None, "ok"):
            yield fault("fan_failed", f"fan {index}", coerce.text(row.get("status"), 64))
