"""Rigs of a simulated site and their addresses: blocks of old, middling, new and mixed rigs, a /24 for each."""

import ipaddress
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from exporter.simulation.firmware import Family
from exporter.simulation.machine import Model
from exporter.simulation.wire import SimulationError

MOST_PER_BLOCK: Final = 250
_FEWEST_BLOCKS: Final = 4
_PER_RACK: Final = 10
_MIXED: Final = "mixed"
_SMALL: Final = "small"
_GENERATIONS: Final = ("old", "mid", "new")
_KINDS: Final = (*_GENERATIONS, _MIXED)
_ADDRESSES_PER_BLOCK: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One rig of the plan."""

    name: str
    address: str
    block: str
    rack: str
    position: str
    family: Family
    model: Model


def plan(rigs: int, network: ipaddress.IPv4Network, families: Sequence[Family]) -> tuple[Placement, ...]:
    """Spread a mixed fleet over blocks. Raises SimulationError if the network is too small."""
    if rigs < 1:
        raise SimulationError("a site has at least one rig")
    blocks = max(min(rigs, _FEWEST_BLOCKS), math.ceil(rigs / MOST_PER_BLOCK))
    small = Counter[str]()
    return tuple(
        placement
        for block, models in enumerate(_mixed_models(rigs, blocks, families), 1)
        for placement in _fill_block(block, models, network, small)
    )


def plan_models(
    names: Sequence[str], network: ipaddress.IPv4Network, families: Sequence[Family]
) -> tuple[Placement, ...]:
    """Put these models into one block, in order. Raises SimulationError for an unknown model."""
    known = {model.name: (family, model) for family in families for model in family.models}
    for name in names:
        if name not in known:
            raise SimulationError(f"there is no simulated model {name!r}: known are {', '.join(sorted(known))}")
    return _fill_block(1, [known[name] for name in names], network, Counter())


def _mixed_models(rigs: int, blocks: int, families: Sequence[Family]) -> list[list[tuple[Family, Model]]]:
    """Choose the models of each block, by the weights of the families that have one of the block's generation."""
    weights = sum(family.weight for family in families)
    small = [family for family in families if all(model.generation == _SMALL for model in family.models)]
    mixed_blocks = sum(_KINDS[block % len(_KINDS)] == _MIXED for block in range(blocks))
    given: Counter[tuple[str, str]] = Counter()  # by family and generation
    chosen: list[list[tuple[Family, Model]]] = []
    for block in range(blocks):
        kind = _KINDS[block % len(_KINDS)]
        size = rigs * (block + 1) // blocks - rigs * block // blocks
        models: list[tuple[Family, Model]] = []
        if kind == _MIXED:
            for family in small:
                share = round(rigs * family.weight / weights / mixed_blocks)
                models += [(family, family.models[number % len(family.models)]) for number in range(share)]
        while len(models) < size:
            generation = _GENERATIONS[len(models) % len(_GENERATIONS)] if kind == _MIXED else kind
            models.append(_next_model(generation, families, given))
        chosen.append(models[:size])
    return chosen


def _next_model(generation: str, families: Sequence[Family], given: Counter[tuple[str, str]]) -> tuple[Family, Model]:
    """Choose the family furthest below its share, and its models of the generation in turn."""
    able = [family for family in families if any(model.generation == generation for model in family.models)]
    if not able:
        raise SimulationError("no firmware that can be simulated here has a model for every block")
    had = {family.name: sum(given[family.name, each] for each in _GENERATIONS) for family in able}
    family = min(able, key=lambda candidate: (had[candidate.name] + 0.5) / candidate.weight)
    models = [model for model in family.models if model.generation == generation]
    model = models[given[family.name, generation] % len(models)]
    given[family.name, generation] += 1
    return family, model


def _fill_block(
    number: int, models: Sequence[tuple[Family, Model]], network: ipaddress.IPv4Network, small: Counter[str]
) -> tuple[Placement, ...]:
    """Place the rigs of a block; ``small`` counts those that are named after their family."""
    first = int(network.network_address) + number * _ADDRESSES_PER_BLOCK
    if first + _ADDRESSES_PER_BLOCK > int(network.broadcast_address) + 1:
        raise SimulationError(f"the network {network} is too small: each block needs a /24, and the services another")
    placements = []
    for position, (family, model) in enumerate(models, 1):
        name = f"c{number}-{position:03d}"
        if model.generation == _SMALL:
            small[family.name] += 1
            name = f"{family.name}-{small[family.name]}"
        placements.append(
            Placement(
                name=name,
                address=str(ipaddress.IPv4Address(first + position)),
                block=f"container-{number}",
                rack=f"r{(position - 1) // _PER_RACK + 1}",
                position=str((position - 1) % _PER_RACK + 1),
                family=family,
                model=model,
            )
        )
    return tuple(placements)
