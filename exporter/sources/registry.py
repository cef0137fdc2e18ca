"""Finds every source: a source is a file ``exporter/sources/<room>/<kind>.py`` with a class ``Settings``.

To add a source, add its file.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from exporter.sources.contract import SourceSettings

ROOMS: Final = (
    "network",
    "bitcoin",
    "fx",
    "tariffs",
    "gpus",
    "meters",
    "expected_off",
    "obligations",
    "loads",
    "positions",
    "ai_prices",
    "pools",
)


@cache
def kinds(room: str) -> tuple[str, ...]:
    """Return the kinds of a room, without loading them."""
    package = importlib.import_module(f"exporter.sources.{room}")
    return tuple(module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)


def settings_classes(room: str, *, besides: str = "") -> dict[str, type[SourceSettings]]:
    """Load the settings class of every kind of ``room`` except ``besides``."""
    modules = {
        kind: importlib.import_module(f"exporter.sources.{room}.{kind}") for kind in kinds(room) if kind != besides
    }
    return {kind: module.Settings for kind, module in modules.items()}


@dataclass(frozen=True, slots=True)
class OneOf:
    """Pydantic annotation: the settings of one source of ``room``, selected by its ``kind``.

    ``besides`` leaves out a kind that consists of other sources of the same room.
    """

    room: str
    besides: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Return a union tagged by ``kind``, so that pydantic lists the right kinds for a wrong one."""
        classes = settings_classes(self.room, besides=self.besides)
        return core_schema.tagged_union_schema(
            {kind: handler.generate_schema(settings) for kind, settings in classes.items()}, discriminator="kind"
        )


NetworkSource = Annotated[SourceSettings, OneOf("network")]
BitcoinSource = Annotated[SourceSettings, OneOf("bitcoin")]
FxSource = Annotated[SourceSettings, OneOf("fx")]
TariffSource = Annotated[SourceSettings, OneOf("tariffs")]
MeterSource = Annotated[SourceSettings, OneOf("meters")]
ExpectedOffSource = Annotated[SourceSettings, OneOf("expected_off")]
PoolSource = Annotated[SourceSettings, OneOf("pools")]
LoadSource = Annotated[SourceSettings, OneOf("loads")]
PositionSource = Annotated[SourceSettings, OneOf("positions")]
ObligationSource = Annotated[SourceSettings, OneOf("obligations")]
GpuSource = Annotated[SourceSettings, OneOf("gpus")]
AiPriceSource = Annotated[SourceSettings, OneOf("ai_prices")]
