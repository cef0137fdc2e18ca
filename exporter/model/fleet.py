"""What the operator says is there: rigs, and the blocks they stand in. Facts of the inventory, not of a reading."""

from dataclasses import dataclass, field

UNASSIGNED = "unassigned"
"""The block of rigs that the inventory puts in none."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in to a rig's web interface. Never shown: its repr is masked."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One rig of the inventory. ``name`` is the ``rig`` label and never changes while the inventory stays."""

    name: str
    address: str
    mac: str = ""  # lower case with colons; with it, or a serial, it is the same rig at whatever address it answers
    serial: str = ""
    block: str = UNASSIGNED
    rack: str = ""
    position: str = ""
    customer: str = ""
    tariff: str = ""  # filled by the settings: the rig's own, else its block's, else the site's
    credentials: Credentials | None = None
    rated_hashrate: float | None = None  # H/s
    rated_power: float | None = None  # W
    algorithm: str = ""  # that the operator knows it to hash, for models that do not report theirs
    worker: str = ""  # that it should mine under; `{rig}` is its name, a `*` at the end anything
    expected_schedule: str | None = None  # name of a schedule; None means that `expected_mining` holds always
    expected_mining: bool = True
    searched_range: str = ""  # the range in which it is found
    discovered: bool = False  # an address of a range: no rig, up or down, until something answers there, which names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What can be converted or switched as one: a container, a building, a feeder."""

    name: str
    capacity_watts: float | None = None  # what the feeder carries
    convertible: bool = True
    moving_cost_per_rig: float | None = None  # USD, to take a rig out of it and set it up elsewhere at the site
