"""Whatsminers with API V2: cgminer's commands on port 4028, joined in one question where the build takes that.

Hashrate is ``MHS 1m``; power is measured by the power supply. Commands that begin with ``get_``, and ``status``, cannot
be joined. Builds since 2024 answer ``summary`` under ``Msg`` and serve ``edevs`` in place of ``devs``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from exporter.model.failures import Failure, Reason
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import Board, Fault, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.faults import whatsminer_faults
from exporter.sources.rigs.firmware import whatsminer_v3
from exporter.sources.rigs.seldom import Seldom
from exporter.sources.rigs.transport import rpc

SLOW_SECONDS: Final = 300.0
SUPPLY_SECONDS: Final = 45.0
"""Between two questions to a power supply: at the usual interval it is asked at every second read."""
_EXTRA_TIMEOUT: Final = 1.0  # s, of a question that a read can do without
_PARTS: Final = ("summary", "devs", "pools")
_READ: Final = "+".join(_PARTS)
_AVERAGE: Final = "MHS av"  # since start
_WINDOWS: Final = {"MHS 1m": 60.0, "MHS 5s": 5.0, "HS RT": None, _AVERAGE: None}  # s
_FANS: Final = ("Fan Speed In", "Fan Speed Out")
_TUNED: Final = TunerState.TUNED  # read once: a member of an Enum takes as long as ten function calls
_TUNING: Final = TunerState.TUNING
_MOST_OF_RIG: Final = 1.05
_SAME_POWER: Final = 0.05  # how far a power may change until the power supply is asked again
_SUPPLY_SENSORS: Final = ("temp0", "Temp 0", "Temp 1")
_MAINS: Final = (80.0, 600.0)  # V
_OFF_BY: Final = 3.0
"""How far two readings of the same power may be apart: three phases make 1.7, a wrong unit 10."""
_LEAST_OF_RIG: Final = 1e-5
"""Of the rig's hashrate. Builds since 2024 write boards' TH/s where MH/s belong: a board that does less is in TH/s."""


_NUMBERS: Final = coerce.table(
    ("Factory GHS", coerce.hashrate_in("GH/s")),
    (_AVERAGE, coerce.hashrate_in("MH/s")),
    ("Power", coerce.watts),
    ("Power Limit", coerce.watts),
    ("Hash Stable Cost Seconds", coerce.seconds),
    ("Elapsed", coerce.seconds),
    ("Uptime", coerce.seconds),
    ("Difficulty Accepted", coerce.counter),
    ("Difficulty Rejected", coerce.counter),
    ("Discarded", coerce.counter),
    ("Best Share", coerce.difficulty),
    ("Hardware Errors", coerce.counter),
    ("Device Hardware%", coerce.percentage),
)


@dataclass(slots=True)
class _Slow:
    """What changes seldom. A rig that was stopped is asked at each read, until it is no longer stopped."""

    fault_light: bool | None
    suspended: bool | None


class _Supply(NamedTuple):
    """What a power supply measured, and the rig's power at that time."""

    power: float | None  # W
    supply: PowerSupply | None


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "whatsminer_v2"
    firmware = Firmware(
        title="MicroBT, API V2",
        section="MicroBT, API V2",
        power="reported",
        recorded=(
            Recording("M60S", "2024-06-24", "proto-fleet"),
            Recording("M60S", "2026-02", "Whatsminer-Pulse"),
            Recording("unnamed, 105 chips per board", "2021-03-22", "asic-rs"),
            Recording("unnamed, 135 chips per board", "2023-08-03", "asic-rs"),
            Recording("M3", "2018", "foreman-apps"),
            Recording("M20S", "2019 and 2020-09-17", "foreman-apps"),
            Recording("M31S", "2020 and 2021", "foreman-apps"),
            Recording("M30S+", "2022, in part", "public code"),
        ),
        documented="API 2.0 (MicroBT)",
        questions=Questions(
            rpc=(
                *("version", "devdetails", _READ, "edevs", "status"),
                *("get_version", "get_miner_info", "get_psu", "get_error_code"),
            ),
            v3=("get.device.info",),
        ),
        pyasic_types=frozenset({"WHATSMINER"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._slow: Seldom[_Slow] = Seldom(SLOW_SECONDS)
        self._supplies: Seldom[_Supply] = Seldom(SUPPLY_SECONDS)
        self._joined = cgminer.Joined(*_PARTS, usable=lambda answer: bool(_values(answer)))

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`.

        btminer writes ``STATUS`` as a letter where cgminer has a list.
        """
        return isinstance(answer.get("STATUS"), str) or "btminer" in str(answer).lower()

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        address = target.address
        model = coerce.text(coerce.first(await rpc(address, "devdetails"), "DEVDETAILS").get("Model"))
        version = await _message(address, "get_version")
        model = model or coerce.text(version.get("miner_type"))
        info = await _message(address, "get_miner_info")
        supply = await _extra(address, "get_psu")
        self._joined.forget(address)
        answers, summary = await self._ask(address)
        if not (summary and model) and await _speaks_v3(address):
            raise Failure(Reason.UNSUPPORTED, "its V2 answers have gaps: V3 has more")
        boards = _rows(answers["devs"])
        self._slow.forget(address)
        self._supplies.forget(address)
        return RigIdentity(
            reader=self.name,
            make="WhatsMiner",
            model=model.replace("_", " ") or ("unknown" if summary else ""),
            firmware="Stock",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(version.get("fw_ver")),
            mac=coerce.mac(info.get("mac")) or coerce.mac(summary.get("MAC")),
            serial=coerce.text(info.get("minersn")),
            hostname=coerce.text(info.get("hostname")),
            api_version=coerce.text(version.get("api_ver")),
            control_board=coerce.text(summary.get("CB Version")) or coerce.text(version.get("platform")),
            power_supply_model=_first(supply, "model", "Model", "name"),
            power_supply_serial=_first(supply, "serial_no", "Series No") or coerce.text(info.get("powersn")),
            board_serials=tuple((index, serial) for index, row in boards if (serial := coerce.text(row.get("PCB SN")))),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        address = target.address
        answers, summary = await self._ask(address)
        if not summary:
            return await _stopped(address, identity.mac)
        coerce.expect_mac(summary.get("MAC"), identity.mac)
        factory, average, power, limit, ramp, uptime, system_uptime, *shares, errors, error_ratio = _NUMBERS(summary)
        accepted, rejected, discarded, best_share = shares
        expected = factory or None
        rate = coerce.first_key(summary, _WINDOWS)
        hashrate = coerce.realised(summary.get(rate), "MH/s", expected)
        pools, rows = cgminer.pools(answers["pools"]), _rows(answers["devs"])
        boards = _boards(rows, rate, hashrate)
        fans = whatsminer_v3.fans(summary, _FANS)
        in_liquid = bool(summary.get("Liquid Cooling") is True or (hashrate > 0 and not any(fan.rpm for fan in fans)))
        slow = self._slow.kept(address, None)
        if slow is None:
            slow = await _slowly(address)
            self._slow.keep(address, None, slow)
        status: Mapping[str, Any] = {}
        if hashrate == 0 or slow.suspended or in_liquid:
            status = await _message(address, "status")
            slow.suspended = _suspended(status)
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOWS.get(rate),
            average_hashrate=average,
            expected_hashrate=expected,
            power=power,
            power_limit=limit,
            power_supply=await self._supply(address, power, summary.get("Power Fanspeed")),
            mining=hashrate > 0,
            suspended=slow.suspended,
            power_mode=coerce.text(summary.get("Power Mode")),
            point=whatsminer_v3.point_name(summary.get("Power Mode"), summary.get("Power Limit")),
            settled=coerce.flag(summary.get("Hash Stable")),
            ramp=ramp or None,
            tuner=_tuner(rows) if hashrate > 0 else None,
            fault_light=slow.fault_light,
            uptime=uptime,
            system_uptime=system_uptime,
            accepted_difficulty=accepted if "Difficulty Accepted" in summary else pools.accepted_difficulty,
            rejected_difficulty=rejected if "Difficulty Rejected" in summary else pools.rejected_difficulty,
            discarded_work=discarded,
            best_share=best_share,
            last_share_at=pools.last_share_at,
            hardware_errors=errors,
            hardware_error_ratio=error_ratio,
            temperatures=coerce.by_sensor(
                {
                    **whatsminer_v3.surroundings(
                        summary.get("Env Temp"), status.get("liquid_temp"), in_liquid=in_liquid
                    ),
                    **_hottest_chip(summary, boards),
                }
            ),
            fans=fans,
            boards=boards,
            pools=pools.pools,
            faults=await _faults(address, summary),
        )

    async def _ask(self, address: str) -> tuple[Mapping[str, Answer], Mapping[str, Any]]:
        """Ask for summary, boards and pools, and return the summary's values beside them. Raises Failure.

        A build that has no ``devs`` is asked for ``edevs``.
        """
        answers = await self._joined.ask(address)
        summary = _values(answers["summary"])
        if summary and not coerce.items(answers["devs"].get("DEVS"), 1):
            answers["devs"] = await cgminer.optional(address, "edevs")
        return answers, summary

    async def _supply(self, address: str, power: float | None, fan_speed: object) -> PowerSupply | None:
        """Return what the power supply measures, asked every :data:`SUPPLY_SECONDS`, and when the power changes."""
        kept = self._supplies.kept(address, None)
        if kept is None or not _about(power, kept.power):
            kept = _Supply(power, _power_supply(await _extra(address, "get_psu"), power, fan_speed))
            self._supplies.keep(address, None, kept)
        return kept.supply


async def _slowly(address: str) -> _Slow:
    """Ask for what is asked every :data:`SLOW_SECONDS` only: it is not worth a connection at each read."""
    return _Slow(
        fault_light=whatsminer_v3.fault_light((await _extra(address, "get_miner_info")).get("ledstat")),
        suspended=_suspended(await _extra(address, "status")),
    )


def _values(answer: Answer) -> Mapping[str, Any]:
    """Return the summary's values: the first row of a list, on builds since 2024 the content of ``Msg``."""
    return coerce.first(answer, "SUMMARY") or coerce.mapping(answer.get("Msg"))


async def _stopped(address: str, mac: str) -> RigReading:
    """Read a rig whose miner does not answer: one that was stopped hashes nothing, anything else is a failure."""
    status = await _message(address, "status")
    if not _suspended(status):
        raise Failure(Reason.GARBLED, "no summary in what it answered")
    info = await _extra(address, "get_miner_info")
    coerce.expect_mac(info.get("mac"), mac)
    return RigReading(
        hashrate=0.0,
        mining=False,
        suspended=True,
        power_mode=coerce.text(status.get("power_mode")),
        power_supply=_power_supply(await _extra(address, "get_psu"), None, None),
        fault_light=whatsminer_v3.fault_light(info.get("ledstat")),
        temperatures=coerce.by_sensor({"fluid": status.get("liquid_temp")}),
    )


async def _speaks_v3(address: str) -> bool:
    """Return whether the firmware has the newer API too: what is left of the older one beside it has gaps."""
    try:
        return bool(await whatsminer_v3.device_info(address))
    except Failure:
        return False


async def _message(address: str, command: str) -> Mapping[str, Any]:
    """Return the content of btminer's own kind of answer; empty if there is none."""
    return coerce.mapping((await cgminer.optional(address, command)).get("Msg"))


async def _extra(address: str, command: str) -> Mapping[str, Any]:
    """Return the same if it comes soon: a power supply that does not answer must not cost the reading."""
    try:
        with FastTimeout(_EXTRA_TIMEOUT):
            return await _message(address, command)
    except TimeoutError:
        return {}


def _first(fields: Mapping[str, Any], *keys: str) -> str:
    return next((known for key in keys if (known := coerce.text(fields.get(key)))), "")


def _suspended(status: Mapping[str, Any]) -> bool | None:
    return coerce.flag(status.get("mineroff", status.get("btmineroff")))


def _power_supply(fields: Mapping[str, Any], power: float | None, fan_speed: object) -> PowerSupply | None:
    """Read what the power supply measures: hundredths of a volt, and milliamperes, if these make sense.

    Some builds write ``Vin`` instead of ``vin``, in V, and so on. Not all are known, so a value that would be in
    another unit is dropped. ``fan_speed`` is the summary's, for builds without ``get_psu``.
    """
    centivolts, milliamperes, volts, amperes, volts_out, amperes_out, watts_out, *sensors = _SUPPLY(fields)
    volts = volts if "Vin" in fields else centivolts
    if volts is not None and not _MAINS[0] <= volts <= _MAINS[1]:
        volts = None
    amperes = amperes if "Iin" in fields else milliamperes
    watts = coerce.watts(fields.get("Pin", fields.get("pin")))
    gives = volts_out is not None and amperes_out is not None and _agree(power, volts_out * amperes_out)
    takes = volts is not None and amperes is not None and _agree(power, volts * amperes)
    supply = PowerSupply(
        input_voltage=volts,
        input_current=amperes if takes else None,
        input_power=watts if _agree(power, watts) else None,
        output_voltage=volts_out if gives else None,
        output_current=amperes_out if gives else None,
        output_power=watts_out if gives else None,
        fan_rpm=coerce.rpm(fields.get("Fan Speed", fields.get("fan_speed", fan_speed))) or None,  # 0 if it has no fan
        temperature=coerce.hottest(sensors),
    )
    return coerce.measured(supply)


_SUPPLY: Final = coerce.table(
    ("vin", coerce.centivolts),
    ("iin", coerce.milliamperes),
    ("Vin", coerce.volts),
    ("Iin", coerce.amperes),
    ("Vout", coerce.volts),
    ("Iout", coerce.amperes),
    ("Pout", coerce.watts),
    *((key, coerce.celsius) for key in _SUPPLY_SENSORS),
)


def _about(power: float | None, before: float | None) -> bool:
    """Return whether a rig has the power that it had before, or near it, or had none that is known."""
    if power is None or before is None:
        return power is before
    return abs(power - before) <= _SAME_POWER * before


def _agree(power: float | None, other: float | None) -> bool:
    return power is not None and other is not None and power <= other * _OFF_BY and other <= power * _OFF_BY


def _rows(devs: Answer) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the boards, each with its index."""
    rows = enumerate(coerce.items(devs.get("DEVS")))
    return [(coerce.index(row.get("Slot", row.get("ASC")), index), row) for index, row in rows]


def _hottest_chip(summary: Mapping[str, Any], boards: tuple[Board, ...]) -> Mapping[str, object]:
    """Return the rig's hottest chip on builds whose boards list none, such as those of 2026."""
    for board in boards:
        if board.chip_temperature is not None:
            return {}
    return {"hottest_chip": summary.get("Chip Temp Max")}


def _tuner(boards: list[tuple[int, Mapping[str, Any]]]) -> TunerState | None:
    """Return whether the tuner still searches the boards' clocks, which the firmware calls raising the frequency."""
    done = [known for _, row in boards if (known := coerce.flag(row.get("Upfreq Complete"))) is not None]
    if not done:
        return None
    return _TUNED if all(done) else _TUNING


def _boards(rows: list[tuple[int, Mapping[str, Any]]], rate: str, of_rig: float) -> tuple[Board, ...]:
    """Read the boards, by the same average as the rig's own hashrate, else by the best that they have."""
    keys = [rate if rate in row else coerce.first_key(row, _WINDOWS) for _, row in rows]
    boards = tuple([_board(index, row, key, of_rig) for key, (index, row) in zip(keys, rows, strict=True)])
    return whatsminer_v3.current(boards, of_rig) if _AVERAGE in keys else boards


def _board(index: int, row: Mapping[str, Any], rate: str, of_rig: float) -> Board:
    clock = "Chip Frequency" if "Chip Frequency" in row else "Frequency"
    hashrate, expected, surface, hottest, coolest, mean, frequency, errors = _board_numbers(rate, clock)(row)
    if hashrate and hashrate < of_rig * _LEAST_OF_RIG:
        hashrate = coerce.hashrate(row.get(rate), "TH/s")
        hashrate = None if hashrate is None or hashrate > of_rig * _MOST_OF_RIG else hashrate
    return Board(
        index,
        hashrate,
        expected or None,
        surface,
        chip_temperature=hottest,
        chip_temperature_min=coolest,
        chip_temperature_average=mean,
        chips=coerce.count(row.get("Effective Chips")),
        frequency=frequency,
        hardware_errors=errors,
    )


@cache
def _board_numbers(rate: str, clock: str) -> Callable[[Mapping[str, Any]], tuple[float | None, ...]]:
    """Return what reads a board's numbers, by the keys of its hashrate and its clock."""
    return coerce.table(
        (rate, coerce.hashrate_in("MH/s")),
        ("Factory GHS", coerce.hashrate_in("GH/s")),
        ("Temperature", coerce.celsius),
        ("Chip Temp Max", coerce.celsius),
        ("Chip Temp Min", coerce.celsius),
        ("Chip Temp Avg", coerce.celsius),
        (clock, coerce.megahertz),
        ("Hardware Errors", coerce.counter),
    )


async def _faults(address: str, summary: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Translate MicroBT's codes: newer firmware has them in the summary, older in an answer of its own."""
    known = coerce.count(summary.get("Error Code Count"), coerce.MAX_ITEMS)
    if known == 0:  # as on almost every rig
        return ()
    if known is not None:
        return whatsminer_faults([summary.get(f"Error Code {index}") for index in range(known)])
    return whatsminer_faults((await _message(address, "get_error_code")).get("error_code"))
