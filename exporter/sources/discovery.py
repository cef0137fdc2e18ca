"""Reads Prometheus target groups from a file (file_sd) or a URL (http_sd)."""

import asyncio
import json
from collections.abc import Callable, Collection, Hashable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import aiohttp
import structlog
import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from exporter import yaml_nodes
from exporter.model.failures import Failure
from exporter.model.fields import Duration, SettingsGroup
from exporter.model.secrets import mask_urls
from exporter.sources.contract import SourceSettings
from exporter.sources.http import Endpoint, HttpSettings
from exporter.steady_clock import elapsed

_log = structlog.get_logger(__name__)

_MAX_BYTES: Final = 20_000_000  # enough for 100,000 rigs with their labels

MAX_SHRINK: Final = 0.2
"""Share of its entries that a list may lose at once by default."""
_CONFIRMING_READS: Final = 3
_CONFIRMING_SECONDS: Final = 600.0
_SECONDS_BETWEEN: Final = _CONFIRMING_SECONDS / (_CONFIRMING_READS - 1)


def _or_nothing(value: object) -> object:
    """Read null and an empty YAML value as an empty collection, as Prometheus does."""
    return () if value is None or value == "" else value


def _or_no_labels(value: object) -> object:
    return {} if value is None or value == "" else value


def _label(value: object) -> object:
    """Read a number or a boolean as the text of a label."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return "" if value is None else value


class TargetGroup(SettingsGroup):
    """Targets and the labels that they share, as Prometheus defines a target group."""

    targets: Annotated[tuple[str, ...], BeforeValidator(_or_nothing)] = ()
    labels: Annotated[dict[str, Annotated[str, BeforeValidator(_label)]], BeforeValidator(_or_no_labels)] = Field({})


TargetGroups = Annotated[tuple[TargetGroup, ...], BeforeValidator(_or_nothing)]
_GROUPS: Final[TypeAdapter[TargetGroups]] = TypeAdapter(TargetGroups)


class HttpSd(HttpSettings, SourceSettings):
    """A URL that returns targets in the format of Prometheus' http_sd."""

    kind: Literal["http_sd"] = "http_sd"
    max_age: Duration = Field(86_400.0, description="How long the last list stays in use while the URL gives none.")


def target_groups(document: object) -> TargetGroups:
    """Read a JSON document as Prometheus does. Raises pydantic's ValidationError."""
    return _GROUPS.validate_python(document)


def file_targets(path: Path) -> TargetGroups:
    """Read a file. Raises OSError, UnicodeDecodeError, JSONDecodeError, YAMLError or pydantic's ValidationError."""
    text = path.read_text("utf-8-sig")
    if path.suffix != ".json":
        return _GROUPS.validate_python(yaml_nodes.load(yaml.BaseLoader(text)))
    # Numbers stay as they are written, because they can only be labels.
    return _GROUPS.validate_python(json.loads(text, parse_int=str, parse_float=str) if text.strip() else None)


class _List(NamedTuple):
    groups: TargetGroups
    read_at: float  # seconds that never jump, see :func:`elapsed`


_lists: Final[dict[str, _List]] = {}
"""The last list of each URL, process-wide, because the configuration is loaded more often than lists change."""


def http_targets(settings: HttpSd) -> TargetGroups:
    """Request the list, or return the last one if it is younger than the settings' interval.

    Must not be called in an event loop, because it runs its own. Raises Failure or pydantic's ValidationError if the
    request failed and the last list is older than ``max_age``.
    """
    now = elapsed()
    known = _lists.get(settings.url)
    if known is not None and now - known.read_at < settings.interval:
        return known.groups
    shown = mask_urls(settings.url)
    try:
        groups = target_groups(asyncio.run(_ask(settings)))
    except (Failure, ValidationError) as error:
        if known is None or now - known.read_at > settings.max_age:
            raise
        if settings.url not in _failing:
            detail = error.detail if isinstance(error, Failure) else "it gave something else"
            _log.warning("list of rigs is down, its last content stays in use", list=shown, detail=detail)
        _failing.add(settings.url)
        return known.groups
    if settings.url in _failing:
        _failing.discard(settings.url)
        _log.info("list of rigs is back", list=shown)
    _lists[settings.url] = _List(groups, now)
    return groups


_failing: Final[set[str]] = set()
"""The URLs that gave no list when last asked, and whose last one is in use."""


def failing_lists() -> Collection[str]:
    """Return the URLs that gave no list when last asked."""
    return _failing


def last_read(url: str) -> float | None:
    """Return when the list of ``url`` was last read, in seconds since the system booted, or None."""
    known = _lists.get(url)
    return None if known is None else known.read_at


async def _ask(settings: HttpSd) -> Any:
    async with aiohttp.ClientSession() as session:
        return await Endpoint(settings, session).get_json(max_bytes=_MAX_BYTES)


def is_cut(before: int, now: int, max_shrink: float = MAX_SHRINK) -> bool:
    """Return whether a list lost more of its entries than ``max_shrink``. One may always go, unless it is the last."""
    if now == 0:
        return before > 0 and max_shrink < 1
    return before - now > max(1, max_shrink * before)


class Confirmation:
    """Confirms a list that lost many entries: after three identical reads over 10 minutes it is meant.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._content: Hashable = None
        self._reads: list[tuple[float, Sequence[object]]] = []  # when, and what identifies it

    def forget(self) -> None:
        """Begin anew."""
        self._content, self._reads = None, []

    def read(self, content: Hashable, read: Sequence[object] = ()) -> bool:
        """Note a list, and return whether it is confirmed now.

        One that comes too soon does not count, nor one of which a part of ``read`` is as before: it was not read again.
        """
        if content != self._content:
            self._content, self._reads = content, []
        at = self._clock()
        if self._reads:
            last_at, last = self._reads[-1]
            if at - last_at < _SECONDS_BETWEEN or any(new == old for new, old in zip(read, last, strict=False)):
                return False
        self._reads.append((at, read))
        return len(self._reads) >= _CONFIRMING_READS and at - self._reads[0][0] >= _CONFIRMING_SECONDS

    def is_due(self) -> bool:
        """Return whether the list should be read again."""
        return bool(self._reads) and self._clock() - self._reads[-1][0] >= _SECONDS_BETWEEN
