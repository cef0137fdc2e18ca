"""The lease by which one of several identical exporters is active and the others stand by.

The lease is a file on a disk that all of them share. The active exporter renews it. An exporter that stands by takes it
over at most ``takeover`` after the last renewal, measured by its own monotonic clock, so clocks need not agree. The
active one stops serving earlier than that if it cannot renew, so that two are never active at once.
"""

import asyncio
import fcntl
import os
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Self, TypeVar

import structlog
from pydantic import BaseModel, Field, ValidationError

from exporter.model.fields import ConfigPath, Duration, SettingsGroup
from exporter.steady_clock import elapsed

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_RENEWALS: Final = 6  # per takeover
_TRUSTED: Final = 1 / 2
"""Part of ``takeover`` for which a renewal lets the holder serve."""
_UNCHANGED: Final = (_RENEWALS - 1) / _RENEWALS
"""Part of ``takeover`` for which an exporter that stands by sees no renewal before it takes the lease: it may have seen
the last one as late as its next look."""
_RELEASED: Final = 1 / 2
"""The same for a released lease: until then Prometheus may still see the last scrape."""
_SHORTEST: Final = 1.0  # s
_LARGEST_FILE: Final = 65_536  # bytes


class LeaseSettings(SettingsGroup):
    """Which of several identical exporters of a site, or of a shard, is active. Off by default."""

    path: ConfigPath | None = Field(
        None,
        description="The lease file, on a disk that both exporters share. Left out, this one is always active.",
    )
    takeover: Duration = Field(
        30.0,
        ge=_SHORTEST,
        description="An exporter that stands by becomes active at most this long after the last renewal of the lease. "
        "At least two scrape intervals of Prometheus.",
    )


class _Content(BaseModel):
    """What the lease file contains."""

    holder: str
    token: str
    renewal: int
    released: bool = False


class Lease:
    """The lease of this exporter. :meth:`acquire` it, serve while it is :meth:`kept`, then :meth:`close`.

    Args:
        path: The lease file.
        takeover: Seconds after the last renewal by which the lease is taken over.
        holder: What the others log and show as the active exporter.
        clock: Seconds that never jump, and go on while the system is suspended.
    """

    def __init__(self, path: Path, takeover: float, holder: str, *, clock: Callable[[], float] = elapsed) -> None:
        self._path = path
        self._takeover = takeover
        self._holder = holder
        self._clock = clock
        self._token = ""
        self._renewal = 0
        self._trusted_until = float("-inf")
        self._failing = False
        self._seen = b""
        self._seen_since: float | None = None
        self.lost = asyncio.Event()
        """Set when this exporter must not serve any more."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lease")

    def is_held(self) -> bool:
        """Whether this exporter may serve the site now."""
        return self._clock() < self._trusted_until

    @property
    def active(self) -> str:
        """Name of the exporter that held the lease when it was read last. Empty if unknown."""
        content = _parsed(self._seen)
        return "" if content is None or content.released else content.holder

    async def acquire(self) -> None:
        """Wait until this exporter holds the lease."""
        self._seen_since = None
        shown = ""
        while True:
            if await self._attempt(self._take):
                _log.info("lease taken: this exporter is active", path=str(self._path))
                return
            if self.active and self.active != shown:
                shown = self.active
                _log.info("standing by", active=shown, path=str(self._path))
            await asyncio.sleep(self._takeover / _RENEWALS)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew the acquired lease while the context is active. :attr:`lost` is set if that fails."""
        self.lost.clear()
        keeping = asyncio.create_task(self._keep(), name="lease")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def _keep(self) -> None:
        """Renew until another exporter has taken the lease, or it could not be renewed in time."""
        while True:
            await asyncio.sleep(self._takeover / _RENEWALS)
            await self._attempt(self._renew)
            if not self.is_held():
                _log.error("lease lost: this exporter stands by", path=str(self._path), active=self.active)
                self.lost.set()
                return

    async def close(self) -> None:
        """Release the lease if it is held, so that another exporter becomes active soon."""
        if self.is_held():
            self._trusted_until = float("-inf")
            await self._attempt(self._release)
        self._thread.shutdown(wait=False)

    async def _attempt(self, work: Callable[[], T]) -> T | None:
        """Return the result of file operations. None if they fail, or hang for longer than a renewal may take."""
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            result = await asyncio.wait_for(running, self._takeover / _RENEWALS)
        except (OSError, TimeoutError) as error:
            if not self._failing:
                self._failing = True
                advice = "check that the shared disk is mounted and that this user may write the file"
                reason = str(error) or "the disk does not answer"
                _log.error("lease file cannot be used", path=str(self._path), error=reason, advice=advice)
            return None
        if self._failing:
            self._failing = False
            _log.info("lease file can be used again", path=str(self._path))
        return result

    def _take(self) -> bool:
        """Take the lease if it is due. An unknown or empty content is a lease that somebody may just have renewed."""
        with _Locked(self._path) as file:
            found = file.read()
            now = self._clock()
            if self._seen_since is None or found != self._seen:
                self._seen, self._seen_since = found, now
                return False
            content = _parsed(found)
            part = _RELEASED if content is not None and content.released else _UNCHANGED
            if now - self._seen_since < part * self._takeover:
                return False
            self._token, self._renewal = uuid.uuid4().hex, 0
            file.write(self._content())
            self._trusted_until = now + _TRUSTED * self._takeover
            return True

    def _renew(self) -> None:
        with _Locked(self._path) as file:
            now = self._clock()
            self._seen = file.read()
            content = _parsed(self._seen)
            if content is None or content.token != self._token:
                self._trusted_until = float("-inf")
                return
            self._renewal += 1
            file.write(self._content())
            self._trusted_until = now + _TRUSTED * self._takeover

    def _release(self) -> None:
        with _Locked(self._path) as file:
            content = _parsed(file.read())
            if content is not None and content.token == self._token:
                file.write(self._content(released=True))

    def _content(self, *, released: bool = False) -> bytes:
        content = _Content(holder=self._holder, token=self._token, renewal=self._renewal, released=released)
        return content.model_dump_json().encode() + b"\n"


def _parsed(content: bytes) -> _Content | None:
    with suppress(ValidationError):
        return _Content.model_validate_json(content)
    return None


class _Locked:
    """The lease file, locked against the other exporters while it is read and written. Raises OSError.

    Linux passes the lock on to the servers of NFS and cluster file systems. The file is opened anew each time,
    because NFS checks only then whether another host changed it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._descriptor)  # which unlocks

    def read(self) -> bytes:
        """Return the content."""
        return os.pread(self._descriptor, _LARGEST_FILE, 0)

    def write(self, content: bytes) -> None:
        """Replace the content. The other hosts see it when the file is closed."""
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))
