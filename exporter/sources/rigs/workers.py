"""Worker processes for code that no deadline can stop: a line of JSON per job over pipes, killed when they fall silent.

A job whose worker dies (crash, stall, out of memory) is done once more, alone, in another worker: so the job that
brought it down fails, and its neighbours do not.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from exporter.model.failures import Failure, Reason

BEAT_SECONDS: Final = 0.25
"""How often a worker reports that its loop runs."""
START_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 120.0
"""A worker without a job for so long ends. It has 0.1 GB with pyasic, and starts again in a few seconds."""
_TIMER_SECONDS: Final = 0.01  # by which a timer may be early
_STRIKES: Final = 2
_LINE_LIMIT: Final = 4_000_000
_GRACE_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


class _WorkerLostError(Exception):
    """The worker died with the job in it."""


class _Worker:
    """One process and the jobs in it."""

    def __init__(self, command: Sequence[str], silence: float) -> None:
        self.jobs: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self.claims = 0
        self.reserved = False
        self.retiring = False
        self.lost = False
        self.idle_since = 0.0  # loop time
        self._command = command
        self._silence = silence
        self._next_job = 0
        self._process: asyncio.subprocess.Process | None = None
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live())

    @property
    def pid(self) -> int | None:
        """The process, once started."""
        return self._process.pid if self._process else None

    async def run(self, request: Mapping[str, Any], deadline: float) -> Mapping[str, Any]:
        """Do one job, and return its answer, also that it failed. Raises Failure TIMEOUT or _WorkerLostError."""
        await asyncio.shield(self._ready)
        if self.lost or self._process is None or self._process.stdin is None:
            raise _WorkerLostError
        job = self._next_job = self._next_job + 1
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self.jobs[job] = answer
        try:
            self._process.stdin.write(json.dumps({**request, "job": job, "deadline": deadline}).encode() + b"\n")
            async with asyncio.timeout(deadline + _GRACE_SECONDS):
                return await answer
        except TimeoutError:
            raise Failure(Reason.TIMEOUT, f"no complete answer within {deadline:g} s") from None
        finally:
            del self.jobs[job]

    async def stop(self) -> None:
        """End the process: it leaves when its input ends, and is killed when it does not."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                await asyncio.shield(self._life)
        self._life.cancel()
        with suppress(asyncio.CancelledError):
            await self._life

    async def _live(self) -> None:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=_LINE_LIMIT,
            )
            await self._listen(self._process)
        except (OSError, ValueError) as error:  # ValueError: a line that is too long, or no JSON
            _log.error("reader process failed", error=type(error).__name__)
        finally:
            self.lost = True
            if not self._ready.done():
                self._ready.set_result(None)
            for answer in self.jobs.values():
                if not answer.done():
                    answer.set_exception(_WorkerLostError())
            await self._bury()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        timeout, strikes = START_SECONDS, 0
        while strikes < _STRIKES:
            try:
                async with asyncio.timeout(timeout):
                    line = await process.stdout.readline()
            except TimeoutError:
                strikes += 1  # one strike may be our own loop that was held up
                continue
            if not line:
                return
            timeout, strikes = self._silence / _STRIKES, 0
            if not self._ready.done():
                self._ready.set_result(None)
            self._deliver(json.loads(line))

    def _deliver(self, message: Mapping[str, Any]) -> None:
        self.retiring = self.retiring or bool(message.get("retire"))
        answer = self.jobs.get(message.get("job", 0))
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _bury(self) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                # Not Process.kill(): that reaps a child which has just left, and asyncio then misses it.
                os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class WorkerPool:
    """Up to ``workers`` processes, started when first needed, each with up to ``slots`` jobs at once.

    One more may run while a job is done alone: busy workers would never be free for it.
    """

    def __init__(self, command: Sequence[str], *, workers: int, slots: int, silence: float) -> None:
        """Make the pool.

        Args:
            command: What starts a worker. It prints a line once ready, then beats every :data:`BEAT_SECONDS`.
            workers: How many processes at most.
            slots: How many jobs one process does at once.
            silence: Seconds without a beat after which a worker is killed.
        """
        self._command = command
        self._most = workers
        self._slots = slots
        self._silence = silence
        self._workers: list[_Worker] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run now."""
        return tuple(worker.pid for worker in self._workers if worker.pid is not None and not worker.lost)

    async def ask(
        self, request: Mapping[str, Any], deadline: float, note: Callable[[Mapping[str, Any]], object] | None = None
    ) -> Mapping[str, Any]:
        """Have a job done within ``deadline`` seconds, and once more alone where its worker died. Raises Failure.

        ``note`` is called with the answer, also with that of a job that failed.
        """
        for alone in (False, True):
            worker = await self._claim(alone=alone)
            try:
                result = await worker.run(request, deadline)
            except _WorkerLostError:
                _log.warning("reader process died", address=request.get("address"), retried=not alone)
            else:
                if note is not None:
                    note(result)
                if "reason" in result:
                    raise Failure(Reason(result["reason"]), str(result["detail"]))
                return result
            finally:
                await self._release(worker)
        raise Failure(Reason.INTERNAL, "reading it brought the reader process down twice")

    async def close(self) -> None:
        """End every worker."""
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.stop() for worker in workers), *self._leaving)

    async def _claim(self, *, alone: bool) -> _Worker:
        async with self._changed:
            while True:
                worker = self._free(alone=alone)
                if worker is not None:
                    worker.claims += 1
                    worker.reserved = alone
                    return worker
                await self._changed.wait()

    def _free(self, *, alone: bool) -> _Worker | None:
        self._dismiss()
        usable = [worker for worker in self._workers if not (worker.lost or worker.retiring or worker.reserved)]
        slots = 1 if alone else self._slots
        # The fullest that has room, so that the others can end.
        free = [worker for worker in usable if worker.claims < slots]
        if free:
            return max(free, key=lambda worker: worker.claims)
        if len(self._workers) >= self._most + alone:
            return None
        self._workers.append(_Worker(self._command, self._silence))
        return self._workers[-1]

    async def _release(self, worker: _Worker) -> None:
        worker.claims -= 1
        worker.reserved = False
        if not worker.claims:
            loop = asyncio.get_running_loop()
            worker.idle_since = loop.time()
            loop.call_later(IDLE_SECONDS + _TIMER_SECONDS, self._dismiss)
        self._dismiss()
        async with self._changed:
            self._changed.notify_all()

    def _dismiss(self) -> None:
        """Let go of workers that died, want to retire, are idle or too many, as soon as nobody waits for them."""
        idle = asyncio.get_running_loop().time() - IDLE_SECONDS
        for worker in [each for each in self._workers if not each.claims]:
            too_many = len(self._workers) > self._most
            if not (worker.lost or worker.retiring or too_many or worker.idle_since <= idle):
                continue
            self._workers.remove(worker)
            leaving = asyncio.create_task(worker.stop())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)


def worker_cores() -> int:
    """How many workers make sense here: half the cores, at least one, at most four."""
    return max(1, min(4, (os.cpu_count() or 2) // 2))
