"""Displays the effective settings as YAML with secrets masked, and a summary of the fleet."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import yaml

from exporter.model.fields import MASK, looks_secret, mask_urls
from exporter.settings.model import Settings
from exporter.settings.sources import listed
from exporter.sources.network.fixed import Settings as FixedNetwork

_Dumper: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""Ten times faster if PyYAML was built with libyaml."""


def describe(settings: Settings) -> str:
    """Return every key with its value, defaults included, as YAML. Secrets are masked."""
    text: str = yaml.dump(in_force(settings), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def as_json(settings: Settings) -> str:
    """Return the summary and the effective settings as JSON."""
    return json.dumps(_summary(settings) | {"settings": in_force(settings)}, indent=2, ensure_ascii=False)


def as_text(settings: Settings) -> str:
    """Return the summary and the effective settings as text."""
    summary = _summary(settings)
    warning_lines = [f"warning: {text}" for text in summary.pop("warnings")]
    width = max(map(len, summary))
    counts = [f"{name.replace('_', ' '):<{width}}  {_as_line(value)}" for name, value in summary.items()]
    return "\n".join([*counts, *warning_lines, "", "# effective settings, defaults included", describe(settings)])


def _as_line(value: Any) -> str:
    return (
        ", ".join(f"{key} {entry}" for key, entry in value.items()) or "none" if isinstance(value, dict) else str(value)
    )


def in_force(settings: Settings) -> Any:
    """Return every key with its value in JSON types. Secrets are masked."""
    return _masked(settings.model_dump(mode="json", by_alias=True, exclude_none=True))


def _summary(settings: Settings) -> dict[str, Any]:
    rigs = settings.rigs
    return {
        "site": settings.site,
        "rigs": sum(not rig.discovered for rig in rigs),
        "addresses_to_search": sum(rig.discovered for rig in rigs),
        "blocks": _counted(rig.block for rig in rigs),
        "tariffs": _counted(rig.tariff or "none" for rig in rigs),
        "sources": {str(name): source.kind if source else "none" for name, source in listed(settings)},
        "warnings": list(warnings(settings)),
    }


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def warnings(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each valid setting that leaves values absent which an operator would expect."""
    if not settings.rigs:
        yield "the fleet is empty: list rigs in fleet.rigs, fleet.csv or fleet.ranges"
    if settings.network is None:
        yield "no network source: without difficulty there is no hashprice, revenue or margin"
    elif isinstance(settings.network, FixedNetwork) and settings.network.block_fees is None:
        yield "network has no block_fees: without them no hashprice, and no revenue where economics.scheme is fpps"
    if settings.bitcoin is None:
        yield "no bitcoin source: without a price there is no revenue or margin"
    free = sum(not rig.tariff for rig in settings.rigs)
    if free:
        yield f"{free:,} rigs have no tariff: they have no power cost and no margin"
    unrated = sum(rig.rated_power is None for rig in settings.rigs)
    if unrated:
        yield (
            f"{unrated:,} rigs have no rated_watts: where the firmware reports no power either (stock Antminer) and "
            "the table of nameplates does not have their model, they have no margin"
        )
    if settings.ai is None:
        yield "no ai section: no AI value, no reassign score, and no verdict `reassign`"


def _masked(value: Any, name: str = "") -> Any:
    match value:
        case Mapping():
            return {key: _masked(entry, str(key)) for key, entry in value.items()}
        case list():
            return [_masked(entry, name) for entry in value]
        case str() if looks_secret(name) or value == "**********":
            return MASK
        case str():
            return mask_urls(value)
    return value
