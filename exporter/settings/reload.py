"""Reloads the configuration while the exporter runs."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from exporter.inventory.shrink import ShrinkGuard
from exporter.logs import configure
from exporter.settings.load import ConfigError
from exporter.settings.model import Settings
from exporter.settings.watch import changes
from exporter.telemetry import Telemetry

_log = structlog.get_logger(__name__)

_AT_START_ONLY: Final = ("site", "evaluation_interval", "web", "state", "lease", "sharding", "polling")
"""Settings that take effect only at a start."""


CONFIRM_RUNNING: Final = "POST /-/reload?allow_shrink=1, or start with --allow-shrink"


class Configurable(Protocol):
    """What runs with settings and accepts new ones."""

    settings: Settings

    def apply(self, settings: Settings) -> None:
        """Switch to new settings."""


class Reload:
    """Loads the configuration and applies it to ``target``. An invalid one changes nothing.

    Args:
        load: Loads the settings. Raises ConfigError.
        target: What the settings are applied to.
        telemetry: Where the result is exported.
    """

    def __init__(self, load: Callable[[], Settings], target: Configurable, telemetry: Telemetry) -> None:
        self._load = load
        self._target = target
        self._telemetry = telemetry
        self._running = asyncio.Lock()
        self._shrink = ShrinkGuard(time.monotonic)

    def is_due(self) -> bool:
        """Return whether lists that lost many rigs should be read again, to confirm them."""
        return self._shrink.is_due()

    async def __call__(self, *, allow_shrink: bool = False) -> str | None:
        """Reload. Returns why the new configuration was rejected, or None.

        Args:
            allow_shrink: Accept lists that lost more rigs than ``fleet.max_shrink`` allows.
        """
        async with self._running:
            before = self._target.settings
            try:
                settings = await asyncio.to_thread(self._load)
                cut = self._shrink.judge(before.list_sizes, settings.fleet, settings.rigs)
                self._telemetry.inventory_shrink_refused.set(bool(cut) and not allow_shrink)
                if cut and not allow_shrink:
                    return self._cut("; ".join(map(str, cut)))
                self._target.apply(_without_start_only(settings, before))
            except ConfigError as error:
                return self._rejected(str(error))
            except Exception as error:  # noqa: BLE001 -- a bug in a reload must not stop what runs
                _log.exception("reload failed: this is a bug, please report it with this line")
                return self._rejected(f"a bug in hashmargin: {type(error).__name__}")
            self._shrink.accept()
            configure(settings.log)
            self._telemetry.config_reload_successful.set(1)
            self._telemetry.config_reload_time.set_to_current_time()
            _log.info("configuration reloaded", **changes(before, self._target.settings))
            return None

    def _cut(self, what: str) -> str:
        self._telemetry.config_reload_successful.set(0)
        advice = f"correct the list, or confirm it with {CONFIRM_RUNNING}"
        _log.error("inventory lost too many rigs, the running one stays", lists=what, advice=advice)
        return f"{what}, more than fleet.max_shrink allows: {advice}"

    def _rejected(self, reason: str) -> str:
        self._telemetry.config_reload_successful.set(0)
        advice = "run hashmargin check-config to see all errors"
        _log.error("new configuration rejected, the running one stays", errors=reason, advice=advice)
        return reason


def _without_start_only(settings: Settings, running: Settings) -> Settings:
    """Keep the running values of settings that take effect only at a start, and log those that differ."""
    pending = [key for key in _AT_START_ONLY if getattr(settings, key) != getattr(running, key)]
    if pending:
        _log.warning("some settings take effect only after a restart", keys=", ".join(pending))
    return settings.model_copy(update={key: getattr(running, key) for key in pending})
