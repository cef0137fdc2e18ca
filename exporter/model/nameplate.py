"""What models are rated at, from the kept table ``nameplates.csv``, for rigs of which the inventory does not say it."""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from exporter.model.fleet import Rig
from exporter.model.units import hashes_per_second

_MAKE: Final = re.compile(r"bitmain|antminer|microbt|whatsminer|canaan|avalon(?:miner)?")
_VARIANT: Final = re.compile(r"(?<=[\s_])v[a-z]?\d.*")  # of a Whatsminer: the M60 VK40 is an M60
_IGNORED: Final = re.compile(r"[^a-z0-9+]|\ba(?=\d{4}\b)")  # an AvalonMiner calls itself A1246 or 1246


class Nameplate(NamedTuple):
    """What a model is rated at by its maker, in its bin of hashrate. ``source`` says where that is from."""

    model: str
    hashrate: float  # H/s
    power: float  # W
    source: str


def rated(rig: Rig, model: str, expected_hashrate: float | None, sticker_hashrate: float | None = None) -> Rig:
    """Fill in what the inventory does not say, from the nameplate of ``model`` in the bin of its hashrate (H/s).

    That is the one on its sticker where the rig tells it: what is expected of it now may be tuned up or down. It is the
    rating of a model that the table does not have. A hashrate or power that the inventory does say stays; the other
    then goes by the nameplate's efficiency.
    """
    if rig.rated_hashrate is not None and rig.rated_power is not None:
        return rig
    plate = nameplate(model, rig.rated_hashrate or sticker_hashrate or expected_hashrate)
    if plate is None:
        told = rig.rated_hashrate is None and sticker_hashrate is not None
        return replace(rig, rated_hashrate=sticker_hashrate) if told else rig
    hashrate = rig.rated_hashrate or plate.hashrate
    power = rig.rated_power or plate.power * hashrate / plate.hashrate
    return replace(rig, rated_hashrate=hashrate, rated_power=power)


@lru_cache(maxsize=10_000)
def nameplate(model: str, hashrate: float | None) -> Nameplate | None:
    """Return the nameplate of a model in the bin nearest to ``hashrate`` (H/s); None where the table has none.

    Of a model with several bins, one whose hashrate is not known has none.
    """
    bins = _table().get(_plain(model), ())
    if hashrate is None:
        return bins[0] if len(bins) == 1 else None
    return min(bins, key=lambda plate: abs(plate.hashrate - hashrate), default=None)


@cache
def _table() -> Mapping[str, tuple[Nameplate, ...]]:
    table: dict[str, list[Nameplate]] = defaultdict(list)
    with (files("exporter.model") / "nameplates.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            hashrate = hashes_per_second(float(row["terahash"]), "TH/s")
            plate = Nameplate(row["model"], hashrate, float(row["watts"]), row["source"])
            table[_plain(plate.model)].append(plate)
    return {model: tuple(bins) for model, bins in table.items()}


def _plain(model: str) -> str:
    return _IGNORED.sub("", _VARIANT.sub("", _MAKE.sub("", model.lower())))
