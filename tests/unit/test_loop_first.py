"""Evaluations let the event loop have its turn."""

import asyncio

from exporter.loop_first import LoopFirst


async def test_a_step_waits_for_what_the_loop_has_to_do() -> None:
    loop = asyncio.get_running_loop()
    go_first = LoopFirst(loop)
    order: list[str] = []

    def step() -> None:
        loop.call_soon_threadsafe(order.append, "loop")
        go_first()
        order.append("step")

    await asyncio.to_thread(step)
    assert order == ["loop", "step"]


async def test_the_loop_does_not_wait_for_itself() -> None:
    order: list[str] = []
    loop = asyncio.get_running_loop()
    loop.call_soon(order.append, "later")
    LoopFirst(loop)()
    assert not order


async def test_an_ended_loop_does_not_stop_a_step() -> None:
    ended = asyncio.new_event_loop()
    ended.close()
    await asyncio.to_thread(LoopFirst(ended))
