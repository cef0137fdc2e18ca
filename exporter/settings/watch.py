"""Detects changes of the inventory in files and URLs, and lists what a reload changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from exporter.file_stamp import stamp
from exporter.model.failures import Failure
from exporter.settings.describe import in_force
from exporter.settings.model import Settings
from exporter.sources.discovery import HttpSd, http_targets

LOOK_SECONDS: Final = 5.0
_MOST_NAMED: Final = 10


async def watch(
    running: Callable[[], Settings],
    changed: Callable[[], Awaitable[object]],
    *,
    due: Callable[[], bool] = lambda: False,
    every: float = LOOK_SECONDS,
) -> None:
    """Await ``changed`` whenever the inventory of the ``running`` settings differs from the one that was read.

    It is also awaited whenever ``due`` returns true. A changed file is read after it has not changed for ``every``
    seconds, because it may still be being written.
    """
    last = await asyncio.to_thread(inventory_now, running())
    known = {**last, **running().inventory_stamps}  # as they were when they were read
    while True:
        await asyncio.sleep(every)
        now = await asyncio.to_thread(inventory_now, running())
        if (now != known and now == last) or due():
            await changed()
            after = await asyncio.to_thread(inventory_now, running())
            # A file that changed during the reload may have been read too early, so it counts as changed again.
            known, now = {where: now.get(where, state) for where, state in after.items()}, after
        last = now


def inventory_now(settings: Settings) -> dict[Path | str, object]:
    """Return the present state of the inventory's files and lists, for comparison."""
    lists: dict[Path | str, object] = {entry.url: _targets(entry) for entry in settings.fleet.http_sd}
    return lists | stamps(settings.inventory_files)


def _targets(settings: HttpSd) -> object:
    try:
        return http_targets(settings)
    except (Failure, ValidationError):
        return None


def stamps(files: Iterable[Path]) -> dict[Path | str, object]:
    """Return the stamp of each file, by its path. None for a missing file."""
    return {path: stamp(path) for path in files}


def changes(before: Settings, after: Settings) -> dict[str, Any]:
    """Return the differences for the log: rigs added, removed and changed, and keys with another value."""
    old, new = ({rig.name: rig for rig in settings.rigs if not rig.discovered} for settings in (before, after))
    differences = {
        "rigs_added": new.keys() - old.keys(),
        "rigs_removed": old.keys() - new.keys(),
        "rigs_changed": {name for name in old.keys() & new.keys() if old[name] != new[name]},
        "keys": set(_differing(_without_rigs(before), _without_rigs(after))),
    }
    return {what: _named(names) for what, names in differences.items() if names}


def _named(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _MOST_NAMED
    return ", ".join(ordered[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _without_rigs(settings: Settings) -> dict[str, Any]:
    shown: dict[str, Any] = in_force(settings)
    shown["fleet"] = {**shown["fleet"], "rigs": []}
    return shown


def _differing(old: Any, new: Any, at: str = "") -> Iterable[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in old.keys() | new.keys():
            yield from _differing(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif old != new:
        yield at
