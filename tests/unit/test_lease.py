"""Which of several exporters is active. The clock is the test's; only the loop's own pauses are real, and short."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from set_clock import Clock

from exporter.lease import Lease

TAKEOVER = 30.0
UNCHANGED = 25.0  # one look less than that
PAUSE = 0.002  # s, real


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = asyncio.sleep
    monkeypatch.setattr("exporter.lease.asyncio.sleep", lambda _seconds: usual(PAUSE))


@asynccontextmanager
async def lease(path: Path, clock: Clock, holder: str = "a:9852") -> AsyncIterator[Lease]:
    each = Lease(path, TAKEOVER, holder, clock=clock)
    try:
        yield each
    finally:
        await each.close()


async def rounds(count: int = 5) -> None:
    """Let every lease look at the file a few times."""
    for _ in range(count):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.to_thread(lambda: None)
    await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(600):
        while not condition():
            await rounds(1)


async def stopped(*waiting: asyncio.Task[None]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def acquired(each: Lease, clock: Clock) -> None:
    waiting = asyncio.create_task(each.acquire())
    await until(lambda: each._seen_since is not None)
    clock.now += UNCHANGED
    await waiting


async def test_a_lease_is_taken_once_nobody_renewed_it_for_long(tmp_path: Path, clock: Clock) -> None:
    async with lease(tmp_path / "lease", clock) as each:
        waiting = asyncio.create_task(each.acquire())
        await until(lambda: each._seen_since is not None)
        clock.now += UNCHANGED - 0.1
        await rounds()
        assert not waiting.done()
        assert not each.is_held()
        clock.now += 0.1
        await waiting
        assert each.is_held()


@pytest.mark.parametrize("content", [b"", b"{", b'{"holder": 1}', b"\xff" * 100])
async def test_what_is_no_lease_is_waited_for_too(tmp_path: Path, clock: Clock, content: bytes) -> None:
    path = tmp_path / "lease"
    path.write_bytes(content)
    async with lease(path, clock) as each:
        assert each.active == ""
        await acquired(each, clock)
        assert each.is_held()


async def test_while_one_renews_the_other_stands_by_and_takes_over_when_it_is_dead(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "lease"
    async with lease(path, clock) as first, lease(path, clock, "b:9852") as second:
        await acquired(first, clock)
        waiting = asyncio.create_task(second.acquire())
        async with first.kept():
            for _ in range(10):
                renewal = first._renewal
                await until(lambda renewal=renewal: first._renewal > renewal)
                await until(lambda: f'"renewal":{first._renewal}'.encode() in second._seen)
                clock.now += TAKEOVER / 6
            assert first.is_held()
            assert not waiting.done()
            assert second.active == "a:9852"
        await until(lambda: second._seen == path.read_bytes())
        clock.now += UNCHANGED  # the first is dead: it neither renews nor releases
        await waiting
        assert second.is_held()
        assert not first.is_held()


async def test_a_lease_whose_last_renewal_was_seen_late_is_taken_within_the_takeover(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "lease"
    async with lease(path, clock) as first, lease(path, clock, "b:9852") as second:
        await acquired(first, clock)
        renewed = clock.now
        clock.now += TAKEOVER / 6  # the standby's next look, as late as it may be
        waiting = asyncio.create_task(second.acquire())
        await until(lambda: second._seen_since is not None)
        clock.now += UNCHANGED
        await waiting
        assert clock.now - renewed <= TAKEOVER
        assert not first.is_held()


async def test_a_released_lease_is_taken_after_half_the_takeover(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "lease"
    async with lease(path, clock) as first:
        await acquired(first, clock)
    async with lease(path, clock, "b:9852") as second:
        waiting = asyncio.create_task(second.acquire())
        await until(lambda: second._seen_since is not None)
        assert second.active == ""
        clock.now += TAKEOVER / 2 - 0.1
        await rounds()
        assert not waiting.done()
        clock.now += 0.1
        await waiting


async def test_who_cannot_renew_stops_before_another_may_take_over(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "shared" / "lease"
    path.parent.mkdir()
    async with lease(path, clock) as each:
        await acquired(each, clock)
        async with each.kept():
            path.parent.rename(tmp_path / "unmounted")
            await rounds()
            clock.now += TAKEOVER * 0.4
            await rounds()
            assert each.is_held()
            assert not each.lost.is_set()
            clock.now += TAKEOVER * 0.1
            assert not each.is_held()
            async with asyncio.timeout(600):
                await each.lost.wait()


async def test_who_finds_another_in_the_file_stops_at_once(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "lease"
    async with lease(path, clock) as each:
        await acquired(each, clock)
        async with each.kept():
            path.write_text('{"holder": "b:9852", "token": "x", "renewal": 0}', encoding="utf-8")
            async with asyncio.timeout(600):
                await each.lost.wait()
            assert not each.is_held()
            assert each.active == "b:9852"
    assert '"x"' in path.read_text(encoding="utf-8")  # closing releases only what is held


async def test_of_many_that_wait_one_becomes_active(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "lease"
    async with lease(path, clock, "a") as a, lease(path, clock, "b") as b, lease(path, clock, "c") as c:
        waiting = [asyncio.create_task(each.acquire()) for each in (a, b, c)]
        await until(lambda: all(each._seen_since is not None for each in (a, b, c)))
        clock.now += UNCHANGED
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await rounds(20)
        assert sum(each.is_held() for each in (a, b, c)) == 1
        await stopped(*waiting)


async def test_a_lease_file_that_appears_late_is_used(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "not mounted yet" / "lease"
    async with lease(path, clock) as each:
        waiting = asyncio.create_task(each.acquire())
        await rounds()
        assert not waiting.done()
        path.parent.mkdir()
        await until(lambda: each._seen_since is not None)
        clock.now += UNCHANGED
        await waiting
        assert each.is_held()
