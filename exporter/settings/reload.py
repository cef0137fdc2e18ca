"""Reloads the configuration while the exporter runs."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Final, Protocol

import structlog

from exporter.inventory.accepted import accept_lists, accepted_lists, keeping
from exporter.inventory.shrink import ShrinkGuard, names_of_lists, shrinks
from exporter.logs import configure
from exporter.model.configuration_errors import ErrorAt
from exporter.model.secrets import mask_urls
from exporter.settings.load import ConfigError
from exporter.settings.model import Settings
from exporter.settings.watch import changes
from exporter.sources.discovery import failing_lists
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_AT_START_ONLY: Final = ("site", "evaluation_interval", "web", "state", "lease", "sharding", "polling")
"""Settings that take effect only at a start."""


_NOTHING_CHANGED: Final = "The new configuration is rejected, the running one stays:"
_TOO_MANY: Final = "more than fleet.max_shrink allows"
CONFIRM_RUNNING: Final = "POST /-/reload?allow_shrink=1, or start with --allow-shrink"


class Configurable(Protocol):
    """What runs with settings and accepts new ones."""

    settings: Settings

    def apply(self, settings: Settings) -> None:
        """Switch to new settings."""


class Reload:
    """Loads the configuration and applies it to ``target``. An invalid one changes nothing.

    A list of rigs (a file of ``csv`` or ``file_sd``, a URL of ``http_sd``) that is missing, invalid, or lost too many
    rigs is refused alone: its content in use stays, and everything else is applied.

    Args:
        load: Loads the settings. Raises ConfigError.
        target: What the settings are applied to.
        telemetry: Where the result is exported.
    """

    def __init__(self, load: Callable[[], Settings], target: Configurable, telemetry: Telemetry) -> None:
        self._read = load
        self._target = target
        self._telemetry = telemetry
        self._running = asyncio.Lock()
        self._shrink = ShrinkGuard(time.monotonic)
        self._refused: Mapping[str, str] = {}  # the lists whose present content is not used, and why
        accept_lists()
        telemetry.inventory_lists_kept.set_function(lambda: float(len(self._kept())))

    def is_due(self) -> bool:
        """Return whether lists that lost many rigs should be read again, to confirm them."""
        return self._shrink.is_due()

    async def __call__(self, *, allow_shrink: bool = False) -> str | None:
        """Reload. Returns why the new configuration, or a list of rigs, was rejected, or None.

        Args:
            allow_shrink: Accept lists that lost more rigs than ``fleet.max_shrink`` allows.
        """
        async with self._running:
            before = self._target.settings
            try:
                settings, refused = await self._loaded()
                cut = self._shrink.judge(before.list_sizes, settings.fleet, settings.rigs)
                self._telemetry.inventory_shrink_refused.set(bool(cut) and not allow_shrink)
                if cut and not allow_shrink:
                    refused |= {each.name: f"{each}, {_TOO_MANY}" for each in cut if each.name in accepted_lists()}
                    settings = await self._load(keep=refused)
                    if rest := shrinks(before.list_sizes, settings.list_sizes, settings.fleet.max_shrink):
                        return self._cut("; ".join(map(str, rest)))
                self._target.apply(_without_start_only(settings, before))
            except ConfigError as error:
                return self._rejected(str(error))
            except Exception as error:  # noqa: BLE001 -- a bug in a reload must not stop what runs
                _log.exception("reload failed: this is a bug, please report it with this line")
                return self._rejected(f"a bug in hashmargin: {type(error).__name__}")
            if not cut or allow_shrink:
                self._shrink.accept()
            return self._applied(before, refused)

    async def _loaded(self) -> tuple[Settings, dict[str, str]]:
        """Load the settings, and return the lists that are invalid, whose content in use they have instead."""
        refused: dict[str, str] = {}
        while True:
            try:
                return await self._load(keep=refused), refused
            except ConfigError as error:
                found = _blamed(error.errors, refused)
                if not found:
                    raise
                refused |= found

    async def _load(self, *, keep: Collection[str]) -> Settings:
        with keeping(keep):
            return await asyncio.to_thread(self._read)

    def _applied(self, before: Settings, refused: Mapping[str, str]) -> str | None:
        """Export the result. Log each list when it is refused for another reason than before, and when it is not."""
        accept_lists()
        configure(self._target.settings.log)
        self._telemetry.config_reload_successful.set(not refused)
        self._telemetry.config_invalid.set(0)
        if not refused:
            self._telemetry.config_reload_time.set_to_current_time()
        _log.info("configuration reloaded", **changes(before, self._target.settings))
        known = before.inventory_warnings
        log_warnings(each for each in self._target.settings.inventory_warnings if each not in known)
        for url, why in refused.items():
            if self._refused.get(url) != why:
                advice = f"correct the list; if the rigs are gone, confirm it with {CONFIRM_RUNNING}"
                _log.error("list of rigs refused, its last content stays in use", reason=why, advice=advice)
        for url in self._refused.keys() - refused.keys():
            _log.info("list of rigs accepted again", list=mask_urls(url))
        self._refused = refused
        if not refused:
            return None
        return "\n".join(("Everything is in use but these lists of rigs, whose last content stays:", *refused.values()))

    def _kept(self) -> Collection[str]:
        """Return the lists whose last content is in use."""
        return {*self._refused, *failing_lists()} & {*names_of_lists(self._target.settings.fleet)}

    def _cut(self, what: str) -> str:
        self._telemetry.config_reload_successful.set(0)
        self._telemetry.config_invalid.set(0)
        advice = f"correct the list, or confirm it with {CONFIRM_RUNNING}"
        _log.error("inventory lost too many rigs, the running one stays", lists=what, advice=advice)
        return f"{_NOTHING_CHANGED}\n{what}, {_TOO_MANY}: {advice}"

    def _rejected(self, reason: str) -> str:
        self._telemetry.config_reload_successful.set(0)
        self._telemetry.config_invalid.set(1)
        advice = "run hashmargin check-config to see all errors"
        _log.error("new configuration rejected, the running one stays", errors=reason, advice=advice)
        return f"{_NOTHING_CHANGED}\n{reason}"


def log_warnings(sentences: Iterable[str]) -> None:
    """Log each valid setting of the fleet that is probably wrong."""
    for sentence in sentences:
        _log.warning("settings of the fleet", advice=sentence)


def _blamed(errors: Collection[ErrorAt], refused: Collection[str]) -> dict[str, str]:
    """Return the lists that these errors are about, and why. Empty if an error is about something else.

    A rig of a refused list may still be listed in another list, too: then that one is to blame.
    """
    places = [(each, next(_lists_at(each.where), None)) for each in errors]
    if any(name is None for _, name in places):
        return {}
    found = {name: str(each) for each, name in reversed(places) if name is not None and name not in refused}
    return found or {name: str(each) for each in errors for name in _lists_at(each.message) if name not in refused}


def _lists_at(text: str) -> Iterator[str]:
    """Yield the lists in use in which the location ``text`` is, or that it names; the longest name first."""
    for name in sorted(accepted_lists(), key=len, reverse=True):
        shown = mask_urls(name)
        patterns = (shown, f"{shown}:*", f"* {shown}:*") if "*" in shown else ()
        is_named = text == shown or text.startswith(f"{shown}:") or f" {shown}:" in text
        if is_named or any(fnmatchcase(text, pattern) for pattern in patterns):
            yield name


def _without_start_only(settings: Settings, running: Settings) -> Settings:
    """Keep the running values of settings that take effect only at a start, and log those that differ."""
    pending = [key for key in _AT_START_ONLY if getattr(settings, key) != getattr(running, key)]
    if pending:
        _log.warning("some settings take effect only after a restart", keys=", ".join(pending))
    return settings.model_copy(update={key: getattr(running, key) for key in pending})
