"""Braiins OS+ up to the releases that still serve cgminer's API on 4028: BOSminer answers it all joined, without login.

Hashrate is ``MHS 1m``; power is the tuner's estimate. That API has no MAC address.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.failures import Failure, Reason
from exporter.readings import Board, Fan, Fault, RigIdentity, RigReading
from exporter.sources.miners import cgminer, coerce
from exporter.sources.miners.contract import Answer, Target
from exporter.sources.miners.faults import worded_fault
from exporter.sources.miners.transport import rpc

_READ: Final = "summary+devs+devdetails+temps+fans+tunerstatus+pools"
_WELL: Final = ("Stable", "Testing performance profile", "Tuning individual chips")


class Reader:
    """See :class:`exporter.sources.miners.contract.NativeReader`."""

    name = "braiins"
    probe = staticmethod(cgminer.version)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.miners.contract.NativeReader`."""
        return not {"BOSer", "BOSminer", "BOSminer+"}.isdisjoint(coerce.first(answer, "VERSION"))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        details = coerce.first(await rpc(target.address, "devdetails"), "DEVDETAILS")
        model = coerce.bitmain_model(details.get("Model"))
        if not model:
            raise Failure(Reason.UNSUPPORTED, "it does not say its model on port 4028")
        build = next((value for key, value in version.items() if key.startswith("BOS")), "")
        return RigIdentity(
            reader=self.name,
            make="AntMiner",
            model=model,
            firmware="BOS+",
            firmware_version=coerce.text(build),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.miners.contract.Reader`."""
        answer = await rpc(target.address, _READ)
        sections = {name: coerce.first(answer, name) for name in _READ.split("+")}
        kind = coerce.first(sections["devdetails"], "DEVDETAILS").get("Model")
        coerce.expect_model(coerce.bitmain_model(kind), identity.model)
        summary = coerce.first(sections["summary"], "SUMMARY")
        tuner = coerce.first(sections["tunerstatus"], "TUNERSTATUS")
        devices = coerce.items(sections["devs"].get("DEVS"))
        expected = _nominal(devices)
        hashrate = coerce.realised(summary.get("MHS 1m", summary.get("MHS 5s")), "MH/s", expected)
        return RigReading(
            hashrate=hashrate,
            expected_hashrate=expected,
            power=coerce.watts(tuner.get("ApproximateMinerPowerConsumption")) or None,
            power_limit=coerce.watts(tuner.get("PowerLimit")) or None,
            mining=hashrate > 0,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            last_share_at=cgminer.last_share(sections["pools"]),
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            fans=tuple(
                Fan(index, coerce.rpm(row.get("RPM")))
                for index, row in enumerate(coerce.items(sections["fans"].get("FANS")))
                if coerce.rpm(row.get("Speed")) != 0 or coerce.rpm(row.get("RPM"))
            ),
            boards=tuple(_boards(devices, sections)),
            pools=cgminer.pools(sections["pools"]),
            faults=tuple(_faults(tuner)),
        )


def _nominal(devices: list[Mapping[str, Any]]) -> float | None:
    return coerce.total([coerce.hashrate(row.get("Nominal MHS"), "MH/s") for row in devices]) or None


def _boards(devices: list[Mapping[str, Any]], sections: Mapping[str, Answer]) -> Iterator[Board]:
    temperatures = {str(row.get("ID")): row for row in coerce.items(sections["temps"].get("TEMPS"))}
    details = {str(row.get("ID")): row for row in coerce.items(sections["devdetails"].get("DEVDETAILS"))}
    for index, row in enumerate(devices):
        sensors, detail = (known.get(str(row.get("ID")), {}) for known in (temperatures, details))
        yield Board(
            index=index,
            hashrate=coerce.hashrate(row.get("MHS 1m", row.get("MHS 5s")), "MH/s"),
            temperature=coerce.celsius(sensors.get("Board")),
            chip_temperature=coerce.celsius(sensors.get("Chip")),
            chips=coerce.count(detail.get("Chips")),
        )


def _faults(tuner: Mapping[str, Any]) -> Iterator[Fault]:
    for index, row in enumerate(coerce.items(tuner.get("TunerChainStatus"))):
        status = coerce.text(row.get("Status"), 64).partition(" {")[0]
        if status and status not in _WELL:
            yield worded_fault(f"{status} tuning", f"board {index}", status)
