"""The process that runs pyasic, and the only module that loads it. Jobs and answers are lines of JSON over pipes.

pyasic has no deadline, no bound on answers, leaks sockets and reports an unplugged rig as mining. So each job runs
under a guard that sees every connection it makes: only to its own rig, bounded in bytes, all closed when the job ends.
The values are passed on as they are; :mod:`exporter.sources.rigs.pyasic_reader` checks them.
"""

import asyncio
import ctypes
import json
import logging
import os
import resource
import signal
import sys
import warnings
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NoReturn

import httpx
import uvloop

from exporter.model.failures import Failure, Reason
from exporter.sources.rigs.transport import CONNECT_SECONDS, MAX_ANSWER, connect_failure
from exporter.sources.rigs.workers import BEAT_SECONDS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyasic import settings
    from pyasic.miners import factory
    from pyasic.miners.backends.antminer import AntminerOld
    from pyasic.miners.backends.bfgminer import BFGMiner
    from pyasic.miners.backends.bmminer import BMMiner
    from pyasic.miners.data import DataOptions

MEMORY_LIMIT: Final = 1_500_000_000  # bytes of address space
FILE_LIMIT: Final = 1_024
RETIRE_JOBS: Final = 2_000
RETIRE_MEMORY: Final = 250_000_000  # bytes resident
RETIRE_FILES: Final = 256
_PR_SET_PDEATHSIG: Final = 1
_SSH_PORT: Final = 22

# Never CONFIG (pool passwords) or IS_MINING (true where nothing answered, and asked with a question of its own); the
# FAULT_LIGHT of few only (elsewhere it is a POST, or off where nothing answered). To SSH, for names, nothing connects.
IDENTITY_FIELDS: Final = (
    DataOptions.MAC,
    DataOptions.HOSTNAME,
    DataOptions.SERIAL_NUMBER,
    DataOptions.FW_VERSION,
    DataOptions.API_VERSION,
    DataOptions.PSU_SERIAL_NUMBER,
    DataOptions.HASHBOARDS,
)
READ_FIELDS: Final = (
    DataOptions.MAC,
    DataOptions.HASHRATE,
    DataOptions.EXPECTED_HASHRATE,
    DataOptions.HASHBOARDS,
    DataOptions.ENVIRONMENT_TEMP,
    DataOptions.WATTAGE,
    DataOptions.WATTAGE_LIMIT,
    DataOptions.FANS,
    DataOptions.FAN_PSU,
    DataOptions.ERRORS,
    DataOptions.UPTIME,
    DataOptions.POOLS,
)

_LIT: Final = frozenset({"AURADINE"})
"""pyasic's names of firmware whose locate light it reads, with an unknown state apart from off."""
_AVERAGED_BOARDS: Final = frozenset({"AvalonMiner"})
"""Makes of whose boards pyasic takes the average since start, which an idle rig keeps for hours."""
_CHIP_SENSORS: Final = frozenset({"AvalonMiner", "Innosilicon"})
"""Makes of whose boards the temperature is that of their hottest chip, the chips' mean or their coolest."""
_WATER_COOLED: Final = frozenset({"AntMiner"})
"""Makes of whose boards an inlet is one: of Avalons and Whatsminers it is the mean or the coolest of the chips."""
_SWAPPED: Final = tuple(backend._get_hashboards for backend in (AntminerOld, BFGMiner, BMMiner))  # noqa: SLF001
"""Backends that take a board's ``temp`` for its chips' and ``temp2_``, which is the chips', for the board's."""
_VOLTS: Final = frozenset({"ePIC"})
"""Firmware of whose boards the voltage is one, in volts: of BitAxes it is the supply's, in millivolts."""
_LOGIN_PAGES: Final = {
    "/api/auth": "jwt",
    "/api/login": "code",
    "/api/v1/unlock": "token",
    "/token": "Token",
    "/user/login": "JWT Token",
}
"""Pages that take a password, and what their JSON has if it was right. All others take it in a header."""


class _Login:
    """What the rig did with the login that one job sends: at most one wrong one, because rigs lock users out.

    Args:
        allowed: Whether a login may be sent at all.
    """

    def __init__(self, *, allowed: bool) -> None:
        self.accepted: bool | None = None
        """None if the rig did not judge a login."""
        self._allowed = allowed
        self._withheld = False
        self._sending = asyncio.Lock()

    @property
    def refused(self) -> bool | None:
        """Whether the rig rejects the login, now or when it was sent last. None if no page needed one."""
        return True if self._withheld else None if self.accepted is None else not self.accepted

    def result(self) -> dict[str, bool | None]:
        """Return what the answer of the job has about the login."""
        return {"login_accepted": self.accepted, "login_refused": self.refused}

    async def send(
        self, request: httpx.Request, forward: Callable[[httpx.Request], Awaitable[httpx.Response]]
    ) -> httpx.Response:
        """Send a request with a login. After one that was accepted, others are about their page."""
        if self.accepted:
            return await forward(request)
        async with self._sending:  # the others wait until it is known whether the login is right
            if not self._allowed or self.accepted is False:
                self._withheld = True
                raise httpx.ConnectError("no login may be sent now", request=request)
            response = await forward(request)
            if not self.accepted:
                self.accepted = await _is_accepted(request, response)
            return response


async def _is_accepted(request: httpx.Request, response: httpx.Response) -> bool | None:
    """Return whether the login was right. None if the rig has no such page."""
    if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return False
    if request.url.path not in _LOGIN_PAGES:
        return response.is_success or None
    with suppress(ValueError):
        page, key = json.loads(await response.aread()), _LOGIN_PAGES[request.url.path]
        if isinstance(page, dict):
            return page.get(key) == 0 if key == "code" else bool(page.get(key))
    return None


class _WatchedTransport(httpx.AsyncHTTPTransport):
    """What pyasic sends over HTTP, with every login under the job's limit."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        forward = super().handle_async_request
        if "authorization" in request.headers or request.url.path in _LOGIN_PAGES:
            return await _guard.get().login.send(request, forward)
        return await forward(request)


settings.transport = lambda verify=settings.ssl_cxt: _WatchedTransport(verify=verify)


class _Guard:
    """Every connection that one job makes, and its login."""

    def __init__(self, address: str, *, may_log_in: bool) -> None:
        self.login = _Login(allowed=may_log_in)
        self._address = address
        self._transports: list[asyncio.BaseTransport] = []
        self._closed = False
        self._answered = False
        self._too_large = False
        self._hung_up = False
        self._connect_failure: Failure | None = None

    def admit(self, host: object, port: object) -> None:
        """Refuse connections to anything but the job's rig, to its SSH, and after the job's end."""
        if self._closed or host != self._address or port == _SSH_PORT:
            raise ConnectionRefusedError("not this job's to open")

    def watch(self, protocol: Any) -> Any:
        """Count what the protocol receives, and cut the connection beyond the limit."""
        deliver, end, lost, received = protocol.data_received, protocol.eof_received, protocol.connection_lost, 0

        def data_received(data: bytes) -> None:
            nonlocal received
            received += len(data)
            self._answered = True
            if received > MAX_ANSWER:
                self._too_large = True
                self.close()
            else:
                deliver(data)

        def eof_received() -> Any:
            self._hung_up = True
            return end()

        def connection_lost(error: Exception | None) -> None:
            self._hung_up = self._hung_up or error is not None
            lost(error)

        protocol.data_received = data_received
        protocol.connection_lost = connection_lost
        protocol.eof_received = eof_received
        return protocol

    def opened(self, transport: asyncio.BaseTransport) -> None:
        """Remember a connection for the end of the job."""
        self._transports.append(transport)
        self._connect_failure = None

    def failed(self, error: OSError) -> None:
        """Remember why a connection could not be made, while none could."""
        if not self._transports and (self._connect_failure is None or isinstance(error, ConnectionRefusedError)):
            self._connect_failure = connect_failure(error)

    def close(self) -> None:
        """Close every connection and let no other be made."""
        self._closed = True
        for transport in self._transports:
            transport.abort()  # type: ignore[attr-defined]

    @property
    def explains(self) -> bool:
        """Whether nothing was received, or a login lacked: then pyasic's result is no evidence."""
        return not self._answered or bool(self.login.refused)

    def verdict(self, *, timed_out: bool) -> Failure:
        """Return why the job got nothing."""
        if self._too_large:
            return Failure(Reason.TOO_LARGE, f"more than {MAX_ANSWER} bytes")
        if not self._transports:
            return self._connect_failure or Failure(Reason.UNREACHABLE, "no answer to the connection attempt")
        if timed_out or not (self._answered or self._hung_up):
            return Failure(Reason.TIMEOUT, "no complete answer in time")
        if not self._answered:
            return Failure(Reason.REFUSED, "it closed the connection without an answer")
        if self.login.refused:
            return Failure(Reason.AUTH, "it rejected the login")
        return Failure(Reason.GARBLED, "no hashrate in what it answered")


_guard: ContextVar[_Guard] = ContextVar("_guard")


class _GuardedLoop(uvloop.Loop):
    """An event loop whose outgoing connections pass the job's guard: sockets of pyasic, httpx and grpclib alike."""

    async def create_connection(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        guard = _guard.get()
        guard.admit(host, port)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                made: Any = await super().create_connection(
                    lambda: guard.watch(protocol_factory()), host, port, **options
                )
        except OSError as error:
            guard.failed(error)
            raise
        guard.opened(made[0])
        return made


class _Factory(factory.MinerFactory):  # type: ignore[misc]
    """pyasic's factory, with a note of what it found: an object made from the same note costs no question."""

    def __init__(self, login: tuple[str, str] | None) -> None:
        self.note: tuple[str, str, str] | None = None
        self._login = login

    async def send_web_command(self, ip: str, location: str, auth: httpx.DigestAuth | None = None) -> Any:
        """Ask with the login of the inventory, if it has one, instead of the factory's."""
        if auth is not None and self._login is not None:
            auth = httpx.DigestAuth(*self._login)
        return await super().send_web_command(ip, location, auth)

    def _select_miner_from_classes(
        self, ip: Any, miner_model: str | None, miner_type: Any, version: str | None = None
    ) -> Any:
        if miner_type is not None:
            self.note = (miner_type.name, miner_model or "", version or "")
        return factory.MinerFactory._select_miner_from_classes(ip, miner_model, miner_type, version)  # noqa: SLF001


def _shielded(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make one bad field lose that field only."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except Exception:  # noqa: BLE001 - pyasic lets KeyError, AttributeError, UnicodeDecodeError... escape
            return None

    return call


async def _gather(miner: Any, fields: tuple[DataOptions, ...]) -> dict[str, Any]:
    for field in fields:
        name = getattr(miner.data_locations, str(field)).cmd
        setattr(miner, name, _shielded(getattr(miner, name)))
    data: dict[str, Any] = {}
    try:
        data |= await miner._get_data(allow_warning=False, include=list(fields))  # noqa: SLF001
    except Exception:  # noqa: BLE001 - one page that is not served fails all that pyasic asks for with it
        for field in fields:
            with suppress(Exception):
                data |= await miner._get_data(allow_warning=False, include=[field])  # noqa: SLF001
    return data


def _login_of(job: Mapping[str, Any]) -> tuple[str, str] | None:
    return None if job.get("password") is None else (job["username"], job["password"])


def _log_in(miner: Any, job: Mapping[str, Any]) -> None:
    login = _login_of(job)
    if login is None:
        return
    if miner.web is not None:
        miner.web.username, miner.web.pwd = login
    if miner.rpc is not None:
        miner.rpc.pwd = login[1]


async def _identify(address: str, job: Mapping[str, Any]) -> dict[str, Any]:
    finder = _Factory(_login_of(job))
    miner = await finder.get_miner(address)
    if miner is None or finder.note is None:
        raise Failure(Reason.UNSUPPORTED, "no known firmware answers there")
    model = finder.note[1] or str(miner.raw_model or "")
    _log_in(miner, job)
    data = await _gather(miner, IDENTITY_FIELDS) if model else {}
    return {
        "note": finder.note,
        "make": str(miner.make or ""),
        "model": str(miner.raw_model or model),
        "algorithm": str(miner.algo),
        "firmware": str(miner.firmware or ""),
        "firmware_version": data.get("fw_ver"),
        "mac": data.get("mac"),
        "hostname": data.get("hostname"),
        "serial": data.get("serial_number"),
        "api_version": data.get("api_ver"),
        "power_supply_serial": data.get("psu_serial_number"),
        "board_serials": [[board.slot, board.serial_number] for board in data.get("hashboards") or ()],
    }


async def _read(address: str, job: Mapping[str, Any]) -> dict[str, Any]:
    kind, model, version = job["note"]
    # A new object per read: an old one keeps the firmware version and light of before a swap.
    miner = factory.MinerFactory._select_miner_from_classes(  # noqa: SLF001
        address, model or None, factory.MinerTypes[kind], version or None
    )
    _log_in(miner, job)
    data = await _gather(miner, (*READ_FIELDS, DataOptions.FAULT_LIGHT) if kind in _LIT else READ_FIELDS)
    boards = [_board(board, str(miner.make), str(miner.firmware)) for board in data.get("hashboards") or ()]
    if type(miner)._get_hashboards in _SWAPPED:  # noqa: SLF001
        for board in boards:
            board["temperature"], board["chip_temperature"] = board["chip_temperature"], board["temperature"]
    rates = [board["hashrate"] for board in boards if board["hashrate"] is not None]
    hashrate = _hashes(data.get("hashrate"))
    if hashrate is None and rates:
        hashrate = sum(rates)
    return {
        "mac": data.get("mac"),
        "hashrate": hashrate,
        "expected_hashrate": _hashes(data.get("expected_hashrate")),
        "power": data.get("wattage"),
        "power_limit": data.get("wattage_limit"),
        "fault_light": data.get("fault_light"),
        "uptime": data.get("uptime"),
        "ambient": data.get("env_temp"),
        "fans": [fan.speed for fan in data.get("fans") or ()],
        "fans_expected": miner.expected_fans,
        "power_supply_fan": _power_supply_fan(data.get("fan_psu")),
        "boards": boards,
        "pools": [_pool(pool) for pool in data.get("pools") or ()],
        "errors": [[str(error.error_code), getattr(error, "error_message", "")] for error in data.get("errors") or ()],
    }


def _hashes(rate: Any) -> float | None:
    """Return H/s by the value's own unit: unknown models come in H/s, known ones in TH/s."""
    return None if rate is None else float(rate.rate) * int(rate.unit.value)


def _power_supply_fan(supplies: Any) -> Any:
    """Return its speed, which the newest Whatsminers report in a list of fans."""
    return supplies[0].speed if isinstance(supplies, list) and supplies else supplies


def _board(board: Any, make: str, firmware: str) -> dict[str, Any]:
    return {
        "index": board.slot,
        "hashrate": None if board.missing or make in _AVERAGED_BOARDS else _hashes(board.hashrate),
        "temperature": None if make in _CHIP_SENSORS else board.temp,
        "chip_temperature": board.chip_temp,
        "chips": board.chips,
        "chips_expected": board.expected_chips,
        "voltage": board.voltage if firmware in _VOLTS else None,
        "inlet": board.inlet_temp if make in _WATER_COOLED else None,
        "outlet": board.outlet_temp if make in _WATER_COOLED else None,
    }


def _pool(pool: Any) -> dict[str, Any]:
    return {
        "index": pool.index,
        "url": str(pool.url or ""),
        "worker": pool.user,
        "up": pool.alive,
        "active": pool.active,
        "accepted": pool.accepted,
        "rejected": pool.rejected,
    }


_WORK: Final[Mapping[str, Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]]] = {
    "identify": _identify,
    "read": _read,
}


async def _answer(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do one job. What failed is in the answer; nothing is raised."""
    guard: _Guard | None = None
    try:
        async with asyncio.timeout(job["deadline"]):
            address = job["address"]
            guard = _Guard(address, may_log_in=job["may_log_in"])
            _guard.set(guard)
            result = await _WORK[job["work"]](address, job)
        if job["work"] == "read" and result["hashrate"] is None:
            raise guard.verdict(timed_out=False)  # noqa: TRY301
    except Failure as failure:
        final = guard.verdict(timed_out=False) if guard is not None and guard.explains else failure
        return {"reason": final.reason, "detail": final.detail, **(guard.login.result() if guard else {})}
    except MemoryError:
        return {"reason": Reason.TOO_LARGE, "detail": "its answer did not fit into memory"}
    except Exception as error:  # noqa: BLE001 - whatever pyasic lets escape is about this rig alone
        verdict = guard.verdict(timed_out=isinstance(error, TimeoutError)) if guard else connect_failure(OSError())
        detail = f"{verdict.detail} ({type(error).__name__})"
        return {"reason": verdict.reason, "detail": detail, **(guard.login.result() if guard else {})}
    else:
        return result | guard.login.result()
    finally:
        if guard is not None:
            guard.close()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _spent(jobs: int) -> bool:
    return jobs >= RETIRE_JOBS or _resident() > RETIRE_MEMORY or _open_files() > RETIRE_FILES


async def _serve(output: int) -> NoReturn:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # sockets cut by the guard end tasks nobody awaits
    reader = asyncio.StreamReader(limit=1_000_000)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    jobs = 0

    def say(message: Mapping[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(output, line) :]

    def beat() -> None:
        say({})
        loop.call_later(BEAT_SECONDS, beat)

    async def work(job: Mapping[str, Any]) -> None:
        nonlocal jobs
        answer = await _answer(job)
        jobs += 1
        say({**answer, "job": job["job"], "retire": _spent(jobs)})

    beat()
    while line := await reader.readline():
        task = loop.create_task(work(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)  # the parent is gone or wants no more: nothing here is worth a goodbye


def main() -> None:
    """Confine this process, then serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILE_LIMIT, FILE_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)  # pyasic logs whole payloads, secrets included
    warnings.simplefilter("ignore")
    output = os.dup(1)
    os.dup2(2, 1)
    with asyncio.Runner(loop_factory=_GuardedLoop) as runner:
        runner.run(_serve(output))


if __name__ == "__main__":
    main()
