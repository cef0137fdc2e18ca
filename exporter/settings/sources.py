"""The rooms of market sources: what each provides, where it is configured, and whether a restart keeps its values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar

from exporter.model.obligations import Obligation
from exporter.model.readings import (
    DatedPositions,
    ExpectedOff,
    GpuPrice,
    GpuReading,
    MeterReading,
    NetworkState,
    PoolReading,
    PriceSlot,
    Reading,
    SystemLoad,
)
from exporter.polling.market import SourceName, SourceRoom
from exporter.settings.model import Settings
from exporter.sources.contract import SourceSettings
from exporter.state import State, document

T = TypeVar("T")


@dataclass(frozen=True)
class Room(SourceRoom[T]):
    """One kind of source.

    Args:
        label: What the ``source`` label of the room's sources begins with.
        value: Type of the values.
        kept: Whether the state file keeps the last value. False if it is read again soon after a start.
        configured: Finds the sources of the room in the settings, by name. None is a source that is not configured.
    """

    value: type[T]
    kept: bool
    configured: Callable[[Settings], Mapping[str, SourceSettings | None]]


def _gpu_endpoints(settings: Settings) -> Mapping[str, SourceSettings]:
    """Name the endpoints after their servers, and number those that share a server."""
    endpoints: Sequence[SourceSettings] = () if settings.gpus is None else settings.gpus.endpoints
    servers: list[str] = [getattr(endpoint, "where", endpoint.kind) for endpoint in endpoints]
    names = [
        f"{server}#{servers[: index + 1].count(server)}" if servers.count(server) > 1 else server
        for index, server in enumerate(servers)
    ]
    named = zip(names, endpoints, strict=True)
    return {name: endpoint for name, endpoint in named if settings.sharding.serves(name)}


def _dated_positions(settings: Settings) -> Mapping[str, SourceSettings]:
    source = None if settings.settlement is None else settings.settlement.by_date
    return {} if source is None else {"": source}


NETWORK: Final = Room("network", NetworkState, kept=True, configured=lambda settings: {"": settings.network})
BITCOIN: Final = Room("bitcoin", float, kept=True, configured=lambda settings: {"": settings.bitcoin})
TARIFFS: Final = Room("tariff", tuple[PriceSlot, ...], kept=True, configured=lambda settings: settings.tariffs)
METERS: Final = Room("meters", MeterReading, kept=False, configured=lambda settings: settings.meters)
EXPECTED_OFF: Final = Room("expected_off", ExpectedOff, kept=False, configured=lambda settings: settings.expected_off)
OBLIGATIONS: Final = Room(
    "obligations", tuple[Obligation, ...], kept=True, configured=lambda settings: settings.obligations
)
POOLS: Final = Room("pools", PoolReading, kept=False, configured=lambda settings: settings.pools)
LOADS: Final = Room("load", SystemLoad, kept=False, configured=lambda settings: settings.system_loads)
POSITIONS: Final = Room("positions", DatedPositions, kept=False, configured=_dated_positions)
GPUS: Final = Room("gpus", tuple[GpuReading, ...], kept=False, configured=_gpu_endpoints)
AI_PRICES: Final = Room("ai_price", tuple[GpuPrice, ...], kept=True, configured=lambda settings: settings.ai_prices)

ROOMS: Final[tuple[Room[Any], ...]] = (
    NETWORK,
    BITCOIN,
    TARIFFS,
    METERS,
    EXPECTED_OFF,
    OBLIGATIONS,
    LOADS,
    POSITIONS,
    GPUS,
    AI_PRICES,
    POOLS,
)


def listed(settings: Settings) -> Iterator[tuple[SourceName, SourceSettings | None]]:
    """List the sources of every room. None is a source that is not configured."""
    for room in ROOMS:
        for name, source in room.configured(settings).items():
            yield SourceName(room.label, name), source


def sources(settings: Settings) -> dict[SourceName, SourceSettings]:
    """Return the configured sources by name."""
    return {name: source for name, source in listed(settings) if source is not None}


def restored(state: State, settings: Settings) -> dict[SourceName, Reading[Any]]:
    """Read the last values of the configured sources from the state file."""
    kept = {room.label: room.value for room in ROOMS if room.kept}
    readings = {
        name: state.reading(_key(name, source), kept[name.room])
        for name, source in sources(settings).items()
        if name.room in kept
    }
    return {name: reading for name, reading in readings.items() if reading is not None}


def documents(readings: Mapping[SourceName, Reading[Any]], settings: Settings) -> dict[str, Reading[str]]:
    """Write the readings that a restart keeps as documents for the state file."""
    kept = {room.label for room in ROOMS if room.kept}
    return {
        _key(name, source): document(readings[name])
        for name, source in sources(settings).items()
        if name in readings and name.room in kept
    }


def _key(name: SourceName, settings: SourceSettings) -> str:
    """Key stored values by a hash of the source's settings, so that changed settings invalidate them."""
    return f"{name} {blake2b(settings.model_dump_json().encode(), digest_size=8).hexdigest()}"
