"""The firmware that simulated rigs can run. Each module of this package is one.

A module has one ``FAMILY``. Adding a firmware to the simulation is adding its file.
"""

import importlib
import pkgutil
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from exporter.simulation.machine import Model
from exporter.simulation.wire import Dialect

RARE: Final = 0.002
"""The weight of firmware that a mixed site has few rigs of: one or two in 1,000, and none in 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One firmware: the models that run it, and its protocols by port."""

    name: str
    models: tuple[Model, ...]
    ports: Mapping[int, Dialect]
    mac_prefix: str
    weight: float  # its share of a mixed site
    credentials: tuple[str, str] | None = None
    lists_points: bool = False  # with figures

    def without(self, ports: Container[int]) -> "Family":
        """Return the family without some of its ports."""
        return replace(self, ports={port: dialect for port, dialect in self.ports.items() if port not in ports})


@cache
def families() -> tuple[Family, ...]:
    """Load every family, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(importlib.import_module(f"{__name__}.{name}").FAMILY for name in names)
