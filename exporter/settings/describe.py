"""Displays the effective settings as YAML with secrets masked, and a summary of the fleet."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.decision.advice import advise
from exporter.model.fields import is_offline
from exporter.model.fleet import Rig
from exporter.model.secrets import MASK, looks_secret, mask_urls
from exporter.settings.model import Settings
from exporter.settings.sources import listed, sources
from exporter.sources.network.fixed import Settings as FixedNetwork

_BODY: Final = "body"
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
    summary |= {f"shard {shard}": content for shard, content in summary.pop("shards", {}).items()}
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
    listed_rigs = [rig for rig in rigs if not rig.discovered]
    return {
        "site": settings.site,
        "rigs": len(listed_rigs),
        "addresses_to_search": sum(rig.discovered for rig in rigs),
        "blocks": _counted(rig.block for rig in listed_rigs),
        "tariffs": _counted(rig.tariff or "none" for rig in listed_rigs),
        **_hosted(settings, rigs),
        **_searched(rigs),
        **_shards(settings),
        "sources": {str(name): source.kind if source else "none" for name, source in listed(settings)},
        "warnings": list(warnings(settings)),
    }


def _hosted(settings: Settings, rigs: Iterable[Rig]) -> dict[str, Any]:
    """Count the customers' rigs by hosting contract, where contracts are configured."""
    if not settings.contracts:
        return {}
    return {"contracts": _counted(rig.contract or "none" for rig in rigs if rig.customer)}


def _searched(rigs: Iterable[Rig]) -> dict[str, Any]:
    """Count the addresses to search by block and tariff. A rig is counted there only once it answers."""
    addresses = [rig for rig in rigs if rig.discovered]
    if not addresses:
        return {}
    return {
        "addresses_by_block": _counted(rig.block for rig in addresses),
        "addresses_by_tariff": _counted(rig.tariff or "none" for rig in addresses),
    }


def _shards(settings: Settings) -> dict[str, Any]:
    """Preview which shard serves what, if several share the site."""
    total = settings.sharding.total_shards
    if total == 1:
        return {}
    shards = settings.shards
    rigs = Counter(shards.of_rig(rig) for rig in settings.rigs if not rig.discovered)
    addresses = Counter(shards.of_rig(rig) for rig in settings.rigs if rig.discovered)
    blocks = Counter(shards.of_block(block.name) for block in settings.fleet_blocks)
    return {
        "shards": {
            str(shard): f"{_plural(blocks[shard], 'block')}, {rigs_and_addresses(rigs[shard], addresses[shard])}"
            for shard in range(total)
        }
    }


def rigs_and_addresses(rigs: int, addresses: int) -> str:
    """Write a number of rigs, and a number of addresses to search if there are any."""
    parts = [_plural(rigs, "rig")] if rigs or not addresses else []
    return " and ".join([*parts, *([_plural(addresses, "address", "addresses")] if addresses else [])])


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


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
    free = _how_many(rig for rig in settings.rigs if not rig.tariff)
    if free:
        yield f"{free} without a tariff: no power cost and no margin there"
    unrated = _how_many(rig for rig in settings.rigs if rig.rated_power is None)
    if unrated:
        yield (
            f"{unrated} without rated_watts: where the firmware reports no power either (stock Antminer) and "
            "the table of nameplates does not have their model, they have no margin"
        )
    yield from settings.inventory_warnings
    yield from _state_warnings(settings.state.path)
    yield from _unreadable_files(settings)
    empty = _empty_shards(settings) if settings.sharding.total_shards > 1 and settings.rigs else []
    if empty:
        yield f"no rigs for shard {', '.join(empty)}: use fewer shards, or more and smaller blocks"
    if settings.ai is None:
        yield "no ai section: no AI value, no reassign score, and no verdict `reassign`"
    yield from advise(
        settings.site_settings, settings.decision, settings.rigs, settings.fleet_blocks, settings.index_tariffs
    )


def _state_warnings(path: Path | None) -> Iterator[str]:
    if path is None:
        yield (
            "no state.path: a restart forgets who the rigs are, their energy and the last prices (unless systemd or "
            "the image sets STATE_DIRECTORY)"
        )
    elif not path.parent.is_dir():
        yield f"the directory {path.parent} of state.path does not exist: `hashmargin run` creates it"


def _unreadable_files(settings: Settings) -> Iterator[str]:
    """Yield the files of secrets and certificates that sources need and cannot read, or nothing with ``--offline``."""
    if is_offline():
        return
    for name, source in sources(settings).items():
        for each in (source, *getattr(source, "sources", ())):
            for key, path in each:
                if isinstance(path, Path) and key.endswith("_file") and not os.access(path, os.R_OK):
                    yield f"{name}: {key} {path} does not exist or cannot be read: the source fails until it can"


def _empty_shards(settings: Settings) -> list[str]:
    shards = settings.shards
    used = {shards.of_rig(rig) for rig in settings.rigs}
    return [str(shard) for shard in range(settings.sharding.total_shards) if shard not in used]


def _how_many(rigs: Iterable[Rig]) -> str:
    """Write how many rigs and addresses there are. Empty if there are none."""
    count = Counter(rig.discovered for rig in rigs)
    return rigs_and_addresses(count[False], count[True]) if count else ""


def _masked(value: Any, name: str = "") -> Any:
    match value:
        case Mapping() if name == _BODY:  # of a request: a token may stand anywhere in it
            return MASK
        case Mapping():
            return {key: _masked(entry, str(key)) for key, entry in value.items()}
        case list():
            return [_masked(entry, name) for entry in value]
        case str() if looks_secret(name) or value == "**********":
            return MASK
        case str():
            return mask_urls(value)
    return value
