"""Bitdeer's SealMiners (bdminer): cgminer's API on port 4028, where ``stats`` has nearly all in one row.

Hashrate is ``MHS(1m)`` of ``stats``: ``summary`` counts shares, and its average includes the minutes of tuning after a
start. Boards and fans share the number in front of their keys: fan 3 is there where board 3 is not.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.model.fault_codes import FaultCode
from exporter.model.readings import Board, Fan, Fault, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, missing_board, worded_fault
from exporter.sources.rigs.transport import rpc

_WINDOWS: Final = {"MHS(1m)": 60.0, "MHS(2m)": 120.0, "MHS(30s)": 30.0, "MHS(5m)": 300.0}  # s, the best first
_UNIT: Final = "MH/s"
_BOARDS: Final = 8
_FANS: Final = 8
_SENSORS: Final = 8  # of a board
_SUSPENDED: Final = (("suspend", True), ("running", False))
_NO_ERROR: Final = frozenset("0x")
"""The characters of an error code that stands for no error."""


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "sealminer"
    firmware = Firmware(
        title="Bitdeer stock (SealMiner)",
        section="Bitdeer stock",
        power="input power of the power supply",
        recorded=(Recording("A2", "2025-09-10", "asic-rs"),),
        questions=Questions(rpc=("version", "stats", "summary", "pools")),
        pyasic_types=frozenset(),
    )
    probe = staticmethod(cgminer.version)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return "BDMiner" in coerce.first(answer, "VERSION")

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        stats = coerce.first(await rpc(target.address, "stats"), "STATS")
        return RigIdentity(
            reader=self.name,
            make="SealMiner",
            model=coerce.text(stats.get("Model")),
            firmware="Stock",
            firmware_version=coerce.text(stats.get("Firmware")),
            mac=coerce.mac(stats.get("MAC")),
            serial=coerce.text(stats.get("Ctrl Board SN")),
            api_version=coerce.text(version.get("API")),
            control_board=coerce.text(stats.get("Ctrl Board")),
            power_supply_model=coerce.text(stats.get("PSU Model")),
            power_supply_serial=coerce.text(stats.get("PSU SN")),
            board_serials=tuple(
                (slot, serial) for slot in range(_BOARDS) if (serial := coerce.text(stats.get(f"{slot} SN"), 64))
            ),
            rated_hashrate=coerce.hashrate(stats.get("MHS(Rated)"), _UNIT) or None,
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        stats = coerce.first(await rpc(target.address, "stats"), "STATS")
        coerce.expect_mac(stats.get("MAC"), identity.mac)
        summary = coerce.first(await cgminer.optional(target.address, "summary"), "SUMMARY")
        pools = await cgminer.optional(target.address, "pools")
        rate = next((key for key in _WINDOWS if key in stats), "")
        expected = coerce.hashrate(stats.get("MHS(Ideal)"), _UNIT) or None
        hashrate = coerce.realised(stats.get(rate), _UNIT, expected)
        mining = hashrate > 0
        fans = tuple(Fan(slot, coerce.rpm(stats[key])) for slot in range(_FANS) if (key := f"{slot} Speed") in stats)
        seen = (*_board_faults(stats), *cgminer.fan_faults(fans)) if mining else ()
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOWS[rate],
            average_hashrate=coerce.hashrate(stats.get("MHS(Avg)"), _UNIT),
            expected_hashrate=expected,
            power=coerce.watts(stats.get("PSU Input Power")),
            power_limit=coerce.watts(stats.get("Power Limit")),
            power_supply=_power_supply(stats),
            mining=mining,
            suspended=_suspended(coerce.text(stats.get("PM State"))),
            power_mode=coerce.text(stats.get("Mining Mode"), 64),
            point=coerce.text(stats.get("Mining Mode"), 64),
            tuner=_tuner(coerce.text(stats.get("Tune Status"))),
            uptime=coerce.seconds(stats.get("Elapsed")),
            system_uptime=coerce.seconds(stats.get("System Uptime")),
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            rejected_difficulty=coerce.counter(summary.get("Difficulty Rejected")),
            discarded_work=coerce.counter(summary.get("Discarded")),
            best_share=coerce.difficulty(summary.get("Best Share")),
            last_share_at=cgminer.last_share(pools),
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            hardware_error_ratio=coerce.percentage(summary.get("Device Hardware%")),
            fans=fans,
            fans_expected=coerce.count(stats.get("Fan Count"), coerce.MAX_ITEMS),
            boards=tuple(_boards(stats)),
            pools=cgminer.pools(pools),
            faults=cgminer.merged(seen, _reported_faults(stats)),
        )


def _slots(stats: Mapping[str, Any]) -> Iterator[int]:
    """Give the slots of boards, which have chips or a state; a fan has neither."""
    return (slot for slot in range(_BOARDS) if f"{slot} Online" in stats or f"{slot} Chip Count" in stats)


def _boards(stats: Mapping[str, Any]) -> Iterator[Board]:
    """Translate the keys of each board. The voltage is of every chip of the rig, in mV."""
    for slot in _slots(stats):
        sensors = [coerce.celsius(stats.get(f"{slot} Temp {sensor}")) for sensor in range(_SENSORS)]
        chips, bad = coerce.count(stats.get(f"{slot} Chip Count")), coerce.count(stats.get(f"{slot} Bad Chip Count"))
        online = coerce.flag(stats.get(f"{slot} Online")) is not False
        yield Board(
            index=slot,
            hashrate=coerce.hashrate(stats.get(f"{slot} MHS(Sample)"), _UNIT),
            expected_hashrate=coerce.hashrate(stats.get(f"{slot} MHS(Ideal)"), _UNIT) or None,
            temperature=coerce.hottest(sensors),
            temperature_min=coerce.coolest(sensors),
            temperature_average=coerce.mean(sensors),
            chips=0 if not online else None if chips is None else max(chips - (bad or 0), 0),
            chips_expected=chips or None,
            frequency=coerce.megahertz(stats.get(f"{slot} Freq")),
            voltage=coerce.volts(coerce.milli(stats.get("Chip Voltage"))) if online else None,
        )


def _power_supply(stats: Mapping[str, Any]) -> PowerSupply | None:
    supply = PowerSupply(
        input_voltage=coerce.volts(stats.get("PSU Input Voltage")),
        input_power=coerce.watts(stats.get("PSU Input Power")),
        output_voltage=coerce.volts(stats.get("PSU Output Voltage")),
        output_current=coerce.amperes(stats.get("PSU Output Current")),
        output_power=coerce.watts(stats.get("PSU Output Power")),
        fan_rpm=coerce.rpm(stats.get("PSU Fan Speed")),
        temperature=coerce.celsius(stats.get("PSU Temp AMB")),
    )
    return None if supply == PowerSupply() else supply


def _suspended(state: str) -> bool | None:
    return next((suspended for word, suspended in _SUSPENDED if word in state.lower()), None)


def _tuner(status: str) -> TunerState | None:
    """Read ``Fine Tuning Done`` and its like; words of which none is known are unknown."""
    words = status.lower()
    if "fail" in words:
        return TunerState.FAILED
    if "done" in words:
        return TunerState.TUNED
    return TunerState.TUNING if "tun" in words else None


def _board_faults(stats: Mapping[str, Any]) -> Iterator[Fault]:
    """Name the boards that are not there, and those with bad chips: which chips, the firmware does not report."""
    for slot in _slots(stats):
        if coerce.flag(stats.get(f"{slot} Online")) is False:
            yield missing_board(slot)
        elif coerce.count(stats.get(f"{slot} Bad Chip Count")):
            yield fault(FaultCode.BOARD_CHIPS, f"board {slot}")


def _reported_faults(stats: Mapping[str, Any]) -> Iterator[Fault]:
    """Give the firmware's own codes. Bitdeer has published no list of them: only the power supply's are of a kind."""
    if error := coerce.text(stats.get("Error Code"), 64):
        yield worded_fault(error)
    if chips := coerce.text(stats.get("Error Chip"), 64):
        yield fault(FaultCode.BOARD_CHIPS, vendor_code=chips)
    supply = coerce.text(stats.get("PSU Error"), 64)
    if not set(supply.lower()) <= _NO_ERROR:
        yield fault(FaultCode.PSU_OUTPUT, "psu", supply)
    if coerce.flag(stats.get("Stratum Disconnect")):
        yield fault(FaultCode.POOL_DEAD, vendor_code="Stratum Disconnect")
