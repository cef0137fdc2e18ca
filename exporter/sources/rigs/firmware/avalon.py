"""Avalons from the A10 on: cgminer's API on 4028, most of it as text inside JSON. Canaan: one question at a time.

Joined commands are one question: of Canaan's builds, sources with them are public, and answers that an A10 gave.
Hashrate is ``MHS 1m`` of ``summary``, else ``GHSspd`` of the statistics. It fades for hours once a rig idles: it is 0
then. Power is what the supply draws. The fields are those of Canaan's API manual, and of recordings.
"""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.models import BITCOIN_ALGORITHM, known_model
from exporter.model.readings import Board, Fan, Fault, PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault
from exporter.sources.rigs.transport import rpc

_RATE: Final = "MHS 1m"
_WINDOW: Final = 60.0  # s, of MHS 1m
_FIELD: Final = re.compile(r"\b(\w{1,32})\[([^\[\]]*)\]")
_MAKE: Final = re.compile(r"avalon(?:miner)? *", re.IGNORECASE)
_STATS: Final = ("estats", "stats", "litestats")
"""Commands for the statistics, the fullest first: home models of some releases answer only the last."""
_NO_SERIAL: Final = re.compile(r"0*")
_IDLE: Final = "in idle"
_SWITCHED_OFF: Final = frozenset({1, 4, 5})  # as seen of rigs that were ordered to stop; 6 is of one that boots
_NO_SENSOR: Final = "-273"
_TEMPERATURES: Final = {"ambient": "Temp", "inlet": "ITemp", "outlet": "OTemp"}
_MANAGER: Final = "MM ID"
_CHIPS_OF_BOARDS: Final = "HBinfo"
_FAN_FIELDS: Final = tuple((index, f"Fan{index + 1}") for index in range(8))
_MOST_CHIPS: Final = 1_024  # of a board
_FEWEST_WORKS: Final = 30
"""That the chips of a board did on average, for one of none to be no chance."""
_SUPPLY_FIELDS: Final = 7
_OFF_BY: Final = 1.25
"""How far volts times amperes may be from the watts: they are rounded, but in another unit they are further off."""
_DRAWS: Final = 1.3  # times what it gives, or may give, at most
_SUPPLY_ERRORS: Final = (
    (1, "Input_UV", FaultCode.PSU_INPUT_VOLTAGE),
    (2, "OT1", FaultCode.PSU_TEMPERATURE),
    (4, "OT2", FaultCode.PSU_TEMPERATURE),
    (8, "OT3", FaultCode.PSU_TEMPERATURE),
    (16, "OC_Pri", FaultCode.PSU_OVERCURRENT),
    (32, "UV_out", FaultCode.PSU_OUTPUT),
    (64, "OC_out", FaultCode.PSU_OVERCURRENT),
    (256, "OC_IOSA", FaultCode.PSU_OVERCURRENT),
    (512, "OC_IOSB", FaultCode.PSU_OVERCURRENT),
    (1024, "OC_IOSC", FaultCode.PSU_OVERCURRENT),
    (2048, "FAN_error", FaultCode.PSU_FAN),
)
"""Bits of the supply's error code, by the table in Canaan's manual of the A10."""


class _Statistics(NamedTuple):
    """The texts of the module managers, each of which has the fields of its boards, and that of their chips."""

    managers: list[str]
    chips: object


class _Answers(NamedTuple):
    """What one read asks for; empty where the rig has no answer."""

    summary: Mapping[str, Any]
    stats: _Statistics
    pools: Answer


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "avalon"
    firmware = Firmware(
        title="Canaan stock (Avalon from the A10 on)",
        section="Canaan stock",
        power="input power of the power supply",
        recorded=(
            Recording("Avalon Q", "", "asic-rs"),
            Recording("Avalon 1246", "", "asic-rs"),
            Recording("Avalon 1566", "24102401", "pyasic"),
            Recording("Avalon 1047", "20051101", "foreman-apps"),
            Recording("Avalon Nano3", "24071801", "public issues"),
            Recording("Avalon Mini3", "25011701, in part", "public issues"),
            Recording("Avalon 1126Pro", "in part", "public code"),
            Recording("Avalon 1066", "in part", "public code"),
            Recording("Avalon Q", "standby, in part", "public tests"),
        ),
        documented="API manual of the A10 (Canaan)",
        questions=Questions(
            rpc=("version", "summary", *_STATS, "pools"),
        ),
        pyasic_types=frozenset({"AVALONMINER"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._stats: dict[str, str] = {}  # the command that an address answered
        self._joins: dict[str, bool] = {}  # whether an address answers joined commands, once that was tried

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return _model(coerce.first(answer, "VERSION")) != ""

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        version = coerce.first(await rpc(target.address, "version"), "VERSION")
        self._stats.pop(target.address, None)
        self._joins.pop(target.address, None)
        stats = await self._statistics(target.address)
        if not stats.managers:
            raise Failure(Reason.NOT_READY, "it reports no boards")
        fields = _fields(stats)
        if "PS" not in fields:
            raise Failure(Reason.UNSUPPORTED, "an Avalon from before the A10, or several on one controller")
        return RigIdentity(
            reader=self.name,
            make="AvalonMiner",
            model=_model(version),
            firmware="Stock",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(version.get("VERSION")) or coerce.text(version.get("CGVERSION")),
            mac=coerce.mac(version.get("MAC")),
            serial=_serial(version.get("DNA")) or _serial(fields.get("DNA")) or _serial(fields.get("HDNA")),
            api_version=coerce.text(version.get("API")),
            control_board=coerce.text(version.get("HWTYPE")),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        summary, stats, pools = await self._joined(target.address) or await self._one_by_one(target.address)
        fields = _fields(stats)
        if fields.get("DNA") != identity.serial:
            dna = _serial(fields.get("DNA")) or _serial(fields.get("HDNA"))
            coerce.expect_model(dna, identity.serial or dna)
        expected = coerce.hashrate(fields.get("GHSmm"), "GH/s") or None
        by_summary = _RATE in summary
        realised = coerce.realised(
            summary[_RATE] if by_summary else fields.get("GHSspd"), "MH/s" if by_summary else "GH/s", expected
        )
        idle = _IDLE in fields.get("SYSTEMSTATU", "").lower()
        hashrate = 0.0 if idle else realised
        mining = hashrate > 0
        boards = tuple(_boards(fields, mining=mining))
        supply = _power_supply(fields)
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOW if by_summary else None,
            average_hashrate=coerce.hashrate(summary.get("MHS av"), "MH/s")
            if "MHS av" in summary
            else coerce.hashrate(fields.get("GHSavg"), "GH/s"),
            expected_hashrate=expected,
            power=supply.input_power,
            power_limit=coerce.watts(fields.get("MPO")),
            power_supply=coerce.measured(supply),
            mining=mining,
            suspended=_suspended(fields, idle=idle),
            power_mode=coerce.text(fields.get("WORKMODE"), 64),
            point=" ".join(filter(None, (coerce.text(fields.get(key), 32) for key in ("WORKMODE", "WORKLEVEL")))),
            fault_light={"0": False, "1": True}.get(fields.get("Led", "")),
            uptime=coerce.seconds(summary.get("Elapsed", fields.get("Elapsed"))),
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            rejected_difficulty=coerce.counter(summary.get("Difficulty Rejected")),
            discarded_work=coerce.counter(summary.get("Discarded")),
            best_share=coerce.difficulty(summary.get("Best Share")),
            last_share_at=_last_share(pools),
            hardware_errors=coerce.counter(fields.get("HW")),
            hardware_error_ratio=coerce.percentage(fields.get("DH", "").rstrip("%")),
            temperatures=coerce.by_sensor(
                {
                    sensor: fields[key]
                    for sensor, key in _TEMPERATURES.items()
                    if fields.get(key, _NO_SENSOR) != _NO_SENSOR
                }
            ),
            fans=tuple(_fans(fields, mining=mining)),
            fan_duty=coerce.percentage(fields.get("FanR", "").rstrip("%")),
            boards=boards,
            pools=cgminer.pools(pools, clock=False).pools,
            faults=(*(cgminer.board_faults(boards) if mining else ()), *_supply_faults(fields)),
        )

    async def _joined(self, address: str) -> _Answers | None:
        """Ask for everything in one question; None, and not again, if a rig does not answer that. Raises Failure."""
        command = self._stats.get(address)
        if command is None or not self._joins.get(address, True):
            return None
        self._joins.setdefault(address, False)  # until it has: if it hangs at that question, it loses one read
        answer = await cgminer.optional(address, f"summary+{command}+pools")
        summary, stats, pools = (coerce.first(answer, part) for part in ("summary", command, "pools"))
        answers = _Answers(coerce.first(summary, "SUMMARY"), _statistics(stats), pools)
        if not answers.summary or not answers.stats.managers or "POOLS" not in pools:
            return None
        self._joins[address] = True
        return answers

    async def _one_by_one(self, address: str) -> _Answers:
        """Ask for summary, statistics and pools, one after the other. Raises Failure if the first two are missing."""
        summary = coerce.first(await cgminer.optional(address, "summary"), "SUMMARY")
        stats = await self._statistics(address)
        if not summary and not stats.managers:
            await rpc(address, "summary")  # fails for the reason that took both
        return _Answers(summary, stats, await cgminer.optional(address, "pools"))

    async def _statistics(self, address: str) -> _Statistics:
        """Ask for the statistics by the first command that the rig answers with them. Raises Failure."""
        known = self._stats.get(address)
        for command in _STATS if known is None else (known,):
            stats = _statistics(await cgminer.optional(address, command))
            if stats.managers:
                self._stats[address] = command
                return stats
        self._stats.pop(address, None)
        return _Statistics([], None)


def _model(version: Mapping[str, Any]) -> str:
    """Name the model: ``AvalonMiner 1246-81`` is an Avalon 1246 of bin 81. Small models have it in ``MODEL`` only."""
    product, code = coerce.text(version.get("PROD")), coerce.text(version.get("MODEL"))
    make = _MAKE.match(product)
    if make is None:
        return ""
    known = known_model("AvalonMiner", code) or known_model("AvalonMiner", product[make.end() :])
    if known is not None:
        return known.name
    name = (code or product[make.end() :]).partition("-")[0].strip()
    return f"Avalon {name}" if name else ""


def _serial(value: object) -> str:
    """Read a serial number; the first Nano 3 have one of zeros."""
    text = coerce.text(value)
    return "" if _NO_SERIAL.fullmatch(text) else text


def _statistics(answer: Answer) -> _Statistics:
    row = coerce.first(answer, "STATS")
    managers = [value for key, value in row.items() if key.startswith(_MANAGER) and isinstance(value, str)]
    return _Statistics(managers, row.get(_CHIPS_OF_BOARDS))


def _fields(stats: _Statistics) -> dict[str, str]:
    """Read the fields of the one manager, and those of its chips; none where there are several managers."""
    if len(stats.managers) != 1:
        return {}
    fields: list[tuple[str, str]] = _FIELD.findall(stats.managers[0])
    return dict(fields + (_FIELD.findall(stats.chips) if isinstance(stats.chips, str) else []))


def _parts(fields: Mapping[str, str], key: str, most: int = coerce.MAX_ITEMS) -> list[str]:
    return fields.get(key, "").split()[:most]


def _power_supply(fields: Mapping[str, str]) -> PowerSupply:
    """Read what the supply gives the boards and draws for it, where the figures agree: units differ on small models."""
    parts = _parts(fields, "PS")
    _, _, volts_text, amperes_text, watts_text, _, drawn_text = (*parts, *[""] * _SUPPLY_FIELDS)[:_SUPPLY_FIELDS]
    wall = coerce.watts(fields.get("WALLPOWER"))
    volts, amperes = coerce.centivolts(volts_text), coerce.amperes(amperes_text)
    watts, drawn = coerce.watts(watts_text), coerce.watts(drawn_text)
    if watts is None:  # it gives nothing, or is a small one that does not report it
        limit = coerce.watts(fields.get("MPO"))
        likely = drawn is not None and (limit is None or drawn <= limit * _DRAWS)
        return PowerSupply(input_power=wall or (drawn if likely else None))
    if not volts or not amperes or not watts / _OFF_BY <= volts * amperes <= watts * _OFF_BY:
        return PowerSupply(input_power=wall or _drawn_by_nano3(parts))
    likely = drawn is not None and watts <= drawn <= watts * _DRAWS
    return PowerSupply(
        input_power=wall or (drawn if likely else None),
        output_voltage=volts,
        output_current=amperes,
        output_power=watts,
    )


def _drawn_by_nano3(parts: list[str]) -> float | None:
    """Read the watts of a Nano 3, which has an adapter: its volts (cV), watts and amperes (cA) stand at the end."""
    if len(parts) != _SUPPLY_FIELDS or parts[1:3] != ["0", "0"]:
        return None
    volts, amperes = coerce.centivolts(parts[4]), coerce.centiamperes(parts[6])
    watts = coerce.watts(parts[5])
    agree = volts and amperes and watts and watts / _OFF_BY <= volts * amperes <= watts * _OFF_BY
    return watts if agree else None


def _suspended(fields: Mapping[str, str], *, idle: bool) -> bool | None:
    """Return whether it idles because it was switched off by command."""
    switch = coerce.count(fields.get("SoftOFF"))
    if switch == 0:
        return False
    return True if idle and switch in _SWITCHED_OFF else None


def _last_share(pools: Answer) -> float | None:
    """Return when a pool last took a share. Without a clock of its own a rig counts both times from when it started."""
    now = coerce.counter(coerce.first(pools, "STATUS").get("When"))
    rows = (row for row in coerce.items(pools.get("POOLS")) if coerce.counter(row.get("Accepted")))
    times = [coerce.counter(row.get("Last Share Time")) or 0.0 for row in rows]
    latest = max(times, default=0.0)
    if now is None or not 0 < latest <= now:
        return None
    if now < coerce.BITCOIN_BEGAN:
        return time.time() - (now - latest)
    return latest if latest > coerce.BITCOIN_BEGAN else None  # one time of each kind is no evidence


def _fans(fields: Mapping[str, str], *, mining: bool) -> Iterator[Fan]:
    """Read the fans. A model in oil or with water blocks has none: it reports 0 for all while it hashes."""
    speeds = [(index, coerce.rpm(fields[key])) for index, key in _FAN_FIELDS if key in fields]
    if not mining or any(speed for _, speed in speeds):
        yield from (Fan(index, speed) for index, speed in speeds if speed is not None)


def _boards(fields: Mapping[str, str], *, mining: bool) -> Iterator[Board]:
    """Return the boards. Their rates are averages since start and stay while the rig idles, so they are not read."""
    hottest, average, errors, millivolts = (_parts(fields, key) for key in ("MTmax", "MTavg", "MH", "MVavg"))
    count = len(_parts(fields, "MGHS"))
    if count == 1 and not hottest:
        hottest, average = _parts(fields, "TMax"), _parts(fields, "TAvg")
    for index in range(count):
        chips = _parts(fields, f"PVT_T{index}", _MOST_CHIPS)
        yield Board(
            index=index,
            chip_temperature=coerce.celsius(_at(hottest, index)),
            chip_temperature_min=coerce.coolest(coerce.sensors(list(set(chips)))) if mining else None,
            chip_temperature_average=coerce.celsius(_at(average, index)),
            chips=len(chips) or None,
            failed_chips=tuple(_idle_chips(fields.get(f"MW{index}", ""))) if mining else (),
            frequency=coerce.mean(map(coerce.megahertz, _parts(fields, f"SF{index}"))) if mining else None,
            # The mean of its chips.
            voltage=coerce.millivolts(_at(millivolts, index)) if mining and millivolts else None,
            hardware_errors=coerce.counter(_at(errors, index)),
        )


def _at(parts: list[str], index: int) -> str:
    return parts[index] if index < len(parts) else ""


def _idle_chips(works: str) -> Iterator[int]:
    """Return the indexes of chips that did no work while the others of their board did much."""
    if " 0 " not in f" {works} ":  # as on almost every board
        return
    done = [coerce.counter(work) for work in works.split()[:_MOST_CHIPS]]
    if (coerce.mean(done) or 0.0) >= _FEWEST_WORKS:
        yield from (index for index, count in enumerate(done) if count == 0)


def _supply_faults(fields: Mapping[str, str]) -> Iterator[Fault]:
    """Return the faults in the supply's error code, each once."""
    code = coerce.count(next(iter(_parts(fields, "PS")), None))
    if not code:  # as of almost every supply
        return
    raised = {code_of_fault: name for bit, name, code_of_fault in reversed(_SUPPLY_ERRORS) if code & bit}
    yield from (fault(code_of_fault, "psu", name) for code_of_fault, name in raised.items())
