"""The pool against workers that crash, stall, allocate and retire on command."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.model.failures import Failure, Reason
from exporter.sources.rigs import workers
from exporter.sources.rigs.workers import WorkerPool

WORKER = """
import asyncio, json, os, sys, time
def say(**m): os.write(1, json.dumps(m).encode() + b"\\n")
async def work(job):
    what = job["work"]
    if what == "crash": os._exit(3)
    if what == "stall": time.sleep(60)
    if what == "hang": await asyncio.sleep(3600)
    if what == "fail": return say(job=job["job"], reason="garbled", detail="odd")
    if what in ("slow", "retire slowly"): await asyncio.sleep(0.3)
    say(job=job["job"], pid=os.getpid(), retire=what.startswith("retire"))
async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    def beat(): say(); loop.call_later(0.1, beat)
    beat()
    tasks = []
    while line := await reader.readline(): tasks.append(loop.create_task(work(json.loads(line))))
    os._exit(0)
asyncio.run(main())
"""


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    pool = WorkerPool((sys.executable, "-c", WORKER), workers=2, slots=4, silence=3.0)
    yield pool
    pids = pool.pids
    await pool.close()
    assert not [pid for pid in pids if alive(pid)]


async def ask(pool: WorkerPool, work: str, deadline: float = 600) -> int:
    return int((await pool.ask({"work": work}, deadline))["pid"])


async def test_no_process_before_the_first_job(pool: WorkerPool) -> None:
    assert pool.pids == ()
    pid = await ask(pool, "ok")
    assert pool.pids == (pid,)


async def test_a_failure_is_passed_on(pool: WorkerPool) -> None:
    with pytest.raises(Failure) as failure:
        await ask(pool, "fail")
    assert (failure.value.reason, failure.value.detail) == (Reason.GARBLED, "odd")


@pytest.mark.parametrize("evil", ["crash", "stall"])
async def test_what_brings_a_worker_down_fails_and_its_neighbours_do_not(pool: WorkerPool, evil: str) -> None:
    jobs = [ask(pool, work) for work in ("slow", evil, "slow", "slow")]
    results = await asyncio.gather(*jobs, return_exceptions=True)
    failure = results.pop(1)
    assert isinstance(failure, Failure)
    assert failure.reason is Reason.INTERNAL
    assert all(isinstance(result, int) for result in results)
    assert isinstance(await ask(pool, "ok"), int)


async def test_a_job_without_an_answer_ends_at_its_deadline_and_the_worker_lives_on(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_GRACE_SECONDS", 0.1)
    pid = await ask(pool, "ok")
    with pytest.raises(Failure) as failure:
        await ask(pool, "hang", deadline=0.1)
    assert failure.value.reason is Reason.TIMEOUT
    monkeypatch.undo()
    assert await ask(pool, "ok") == pid


async def test_a_worker_that_asks_to_retire_is_replaced(pool: WorkerPool) -> None:
    old = await ask(pool, "retire")
    assert await ask(pool, "ok") != old
    assert old not in pool.pids


async def test_a_worker_that_asks_to_retire_after_nobody_waits_any_more_is_replaced() -> None:
    pool = WorkerPool((sys.executable, "-c", WORKER), workers=1, slots=4, silence=3.0)
    try:
        old = await ask(pool, "ok")
        given_up = asyncio.create_task(ask(pool, "retire slowly"))
        await asyncio.sleep(0.05)
        given_up.cancel()
        await asyncio.wait([given_up])
        async with asyncio.timeout(600):
            while await ask(pool, "ok") == old:  # noqa: ASYNC110 - until it has reported that
                await asyncio.sleep(0.05)
        assert old not in pool.pids
    finally:
        await pool.close()


async def test_a_worker_killed_while_idle_is_replaced(pool: WorkerPool) -> None:
    old = await ask(pool, "ok")
    os.kill(old, signal.SIGKILL)
    while old in pool.pids:  # noqa: ASYNC110 - the death of a process is polled
        await asyncio.sleep(0.01)
    assert await ask(pool, "ok") != old


async def test_never_more_processes_than_allowed(pool: WorkerPool) -> None:
    pids = await asyncio.gather(*(ask(pool, "slow") for _ in range(20)))
    assert len(set(pids)) == 2


async def test_a_job_is_done_alone_while_the_only_other_worker_is_busy() -> None:
    pool = WorkerPool((sys.executable, "-c", WORKER), workers=1, slots=4, silence=3.0)
    try:
        busy = asyncio.create_task(ask(pool, "hang", deadline=1_000))
        async with asyncio.timeout(600):
            with pytest.raises(Failure) as failure:
                await ask(pool, "crash")
            while len(pool.pids) != 1:  # noqa: ASYNC110 - the end of a process is polled
                await asyncio.sleep(0.01)
        assert failure.value.reason is Reason.INTERNAL
        assert not busy.done()
    finally:
        busy.cancel()
        await asyncio.wait([busy])
        await pool.close()


async def test_a_worker_without_jobs_ends_and_the_next_job_gets_another(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.05)
    old = await ask(pool, "ok")
    async with asyncio.timeout(600):
        while pool.pids:  # noqa: ASYNC110 - the end of a process is polled
            await asyncio.sleep(0.01)
    assert await ask(pool, "ok") != old


async def test_jobs_go_to_the_fullest_worker_that_has_room(pool: WorkerPool) -> None:
    busy = await asyncio.gather(*(ask(pool, "slow") for _ in range(5)))
    assert len(set(busy)) == 2
    slow = [asyncio.create_task(ask(pool, "slow")) for _ in range(3)]
    assert {await ask(pool, "ok"), *await asyncio.gather(*slow)} < set(busy)


async def test_a_worker_that_does_not_start_fails_the_job() -> None:
    pool = WorkerPool((sys.executable, "-c", "raise SystemExit(1)"), workers=1, slots=1, silence=1.0)
    with pytest.raises(Failure) as failure:
        await ask(pool, "ok")
    assert failure.value.reason is Reason.INTERNAL
    await pool.close()


def test_the_pyasic_worker_dies_with_its_parent() -> None:
    parent = (
        "import subprocess, sys, time\n"
        "w = subprocess.Popen([sys.executable, '-W', 'ignore', '-m', 'exporter.sources.rigs.pyasic_worker'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "w.stdout.readline(); print(w.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen((sys.executable, "-c", parent), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        process.kill()
    deadline = time.monotonic() + 600
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(worker)


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie that nobody has buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
