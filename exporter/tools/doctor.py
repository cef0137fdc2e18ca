"""Checks an installation: configuration, state file, sources, a sample of rigs, and the running exporter."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from exporter.model.failures import RIG_ADVICE, SERVER_ADVICE, SOURCE_ADVICE, Failure, Reason
from exporter.model.fields import format_duration
from exporter.model.fleet import Rig
from exporter.polling.unmatched import Inventory
from exporter.settings.describe import warnings
from exporter.settings.model import Settings
from exporter.settings.sources import sources
from exporter.sources.http import Endpoint
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.logins import Logins
from exporter.tools import fleet, online
from exporter.tools.probe import Probed, probe

_DEADLINE: Final = 5.0
_AT_ONCE: Final = 10
_OLD: Final = 120.0
"""Seconds after which the latest evaluation is too old."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check, in a sentence that names the next step unless it is ``ok``."""

    state: Literal["ok", "warning", "failed"]
    subject: str
    text: str


async def check(settings: Settings, sample: int) -> list[Finding]:
    """Check the configuration and everything that it names. ``sample`` is the number of rigs to read."""
    found = [Finding("warning", "configuration", text) for text in warnings(settings)]
    found.insert(0, Finding("ok", "configuration", f"valid, {len(settings.rigs):,} rigs and addresses"))
    found += _state_file(settings.state.path)
    named = {str(name): source for name, source in sources(settings).items()}
    checks = await online.check_all(named, Inventory(settings.rigs, settings.fleet_blocks))
    found += [_source(one) for one in checks]
    return [*found, *await _rigs([rig for rig in settings.rigs if not rig.discovered], sample)]


async def check_exporter(endpoint: Endpoint) -> list[Finding]:
    """Check the running exporter."""
    try:
        site = await fleet.overview(endpoint)
    except Failure as failure:
        return [Finding("failed", "exporter", f"{failure.reason}: {failure.detail}: {failure.advised(SERVER_ADVICE)}")]
    age = format_duration(float(round(site.age)))
    if site.age > _OLD:
        return [Finding("failed", "exporter", f"the evaluation is {age} old: see the log of the exporter")]
    return [Finding("ok", "exporter", f"{site.site} evaluated {age} ago, {site.failing:,} rigs down or stopped")]


def as_records(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return the findings as records for JSON."""
    return [asdict(one) for one in findings]


def _state_file(path: Path | None) -> Iterator[Finding]:
    if path is None:
        return  # a warning of the configuration
    place = path if path.exists() else next(parent for parent in path.parents if parent.exists())
    if os.access(place, os.W_OK) and (place == path or place.is_dir()):
        yield Finding("ok", "state file", f"{path} can be written")
    else:
        yield Finding("failed", "state file", f"this user cannot write {place}: set its owner to the exporter's user")


def _source(check_: online.Check) -> Finding:
    name, failure = f"source {check_.source}", check_.failure
    if failure is not None:
        return Finding("failed", name, f"{failure.reason}: {failure.detail}: {failure.advised(SOURCE_ADVICE)}")
    if check_.discarded:
        unused = "; ".join(f"{figure}: {detail}" for figure, detail in check_.discarded.items())
        return Finding("warning", name, f"{check_.value}, but a part is not used: {unused}")
    return Finding("ok", name, check_.value)


async def _rigs(rigs: Sequence[Rig], sample: int) -> list[Finding]:
    """Read some rigs, spread over the inventory, and group those that fail by the reason."""
    chosen = rigs[:: max(1, -(-len(rigs) // sample))] if sample else []
    if not chosen:
        return []
    free = asyncio.Semaphore(_AT_ONCE)

    async def read(rig: Rig) -> Probed:
        async with free:
            return await probe(Target(rig.address, Logins(rig.logins, rig.address).current), _DEADLINE)

    failed: dict[Reason, list[str]] = defaultdict(list)
    for rig, probed in zip(chosen, await asyncio.gather(*map(read, chosen)), strict=True):
        if probed.failure is not None:
            failed[probed.failure.reason].append(rig.name)
    answered = len(chosen) - sum(map(len, failed.values()))
    summary = f"{answered} of {len(chosen)} that were tried answer"
    return [
        Finding("ok" if answered == len(chosen) else "warning" if answered else "failed", "rigs", summary),
        *(
            Finding("warning", "rigs", f"{len(names)} {reason}, such as {names[0]}: {RIG_ADVICE[reason]}")
            for reason, names in failed.items()
        ),
    ]
