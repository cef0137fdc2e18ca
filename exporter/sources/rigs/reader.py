"""The one seam through which rigs are identified and read. Nothing else in the exporter knows of firmware."""

import asyncio
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import structlog

from exporter.model.failures import Failure, Reason
from exporter.model.readings import RigIdentity, RigReading
from exporter.sources.rigs import cgminer
from exporter.sources.rigs.contract import Answer, NativeReader, Probe, Target
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.rigs.pyasic_reader import PyasicReader, pyasic_type
from exporter.sources.rigs.transport import OtherPage

MOST_IDENTIFYING: Final = 50
PROBE_SECONDS: Final = 3.0
IDENTIFY_SECONDS: Final = 12.0
_WORKER_SHARE: Final = 0.95
"""Of the deadline: a worker's own verdict says more than a deadline that passed."""
_FIRST: Final[tuple[Probe, ...]] = (cgminer.version,)
_UNHEARD: Final = frozenset({Reason.UNREACHABLE, Reason.REFUSED, Reason.TIMEOUT})
_TELLING: Final = (Reason.AUTH, Reason.TOO_LARGE, Reason.TIMEOUT, Reason.GARBLED)
"""What says more of a rig that answered no question than that pyasic does not know it."""
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
        self._native_types = frozenset().union(*(reader.firmware.pyasic_types for reader in self._native.values()))
        self._readers_of: dict[Probe, list[NativeReader]] = {}
        for reader in self._native.values():
            self._readers_of.setdefault(reader.probe, []).append(reader)
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
        """Ask the question that most firmware answers, then all others at once, then pyasic, unless nobody is there."""
        failures: list[Failure] = []
        heard = False
        for probes in (_FIRST, [probe for probe in self._readers_of if probe not in _FIRST]):
            outcomes = await asyncio.gather(*(_outcome(probe(target.address)) for probe in probes))
            for probe, outcome in zip(probes, outcomes, strict=True):
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                    continue
                heard = True
                identity = await self._recognised(target, probe, outcome)
                if identity is not None:
                    return identity
            if failures and failures[0].reason is Reason.UNREACHABLE:
                break
        if heard or any(failure.reason not in _UNHEARD for failure in failures):
            try:
                identity = await self._pyasic.identify(target)
                if heard or pyasic_type(identity) not in self._native_types:
                    return identity
                # It begins to answer just now, as when it boots: it must not be read by pyasic for a day for that.
                raise Failure(Reason.NOT_READY, "it answered no native reader's question")  # noqa: TRY301
            except Failure as failure:
                raise (failure if heard else _most_telling(failures) or failure) from None
        told = next((failure for failure in failures if failure.reason is Reason.TIMEOUT), failures[0])
        raise Failure(told.reason, told.detail)  # a new one: it will hold this frame, which holds the others

    async def _recognised(self, target: Target, probe: Probe, answer: Answer) -> RigIdentity | None:
        for reader in self._readers_of[probe]:
            if reader.recognises(answer):
                try:
                    identity = await _bounded(reader.identify(target), self._deadline)
                except Failure as failure:
                    if failure.reason is not Reason.UNSUPPORTED:
                        raise
                else:
                    if identity.model:
                        return identity
                    raise Failure(Reason.NOT_READY, "it does not say its model")
        return None


def _most_telling(failures: list[Failure]) -> Failure | None:
    """Pick of what all questions met, beginning with the miner's API on its port, what says more than pyasic can."""
    first, *others = failures
    telling = {each.reason: each for each in reversed(failures)}
    if any(isinstance(each, OtherPage) for each in others):
        telling.pop(Reason.GARBLED, None)  # not all was garbage: a web server is there
    elif first.reason is Reason.GARBLED and not isinstance(first, OtherPage):
        telling.pop(Reason.AUTH, None)  # garbage, whatever login its web server asks for
    return next((telling[reason] for reason in _TELLING if reason in telling), None)


async def _outcome(question: Awaitable[Answer]) -> Answer | Failure:
    try:
        return await _bounded(question, PROBE_SECONDS)
    except Failure as failure:
        return failure.with_traceback(None)


async def _bounded(question: Awaitable[_T], seconds: float) -> _T:
    try:
        with FastTimeout(seconds):
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
