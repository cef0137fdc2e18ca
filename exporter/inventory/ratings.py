"""Checks the rated hashrate and power of rigs, which are often off by a factor of a thousand."""

from collections.abc import Iterator
from typing import Final

from exporter.model.nameplate import TOLERATED, deviations, implausible_deviations, nameplate
from exporter.model.units import HASHES_PER_TERAHASH

_EFFICIENCY: Final = (8.0, 150.0)
"""J/TH of every SHA-256 rig that is still run, from the best of 2026 to an S9 in its worst mode."""
_WATTS: Final = (4.0, 50_000.0)
_TERAHASH: Final = (0.3, 5_000.0)
"""Ratings from the smallest home miner to the largest rack unit, with some room."""


def implausible_rating(watts: float | None, terahash: float | None, model: str) -> Iterator[tuple[str, str]]:
    """Yield key and sentence for each rating that cannot be right. ``model`` is empty if it is not known."""
    plate = nameplate(model, None if terahash is None else terahash * HASHES_PER_TERAHASH) if model else None
    if plate is not None:
        for wrong in implausible_deviations(plate, watts, terahash):
            yield wrong.key, f"{wrong.sentence}{_unit_of(wrong.key, wrong.ratio)}"
        return
    efficiency = watts / terahash if watts and terahash else None
    if efficiency is not None and not _EFFICIENCY[0] <= efficiency <= _EFFICIENCY[1]:
        key = _suspect(watts or 0.0, terahash or 0.0)
        ratio = efficiency / 30.0 if key == "rated_watts" else 30.0 / efficiency
        low, high = _EFFICIENCY
        sentence = f"{watts:g} W at {terahash:g} TH/s are {efficiency:.3g} J/TH, and rigs have {low:g} to {high:g}"
        yield key, f"{sentence}{_unit_of(key, ratio)}"
        return
    if watts is not None and not _WATTS[0] <= watts <= _WATTS[1]:
        yield "rated_watts", f"{watts:g} W is not the power of a rig{_unit_of('rated_watts', watts / 3_000.0)}"
    if terahash is not None and not _TERAHASH[0] <= terahash <= _TERAHASH[1]:
        yield (
            "rated_terahash",
            f"{terahash:g} TH/s is not the hashrate of a rig{_unit_of('rated_terahash', terahash / 100.0)}",
        )


def doubtful_rating(watts: float | None, terahash: float | None, model: str) -> Iterator[str]:
    """Yield a sentence for each rating that is more than a factor of 1.3 from the nameplate of ``model``."""
    plate = nameplate(model, None if terahash is None else terahash * HASHES_PER_TERAHASH) if model else None
    if plate is not None:
        yield from (each.sentence for each in deviations(plate, watts, terahash) if each.beyond(TOLERATED))


def _suspect(watts: float, terahash: float) -> str:
    """Return the rating that is further from a usual rig."""
    power, hashrate = (max(ratio, 1 / ratio) for ratio in (watts / 3_000.0, terahash / 100.0))
    return "rated_watts" if power > hashrate else "rated_terahash"


def _unit_of(key: str, ratio: float) -> str:
    """Suggest the unit that makes a value ``ratio`` times too large."""
    small, large = ("kilowatts", "milliwatts") if key == "rated_watts" else ("PH/s", "GH/s")
    if ratio < 1 / _THOUSAND_AT_LEAST:
        return f": is it in {small}?"
    return f": is it in {large}?" if ratio > _THOUSAND_AT_LEAST else ""


_THOUSAND_AT_LEAST: Final = 100.0
"""A value that is further off than this is likely in another unit."""
