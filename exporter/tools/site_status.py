"""Judges the state of a site for monitoring systems that run checks, by the convention of Nagios plugins."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from exporter.exposition.views import Status
from exporter.model.failures import SERVER_ADVICE, Failure, Reason
from exporter.model.fields import format_duration
from exporter.tools import tables
from exporter.tools.fleet import Overview

_DEAD: Final = (Reason.UNREACHABLE, Reason.REFUSED, Reason.TIMEOUT, Reason.SERVER_ERROR)
"""Failures of the exporter. Others are of the check: its login, its URL or its time."""


class Level(IntEnum):
    """Result of a check. The values are the exit codes of Nagios plugins."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits that are reached at a problem: shares of rigs (0-1), USD per day, and seconds."""

    down_warning: float
    down_critical: float
    loss_warning: float
    max_age: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatus:
    """The result of a check: level, sentence, and performance data in the format of Nagios plugins."""

    level: Level
    text: str
    figures: str = ""


def of_failure(failure: Failure, url: str) -> SiteStatus:
    """Judge an exporter that gives no state."""
    level = Level.CRITICAL if failure.reason in _DEAD else Level.UNKNOWN
    reason = f"{failure.reason}: {failure.detail}"
    return SiteStatus(level=level, text=f"{url} gave no answer ({reason}): {failure.advised(SERVER_ADVICE)}")


def of_site(site: Overview, limits: Limits) -> SiteStatus:
    """Judge the state of a site. An old evaluation is critical, and its values are not shown."""
    age = format_duration(float(round(site.age)))
    if site.age > limits.max_age:
        return SiteStatus(
            level=Level.CRITICAL, text=f"{site.site}: the evaluation is {age} old, so the state is not known"
        )
    level = _level(site, limits)
    facts = [
        f"{site.counts[Status.MINING]:,} of {site.rigs:,} rigs mine",
        f"{site.failing:,} down or stopped",
        f"margin {_daily(site.margin)}",
        f"avoidable loss {_daily(site.avoidable_loss)}",
        f"evaluated {age} ago",
    ]
    return SiteStatus(level=level, text=f"{site.site}: {', '.join(facts)}", figures=" ".join(_figures(site, limits)))


def _daily(dollars: float | None) -> str:
    return tables.usd(dollars) if dollars is None else f"{tables.usd(dollars)} a day"


def _level(site: Overview, limits: Limits) -> Level:
    if site.rigs and not site.wanted and site.counts[Status.UNKNOWN]:
        return Level.UNKNOWN  # no rig that should mine has been polled
    down = site.failing / site.wanted if site.wanted else 0.0
    if site.failing and down >= limits.down_critical:
        return Level.CRITICAL
    loss = site.avoidable_loss
    if (site.failing and down >= limits.down_warning) or site.margin is None or (loss or 0.0) >= limits.loss_warning:
        return Level.WARNING
    return Level.OK


def _figures(site: Overview, limits: Limits) -> Iterator[str]:
    """Yield ``name=value;warning;critical;minimum;maximum``. An unknown value is left out."""
    warning, critical = (share * site.wanted for share in (limits.down_warning, limits.down_critical))
    yield f"mining={site.counts[Status.MINING]};;;0;{site.rigs}"
    yield f"down={site.failing};{warning:g};{critical:g};0;{site.rigs}"
    if site.margin is not None:
        yield f"margin={site.margin:.2f}"
    if site.avoidable_loss is not None:
        yield f"avoidable_loss={site.avoidable_loss:.2f};{limits.loss_warning:g};;0"
    if site.hashrate is not None:
        yield f"hashrate={site.hashrate:.6g};;;0"
    if site.power is not None:
        yield f"power={site.power:.6g};;;0"
