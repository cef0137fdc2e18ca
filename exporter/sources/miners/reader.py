"""The one seam through which rigs are identified and read. Nothing else in the exporter knows of firmware."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import structlog

from exporter.failures import Failure, Reason
from exporter.readings import RigIdentity, RigReading
from exporter.sources.miners.contract import Reader, Target
from exporter.sources.miners.pyasic_reader import PyasicReader

MOST_IDENTIFYING: Final = 50
IDENTIFY_SECONDS: Final = 15.0

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
        self._pyasic = PyasicReader(read_deadline=deadline, identify_deadline=IDENTIFY_SECONDS)
        self._readers: dict[str, Reader] = {self._pyasic.name: self._pyasic}
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
            return await _classified(self._pyasic.identify(target), target)

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read a rig once, within the deadline. Raises Failure, never anything else."""
        reader = self._readers.get(identity.reader.partition(":")[0])
        if reader is None:
            raise Failure(Reason.UNSUPPORTED, f"identified by an unknown reader {identity.reader!r}")
        return await _classified(reader.read(target, identity), target)


async def _classified(question: Coroutine[Any, Any, _T], target: Target) -> _T:
    try:
        return await question
    except Failure:
        raise
    except Exception as error:
        _log.exception("reader failed", address=target.address)
        raise Failure(Reason.INTERNAL, f"the reader failed: {type(error).__name__}") from error
