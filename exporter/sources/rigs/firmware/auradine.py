"""Auradine's Teraflux (FluxOS, GCMiner): cgminer's API on port 4028, and the same and more on 8080 behind a login.

Hashrate is ``MHS 1m``; ``MHS 5s`` swings by a factor of two. All is read on 8080, over one connection. What does not
come from there is asked on 4028: hashrate, boards, pools and shares. The power supply, fans, chips, mode and serial
numbers need the login. Mode and LEDs are asked every :data:`SELDOM_SECONDS`, clocks and voltages, of each chip, every
:data:`CHIPS_SECONDS`, and all at once when it starts or stops hashing.
"""

import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Credentials
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import Board, Fan, Fault, PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import cgminer, coerce
from exporter.sources.rigs.contract import Answer, Firmware, Questions, Recording, Target
from exporter.sources.rigs.faults import fault, lost_boards
from exporter.sources.rigs.seldom import Seldom
from exporter.sources.rigs.sessions import Sessions
from exporter.sources.rigs.transport import optional, rpc
from exporter.sources.rigs.web import get, get_json, log_in, visit

T = TypeVar("T")

LOGIN_PAUSE: Final = 300.0  # s
SELDOM_SECONDS: Final = 60.0
CHIPS_SECONDS: Final = 300.0
_PORT: Final = 8080
_LOGIN: Final = "/token"
_FACTORY_LOGIN: Final = Credentials("admin", "admin")
_WEB_SECONDS: Final = 2.5
_COMMANDS: Final = ("version", "devdetails", "asccount", "summary", "devs", "pools")
_TITLE: Final = b"<title>Miner UI</title>"
_FAN, _PSU, _HEAT, _MODE, _LED = "/fan", "/psu", "/temperature", "/mode", "/led"
_VOLTS, _CLOCKS, _REPORT = "/voltage", "/frequency", "/ipreport"
_SUMMARY, _DEVICES, _POOLS = "summary", "devs", "pools"
_OFTEN: Final = (f"/{_SUMMARY}", f"/{_DEVICES}", f"/{_POOLS}", _PSU, _HEAT, _FAN)
"""Those of each read, the most important first: those that come too late are lost."""
_SELDOM: Final = (_MODE, _LED)
_OF_CHIPS: Final = (_CLOCKS, _VOLTS)
_WINDOWS: Final = {"MHS 1m": 60.0, "MHS 5m": 300.0, "MHS 5s": 5.0}  # s, of each rate, the best first
_UNIT: Final = "MH/s"
_OTHER_DOOR: Final = frozenset({Reason.REFUSED, Reason.AUTH})
_REJECTED: Final = ("TOKEN", "SESSION", "EXPIRED", "UNAUTHORIZED")
_MOST_CHIPS: Final = 1_024  # of a board
_SWITCH: Final = {"on": True, "off": False}
_LOCATE: Final = 3
_LED_FAULTS: Final = {
    1: FaultCode.PSU_OUTPUT,
    4: FaultCode.BOARD_TEMPERATURE,
    5: FaultCode.POOL_WRONG,
    6: FaultCode.NETWORK,
    7: FaultCode.CONTROL_BOARD,
    8: FaultCode.HASHRATE_LOW,
}
"""What the codes of the LEDs stand for. 2 is normal, 3 locates the rig, above 100 the operator chose the light."""


class _Clocks(NamedTuple):
    """The clocks of a board's chips."""

    chips: int  # that are listed
    running: int
    mean: float | None  # Hz


class _State(NamedTuple):
    """What is asked every :data:`SELDOM_SECONDS`."""

    mode: Mapping[str, Any]
    light: Mapping[str, Any]


class _Chips(NamedTuple):
    """What is asked every :data:`CHIPS_SECONDS`, by the number of the board."""

    clocks: Mapping[int, _Clocks]
    volts: Mapping[int, float | None]


_NO_STATE: Final = _State({}, {})
_NO_CHIPS: Final = _Chips({}, {})


class Reader:
    """See :class:`exporter.sources.rigs.contract.NativeReader`."""

    name = "auradine"
    firmware = Firmware(
        title="Auradine (FluxOS)",
        section="Auradine",
        power="input power of the power supply",
        recorded=(Recording("AT1500", "2023-12.27", "asic-rs"),),
        documented="field names of 2.x (bitcap)",
        questions=Questions(
            rpc=_COMMANDS,
            pages={80: ("/",), _PORT: (*_OFTEN, *_SELDOM, *_OF_CHIPS, _REPORT, "/version", "/devdetails", "/asccount")},
            login=_LOGIN,
        ),
        pyasic_types=frozenset({"AURADINE"}),
    )
    probe = staticmethod(cgminer.version)

    def __init__(self) -> None:
        self._sessions = Sessions(_token, _FACTORY_LOGIN)
        self._rejected: dict[str, tuple[Credentials | None, float]] = {}  # login, and until when it rests
        self._fitted: dict[str, int | None] = {}  # chips that a board of the rig at an address has
        self._states: Seldom[_State] = Seldom(SELDOM_SECONDS)
        self._chips: Seldom[_Chips] = Seldom(CHIPS_SECONDS)

    async def second_probe(self, address: str) -> Answer:
        """Ask for the front page on port 80. Raises Failure."""
        _, body = await get(address, "/")
        if _TITLE not in body:
            raise Failure(Reason.UNSUPPORTED, "the web interface of another device")
        return {"title": _TITLE}

    def recognises(self, answer: Answer) -> bool:
        """See :class:`exporter.sources.rigs.contract.NativeReader`."""
        if answer.get("title") == _TITLE:
            return True
        described = coerce.text(coerce.first(answer, "STATUS").get("Description")).lower()
        return "GCMiner" in coerce.first(answer, "VERSION") or described.startswith(("gcminer", "fluxos"))

    def page(self, target: Target, path: str) -> Coroutine[Any, Any, Answer]:
        """Ask for a page on port 8080 behind the login. Raises Failure."""
        return self._sessions.ask(target, partial(_page, target.address, path))

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        version = coerce.first(await self._ask(target, "version"), "VERSION")
        details = coerce.first(await optional(self._ask(target, "devdetails")), "DEVDETAILS")
        self._fitted[target.address] = _chips(await optional(self._ask(target, "asccount")))
        self._rejected.pop(target.address, None)
        self._states.forget(target.address)
        self._chips.forget(target.address)
        pages, _ = await self._visit(target, _REPORT)
        report = coerce.first(pages.get(_REPORT, {}), "IPReport")
        serials = report.get("HBSerialNo")
        return RigIdentity(
            reader=self.name,
            make="Auradine",
            model=(coerce.text(details.get("Model")) or coerce.text(report.get("model"))).upper(),
            firmware="FluxOS",
            algorithm=BITCOIN_ALGORITHM,  # the firmware runs on no other hardware
            firmware_version=coerce.text(report.get("version")),
            mac=coerce.mac(report.get("mac")),
            serial=coerce.text(report.get("ChassisSerialNo")) or coerce.text(report.get("SerialNo")),
            hostname=coerce.text(report.get("hostname")),
            api_version=coerce.text(version.get("API")),
            board_serials=tuple(
                (index, serial)
                for index, text in enumerate(serials[: coerce.MAX_ITEMS] if isinstance(serials, list) else ())
                if (serial := coerce.text(text, 64))
            ),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        began = time.monotonic()
        pages, refused = await self._visit(target, *_OFTEN)
        summary = coerce.first(await self._answer(target, pages, _SUMMARY), "SUMMARY")
        rate = coerce.first_key(summary, _WINDOWS)
        hashrate = coerce.realised(summary.get(rate), _UNIT)
        mining = hashrate > 0
        devices = coerce.items((await optional(self._answer(target, pages, _DEVICES))).get("DEVS"))
        pools = cgminer.pools(await optional(self._answer(target, pages, _POOLS)))
        state, of_chips = _NO_STATE, _NO_CHIPS
        if pages:
            state = await self._seldom(self._states, target, mining, began, _SELDOM, _state)
            of_chips = await self._seldom(self._chips, target, mining, began, _OF_CHIPS, _of_chips)
        mode, light = state
        supplies = coerce.items(pages.get(_PSU, {}).get("PSU"))
        boards = tuple(_boards(devices, pages.get(_HEAT, {}), of_chips, await self._chips_expected(target)))
        rows = coerce.items(pages.get(_FAN, {}).get("Fan"))
        fans = tuple(
            Fan(coerce.index(row.get("ID"), index), coerce.rpm(row.get("Speed"))) for index, row in enumerate(rows, 1)
        )
        seen = (*lost_boards(identity, boards), *_board_faults(devices), *cgminer.fan_faults(fans)) if mining else ()
        return RigReading(
            hashrate=hashrate,
            hashrate_window=_WINDOWS[rate],
            average_hashrate=coerce.hashrate(summary.get("MHS av"), _UNIT),
            expected_hashrate=_expected(summary, mode),
            power=coerce.watts(summary["Wattage"]) if "Wattage" in summary else _sum(supplies, "PowerIn", coerce.watts),
            power_target=coerce.watts(mode.get("Power")) if _tunes_to_power(mode) else None,
            power_supply=_power_supply(supplies),
            mining=mining,
            suspended=_SWITCH.get(coerce.text(mode.get("Sleep")).lower()),
            power_mode=coerce.text(mode.get("Mode"), 64),
            point=_point(mode),
            fault_light=None if (code := coerce.count(light.get("Code"))) is None else code == _LOCATE,
            login_refused=refused,
            uptime=coerce.seconds(summary.get("Elapsed")),
            accepted_difficulty=coerce.counter(summary.get("Difficulty Accepted")),
            rejected_difficulty=coerce.counter(summary.get("Difficulty Rejected")),
            discarded_work=coerce.counter(summary.get("Discarded")),
            best_share=coerce.difficulty(summary.get("Best Share")),
            last_share_at=pools.last_share_at,
            hardware_errors=coerce.counter(summary.get("Hardware Errors")),
            hardware_error_ratio=coerce.percentage(summary.get("Device Hardware%")),
            temperatures=coerce.by_sensor({"control_board": _control_board(pages.get(_HEAT, {}))}),
            fans=fans,
            fan_duty=coerce.mean(_duty(row) for row in rows),
            boards=boards,
            pools=pools.pools,
            faults=cgminer.merged(seen, _reported_faults(mode, light)),
        )

    async def _seldom(
        self,
        kept: Seldom[T],
        target: Target,
        mining: bool,
        began: float,
        paths: tuple[str, ...],
        read: Callable[[Mapping[str, Answer]], T],
    ) -> T:
        """Give what is kept, or ask, if what is asked at each read has left half of the time for pages."""
        value = kept.kept(target.address, mining)
        if value is None:
            pages: Mapping[str, Answer] = {}
            if time.monotonic() < began + _WEB_SECONDS / 2:
                pages, _ = await visit(partial(self.page, target), paths, seconds=_WEB_SECONDS / 2)
            value = read(pages)
            if len(pages) == len(paths):
                kept.keep(target.address, mining, value)
        return value

    async def _answer(self, target: Target, pages: Mapping[str, Answer], command: str) -> Answer:
        """Give the answer that is among the pages, or ask for it. Raises Failure."""
        return pages.get(f"/{command}") or await self._ask(target, command)

    async def _ask(self, target: Target, command: str) -> Answer:
        """Ask on port 4028, or on 8080 if that is closed to this host. Raises Failure."""
        try:
            return await rpc(target.address, command)
        except Failure as failure:
            if failure.reason not in _OTHER_DOOR:
                raise
            closed = Failure(failure.reason, failure.detail)
        try:
            return await self.page(target, f"/{command}")
        except Failure as failure:
            raise (closed if failure.reason is Reason.REFUSED else failure) from None
        finally:
            del closed  # it may hold this frame

    async def _visit(self, target: Target, *paths: str) -> tuple[dict[str, Answer], bool | None]:
        """Ask for pages behind the login, as :func:`exporter.sources.rigs.web.visit` does.

        A login that was rejected is not sent again within :data:`LOGIN_PAUSE`: the read can do without it.
        """
        login, until = self._rejected.get(target.address, (None, 0.0))
        if login == target.credentials and time.monotonic() < until:
            return {}, True
        pages, refused = await visit(partial(self.page, target), paths, seconds=_WEB_SECONDS)
        if refused:
            self._rejected[target.address] = (target.credentials, time.monotonic() + LOGIN_PAUSE)
        return pages, refused

    async def _chips_expected(self, target: Target) -> int | None:
        """Ask a rig that was identified before this process started, once."""
        if target.address not in self._fitted:
            answer = await optional(self._ask(target, "asccount"))
            if not answer:
                return None
            self._fitted[target.address] = _chips(answer)
        return self._fitted[target.address]


async def _token(address: str, credentials: Credentials) -> str:
    login = {"command": "token", "user": credentials.username, "password": credentials.password}
    answer = await log_in(address, _LOGIN, login, port=_PORT)
    token = coerce.text(coerce.first(answer, "Token").get("Token"), 4_096)
    if not token:
        raise Failure(Reason.AUTH if _is_error(answer) else Reason.GARBLED, "no token in its answer to the login")
    return token


async def _page(address: str, path: str, token: str) -> Answer:
    answer = await get_json(address, path, port=_PORT, headers={"Token": token})
    if _is_error(answer):
        message = coerce.text(coerce.first(answer, "STATUS").get("Msg"), 64)
        rejected = any(word in message.upper() for word in _REJECTED)
        raise Failure(Reason.AUTH if rejected else Reason.GARBLED, f"it refused {path}: {message}")
    return answer


def _is_error(answer: Answer) -> bool:
    return coerce.first(answer, "STATUS").get("STATUS") in ("E", "F")


def _chips(answer: Answer) -> int | None:
    """Give how many chips one board has."""
    row = coerce.first(answer, "ASCCount")
    chips, boards = coerce.count(row.get("AsicCount")), coerce.count(row.get("BoardCount"))
    return chips // boards if chips and boards else None


def _expected(summary: Mapping[str, Any], mode: Mapping[str, Any]) -> float | None:
    """Give the hashrate that the rig aims at: in ``mode`` it stands also while the aim is a power."""
    if "ThsThrottle" in summary:
        return coerce.hashrate(summary["ThsThrottle"], "TH/s") or None
    return coerce.hashrate(mode.get("Ths"), "TH/s") or None if mode.get("Tune") == "ths" else None


def _point(mode: Mapping[str, Any]) -> str:
    watts = coerce.watts(mode.get("Power")) if _tunes_to_power(mode) else None
    return " ".join(filter(None, (coerce.text(mode.get("Mode"), 32), f"{watts:g} W" if watts else "")))


def _tunes_to_power(mode: Mapping[str, Any]) -> bool:
    """Return whether the power in ``mode`` is aimed at; firmware without ``Tune`` does so in the mode ``custom``."""
    return mode["Tune"] == "power" if "Tune" in mode else mode.get("Mode") == "custom"


def _state(pages: Mapping[str, Answer]) -> _State:
    return _State(coerce.first(pages.get(_MODE, {}), "Mode"), coerce.first(pages.get(_LED, {}), "LED"))


def _of_chips(pages: Mapping[str, Answer]) -> _Chips:
    clocks = _by_board(pages.get(_CLOCKS, {}), "Frequency", "ChipFrequency")
    volts = _by_board(pages.get(_VOLTS, {}), "Voltage", "ChipVoltage")
    return _Chips(
        {number: _clocks(row) for number, row in clocks.items()},
        {
            number: coerce.mean(_values(row, "ChipVoltage", "Voltage", coerce.volts, coerce.MAX_VOLTS))
            for number, row in volts.items()
        },
    )


def _clocks(row: Mapping[str, Any]) -> _Clocks:
    clocks = _values(row, "ChipFrequency", "Frequency", coerce.clock, coerce.MAX_MEGAHERTZ)
    return _Clocks(len(clocks), sum(1 for clock in clocks if clock), coerce.megahertz(coerce.mean(clocks)))


def _by_board(answer: Answer, section: str, values: str) -> dict[int, Mapping[str, Any]]:
    """Sort rows by the number of the board; 0 is the control board."""
    rows = coerce.items(answer.get(section))
    return {number: row for row in rows if (number := coerce.count(row.get("ID"), coerce.MAX_ITEMS)) and values in row}


def _boards(devices: list[Mapping[str, Any]], heat: Answer, of_chips: _Chips, chips: int | None) -> Iterator[Board]:
    """Join what is known of each board by its number, which begins at 1."""
    sensors = _by_board(heat, "Temperature", "BoardTemp")
    for number_in_list, row in enumerate(devices, 1):
        number = coerce.count(row.get("ID"), coerce.MAX_ITEMS) or number_in_list
        least, average, most = coerce.spread(_temperatures(sensors.get(number, {}), "BoardTemp"))
        coolest, mean, hottest = coerce.spread(_temperatures(sensors.get(number, {}), "ChipTemp"))
        clocks = of_chips.clocks.get(number)
        yield Board(
            index=number - 1,
            hashrate=coerce.hashrate(row.get("MHS 5s"), _UNIT),
            temperature=coerce.celsius(row.get("Temperature")) if most is None else most,
            temperature_min=least,
            temperature_average=average,
            chip_temperature=hottest,
            chip_temperature_min=coolest,
            chip_temperature_average=mean,
            # A list that is shorter than the board was cut: it is no evidence about the chips that it lacks.
            chips=clocks.running or None if clocks and clocks.chips == chips else None,
            chips_expected=chips,
            frequency=None if clocks is None else clocks.mean,
            voltage=of_chips.volts.get(number),
        )


def _values(
    row: Mapping[str, Any], part: str, value: str, read: Callable[[object], float | None], high: float
) -> list[float | None]:
    return coerce.each([each.get(value) for each in coerce.items(row.get(part), _MOST_CHIPS)], read, high, _MOST_CHIPS)


def _temperatures(row: Mapping[str, Any], part: str) -> list[float | None]:
    return _values(row, part, "Temperature", coerce.celsius, coerce.MAX_TEMPERATURE)


def _control_board(answer: Answer) -> float | None:
    rows = coerce.items(answer.get("Temperature"))
    sensors = (each for row in rows if row.get("ID") == 0 for each in coerce.items(row.get("BoardTemp")))
    return coerce.hottest(coerce.celsius(each.get("Temperature")) for each in sensors)


def _duty(row: Mapping[str, Any]) -> float | None:
    aim, most = coerce.rpm(row.get("Target")), coerce.rpm(row.get("Max"))
    return coerce.ratio(aim / most) if aim is not None and most else None


def _power_supply(rows: list[Mapping[str, Any]]) -> PowerSupply | None:
    """Join the power supplies: currents and powers add up, voltages are the same, the slowest fan is the one to see."""
    speeds = (coerce.rpm(coerce.leading_number(row.get(key))) for row in rows for key in ("FanSpeed1", "FanSpeed2"))
    supply = PowerSupply(
        input_voltage=coerce.mean(coerce.volts(coerce.leading_number(row.get("Vin"))) for row in rows),
        input_current=_sum(rows, "Iin", coerce.amperes),
        input_power=_sum(rows, "PowerIn", coerce.watts),
        output_voltage=coerce.mean(coerce.volts(coerce.leading_number(row.get("Vout"))) for row in rows),
        output_current=_sum(rows, "Iout", coerce.amperes),
        output_power=_sum(rows, "PowerOut", coerce.watts),
        fan_rpm=coerce.coolest(speeds),
    )
    return coerce.measured(supply)


def _sum(rows: list[Mapping[str, Any]], key: str, read: Callable[[object], float | None]) -> float | None:
    return coerce.total([read(coerce.leading_number(row.get(key))) for row in rows])


def _board_faults(devices: list[Mapping[str, Any]]) -> Iterator[Fault]:
    for number_in_list, row in enumerate(devices, 1):
        board = f"board {(coerce.count(row.get('ID'), coerce.MAX_ITEMS) or number_in_list) - 1}"
        status = coerce.text(row.get("Status"), 64)
        if row.get("Enabled") is False:
            yield fault(FaultCode.BOARD_HASHRATE, board, "disabled")
        elif status not in {"", "Alive"}:
            yield fault(FaultCode.BOARD_HASHRATE, board, status)


def _reported_faults(mode: Mapping[str, Any], light: Mapping[str, Any]) -> Iterator[Fault]:
    if _SWITCH.get(coerce.text(mode.get("leakDetected")).lower()):
        yield fault(FaultCode.COOLANT, vendor_code="leakDetected")
    code = _LED_FAULTS.get(coerce.count(light.get("Code")) or 0)
    if code is not None:
        yield fault(code, vendor_code=coerce.text(light.get("Msg"), 64) or f"LED {light.get('Code')}")
