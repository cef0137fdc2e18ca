"""Bitdeer's SealMiners (bdminer): cgminer's API on port 4028, where ``stats`` has nearly all in one row.

Hashrate is ``MHS(1m)`` of ``stats``: ``summary`` counts shares, and its average includes the minutes of tuning after a
start. Boards and fans share the number in front of their keys: fan 3 is there where board 3 is not.

While a rig starts, or where port 4028 is closed, its web interface on port 80 reports less, behind a login.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Credentials
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading, TunerState
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, missing_board, worded_fault
from exporter.sources.rigs.sessions import Sessions
from exporter.sources.rigs.transport import rpc
from exporter.sources.rigs.web import HTTP_PORT, answered, get, log_in_by_form

_WINDOWS: Final = {"MHS(1m)": 60.0, "MHS(2m)": 120.0, "MHS(30s)": 30.0, "MHS(5m)": 300.0}  # s, the best first
_UNIT: Final = "MH/s"
_BOARDS: Final = 8
_FANS: Final = 8
_SENSORS: Final = 8  # of a board
_SUSPENDED: Final = (("suspend", True), ("running", False))
_NO_ERROR: Final = frozenset("0x")
"""The characters of an error code that stands for no error."""
_LOGIN: Final = "/cgi-bin/login.php"
_FACTORY_LOGIN: Final = Credentials("seal", "seal")
_SYSTEM: Final = "/cgi-bin/get_system_info.php"
_STATUS: Final = "/cgi-bin/miner-status.php"
_SUPPLY: Final = "/cgi-bin/miner-psu-status.php"
_FRONT: Final = b"amazeui"
"""The style sheet of the web interface's first page. Other devices have it too: the brand decides."""
_BRAND: Final = "sealminer"
_OTHER_DOOR: Final = frozenset({Reason.REFUSED, Reason.AUTH})
_IDLE_WATTS: Final = 500.0
"""Below it a rig does not hash: the smallest model needs five times as much."""
_SWITCH: Final = {"on": True, "off": False}


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "sealminer"
    firmware = Firmware(
        title="Bitdeer stock (SealMiner)",
        section="Bitdeer stock",
        power="input power of the power supply",
        recorded=(Recording("A2", "2025-09-10", "asic-rs"),),
        documented="web interface, by clients",
        questions=Questions(
            rpc=("version", "stats", "summary", "pools"),
            pages={HTTP_PORT: ("/", _SYSTEM, _STATUS, _SUPPLY)},
            login=_LOGIN,
        ),
        pyasic_types=frozenset(),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._sessions = Sessions(_cookie, _FACTORY_LOGIN)

    async def second_probe(self, address: str) -> Answer:
        """Ask for the front page on port 80. Raises Failure."""
        _, body = await get(address, "/")
        if _FRONT not in body:
            raise Failure(Reason.UNSUPPORTED, "the web interface of another device")
        return {"front": _FRONT}

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        return answer.get("front") == _FRONT or "BDMiner" in coerce.first(answer, "VERSION")

    async def page(self, target: Target, path: str) -> Answer:
        """Ask for a page behind the login. Raises Failure."""
        return await self._sessions.ask(target, partial(_page, target.address, path))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        try:
            version = coerce.first(await rpc(target.address, "version"), "VERSION")
        except Failure as failure:
            return _identity(await self._by_web(target, _SYSTEM, failure))
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
        try:
            stats = coerce.first(await rpc(target.address, "stats"), "STATS")
        except Failure as failure:
            system = await self._by_web(target, _SYSTEM, failure)
            coerce.expect_mac(system.get("macaddr"), identity.mac)
            return _reading(system, await self.page(target, _STATUS), await self.page(target, _SUPPLY))
        coerce.expect_mac(stats.get("MAC"), identity.mac)
        summary = coerce.first(await cgminer.optional(target.address, "summary"), "SUMMARY")
        pools = cgminer.pools(await cgminer.optional(target.address, "pools"))
        rate = coerce.first_key(stats, _WINDOWS)
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
            last_share_at=pools.last_share_at,
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            hardware_error_ratio=coerce.percentage(summary.get("Device Hardware%")),
            fans=fans,
            fans_expected=coerce.count(stats.get("Fan Count"), coerce.MAX_ITEMS),
            boards=tuple(_boards(stats)),
            pools=pools.pools,
            faults=cgminer.merged(seen, _reported_faults(stats)),
        )

    async def _by_web(self, target: Target, path: str, failure: Failure) -> Answer:
        """Ask the web interface instead of port 4028, which failed. Raises Failure, of port 4028 if both are closed."""
        if failure.reason not in _OTHER_DOOR:
            raise failure
        try:
            return await self.page(target, path)
        except Failure as second:
            if second.reason is not Reason.REFUSED:
                raise
        raise Failure(failure.reason, failure.detail)


async def _cookie(address: str, credentials: Credentials) -> str:
    """Log in. A wrong login is answered 200 too, with a state other than 0."""
    login = {"username": credentials.username, "origin_pwd": credentials.password}
    answer, cookie = await log_in_by_form(address, _LOGIN, login)
    if answer.get("state") != 0:
        raise Failure(Reason.AUTH, f"it refused the login: {coerce.text(answer.get('msg'), 64)}")
    if not cookie:
        raise Failure(Reason.GARBLED, "no cookie in its answer to the login")
    return cookie


async def _page(address: str, path: str, cookie: str) -> Answer:
    """Ask for a page. After a session has ended, the login's page comes instead."""
    head, body = await get(address, path, headers={"Cookie": cookie})
    if head.status == HTTPStatus.FOUND or (head.status == HTTPStatus.OK and _FRONT in body):
        raise Failure(Reason.AUTH, "it asks for a new login")
    return coerce.mapping(answered(head, body))


def _identity(system: Answer) -> RigIdentity:
    """Identify a rig by its web interface. Raises Failure if it is another device's."""
    if coerce.text(system.get("brand")).lower() != _BRAND:
        raise Failure(Reason.UNSUPPORTED, "the web interface of another device")
    return RigIdentity(
        reader=Reader.name,
        make="SealMiner",
        model=coerce.text(system.get("miner_type")),
        firmware="Stock",
        firmware_version=coerce.text(system.get("firmware_version")),
        mac=coerce.mac(system.get("macaddr")),
        serial=coerce.text(system.get("crtl_sn")),
        control_board=coerce.text(system.get("ctrl_version")),
        power_supply_model=coerce.text(system.get("psu_model")),
    )


def _reading(system: Answer, status: Answer, supply: Answer) -> RigReading:
    """Read a rig by its web interface, whose only hashrate is the average since start.

    A rig that was suspended keeps that average: only what the power supply draws shows that it hashes. Raises Failure.
    """
    summary = coerce.mapping(status.get("summary"))
    rows = [row for row in coerce.items(status.get("pools")) if coerce.text(row.get("url"))]
    power = coerce.watts(supply.get("Power"))
    if power is None:
        raise Failure(Reason.GARBLED, "the web interface does not report the power, so nothing shows that it hashes")
    mining = power >= _IDLE_WATTS
    uptime = coerce.seconds(summary.get("elapsed"))
    code = coerce.text(supply.get("StatusCode"), 64)
    return RigReading(
        hashrate=coerce.realised(summary.get("mhsav"), _UNIT) if mining else 0.0,
        hashrate_window=uptime if mining else None,
        average_hashrate=coerce.hashrate(summary.get("mhsav"), _UNIT),
        power=power,
        power_supply=PowerSupply(
            input_power=power,
            output_voltage=coerce.volts(supply.get("Voltage")),
            output_current=coerce.amperes(supply.get("Current")),
            temperature=coerce.celsius(supply.get("Temp")),
        ),
        mining=mining,
        fault_light=_SWITCH.get(coerce.text(system.get("led"), 8)),
        uptime=uptime,
        accepted_difficulty=coerce.total([coerce.counter(row.get("diffA")) for row in rows]),
        rejected_difficulty=coerce.total([coerce.counter(row.get("diffR")) for row in rows]),
        pools=tuple(_pool(index, row) for index, row in enumerate(rows)),
        faults=() if set(code.lower()) <= _NO_ERROR else (fault(FaultCode.PSU_OUTPUT, "psu", code),),
    )


def _pool(index: int, row: Mapping[str, Any]) -> Pool:
    """Translate a pool of the web interface, where a number that is not known is empty."""
    scheme, host = coerce.endpoint(row.get("url"))
    active, state = coerce.flag(row.get("isActive")), coerce.text(row.get("status"), 16)
    return Pool(
        index=index,
        host=host,
        scheme=scheme,
        worker=coerce.text(row.get("user")),
        up=state == "Alive" if state else None,
        active=active,
        difficulty=coerce.difficulty(row.get("diff")) or None if active else None,
        accepted=coerce.counter(row.get("accept")),
        rejected=coerce.counter(row.get("rejected")),
        stale=coerce.counter(row.get("stale")),
    )


def _slots(stats: Mapping[str, Any]) -> Iterator[int]:
    """Give the slots of boards, which have chips or a state; a fan has neither."""
    return (slot for slot in range(_BOARDS) if f"{slot} Online" in stats or f"{slot} Chip Count" in stats)


def _boards(stats: Mapping[str, Any]) -> Iterator[Board]:
    """Translate the keys of each board. The voltage is of every chip of the rig, in mV."""
    for slot in _slots(stats):
        sensors = (coerce.celsius(stats.get(f"{slot} Temp {sensor}")) for sensor in range(_SENSORS))
        coolest, mean, hottest = coerce.spread(sensors)
        chips, bad = coerce.count(stats.get(f"{slot} Chip Count")), coerce.count(stats.get(f"{slot} Bad Chip Count"))
        online = coerce.flag(stats.get(f"{slot} Online")) is not False
        yield Board(
            index=slot,
            hashrate=coerce.hashrate(stats.get(f"{slot} MHS(Sample)"), _UNIT),
            expected_hashrate=coerce.hashrate(stats.get(f"{slot} MHS(Ideal)"), _UNIT) or None,
            temperature=hottest,
            temperature_min=coolest,
            temperature_average=mean,
            chips=0 if not online else None if chips is None else max(chips - (bad or 0), 0),
            chips_expected=chips or None,
            frequency=coerce.megahertz(stats.get(f"{slot} Freq")),
            voltage=coerce.millivolts(stats.get("Chip Voltage")) if online else None,
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
    return coerce.measured(supply)


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
