"""Refuses an inventory that lost many rigs at once: a list that was cut off looks like rigs that were sold."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from exporter.inventory.model import InventorySettings
from exporter.model.fleet import Rig
from exporter.model.secrets import mask_urls
from exporter.sources.discovery import Confirmation, is_cut, last_read

INLINE: Final = "fleet.rigs"
"""The list of the rigs in the configuration file."""
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
    return [Shrink(*each) for each in compared if is_cut(each[1], each[2], max_shrink)]


class ShrinkGuard:
    """Judges each new inventory against the one in use.

    Args:
        clock: Monotonic seconds.
        read_at: Returns when the list of a URL was last read, or None. A list that is used again is no new read.
    """

    def __init__(self, clock: Callable[[], float], read_at: Callable[[str], float | None] = last_read) -> None:
        self.refused: Sequence[Shrink] = ()
        """What the last inventory was refused for."""
        self._read_at = read_at
        self._confirmation = Confirmation(clock)

    def judge(self, before: Mapping[str, int], fleet: InventorySettings, rigs: Sequence[Rig]) -> Sequence[Shrink]:
        """Return why the fleet ``rigs`` is refused. Empty if it is accepted, also because it was confirmed."""
        now = list_sizes(names_of_lists(fleet), rigs)
        found = shrinks(before, now, fleet.max_shrink)
        content = frozenset((rig.name, rig.address) for rig in rigs if not rig.discovered)
        if found and self._may_confirm_itself(found, before, now, fleet):
            if self._confirmation.read(content, [self._read_at(entry.url) for entry in fleet.http_sd]):
                found = []
        else:
            self._confirmation.forget()
        if not found:
            self.accept()
        self.refused = found
        return found

    def accept(self) -> None:
        """Forget what was refused."""
        self.refused = ()
        self._confirmation.forget()

    def is_due(self) -> bool:
        """Return whether the refused lists should be read again to confirm them."""
        return self._confirmation.is_due()

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
