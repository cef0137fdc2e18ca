"""Block's Proto Rig (ProtoOS): its REST API on port 443, with a certificate that it made itself, or on 80.

Identity and hardware are open to all; what it hashes and draws needs its password. Boards are joined by their serial
numbers: slots may be empty. Hashrate is that of ``telemetry``, over a span that the API does not document.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Credentials
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, OtherRig, Questions, Target
from exporter.sources.rigs.faults import fault, lost_boards
from exporter.sources.rigs.seldom import Lacking, Seldom
from exporter.sources.rigs.sessions import Sessions
from exporter.sources.rigs.transport import optional
from exporter.sources.rigs.web import HTTP_PORT, HTTPS_PORT, answered, get, get_json, log_in

HARDWARE_SECONDS: Final = 300.0
TARGET_SECONDS: Final = 300.0
_SHOWS_TARGET: Final = ("status", "power_target_watts", "ideal_hashrate_ghs")
"""What shows in ``mining``, at each read, that its target may be another one."""
_BASE: Final = "/api/v1"
_LOGIN: Final = f"{_BASE}/auth/login"
_SYSTEM: Final = f"{_BASE}/system"
_NETWORK: Final = f"{_BASE}/network"
_HARDWARE: Final = f"{_BASE}/hardware"
_MINING: Final = f"{_BASE}/mining"
_TARGET: Final = f"{_BASE}/mining/target"
_TELEMETRY: Final = f"{_BASE}/telemetry?level=miner,hashboard,psu,asic"
_COOLING: Final = f"{_BASE}/cooling"
_POOLS: Final = f"{_BASE}/pools"
_ERRORS: Final = f"{_BASE}/errors"
_OPEN: Final = (_SYSTEM, _NETWORK, _HARDWARE)
_BEHIND_LOGIN: Final = (_MINING, _TARGET, _TELEMETRY, _COOLING, _POOLS, _ERRORS)
_NO_LOGIN: Final = Credentials("", "")
_CLOSED: Final = frozenset({Reason.REFUSED, Reason.TLS, Reason.UNREACHABLE})
_STILL: Final = frozenset({"Stopped", "Curtailed", "PoweringOff", "NoPools", "Error", "Uninitialized"})
_SUSPENDED: Final = {"Stopped": True, "Curtailed": True, "Mining": False, "DegradedMining": False}
_POOL_STATES: Final = {"Active": (True, True), "Idle": (True, False), "Dead": (False, False)}  # up, active
_IMMERSED: Final = "Off"
_MOST_CHIPS: Final = 1_024  # of a board
_NO_CONTENT, _FORBIDDEN = int(HTTPStatus.NO_CONTENT), int(HTTPStatus.FORBIDDEN)  # no member of an Enum at each page
_MUST_CHANGE: Final = (b"default_password_active", b"default password must be changed")
_CHAIN: Final = (
    *("HbCommunication", "CommTasksNotInitialized", "InvalidAddWorkResponse", "InvalidMetadataResponse"),
    *("MissingCommChannel", "CommandTimeout", "TaskCommunicationError", "CommsAlive"),
)
_ERROR_CODES: Final = {
    "LowHashRate": FaultCode.HASHRATE_LOW,
    "OverHeat": FaultCode.BOARD_TEMPERATURE,
    "InsufficientCooling": FaultCode.FAN_MISSING,
    "PoolConnectionFailure": FaultCode.POOL_DEAD,
    "PoolConfigMissing": FaultCode.POOL_WRONG,
    "MiningStoppedDueToPhaseImbalance": FaultCode.PSU_PHASE,
    "PSURecoveryInProgress": FaultCode.PSU_OUTPUT,
    "NetworkError": FaultCode.NETWORK,
    "FirmwareUpdateFailure": FaultCode.FIRMWARE,
    "FanHardware": FaultCode.FAN_FAILED,
    "FanSlow": FaultCode.FAN_SPEED,
    "SetFanSpeedFailed": FaultCode.FAN_SPEED,
    "FanConnectedInImmersion": FaultCode.CONFIG_INVALID,
    "HbOverHeat": FaultCode.BOARD_TEMPERATURE,
    "AsicEnumeration": FaultCode.BOARD_CHIPS,
    "AsicEcc": FaultCode.BOARD_CRC,
    "HbUnderVoltage": FaultCode.BOARD_VOLTAGE,
    "HbOverVoltage": FaultCode.BOARD_VOLTAGE,
    "HbOverCurrent": FaultCode.BOARD_VOLTAGE,
    "AsicOverHeat": FaultCode.CHIP_TEMPERATURE,
    "AsicUnderHeat": FaultCode.CHIP_TEMPERATURE,
    "AsicNotHashing": FaultCode.BOARD_CHIPS,
    "PowerLost": FaultCode.BOARD_VOLTAGE,
    "PsuCommLost": FaultCode.PSU_COMMS,
    "PsuOutputUnderVoltage": FaultCode.PSU_OUTPUT,
    "PsuOutputOverVoltage": FaultCode.PSU_OUTPUT,
    "PsuOutputFailure": FaultCode.PSU_OUTPUT,
    "PsuOutputOverCurrent": FaultCode.PSU_OVERCURRENT,
    "PsuFans": FaultCode.PSU_FAN,
    "PsuOverTemperature": FaultCode.PSU_TEMPERATURE,
    "PsuUnderTemperature": FaultCode.PSU_TEMPERATURE,
    "PsuInput": FaultCode.PSU_INPUT_VOLTAGE,
    "PsuInputUnderVoltage": FaultCode.PSU_INPUT_VOLTAGE,
    "PsuInputOverVoltage": FaultCode.PSU_INPUT_VOLTAGE,
    "PsuInputOverCurrent": FaultCode.PSU_OVERCURRENT,
    "PsuNoInputVoltage": FaultCode.PSU_INPUT_VOLTAGE,
    "PsuPowerNoGood": FaultCode.PSU_OUTPUT,
    **dict.fromkeys(_CHAIN, FaultCode.BOARD_CHAIN),
}
"""Block's error codes, after the list in its own fleet software."""
_COMPONENTS: Final = {"fan": "fan", "psu": "psu", "hashboard": "board"}


async def _system(address: str) -> Answer:
    _, answer = await _first_open(address)
    return answer


async def _first_open(address: str) -> tuple[int, Answer]:
    """Ask for the system page on each port until one answers. Raises Failure."""
    try:
        return HTTPS_PORT, await get_json(address, _SYSTEM, port=HTTPS_PORT)
    except Failure as failure:
        if failure.reason not in _CLOSED:
            raise
    return HTTP_PORT, await get_json(address, _SYSTEM)


_Slot = tuple[int, int | None]
"""The index of a board, that of its slot from 0, and how many chips it has."""


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "proto"
    firmware = Firmware(
        title="Proto Rig (ProtoOS)",
        section="Proto Rig",
        power="input power of the power supplies",
        documented="MDK API 1.8.2 (Proto)",
        questions=Questions(
            pages=dict.fromkeys((HTTP_PORT, HTTPS_PORT), (*_OPEN, *_BEHIND_LOGIN)),
            login=_LOGIN,
        ),
        pyasic_types=frozenset(),
    )
    probe = staticmethod(_system)

    def __init__(self) -> None:
        self._ports: dict[str, int] = {}  # that answered, by address
        self._sessions = Sessions(self._token, _NO_LOGIN)
        self._lacking = Lacking()
        self._slots: Seldom[Mapping[str, _Slot]] = Seldom(HARDWARE_SECONDS)
        self._aims: Seldom[Mapping[str, Any]] = Seldom(TARGET_SECONDS)

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        system = coerce.mapping(answer.get("system-info"))
        return "Proto" in {system.get("manufacturer"), coerce.text(system.get("product_name")).partition(" ")[0]}

    def page(self, target: Target, path: str) -> Coroutine[Any, Any, object]:
        """Ask for a page behind the login. Raises Failure."""
        return self._sessions.ask(target, partial(self._page, target.address, path))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        address = target.address
        self._lacking.forget(address)
        self._aims.forget(address)
        self._ports[address], answer = await _first_open(address)
        system = coerce.mapping(answer.get("system-info"))
        os = coerce.mapping(system.get("os"))
        network = coerce.mapping((await optional(self._open(address, _NETWORK))).get("network-info"))
        hardware = _hardware(await optional(self._open(address, _HARDWARE)))
        supply = next(iter(coerce.items(hardware.get("psus-info"))), {})
        return RigIdentity(
            reader=self.name,
            make="Proto",
            model=coerce.text(system.get("model")),
            firmware=coerce.text(os.get("name")) or "ProtoOS",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(os.get("version")),
            mac=coerce.mac(network.get("mac")),
            serial=coerce.text(system.get("cb_sn")),
            hostname=coerce.text(network.get("hostname")),
            control_board=coerce.text(system.get("board")),
            power_supply_model=coerce.text(supply.get("model")),
            power_supply_serial=coerce.text(supply.get("psu_sn")),
            board_serials=tuple(sorted((slot, serial) for serial, (slot, _) in _slots(hardware).items())),
        )

    def keeps(self, identity: RigIdentity) -> bool:  # noqa: ARG002 - all are alike
        """See :class:`exporter.sources.rigs.contract.KeepsConnections`. Block's own fleet software keeps ten."""
        return True

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        try:
            return await self._read(target, identity)
        except Failure as failure:
            if failure.reason in _CLOSED:
                self._ports.pop(target.address, None)
            raise

    async def _read(self, target: Target, identity: RigIdentity) -> RigReading:
        state = coerce.mapping(coerce.mapping(await self.page(target, _MINING)).get("mining-status"))
        ask = partial(self._lacking.ask, target.address, ask=partial(self.page, target))
        telemetry = coerce.mapping(await optional(ask(_TELEMETRY)))
        rows = coerce.items(telemetry.get("hashboards"))
        boards_there = [row.get("serial_number") for row in rows]
        slots = await self._slots.ask(target.address, boards_there, partial(self._ask_slots, target, identity)) or {}
        aimed_at = tuple(str(state.get(key)) for key in _SHOWS_TARGET)
        aim = await self._aims.ask(target.address, aimed_at, partial(_known, ask, _TARGET)) or {}
        cooling = coerce.mapping(coerce.mapping(await optional(ask(_COOLING))).get("cooling-status"))
        pools = coerce.items(coerce.mapping(await optional(ask(_POOLS))).get("pools"))
        errors = await optional(ask(_ERRORS))
        miner, status = coerce.mapping(telemetry.get("miner")), coerce.text(state.get("status"))
        expected = coerce.hashrate(state.get("ideal_hashrate_ghs"), "GH/s") or None
        hashrate = _realised(miner, status, expected)
        mining = hashrate > 0
        supplies = coerce.items(telemetry.get("psus"))
        boards = tuple(_boards(rows, slots, identity, mining=mining))
        fans = tuple(
            Fan(coerce.index(row.get("slot"), index), coerce.rpm(row.get("rpm")))
            for index, row in enumerate(coerce.items(cooling.get("fans")))
        )
        immersed = cooling.get("fan_mode") == _IMMERSED
        seen = (
            *lost_boards(identity, boards),
            *cgminer.board_faults(boards),
            *(() if immersed else cgminer.fan_faults(fans)),
        )
        return RigReading(
            hashrate=hashrate,
            average_hashrate=coerce.hashrate(state.get("average_hashrate_ghs"), "GH/s"),
            expected_hashrate=expected,
            power=_inputs(supplies, "power", coerce.watts) if supplies else _metric(miner, "power", coerce.watts),
            power_target=coerce.watts(aim.get("power_target_watts", state.get("power_target_watts"))),
            power_supply=_power_supply(supplies),
            mining=mining,
            suspended=_SUSPENDED.get(status),
            power_mode=coerce.text(aim.get("performance_mode"), 64),
            point=coerce.text(aim.get("performance_mode"), 64),
            uptime=coerce.seconds(state.get("mining_uptime_s")),
            system_uptime=coerce.seconds(state.get("reboot_uptime_s")),
            accepted_difficulty=_pool_total(pools, "difficulty_accepted_shares"),
            rejected_difficulty=_pool_total(pools, "difficulty_rejected_shares"),
            best_share=_best_share(pools),
            last_share_at=_last_share(pools),
            hardware_errors=coerce.counter(state.get("hw_errors")),
            fans=fans,
            fan_duty=coerce.percentage(cooling.get("speed_percentage")) if fans and not immersed else None,
            boards=boards,
            pools=tuple(_pools(pools)),
            faults=cgminer.merged(seen if mining else (), _reported_faults(errors, status)),
        )

    async def _ask_slots(self, target: Target, identity: RigIdentity) -> Mapping[str, _Slot] | None:
        """Ask for the slots of the boards; None if it lists none. Raises Failure; OtherRig for another rig."""
        ask = partial(self._open, target.address)
        hardware = _hardware(await optional(self._lacking.ask(target.address, _HARDWARE, ask)))
        _expect_serial(coerce.mapping(hardware.get("cb-info")).get("serial_number"), identity.serial)
        return _slots(hardware) or None

    async def _port(self, address: str) -> int:
        if address not in self._ports:
            self._ports[address], _ = await _first_open(address)
        return self._ports[address]

    async def _open(self, address: str, path: str) -> Answer:
        """Ask for a page that needs no login. Raises Failure."""
        port = await self._port(address)
        return await get_json(address, path, port=port)

    async def _token(self, address: str, credentials: Credentials) -> str:
        if credentials == _NO_LOGIN:
            raise Failure(Reason.AUTH, "its password is needed: give it in the inventory")
        port = await self._port(address)
        answer = await log_in(address, _LOGIN, {"password": credentials.password}, port=port)
        token = coerce.text(answer.get("access_token"), 4_096)
        if not token:
            raise Failure(Reason.GARBLED, "no token in its answer to the login")
        return token

    async def _page(self, address: str, path: str, token: str) -> object:
        """Ask for a page with a token; without content, as while it starts, the answer is empty. Raises Failure."""
        port = await self._port(address)
        headers = {"Authorization": f"Bearer {token}"}
        head, body = await get(address, path, port=port, headers=headers)
        if head.status == _NO_CONTENT:
            return {}
        if head.status == _FORBIDDEN and any(mark in body.lower() for mark in _MUST_CHANGE):
            raise Failure(Reason.AUTH, "its factory password is still active: set another one on the rig first")
        return answered(head, body)


async def _known(ask: Callable[[str], Awaitable[object]], path: str) -> Mapping[str, Any] | None:
    """Return what a page has that a read can do without; None if it has nothing. Raises Failure if none comes."""
    return coerce.mapping(await optional(ask(path))) or None


def _expect_serial(serial: object, known: str) -> None:
    here = coerce.text(serial)
    if here and known and here != known:
        raise OtherRig(here)


def _hardware(answer: Answer) -> Mapping[str, Any]:
    return coerce.mapping(answer.get("hardware-info"))


def _slots(hardware: Mapping[str, Any]) -> dict[str, _Slot]:
    """Give the slot of each board by its serial number."""
    rows = ((coerce.text(row.get("hb_sn"), 64), row) for row in coerce.items(hardware.get("hashboards-info")))
    known = ((serial, coerce.count(row.get("slot"), coerce.MAX_ITEMS), row) for serial, row in rows)
    return {
        serial: (slot - 1, coerce.count(row.get("mining_asic_count")) or None)
        for serial, slot, row in known
        if serial and slot
    }


def _metric(part: Mapping[str, Any], name: str, read: Callable[[object], float | None]) -> float | None:
    return read(coerce.mapping(part.get(name)).get("value"))


def _realised(miner: Mapping[str, Any], status: str, expected: float | None) -> float:
    """Read the hashrate; a rig that is stopped may report none. Raises Failure."""
    metric = coerce.mapping(miner.get("hashrate"))
    if not metric and status in _STILL:
        return 0.0
    if not metric:
        raise Failure(Reason.NOT_READY, "it has no statistics yet")
    return coerce.realised(metric.get("value"), coerce.text(metric.get("unit")), expected)


def _boards(
    rows: list[Mapping[str, Any]],
    slots: Mapping[str, _Slot],
    identity: RigIdentity,
    *,
    mining: bool,
) -> Iterator[Board]:
    """Translate the boards. Their own ``index`` counts those that are there: the slot is that of the serial number."""
    identified = {serial: (slot, None) for slot, serial in identity.board_serials}
    for index, row in enumerate(rows):
        serial = coerce.text(row.get("serial_number"), 64)
        slot, chips = slots.get(serial) or identified.get(serial) or (coerce.index(row.get("index"), index), None)
        rate = coerce.mapping(row.get("hashrate"))
        heat = coerce.mapping(row.get("temperature"))
        asics = coerce.mapping(row.get("asics"))
        rates = coerce.each(_values(asics, "hashrate"), coerce.counter, coerce.MAX_COUNTER, _MOST_CHIPS)
        on_chips = coerce.each(_values(asics, "temperature"), coerce.celsius, coerce.MAX_TEMPERATURE, _MOST_CHIPS)
        coolest, mean, hottest = coerce.spread(on_chips)
        average = coerce.celsius(heat.get("average"))
        sensors = (coerce.celsius(heat.get("inlet")), coerce.celsius(heat.get("outlet")), average)
        failed = tuple(chip for chip, value in enumerate(rates) if value == 0) if mining else ()
        yield Board(
            index=slot,
            hashrate=coerce.hashrate(rate.get("value"), coerce.text(rate.get("unit"))),
            temperature=coerce.hottest(sensors),
            temperature_min=coerce.coolest(sensors),
            temperature_average=average,
            chip_temperature=hottest,
            chip_temperature_min=coolest,
            chip_temperature_average=mean,
            chips=len(rates) - len(failed) if mining and chips is not None and len(rates) == chips else None,
            chips_expected=chips,
            failed_chips=failed,
            voltage=_metric(row, "voltage", coerce.volts),
            power=_metric(row, "power", coerce.watts),
        )


def _values(asics: Mapping[str, Any], name: str) -> object:
    return coerce.mapping(asics.get(name)).get("values")


def _inputs(
    rows: list[Mapping[str, Any]], name: str, read: Callable[[object], float | None], side: str = "input"
) -> float | None:
    """Sum one side of all power supplies."""
    return coerce.total([read(coerce.mapping(row.get(name)).get(side)) for row in rows])


def _power_supply(rows: list[Mapping[str, Any]]) -> PowerSupply | None:
    """Join the power supplies: currents and powers add up, voltages are the same but for a little."""
    volts = [coerce.mapping(row.get("voltage")) for row in rows]
    heat = [coerce.mapping(row.get("temperature")) for row in rows]
    supply = PowerSupply(
        input_voltage=coerce.mean(coerce.volts(each.get("input")) for each in volts),
        input_current=_inputs(rows, "current", coerce.amperes),
        input_power=_inputs(rows, "power", coerce.watts),
        output_voltage=coerce.mean(coerce.volts(each.get("output")) for each in volts),
        output_current=_inputs(rows, "current", coerce.amperes, "output"),
        output_power=_inputs(rows, "power", coerce.watts, "output"),
        temperature=coerce.hottest(coerce.celsius(value) for each in heat for value in each.values()),
    )
    return coerce.measured(supply)


def _pool_total(rows: list[Mapping[str, Any]], key: str) -> float | None:
    return coerce.total([coerce.counter(row.get(key)) for row in rows])


def _best_share(rows: list[Mapping[str, Any]]) -> float | None:
    return max(filter(None, (coerce.difficulty(row.get("best_difficulty_share")) for row in rows)), default=None)


def _last_share(rows: list[Mapping[str, Any]]) -> float | None:
    now = time.time()
    return max(filter(None, (coerce.share_time(row.get("last_share_time"), now) for row in rows)), default=None)


def _pools(rows: list[Mapping[str, Any]]) -> Iterator[Pool]:
    for index, row in enumerate(rows):
        scheme, host = coerce.endpoint(row.get("url"))
        up, active = _POOL_STATES.get(coerce.text(row.get("status")), (None, None))
        yield Pool(
            index=coerce.index(row.get("priority", row.get("id")), index),
            host=host,
            scheme=scheme,
            worker=coerce.text(row.get("user")),
            up=up,
            active=active,
            difficulty=coerce.difficulty(row.get("current_difficulty", row.get("difficulty"))) if active else None,
            accepted=coerce.counter(row.get("accepted")),
            rejected=coerce.counter(row.get("rejected")),
        )


def _reported_faults(answer: object, status: str) -> Iterator[Fault]:
    """Translate the list of errors, which some releases write into an object; one without a known code is unknown."""
    listed = coerce.mapping(answer).get("errors") if isinstance(answer, dict) else answer
    rows = coerce.items(listed)
    for row in rows:
        known = coerce.text(row.get("error_code"), 64)
        part, slot = _COMPONENTS.get(coerce.text(row.get("source")), ""), coerce.count(row.get("slot"), 64)
        if slot is not None and part == "board":
            slot -= 1
        component = part if slot is None or part in ("", "psu") else f"{part} {slot}"
        yield fault(_ERROR_CODES.get(known, FaultCode.UNKNOWN), component, known)
    if not rows and status == "Error":
        yield fault(FaultCode.UNKNOWN, vendor_code=status)
    if not rows and status == "NoPools":
        yield fault(FaultCode.POOL_DEAD, vendor_code=status)
