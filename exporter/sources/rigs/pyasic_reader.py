"""Reads all other firmware with pyasic in worker processes, and checks every value that it returns."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Board, Fan, Fault, Pool, PowerSupply, RigIdentity, RigReading
from exporter.sources.rigs import coerce
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.faults import whatsminer_fault, worded_fault
from exporter.sources.rigs.logins import in_use
from exporter.sources.rigs.names import resolved
from exporter.sources.rigs.workers import WorkerPool, worker_cores

NAME: Final = "pyasic"
_COMMAND: Final = (sys.executable, "-W", "ignore", "-m", "exporter.sources.rigs.pyasic_worker")
_SLOTS: Final = 16
_SILENCE_SECONDS: Final = 1.5
_NOTE_PARTS: Final = 3
_NO_CODE: Final = ("0", "None", "-1")
_AVALON: Final = re.compile(r"^avalonminer +", re.IGNORECASE)
_GENERIC: Final = "Generic (Unknown)"


class PyasicReader:
    """Reads any rig that pyasic knows. An identity's ``reader`` is ``pyasic:TYPE:MODEL:VERSION``."""

    name = NAME

    def __init__(self, *, read_deadline: float, identify_deadline: float) -> None:
        """Make the reader; no process is started before the first job. Deadlines are in seconds, per attempt."""
        self._read_deadline = read_deadline
        self._identify_deadline = identify_deadline
        self._pool = WorkerPool(_COMMAND, workers=worker_cores(), slots=_SLOTS, silence=_SILENCE_SECONDS)

    @property
    def pids(self) -> tuple[int, ...]:
        """The worker processes that run now."""
        return self._pool.pids

    async def identify(self, target: Target) -> RigIdentity:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        answer = await self._ask(target, self._identify_deadline, work="identify")
        algorithm = coerce.text(answer["algorithm"], 64)
        return RigIdentity(
            reader=":".join([NAME, *(coerce.text(part, 64).replace(":", " ") for part in answer["note"])]),
            make=coerce.text(answer["make"], 64),
            model=_model(coerce.text(answer["make"], 64), coerce.text(answer["model"], 64)),
            firmware=coerce.text(answer["firmware"]),
            firmware_version=coerce.text(answer["firmware_version"]),
            mac=coerce.mac(answer["mac"]),
            serial=coerce.text(answer["serial"]),
            hostname=coerce.text(answer["hostname"]),
            algorithm="" if algorithm == _GENERIC else algorithm,
            api_version=coerce.text(answer["api_version"]),
            power_supply_serial=coerce.text(answer["power_supply_serial"]),
            board_serials=tuple(_serials(answer["board_serials"][: coerce.MAX_ITEMS])),
        )

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """See :class:`exporter.sources.rigs.contract.Reader`."""
        note = identity.reader.split(":")[1:]
        if len(note) != _NOTE_PARTS:
            raise Failure(Reason.UNSUPPORTED, f"identified by an unknown reader {identity.reader!r}")
        answer = await self._ask(target, self._read_deadline, work="read", note=note)
        coerce.expect_mac(answer["mac"], identity.mac)
        return translate(answer, identity.make)

    async def close(self) -> None:
        """End the worker processes."""
        await self._pool.close()

    async def _ask(self, target: Target, deadline: float, **job: Any) -> Mapping[str, Any]:
        """Have a job done, which sends no login if none may be sent now. Raises Failure."""
        logins = in_use()
        may_log_in = logins is None or logins.waited is None

        def note(answer: Mapping[str, Any]) -> None:
            accepted = answer.get("login_accepted")
            if logins is not None and accepted is not None:
                logins.accept() if accepted else logins.reject()

        try:
            return await self._pool.ask({**await _request(target), **job, "may_log_in": may_log_in}, deadline, note)
        except Failure as failure:
            if logins is not None and failure.reason is Reason.AUTH and not may_log_in:
                logins.check()
            raise


def pyasic_type(identity: RigIdentity) -> str:
    """Return pyasic's name of the rig's firmware."""
    return identity.reader.split(":")[1]


async def _request(target: Target) -> dict[str, Any]:
    """Return the job's part about the rig. Workers get addresses, never names. Raises Failure if it has none."""
    login = target.credentials
    return {
        "address": await resolved(target.address),
        "username": login and login.username,
        "password": login and login.password,
    }


def _model(make: str, model: str) -> str:
    """Name a model as the native readers do: pyasic gives those that it does not know as they write themselves."""
    if make == "AntMiner":
        return coerce.bitmain_model(model)
    return _AVALON.sub("Avalon ", model) if make == "AvalonMiner" else model


def translate(answer: Mapping[str, Any], make: str) -> RigReading:
    """Return the reading of a worker's answer. Raises Failure if the mandatory hashrate is implausible."""
    expected = coerce.hashrate(answer["expected_hashrate"], "H/s") or None
    hashrate = coerce.realised(answer["hashrate"], "H/s", expected)
    boards = coerce.items(answer["boards"])
    fan_rpm = coerce.rpm(answer["power_supply_fan"])
    return RigReading(
        hashrate=hashrate,
        expected_hashrate=expected,
        power=coerce.watts(answer["power"]),
        power_limit=coerce.watts(answer["power_limit"]),
        power_supply=PowerSupply(fan_rpm=fan_rpm) if fan_rpm else None,
        mining=hashrate > 0,
        login_refused=answer["login_refused"],
        fault_light=coerce.flag(answer["fault_light"]),
        uptime=coerce.seconds(answer["uptime"]),
        temperatures=coerce.by_sensor({"ambient": answer["ambient"]} | _water(boards)),
        fans=tuple(Fan(index, coerce.rpm(speed)) for index, speed in enumerate(answer["fans"][: coerce.MAX_ITEMS])),
        fans_expected=coerce.count(answer["fans_expected"]),
        boards=tuple(_board(board) for board in boards),
        pools=tuple(_pool(index, pool) for index, pool in enumerate(coerce.items(answer["pools"]))),
        faults=tuple(_fault(make, *error) for error in answer["errors"][: coerce.MAX_ITEMS]),
    )


def _serials(boards: list[list[Any]]) -> Iterator[tuple[int, str]]:
    for slot, serial_text in boards:
        index, serial = coerce.count(slot, coerce.MAX_ITEMS), coerce.text(serial_text)
        if index is not None and serial:
            yield index, serial


def _water(boards: list[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the hottest inlet and outlet of boards that are cooled by water."""
    return {end: coerce.hottest(coerce.celsius(board[end]) for board in boards) for end in ("inlet", "outlet")}


def _board(answer: Mapping[str, Any]) -> Board:
    return Board(
        index=coerce.count(answer["index"]) or 0,
        hashrate=coerce.hashrate(answer["hashrate"], "H/s"),
        temperature=coerce.celsius(answer["temperature"]),
        chip_temperature=coerce.celsius(answer["chip_temperature"]),
        chips=coerce.count(answer["chips"]),
        chips_expected=coerce.count(answer["chips_expected"]) or None,
        voltage=coerce.volts(answer["voltage"]),
    )


def _pool(index: int, answer: Mapping[str, Any]) -> Pool:
    scheme, host = coerce.endpoint(answer["url"])
    return Pool(
        index=index,
        host=host,
        scheme=scheme,
        worker=coerce.text(answer["worker"]),
        up=coerce.flag(answer["up"]),
        active=coerce.flag(answer["active"]),
        accepted=coerce.counter(answer["accepted"]),
        rejected=coerce.counter(answer["rejected"]),
    )


def _fault(make: str, code: str, message: str) -> Fault:
    if make == "WhatsMiner":
        return whatsminer_fault(code)
    return worded_fault(message, vendor_code="" if code in _NO_CODE else coerce.text(code, 64))
