"""A bound on waiting behaves as asyncio's own: it cancels once, and hides nobody else's cancellation."""

import asyncio

import pytest

from exporter.sources.rigs.fast_timeout import FastTimeout


async def test_what_takes_too_long_is_given_up() -> None:
    with pytest.raises(TimeoutError), FastTimeout(0.01):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_ends_in_time_and_what_fails_is_left_alone() -> None:
    with FastTimeout(60):
        await asyncio.sleep(0)
    with pytest.raises(ValueError, match="its own"), FastTimeout(60):
        raise ValueError("its own")


async def test_a_cancelled_task_stays_cancelled() -> None:
    waiting = asyncio.Event()

    async def sleeper() -> None:
        with FastTimeout(60):
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(sleeper())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_cancelled_as_it_expires_stays_cancelled() -> None:
    async def sleeper() -> None:
        with FastTimeout(0.01):
            try:
                await asyncio.Event().wait()
            finally:
                task.cancel()

    task = asyncio.create_task(sleeper())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_each_of_many_of_one_length_has_its_own_end() -> None:
    async def sleeper(*, ends: bool) -> str:
        try:
            with FastTimeout(0.02):
                await asyncio.sleep(0.001 if ends else 600)
        except TimeoutError:
            return "expired"
        return "ended"

    for _ in range(3):  # one timer serves all, and is started again
        outcomes = await asyncio.gather(*(sleeper(ends=bool(number % 2)) for number in range(6)))
        assert outcomes[::2] == ["expired"] * 3
    assert set(outcomes[1::2]) <= {"ended", "expired"}  # on a busy machine even a millisecond takes long


async def test_the_shorter_of_two_ends_first() -> None:
    with pytest.raises(TimeoutError), FastTimeout(60), FastTimeout(0.01):
        await asyncio.Event().wait()
    async with asyncio.timeout(600):
        with pytest.raises(TimeoutError), FastTimeout(0.01):
            await asyncio.Event().wait()
