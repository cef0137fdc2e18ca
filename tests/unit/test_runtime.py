"""Signals of the running process."""

import asyncio

import virtual_time

from exporter.runtime import reload_when


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
