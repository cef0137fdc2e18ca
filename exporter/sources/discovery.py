"""Rigs as Prometheus' service discovery lists them: target groups in a file (file_sd) or behind a URL (http_sd)."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import yaml
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from exporter.model.failures import Failure
from exporter.model.fields import Duration
from exporter.model.readings import Reading
from exporter.sources.contract import SourceSettings
from exporter.sources.http import Endpoint, HttpSettings

_MAX_BYTES: Final = 20_000_000  # of a list: 100,000 rigs with their labels


class TargetGroup(BaseModel):
    """Targets with what holds for all of them, as Prometheus defines it."""

    targets: tuple[str, ...]
    labels: dict[str, str] = {}


TargetGroups = tuple[TargetGroup, ...]
_GROUPS: Final[TypeAdapter[TargetGroups]] = TypeAdapter(TargetGroups)


class HttpSd(HttpSettings, SourceSettings):
    """A URL that lists targets as Prometheus' http_sd does."""

    kind: Literal["http_sd"] = "http_sd"
    max_age: Duration = Field(86_400.0, description="For how long its last list holds where it does not answer.")


def file_targets(path: Path) -> TargetGroups:
    """Read a file. Raises OSError, UnicodeDecodeError, JSONDecodeError, YAMLError or pydantic's ValidationError."""
    text = path.read_text("utf-8")
    return _GROUPS.validate_python(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))


_lists: Final[dict[str, Reading[TargetGroups]]] = {}
"""The last list of each URL, for the whole process: the configuration is loaded anew more often than lists change."""


def http_targets(settings: HttpSd) -> TargetGroups:
    """Ask for the list, unless that was done within the settings' interval.

    Runs an event loop of its own, so it can't be called in one. Raises Failure, or pydantic's ValidationError, where
    there is no list that is young enough.
    """
    now = time.time()
    known = _lists.get(settings.url)
    if known is not None and now - known.observed_at < settings.interval:
        return known.value
    try:
        groups = _GROUPS.validate_python(asyncio.run(_ask(settings)))
    except (Failure, ValidationError):
        if known is not None and now - known.observed_at <= settings.max_age:
            return known.value
        raise
    _lists[settings.url] = Reading(groups, now)
    return groups


async def _ask(settings: HttpSd) -> Any:
    async with aiohttp.ClientSession() as session:
        return await Endpoint(settings, session).get_json(max_bytes=_MAX_BYTES)
