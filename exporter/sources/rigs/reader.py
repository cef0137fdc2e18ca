"""The one way in which rigs are identified and read. Nothing else in the exporter knows firmware."""

import asyncio
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Final, Self

from exporter.model.failures import Failure, Reason
from exporter.model.points import PointList
from exporter.model.readings import RigIdentity, RigReading
from exporter.sources.rigs import cgminer
from exporter.sources.rigs.contract import (
    Answer,
    HasSecondProbe,
    KeepsConnections,
    ListsPoints,
    NativeReader,
    Probe,
    Target,
)
from exporter.sources.rigs.fast_timeout import FastTimeout
from exporter.sources.rigs.firmware import native_readers
from exporter.sources.rigs.pyasic_reader import PyasicReader, pyasic_type
from exporter.sources.rigs.transport import (
    NoProtocol,
    NoSuchPage,
    OtherPage,
    keeping_connections,
    lasting_connections,
    timeout_failure,
)

PROBE_SECONDS: Final = 3.0
_WORKER_SHARE: Final = 0.95
"""Of a deadline, for a worker process: its own verdict is more precise than the caller's timeout."""
_FIRST: Final[tuple[Probe, ...]] = (cgminer.version,)
_TELLS_ENOUGH: Final = frozenset({Reason.UNREACHABLE, Reason.TOO_LARGE})
"""The failures of the first probe after which no other is sent."""
_SHOWS_NOTHING: Final = frozenset({Reason.UNREACHABLE, Reason.REFUSED, Reason.TIMEOUT, Reason.TOO_LARGE})
_PREFERRED: Final = (Reason.AUTH, Reason.TOO_LARGE, Reason.TIMEOUT, Reason.GARBLED)
"""The failures of probes that are reported rather than that pyasic does not know the rig, in this order."""


class Miners:
    """Identifies and reads rigs: native readers first, pyasic for the rest. An async context manager.

    Deadlines, limits on how many rigs are asked at once, and unexpected exceptions are the caller's.
    """

    def __init__(self, *, deadline: float = 5.0, identify_deadline: float = 20.0, most_kept: int = 0) -> None:
        """Open nothing yet.

        Args:
            deadline: Seconds after which the caller gives up a read: pyasic's processes stop a little earlier.
            identify_deadline: The same for an identification, of which the probes take the first part.
            most_kept: How many connections may be kept from read to read.
        """
        self._native = native_readers()
        self._keeps = {name: each.keeps for name, each in self._native.items() if isinstance(each, KeepsConnections)}
        self._lasting = lasting_connections(most_kept)
        self._readers_of: dict[Probe, list[NativeReader]] = {}
        for reader in self._native.values():
            self._readers_of.setdefault(reader.probe, []).append(reader)
            if isinstance(reader, HasSecondProbe):
                self._readers_of[reader.second_probe] = [reader]
        after_probes = max(identify_deadline - 2 * PROBE_SECONDS, identify_deadline / 2)
        self._pyasic = PyasicReader(
            read_deadline=deadline * _WORKER_SHARE, identify_deadline=after_probes * _WORKER_SHARE
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lasting.close()
        await self._pyasic.close()

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        """Read a rig once. Raises Failure."""
        native = self._native.get(identity.reader)
        keeps = self._keeps.get(identity.reader)
        lasting = self._lasting if keeps is not None and keeps(identity) else None
        with keeping_connections(lasting):
            return await (native or self._pyasic).read(target, identity)

    async def points(self, target: Target, identity: RigIdentity) -> PointList | None:
        """List the operating points of a rig. None if its firmware lists none. Raises Failure."""
        native = self._native.get(identity.reader)
        if native is None or not isinstance(native, ListsPoints):
            return None
        return await native.points(target, identity)

    async def identify(self, target: Target) -> RigIdentity:
        """Identify the rig at an address. Raises Failure.

        The probe that most firmware answers is sent first, then all others at once. pyasic is asked if none was
        recognised and something answers there in a protocol that rigs have.
        """
        failures: dict[Probe, Failure] = {}
        answered = False
        for probes in (_FIRST, [probe for probe in self._readers_of if probe not in _FIRST]):
            outcomes = await asyncio.gather(*(_outcome(probe(target.address)) for probe in probes))
            for probe, outcome in zip(probes, outcomes, strict=True):
                if isinstance(outcome, Failure):
                    failures[probe] = outcome
                    continue
                answered = True
                identity = await self._recognised(target, probe, outcome)
                if identity is not None:
                    return identity
            first = failures.get(_FIRST[0])
            if first is not None and first.reason in _TELLS_ENOUGH:
                raise Failure(first.reason, first.detail)
        if answered or any(map(_shows_a_device, failures.values())):
            try:
                return self._left_to_pyasic(await self._pyasic.identify(target), {} if answered else failures)
            except Failure:
                if answered or _most_precise([*failures.values()]) is None:
                    raise
        chosen = _most_precise([*failures.values()]) or failures[_FIRST[0]]
        raise Failure(chosen.reason, chosen.detail)  # a new one: it will hold this frame, which holds the others

    def _left_to_pyasic(self, identity: RigIdentity, failures: Mapping[Probe, Failure]) -> RigIdentity:
        """Return what pyasic identified, if pyasic may read it. Raises Failure.

        Args:
            identity: The rig as pyasic identified it; without a model if it reports none.
            failures: Those of all probes if none was answered; else empty.
        """
        kind = pyasic_type(identity)
        readers = [reader for reader in self._native.values() if kind in reader.firmware.pyasic_types]
        if failures and readers:
            unread = next((reader.firmware.unread for reader in readers if reader.firmware.unread), "")
            if unread and _is_missing([failures[reader.probe] for reader in readers]):
                raise Failure(
                    Reason.UNSUPPORTED, f"its port 4028 is closed and its REST API is missing: no reader knows {unread}"
                )
            # It has just begun to answer, perhaps because it boots: pyasic must not read it for a day for that.
            raise Failure(Reason.NOT_READY, "it answered no native reader's probe")
        if not identity.model:
            raise Failure(Reason.NOT_READY, f"pyasic calls it {kind.lower()}, and it reports no model")
        return identity

    async def _recognised(self, target: Target, probe: Probe, answer: Answer) -> RigIdentity | None:
        for reader in self._readers_of[probe]:
            if reader.recognises(answer):
                try:
                    identity = await reader.identify(target)
                except Failure as failure:
                    if failure.reason is not Reason.UNSUPPORTED:
                        raise
                else:
                    if identity.model:
                        return identity
                    raise Failure(Reason.NOT_READY, "it reports no model")
        return None


def _shows_a_device(failure: Failure) -> bool:
    """Return whether pyasic may know what failed so. It is dear to ask, and knows nothing that speaks no protocol."""
    return failure.reason not in _SHOWS_NOTHING and not isinstance(failure, NoProtocol)


def _is_missing(failures: list[Failure]) -> bool:
    """Return whether a rig's web server answers and has nothing where it was probed: a boot ends otherwise."""
    pages = [failure for failure in failures if failure.reason is not Reason.REFUSED]
    return bool(pages) and all(isinstance(page, NoSuchPage) for page in pages)


def _most_precise(failures: list[Failure]) -> Failure | None:
    """Pick the failure of a probe that describes the rig best. The first is that of the miner's API on its port."""
    first, *others = failures
    by_reason = {each.reason: each for each in reversed(failures)}
    if any(isinstance(each, OtherPage) for each in others):
        by_reason.pop(Reason.GARBLED, None)  # a web server is there, so not everything was garbage
    elif first.reason is Reason.GARBLED and not isinstance(first, OtherPage):
        by_reason.pop(Reason.AUTH, None)  # garbage, whatever login its web server asks for
    return next((by_reason[reason] for reason in _PREFERRED if reason in by_reason), None)


async def _outcome(question: Awaitable[Answer]) -> Answer | Failure:
    try:
        with FastTimeout(PROBE_SECONDS):
            return await question
    except TimeoutError as error:
        return timeout_failure(error, PROBE_SECONDS)
    except Failure as failure:
        return failure.with_traceback(None)
