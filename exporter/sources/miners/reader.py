"""The one seam through which rigs are identified and read. Nothing else in the exporter knows of firmware."""

import asyncio
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import structlog

from exporter.failures import Failure, Reason
from exporter.readings import RigIdentity, RigReading
from exporter.sources.miners import cgminer
from exporter.sources.miners.contract import NativeReader, Probe, Target
from exporter.sources.miners.firmware import native_readers
from exporter.sources.miners.pyasic_reader import PyasicReader

MOST_IDENTIFYING: Final = 50
PROBE_SECONDS: Final = 3.0
IDENTIFY_SECONDS: Final = 12.0
_WORKER_SHARE: Final = 0.95
"""Of the deadline: a worker's own verdict says more than a deadline that passed."""
_NOBODY: Final = frozenset({Reason.UNREACHABLE, Reason.REFUSED})

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


class Miners:
    """Identifies and reads rigs: native readers first, pyasic for the rest. An async context manager."""

    def __init__(self, *, deadline: float = 5.0) -> None:
        """Make the seam; nothing is opened yet.

        Args:
            deadline: Seconds that one read may take in all. A read by pyasic whose worker dies is tried once more.
        """
        self._deadline = deadline
        self._native = native_readers()
        self._pyasic = PyasicReader(read_deadline=deadline * _WORKER_SHARE, identify_deadline=IDENTIFY_SECONDS)
        self._identifying = asyncio.Semaphore(MOST_IDENTIFYING)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._pyasic.close()

    async def identify(self, target: Target) -> RigIdentity:
        """Say who answers there; at most :data:`MOST_IDENTIFYING` at once. Raises Failure, never anything else."""
        async with self._identifying:
            return await _classified(self._identify(target), target)

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read a rig once, within the deadline. Raises Failure, never anything else."""
        native = self._native.get(identity.reader)
        if native is not None:
            return await _classified(_bounded(native.read(target, identity), self._deadline), target)
        return await _classified(self._pyasic.read(target, identity), target)

    async def _identify(self, target: Target) -> RigIdentity:
        """Ask the cheap questions that tell native firmware, each once, then pyasic, unless nobody is there."""
        silence: Failure | None = None
        answered = False
        for probe, readers in self._by_probe().items():
            try:
                answer = await _bounded(probe(target.address), PROBE_SECONDS)
            except Failure as failure:
                answered = answered or failure.reason not in _NOBODY
                silence = silence or failure
                if failure.reason is Reason.UNREACHABLE:
                    break
                continue
            answered = True
            for reader in readers:
                if reader.recognises(answer):
                    return await _bounded(reader.identify(target), self._deadline)
        if silence is not None and not answered:
            raise silence
        return await self._pyasic.identify(target)

    def _by_probe(self) -> dict[Probe, list[NativeReader]]:
        probes: dict[Probe, list[NativeReader]] = {cgminer.version: []}  # the one that most rigs answer comes first
        for reader in self._native.values():
            probes.setdefault(reader.probe, []).append(reader)
        return probes


async def _bounded(question: Awaitable[_T], seconds: float) -> _T:
    try:
        async with asyncio.timeout(seconds):
            return await question
    except TimeoutError:
        raise Failure(Reason.TIMEOUT, f"no complete answer within {seconds:g} s") from None


async def _classified(question: Coroutine[Any, Any, _T], target: Target) -> _T:
    try:
        return await question
    except Failure:
        raise
    except Exception as error:
        _log.exception("reader failed", address=target.address)
        raise Failure(Reason.INTERNAL, f"the reader failed: {type(error).__name__}") from error
