"""Ratings of models, from the table ``nameplates.csv``, for rigs that have none in the inventory."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from exporter.model.fleet import Rig
from exporter.model.units import HASHES_PER_TERAHASH, hashes_per_second

_MAKE: Final = re.compile(r"bitmain|antminer|microbt|whatsminer|canaan|avalon(?:miner)?")
_VARIANT: Final = re.compile(r"^(m\d\d[a-uw-z]*\+*)[\s_]*v[a-z]{0,2}\d.*|(?<=[\s_])v[a-z]?\d.*")
"""Variant of a Whatsminer, also without a separator: the M60 VK40 is an M60, the M30S++VE30 an M30S++."""
_IGNORED: Final = re.compile(r"[^a-z0-9+]|\ba(?=\d{4}\b)")  # an AvalonMiner calls itself A1246 or 1246


class Nameplate(NamedTuple):
    """The maker's rating of a model, in one bin of hashrate, and the source of it."""

    model: str
    hashrate: float  # H/s
    power: float  # W
    source: str


TOLERATED: Final = 1.3
"""Factor between an operator's rating and the nameplate up to which both are right: bins and tuned rigs differ."""
IMPLAUSIBLE: Final = 3.0
"""Factor between an operator's rating and the nameplate from which on the rating is wrong."""


class Deviation(NamedTuple):
    """A rating of the inventory compared with the nameplate. ``ratio`` is the rating over the nameplate's value."""

    key: str
    ratio: float
    sentence: str

    def beyond(self, factor: float) -> bool:
        """Return whether the two differ by more than ``factor``, in either direction."""
        return not 1 / factor <= self.ratio <= factor


def deviations(plate: Nameplate, watts: float | None, terahash: float | None) -> Iterator[Deviation]:
    """Compare the ratings of the inventory with a nameplate: hashrate, and power or, with both given, J/TH."""
    plate_terahash = plate.hashrate / HASHES_PER_TERAHASH
    if terahash is not None:
        ratio = terahash / plate_terahash
        yield Deviation(
            "rated_terahash",
            ratio,
            f"{terahash:g} TH/s is {ratio:.3g} times the nameplate of the {plate.model} ({plate_terahash:g} TH/s)",
        )
    if watts is not None:
        of = plate.power if terahash is None else plate.power / plate_terahash * terahash
        at = "" if terahash is None else f" at {terahash:g} TH/s"
        ratio = watts / of
        sentence = f"{watts:g} W is {ratio:.3g} times the nameplate of the {plate.model} ({of:.4g} W{at})"
        yield Deviation("rated_watts", ratio, sentence)


def implausible_deviations(plate: Nameplate, watts: float | None, terahash: float | None) -> list[Deviation]:
    """Return the ratings that differ from the nameplate by more than a factor of 3."""
    return [each for each in deviations(plate, watts, terahash) if each.beyond(IMPLAUSIBLE)]


def rated(rig: Rig, model: str, expected_hashrate: float | None, sticker_hashrate: float | None = None) -> Rig:
    """Return the rig with the rating that its inventory lacks, from the nameplate of ``model`` in its bin (H/s).

    The sticker's hashrate chooses the bin if the rig reports it: the expected one can be tuned up or down. It is also
    the rating of a model that is not in the table. A hashrate or power from the inventory stays; the other one then
    follows from the nameplate's efficiency.
    """
    plate = nameplate(model, rig.rated_hashrate or sticker_hashrate or expected_hashrate)
    if plate is not None and not rig.accept_implausible:
        rig = _without_implausible(rig, plate)
        plate = nameplate(model, rig.rated_hashrate or sticker_hashrate or expected_hashrate)
    if rig.rated_hashrate is not None and rig.rated_power is not None:
        return rig
    if plate is None:
        use_sticker = rig.rated_hashrate is None and sticker_hashrate is not None
        return replace(rig, rated_hashrate=sticker_hashrate) if use_sticker else rig
    hashrate = rig.rated_hashrate or plate.hashrate
    power = rig.rated_power or plate.power * hashrate / plate.hashrate
    return replace(rig, rated_hashrate=hashrate, rated_power=power)


def rating_deviations(rig: Rig, model: str, expected_hashrate: float | None = None) -> list[Deviation]:
    """Compare the rating of a rig in the inventory with the nameplate of ``model``. Empty if either is missing."""
    plate = nameplate(model, rig.rated_hashrate or expected_hashrate)
    return [] if plate is None else list(deviations(plate, rig.rated_power, _terahash(rig)))


def rating_ratio(rig: Rig, model: str, expected_hashrate: float | None = None) -> float | None:
    """Return the rating of the inventory over the nameplate's value, of the one that differs more.

    None if the inventory has no rating, if the nameplate is not known, or if the operator accepted the difference.
    """
    ratios = [each.ratio for each in rating_deviations(rig, model, expected_hashrate)]
    return None if rig.accept_implausible else max(ratios, key=lambda ratio: max(ratio, 1 / ratio), default=None)


def _without_implausible(rig: Rig, plate: Nameplate) -> Rig:
    """Remove ratings that differ from the nameplate by more than a factor of 3."""
    wrong = {each.key for each in implausible_deviations(plate, rig.rated_power, _terahash(rig))}
    if "rated_terahash" in wrong:  # the power was compared at this hashrate: compare it alone
        rig = replace(rig, rated_hashrate=None)
        wrong = {each.key for each in implausible_deviations(plate, rig.rated_power, None)}
    return replace(rig, rated_power=None) if "rated_watts" in wrong else rig


def _terahash(rig: Rig) -> float | None:
    return None if rig.rated_hashrate is None else rig.rated_hashrate / HASHES_PER_TERAHASH


@lru_cache(maxsize=10_000)
def nameplate(model: str, hashrate: float | None) -> Nameplate | None:
    """Return the nameplate of a model in the bin nearest to ``hashrate`` (H/s); None if the table has none.

    If the model has several bins, it needs the hashrate.
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
    return _IGNORED.sub("", _VARIANT.sub(r"\1", _MAKE.sub("", model.lower()).strip()))
