"""Refuses an inventory that lost many rigs at once: a list that was cut off looks like rigs that were sold."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from exporter.inventory.model import InventorySettings
from exporter.model.fleet import Rig
from exporter.model.secrets import mask_urls
from exporter.sources.discovery import last_read

INLINE: Final = "fleet.rigs"
"""The list of the rigs in the configuration file."""
CONFIRMING_READS: Final = 3
CONFIRMING_SECONDS: Final = 600.0
"""A smaller list of service discovery is accepted after so many identical reads over so many seconds."""
_SECONDS_BETWEEN: Final = CONFIRMING_SECONDS / (CONFIRMING_READS - 1)

WHOLE: Final = "fleet"


class Shrink(NamedTuple):
    """A list, or the whole fleet, that lost more rigs than ``fleet.max_shrink`` allows."""

    name: str
    before: int
    now: int

    def __str__(self) -> str:
        return f"{mask_urls(self.name)} lists {self.now:,} rigs instead of {self.before:,}"


def list_sizes(lists: Iterable[str], rigs: Iterable[Rig]) -> dict[str, int]:
    """Count the rigs of each list. Addresses of ranges are not counted, because they are not rigs."""
    counts = Counter(rig.listed_in for rig in rigs if not rig.discovered)
    return {name: counts[name] for name in lists}


def shrinks(before: Mapping[str, int], now: Mapping[str, int], max_shrink: float) -> list[Shrink]:
    """Compare the sizes of the lists in use with new ones. A list that is no longer configured counts in the whole."""
    compared = [(name, before[name], now[name]) for name in now if name in before]
    compared.append((WHOLE, sum(before.values()), sum(now.values())))
    return [Shrink(*each) for each in compared if _is_cut(each[1], each[2], max_shrink)]


def _is_cut(before: int, now: int, max_shrink: float) -> bool:
    if now == 0:
        return before > 0 and max_shrink < 1
    return before - now > max(1, max_shrink * before)


class ShrinkGuard:
    """Judges each new inventory against the one in use.

    Args:
        clock: Monotonic seconds.
        read_at: Returns when the list of a URL was last read, or None. A list that is used again is no new read.
    """

    def __init__(self, clock: Callable[[], float], read_at: Callable[[str], float | None] = last_read) -> None:
        self.refused: Sequence[Shrink] = ()
        """What the last inventory was refused for."""
        self._clock = clock
        self._read_at = read_at
        self._content: frozenset[tuple[str, str]] = frozenset()
        self._reads: list[tuple[float, tuple[float | None, ...]]] = []  # when, and when each URL was read

    def judge(self, before: Mapping[str, int], fleet: InventorySettings, rigs: Sequence[Rig]) -> Sequence[Shrink]:
        """Return why the fleet ``rigs`` is refused. Empty if it is accepted, also because it was confirmed."""
        now = list_sizes(names_of_lists(fleet), rigs)
        found = shrinks(before, now, fleet.max_shrink)
        content = frozenset((rig.name, rig.address) for rig in rigs if not rig.discovered)
        if content != self._content or not found:
            self._content, self._reads = content, []
        self.refused = found
        if found and self._may_confirm_itself(found, before, now, fleet):
            self._count(fleet)
            if self._is_confirmed():
                self.accept()
        return self.refused

    def accept(self) -> None:
        """Forget what was refused."""
        self.refused, self._content, self._reads = (), frozenset(), []

    def is_due(self) -> bool:
        """Return whether the refused lists should be read again to confirm them."""
        return bool(self._reads) and self._clock() - self._reads[-1][0] >= _SECONDS_BETWEEN

    def _count(self, fleet: InventorySettings) -> None:
        """Note a read, unless it came too soon or a URL gave no new list."""
        at, read = self._clock(), tuple(self._read_at(entry.url) for entry in fleet.http_sd)
        if self._reads:
            last_at, last = self._reads[-1]
            repeated = any(new == old for new, old in zip(read, last, strict=False))
            if at - last_at < _SECONDS_BETWEEN or repeated:
                return
        self._reads.append((at, read))

    def _is_confirmed(self) -> bool:
        return len(self._reads) >= CONFIRMING_READS and self._reads[-1][0] - self._reads[0][0] >= CONFIRMING_SECONDS

    @staticmethod
    def _may_confirm_itself(
        found: Sequence[Shrink], before: Mapping[str, int], now: Mapping[str, int], fleet: InventorySettings
    ) -> bool:
        """Return whether only lists of service discovery are smaller, and none of them is empty."""
        discovered = {*map(str, fleet.file_sd), *(entry.url for entry in fleet.http_sd)}
        smaller = {name for name, size in before.items() if now.get(name, 0) < size}
        return smaller <= discovered & now.keys() and all(each.now > 0 for each in found)


def names_of_lists(fleet: InventorySettings) -> Iterator[str]:
    """Yield the lists of rigs by the name that :attr:`exporter.model.fleet.Rig.listed_in` has."""
    yield INLINE
    yield from map(str, (*fleet.csv, *fleet.file_sd))
    yield from (entry.url for entry in fleet.http_sd)
