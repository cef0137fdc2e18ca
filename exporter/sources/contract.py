"""What every market source is: asked once, it answers in our units with the time of observation, or fails classified."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiohttp
from pydantic import BaseModel, ConfigDict

from exporter.fields import Duration
from exporter.readings import Reading

T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """Something outside that can be asked. It keeps no clock and no cache: the polling room owns time."""

    async def fetch(self) -> Reading[T_co]:
        """Ask once. Raises :class:`exporter.failures.Failure`, never anything else."""
        ...


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source is given to work with: the process's one HTTP session."""

    session: aiohttp.ClientSession


class SourceSettings(BaseModel):
    """What the operator says of a source. Each source file has one subclass named ``Settings`` with its own ``kind``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    interval: Duration = 60.0
    """How often it is asked."""
    max_age: Duration = 600.0
    """Past this age a value is refused, and all that depends on it is absent."""

    def build(self, context: SourceContext) -> Source[Any]:
        """Make the source that these settings describe."""
        raise NotImplementedError
