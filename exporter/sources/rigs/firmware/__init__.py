"""The native readers: a file per firmware, with its read-only commands and its translation, and nothing else.

A module's ``Reader`` class is found by :func:`native_readers`; adding a firmware is adding its file and its fixture.
"""

import importlib
import pkgutil

from exporter.sources.rigs.contract import NativeReader


def native_readers() -> dict[str, NativeReader]:
    """Make one of each native reader, by name."""
    modules = (importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__))
    readers: list[NativeReader] = [module.Reader() for module in modules]
    return {reader.name: reader for reader in readers}
