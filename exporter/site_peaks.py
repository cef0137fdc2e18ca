"""The programs that bill by a grid's peaks: what they may cost from now on, and what a restart keeps of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from exporter.economics.peaks import (
    DayPeak,
    PeakEconomics,
    PeakMemory,
    PeakSettings,
    observe,
    price_peaks,
    shifted,
    surcharges_by_tariff,
)
from exporter.model.readings import PriceSlot, Reading, SystemLoad
from exporter.state import State, document

_PREFIX: Final = "peaks "
"""Begins the names of the documents with what is known of one program."""


@dataclass(frozen=True, slots=True)
class _Memory:
    """A memory as JSON can have it."""

    days: tuple[tuple[date, DayPeak], ...]
    own: tuple[tuple[float, float, float, float], ...]


class SitePeaks:
    """Follows the programs of a site. Goes on with what ``state`` has of them."""

    def __init__(self, state: State) -> None:
        self._memories: dict[str, PeakMemory] = {}
        for name in state.documents:
            if name.startswith(_PREFIX):
                kept = state.reading(name, _Memory)
                if kept is not None:
                    self._memories[name.removeprefix(_PREFIX)] = PeakMemory(
                        days=dict(kept.value.days), own=kept.value.own
                    )
        self.priced: tuple[PeakEconomics, ...] = ()

    def surcharges(
        self,
        settings: Mapping[str, PeakSettings],
        loads: Mapping[str, SystemLoad],
        now: float,
        tariffs: Iterable[str],
    ) -> dict[str, tuple[PriceSlot, ...]]:
        """Return what running may cost from now on because of peaks, USD per kWh by tariff."""
        self.priced = tuple(
            price_peaks(name, self._memories.get(name, PeakMemory()), each, loads.get(each.load), now)
            for name, each in settings.items()
        )
        return surcharges_by_tariff(zip(settings.values(), self.priced, strict=True), tariffs)

    def observe(
        self,
        settings: Mapping[str, PeakSettings],
        loads: Mapping[str, SystemLoad],
        now: float,
        power: tuple[float | None, float | None],
        longest_gap: float,
    ) -> None:
        """Note the power that is drawn, and that would be drawn if all rigs ran (W, or None), and the grid's load."""
        for name, each in settings.items():
            memory = self._memories.get(name, PeakMemory())
            self._memories[name] = observe(memory, each, loads.get(each.load), now, *power, longest_gap)

    def shift(self, seconds: float) -> None:
        """Go on after the system clock was set by ``seconds``."""
        self._memories = {name: shifted(memory, seconds) for name, memory in self._memories.items()}

    def documents(self, now: float) -> dict[str, Reading[str]]:
        """Write the memories as documents for the state file."""
        return {
            f"{_PREFIX}{name}": document(Reading(_Memory(tuple(memory.days.items()), memory.own), now))
            for name, memory in self._memories.items()
        }
