"""The alerts that an Alertmanager has firing."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Any, Final, TypeAlias

from exporter.model.failures import Failure, Reason
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint

WATCHDOG: Final = "MiningWatchdog"
"""The alert that fires while alerts are evaluated and delivered."""

_OURS: Final = "Mining"  # the names of all our alerts begin so
_KEPT_SECONDS: Final = 5.0
_SEVERITIES: Final = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that fires and is neither silenced nor inhibited. ``since`` is in unix seconds."""

    name: str
    severity: str
    site: str
    text: str
    since: float


Firing: TypeAlias = list[Alert] | Failure | None
"""The alerts that fire, the failure if they are unknown, None if no Alertmanager is configured."""


async def alerts(alertmanager: Endpoint) -> list[Alert] | Failure:
    """Request the alerts that fire, the most severe first. Returns the failure if there is one.

    Without the watchdog no alert arrives, so that an empty list is no all-clear: a failure too.
    """
    try:
        return await _alerts(alertmanager)
    except Failure as failure:
        return failure


class LatestAlerts:
    """The alerts of one Alertmanager for all who look at them: at most one request in five seconds."""

    def __init__(self, alertmanager: Endpoint, timer: Callable[[], float]) -> None:
        self._alertmanager = alertmanager
        self._timer = timer
        self._asking = asyncio.Lock()
        self._asked_at = -inf
        self._latest: Firing = None

    async def __call__(self) -> Firing:
        """Return the alerts, requested now if they are older than five seconds."""
        async with self._asking:
            if self._timer() - self._asked_at > _KEPT_SECONDS:
                self._latest = await alerts(self._alertmanager)
                self._asked_at = self._timer()
            return self._latest


async def _alerts(alertmanager: Endpoint) -> list[Alert]:
    active = {"active": "true", "silenced": "false", "inhibited": "false", "unprocessed": "false"}
    listed = await alertmanager.get_json("/api/v2/alerts", active)
    with translating():
        ours = [_alert(one) for one in listed if one["labels"]["alertname"].startswith(_OURS)]
    found = [alert for alert in ours if alert.name != WATCHDOG]
    if len(found) == len(ours):
        raise Failure(Reason.STALE, f"{WATCHDOG} does not fire: Prometheus delivers no alerts")
    return sorted(found, key=lambda alert: (_rank(alert.severity), alert.since))


def _alert(one: Mapping[str, Any]) -> Alert:
    labels, notes = one["labels"], one.get("annotations", {})
    return Alert(
        name=labels["alertname"],
        severity=labels.get("severity", ""),
        site=labels.get("site", ""),
        text=str(notes.get("summary") or notes.get("description") or ""),
        since=datetime.fromisoformat(one["startsAt"]).timestamp(),
    )


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
