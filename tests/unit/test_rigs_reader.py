import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from rig_servers import NETWORK, antminer, cgminer, hanging, saying, serving, unplugged
from structlog.testing import capture_logs

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.readings import RigIdentity, RigReading
from exporter.polling.ledger import RigMemory
from exporter.polling.rigs import RigPoller
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs import reader, transport
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.firmware import antminer as antminer_firmware
from exporter.sources.rigs.firmware.antminer import Reader
from exporter.sources.rigs.pyasic_reader import PyasicReader
from exporter.sources.rigs.reader import Miners
from exporter.sources.rigs.workers import WorkerPool
from exporter.telemetry import Telemetry

ADDRESS = f"{NETWORK}.31"
GARBAGE = bytes(range(128, 256))
PAGE = b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html></html>"
S19 = RigIdentity(reader="antminer", make="AntMiner", model="S19j Pro")


async def test_a_rig_that_hangs_is_given_up_without_asking_pyasic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PROBE_SECONDS", 0.2)
    async with Miners() as miners, serving(ADDRESS, 4028, hanging), serving(ADDRESS, 80, hanging):
        with pytest.raises(Failure) as failure:
            await miners.identify(Target(ADDRESS))
        assert miners._pyasic.pids == ()
    assert failure.value.reason is Reason.TIMEOUT


@pytest.mark.parametrize("ports", [(4028,), (80,), (80, 4028, 4433)])
async def test_what_speaks_no_protocol_of_rigs_is_not_left_to_pyasic(ports: tuple[int, ...]) -> None:
    async with AsyncExitStack() as servers, Miners() as miners:
        for port in ports:
            await servers.enter_async_context(serving(ADDRESS, port, saying(GARBAGE)))
        with pytest.raises(Failure) as failure:
            await miners.identify(Target(ADDRESS))
        assert miners._pyasic.pids == ()
    assert failure.value.reason is Reason.GARBLED


@pytest.mark.parametrize(
    ("port", "answer"), [(4028, PAGE), (80, b"HTTP/1.0 200 OK\r\n\r\nhello"), (80, b"HTTP/1.0 404 Not Found\r\n\r\n")]
)
async def test_a_device_that_speaks_http_is_left_to_pyasic(
    monkeypatch: pytest.MonkeyPatch, port: int, answer: bytes
) -> None:
    async def known(self: PyasicReader, target: Target) -> RigIdentity:
        return RigIdentity(reader="pyasic:GOLDSHELL:KD6:", make="Goldshell", model="KD6")

    monkeypatch.setattr(PyasicReader, "identify", known)
    async with Miners() as miners, serving(ADDRESS, port, saying(answer)):
        assert (await miners.identify(Target(ADDRESS))).model == "KD6"


async def test_where_nothing_listens_pyasic_is_not_asked() -> None:
    async with Miners() as miners:
        with pytest.raises(Failure) as failure:
            await miners.identify(Target(f"{NETWORK}.32"))
        assert miners._pyasic.pids == ()
    assert failure.value.reason is Reason.REFUSED


async def test_a_rig_that_is_not_plugged_in_costs_one_connection_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    attempts: list[transport.Exchanged] = []
    noting = transport.listener.set(attempts.append)
    try:
        async with Miners() as miners:
            with unplugged(ADDRESS, 4028), pytest.raises(Failure) as failure:
                await miners.identify(Target(ADDRESS))
            assert miners._pyasic.pids == ()
    finally:
        transport.listener.reset(noting)
    assert failure.value.reason is Reason.UNREACHABLE
    assert [attempt.port for attempt in attempts] == [4028]


@pytest.mark.parametrize(("kind", "reason"), [("ANTMINER", Reason.GARBLED), ("GOLDSHELL", None)])
async def test_a_rig_that_answers_pyasic_only_as_it_boots_is_not_left_to_it(
    monkeypatch: pytest.MonkeyPatch, kind: str, reason: Reason | None
) -> None:
    async def late(self: PyasicReader, target: Target) -> RigIdentity:
        return RigIdentity(reader=f"pyasic:{kind}:S21:", make="AntMiner", model="S21")

    async def identified() -> Reason | None:
        try:
            await miners.identify(Target(ADDRESS))
        except Failure as failure:
            return failure.reason
        return None

    monkeypatch.setattr(PyasicReader, "identify", late)
    async with Miners() as miners, serving(ADDRESS, 4028, saying(b'{"starting')):
        assert await identified() is reason


async def test_a_stock_rig_whose_web_interface_hangs_is_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antminer_firmware, "_WEB_TIMEOUT", 0.2)
    firmware = Reader()
    async with serving(ADDRESS, 4028, cgminer(antminer())), serving(ADDRESS, 80, hanging):
        await firmware.read(Target(ADDRESS), S19)
        firmware._web[ADDRESS].due = 0.0
        reading = await firmware.read(Target(ADDRESS), S19)
    assert reading.hashrate == pytest.approx(99.3015e12)


@pytest.mark.parametrize("name", ["abacus", "pyasic", "pyasic:ANTMINER"])
async def test_an_identity_of_an_unknown_reader_is_unsupported(name: str) -> None:
    async with Miners() as miners:
        with pytest.raises(Failure) as failure:
            await miners.read(Target(ADDRESS), RigIdentity(reader=name, make="", model=""))
    assert failure.value.reason is Reason.UNSUPPORTED


async def test_a_bug_in_a_reader_is_logged_once_for_all_rigs_and_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Reader, target: Target, identity: RigIdentity) -> RigReading:
        if target.address == ADDRESS:
            polls.put_nowait(target.address)
        raise KeyError("oops")

    polls: asyncio.Queue[str] = asyncio.Queue()
    monkeypatch.setattr(Reader, "read", broken)
    rigs = [Rig(name=f"rig-{number}", address=f"{NETWORK}.{31 + number}") for number in range(3)]
    settings = PollingSettings(interval=0.2, deadline=0.2, max_backoff=0.2, identify_after_failures=1_000)
    remembered = {rig.name: RigMemory(identity=S19) for rig in rigs}
    with capture_logs() as logs:
        polling = asyncio.create_task(RigPoller(rigs, Miners(), settings, Telemetry(), remembered=remembered).run())
        for _ in range(3):
            await asyncio.wait_for(polls.get(), 600)
        polling.cancel()
        await asyncio.wait([polling])
    assert [log["log_level"] for log in logs].count("error") == 1
    assert {log["reason"] for log in logs if log["event"] == "rig is down"} == {"internal"}


@pytest.mark.parametrize("asked", [50, 200])
async def test_as_many_rigs_are_identified_at_once_as_the_poller_asks_for(
    monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    waiting, everybody, answer = 0, asyncio.Event(), asyncio.Event()

    async def slow(address: str) -> dict[str, Any]:
        nonlocal waiting
        waiting += 1
        if waiting == asked:
            everybody.set()
        await answer.wait()
        raise Failure(Reason.UNREACHABLE, "nobody")

    monkeypatch.setattr(reader, "_FIRST", (slow,))
    miners = Miners()
    miners._readers_of = {slow: []}
    rigs = [Rig(name=f"rig-{number}", address=f"rig-{number}") for number in range(asked)]
    settings = PollingSettings(interval=5.0, max_identifying=asked)
    polling = asyncio.create_task(RigPoller(rigs, miners, settings, Telemetry()).run())
    try:
        await asyncio.wait_for(everybody.wait(), 600)
    finally:
        answer.set()
        polling.cancel()
        await asyncio.wait([polling])


async def test_pyasic_has_the_identify_deadline_less_what_the_probes_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = []

    async def ask(self: WorkerPool, request: object, deadline: float, note: object) -> None:
        deadlines.append(deadline)
        raise Failure(Reason.UNSUPPORTED, "")

    monkeypatch.setattr(WorkerPool, "ask", ask)
    async with serving(ADDRESS, 4028, saying(b'{"starting')):
        for seconds in (20.0, 100.0):
            with pytest.raises(Failure):
                await Miners(identify_deadline=seconds).identify(Target(ADDRESS))
    assert deadlines == [pytest.approx(0.95 * 14.0), pytest.approx(0.95 * 94.0)]


async def test_a_cancelled_read_stays_cancelled_and_closes_its_connection() -> None:
    async with Miners() as miners, serving(ADDRESS, 4028, hanging) as connections:
        task = asyncio.create_task(miners.read(Target(ADDRESS), S19))
        while not connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(connections[0].wait_closed(), 600)
