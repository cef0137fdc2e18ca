"""What a fault of a rig loses, and what its repair may cost at most before the rig is better sold."""

from typing import NamedTuple

from exporter.model.units import finite


class Repair(NamedTuple):
    """A rig as it is and as it would be after a repair. USD per day; None if unknown."""

    now: float | None
    repaired: float | None

    @property
    def lost(self) -> float | None:
        """What the fault loses per day: at least 0, as a rig that would lose money loses nothing by standing still."""
        if self.now is None or self.repaired is None:
            return None
        return max(self.repaired - max(self.now, 0.0), 0.0)

    def most(self, days: float, *, sale: float, sale_as_is: float) -> float | None:
        """Return what the repair may cost at most, USD, at least 0; None if a margin is unknown.

        A repaired rig is worth what it earns in its remaining life, or its price if that is more. One that is not
        repaired is worth what it still earns, or its price as it is. Earnings are not discounted.

        Args:
            days: remaining life.
            sale: price of the working rig, USD.
            sale_as_is: price of the broken rig, USD.
        """
        if self.now is None or self.repaired is None:
            return None
        worth = max(self.repaired * days, sale)
        return finite(max(worth - max(self.now * days, sale_as_is), 0.0))


def repair_of(
    *, margin: float | None, potential: float | None, hashrate: float | None, expected: float | None
) -> Repair:
    """Return the margins of a rig before and after its repair.

    A rig that stands still earns its potential margin again. One that hashes below its expected rate earns as much more
    as its rate rises: its power rises with it.

    Args:
        margin: cash margin now, USD per day; None if the rig does not answer.
        potential: margin if it ran as it last ran well, USD per day.
        hashrate: H/s now; None if it does not answer.
        expected: H/s that it should have; None if unknown.
    """
    if not hashrate:
        return Repair(0.0 if hashrate is None else margin, potential)
    if margin is None or expected is None:
        return Repair(margin, None)
    return Repair(margin, margin * max(expected / hashrate, 1.0))
