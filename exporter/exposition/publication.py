"""The latest evaluation as bytes, in each format and encoding that scrapers request."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from enum import Enum
from typing import Final, NamedTuple, Protocol

from exporter.exposition.views import SiteView
from exporter.steady_clock import elapsed

try:
    from isal.isal_zlib import DEFLATED, compressobj  # a quarter of zlib's time
except ImportError:  # it has no wheel for this processor
    from zlib import DEFLATED, compressobj  # type: ignore[assignment]

_CHUNK_BYTES: Final = 131_072  # freed blocks of this size are used again, see exporter.runtime
_GZIP_LEVEL: Final = 1
_GZIP_WINDOW: Final = 31  # for zlib: the largest window, in gzip format
_REMEMBERED_SECONDS: Final = 300.0  # lookback of Prometheus: no scraper has a longer interval


class Format(Enum):
    """An exposition format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Encoding(NamedTuple):
    """The format and compression of a response."""

    format: Format
    gzip: bool


class Family(Protocol):
    """One metric: its samples, which are the same in all formats, and its head in each format."""

    @property
    def heads(self) -> Mapping[Format, bytes]:
        """``# HELP``, ``# TYPE`` and ``# UNIT``."""
        ...

    def samples(self) -> Iterable[bytes]:
        """Write the samples as text, in pieces; none if there are none."""
        ...


class Body(NamedTuple):
    """The body of a response, in chunks."""

    chunks: tuple[bytes, ...]
    length: int


class Publication:
    """One evaluation, as text in each encoding that is asked for. Safe to call from any thread.

    Values are read and text is written when an encoding is made, and not kept: that of 10,000 rigs has 100 MB.
    """

    def __init__(
        self,
        view: SiteView,
        families: Callable[[], Iterable[Family]],
        own: Mapping[Format, bytes],
        pause: Callable[[], object] = lambda: None,
    ) -> None:
        """``families`` makes them one after another. ``pause`` is called after each metric that is written."""
        self.view = view
        self._families = families
        self._own = own
        self._pause = pause
        self._bodies: dict[Encoding, Body] = {}
        self._lock = threading.Lock()

    @property
    def taken_at(self) -> float:
        """Time of the evaluation in unix seconds."""
        return self.view.snapshot.taken_at

    def ready(self, encoding: Encoding) -> bool:
        """Whether :meth:`body` returns immediately. If not, call it in a worker thread."""
        return encoding in self._bodies

    def body(self, encoding: Encoding) -> Body:
        """Return the publication in this encoding. A ready encoding does not wait for another that is being made."""
        if encoding not in self._bodies:
            self.prepare((encoding,))
        return self._bodies[encoding]

    def prepare(self, encodings: Iterable[Encoding]) -> None:
        """Make several encodings at once, which takes less time than one after another."""
        with self._lock, ThreadPoolExecutor(1, "gzip") as thread:
            writers = {
                encoding: _Writer(thread if encoding.gzip else None)
                for encoding in encodings
                if not self.ready(encoding)
            }
            for family in self._families() if writers else ():
                for encoding, writer in writers.items():
                    writer.begin(family.heads[encoding.format])
                for piece in family.samples():
                    for writer in writers.values():
                        writer.write(piece)
                self._pause()
            for encoding, writer in writers.items():
                writer.begin(b"")
                writer.write(self._own[encoding.format])
                self._bodies[encoding] = writer.finish()


class LatestPublication:
    """Holds the latest publication. A new one is prepared in the encodings that scrapers requested recently."""

    def __init__(self, clock: Callable[[], float] = elapsed) -> None:
        self.publication: Publication | None = None
        self._clock = clock
        self._published_at = clock()
        self._requested: dict[Encoding, float] = {}
        self._listeners: list[Callable[[SiteView], None]] = []

    def subscribe(self, listener: Callable[[SiteView], None]) -> None:
        """Call ``listener`` after each publication, in the thread that publishes."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[SiteView], None]) -> None:
        """Call ``listener`` no more."""
        self._listeners.remove(listener)

    def age(self) -> float:
        """Seconds since the last publication, or since the start if there was none."""
        return self._clock() - self._published_at

    def requested(self, encoding: Encoding) -> None:
        """Note that a scraper requested this encoding."""
        self._requested[encoding] = self._clock()

    def publish(self, publication: Publication) -> None:
        """Replace the publication. Slow for a large site, so call it in a worker thread."""
        now = self._clock()
        oldest = now - _REMEMBERED_SECONDS
        publication.prepare([encoding for encoding, at in tuple(self._requested.items()) if at >= oldest])
        self.publication = publication
        self._published_at = now
        for listener in tuple(self._listeners):
            listener(publication.view)


class _Writer:
    """Joins pieces to chunks, to save system calls, and compresses them in a ``thread`` if one is given.

    Compressing releases the interpreter's lock, so that the next chunk is made meanwhile.
    """

    def __init__(self, thread: Executor | None) -> None:
        self._thread = thread
        self._zip = compressobj(_GZIP_LEVEL, DEFLATED, _GZIP_WINDOW)
        self._compressing: Future[bytes] | None = None
        self._pending: list[bytes] = []
        self._size = 0
        self._head = b""
        self._chunks: list[bytes] = []

    def begin(self, head: bytes) -> None:
        """Write ``head`` before the next piece. The last one is left out if nothing was written after it."""
        self._head = head

    def write(self, piece: bytes) -> None:
        if self._head:
            self._pending.append(self._head)
            self._head = b""
        self._pending.append(piece)
        self._size += len(piece)
        if self._size >= _CHUNK_BYTES:
            self._flush()

    def finish(self) -> Body:
        self._flush()
        if self._thread is not None:
            self._keep_compressed()
            self._chunks.append(self._zip.flush())
        return Body(tuple(self._chunks), sum(map(len, self._chunks)))

    def _flush(self) -> None:
        chunk = b"".join(self._pending)
        self._pending, self._size = [], 0
        if self._thread is None:
            self._chunks.append(chunk)
        else:
            self._keep_compressed()  # one chunk at a time, so that no text waits in memory
            self._compressing = self._thread.submit(self._zip.compress, chunk)

    def _keep_compressed(self) -> None:
        compressed = b"" if self._compressing is None else self._compressing.result()
        if compressed:
            self._chunks.append(compressed)
