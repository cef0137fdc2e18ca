"""Makers' names and codes of models, from the kept table ``models.csv``: how each model is called and what it hashes.

A row's ``name`` is what a device reports, in any case and spacing; one that ends with ``*`` stands for every name whose
first word begins with that series, such as ``S19j*`` for the S19j Pro+. ``model`` is what the model is called; it is
empty where the device's own name stays.
"""

import csv
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

BITCOIN_ALGORITHM: Final = "SHA256"
UNKNOWN_ALGORITHM: Final = "unknown"

_SEPARATORS: Final = re.compile(r"[\s_.]+")
_SERIES: Final = re.compile(r"([a-z]+)(\d*)([a-z]?)", re.IGNORECASE)
_BOARD_DIGITS: Final = 5
_SHA256: Final = re.compile(r"(?:double[ -]?)?sha[ -]?256(?:d|[ -]?double)?", re.IGNORECASE)


class KnownModel(NamedTuple):
    """A row of the table: the model's name, empty if the device's own name stays, algorithm and number of boards."""

    name: str
    algorithm: str
    boards: int  # 0 if unknown


@lru_cache(maxsize=10_000)
def known_model(make: str, name: str) -> KnownModel | None:
    """Return what the table has for a device's name, or None."""
    rows, plain = _table().get(make.lower(), {}), _plain(name)
    exact = rows.get(plain)
    if exact is not None or not plain:
        return exact
    series = _SERIES.match(name.strip())
    if series is None:
        return None
    letters, digits, variant = (part.lower() for part in series.groups())
    board = digits[:2] if len(digits) == _BOARD_DIGITS else digits  # BHB42601 is a hash board of the family BHB42
    candidates = (f"{letters}{digits}{variant}*", f"{letters}{board}*", f"{letters}*")
    return next((rows[key] for key in candidates if key in rows), None)


def model_name(make: str, name: str) -> str:
    """Return what the model is called; a name that the table does not have stays as it is."""
    found = known_model(make, name)
    return name if found is None else found.name or name


@lru_cache(maxsize=10_000)
def algorithm_of(reported: str, setting: str, make: str, model: str) -> str:
    """Return the algorithm of a rig: as it reports it, else as the operator set it, else that of its model.

    Args:
        reported: The device's or its firmware's word; empty if there is none.
        setting: The inventory's word; empty if there is none.
        make: The maker, as identified.
        model: The model, as identified.

    Returns:
        :data:`BITCOIN_ALGORITHM` for any spelling of it, another algorithm's own name, or :data:`UNKNOWN_ALGORITHM`.
    """
    found = known_model(make, model)
    word = reported or setting or ("" if found is None else found.algorithm)
    if not word or word.lower() == UNKNOWN_ALGORITHM:
        return UNKNOWN_ALGORITHM
    return BITCOIN_ALGORITHM if _SHA256.fullmatch(word.strip()) else word


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


@cache
def _table() -> Mapping[str, Mapping[str, KnownModel]]:
    table: dict[str, dict[str, KnownModel]] = {}
    with (files("exporter.model") / "models.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            table.setdefault(row["make"].lower(), {})[_plain(row["name"])] = KnownModel(
                row["model"], row["algorithm"], int(row["boards"] or 0)
            )
    return table
