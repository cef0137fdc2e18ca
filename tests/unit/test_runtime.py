"""Signals of the running process."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import virtual_time

from exporter.runtime import feed_watchdog, notify_systemd, reload_when


def test_a_burst_of_requests_is_one_reload() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        requested, reloads = asyncio.Event(), []

        async def reload() -> None:
            reloads.append(loop.time())
            await asyncio.sleep(5)

        task = asyncio.create_task(reload_when(requested, reload))
        for _ in range(100):
            requested.set()
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)  # the first reload runs: it may have read the files already
        for _ in range(100):
            requested.set()
            await asyncio.sleep(0.001)
        await asyncio.sleep(60)
        task.cancel()
        return reloads

    assert len(virtual_time.run(main())) == 2


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of a service manager, which this process was started by."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield manager


def received(manager: socket.socket) -> list[bytes]:
    manager.setblocking(False)
    messages = []
    with suppress(BlockingIOError):
        while True:
            messages.append(manager.recv(100))
    return messages


def test_systemd_gets_the_state_of_the_service(systemd: socket.socket) -> None:
    notify_systemd("READY=1")
    assert received(systemd) == [b"READY=1"]


@pytest.mark.parametrize("address", [None, "", "relative", "/nowhere/notify"])
def test_without_systemd_nothing_is_sent(address: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify_systemd("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "feeds"), [("60000000", None, 3), ("60000000", "1", 0), ("soon", None, 0), ("0", None, 0)]
)
def test_the_watchdog_is_fed_while_evaluations_are_not_stuck(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, feeds: int
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))

    async def main() -> None:
        started = asyncio.get_running_loop().time()
        task = asyncio.create_task(feed_watchdog(lambda: asyncio.get_running_loop().time() - started > 59))
        await asyncio.sleep(300)
        task.cancel()

    virtual_time.run(main())
    assert received(systemd) == [b"WATCHDOG=1"] * feeds
