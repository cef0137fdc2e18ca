"""The best course over prices: at which option to run in each stretch of time, given that each change costs something.

Exact dynamic programming, from the end of the known prices backwards. An option is a point of a rig or a block, or off.
"""

from collections.abc import Sequence
from operator import sub
from typing import Final, NamedTuple

from exporter.decision.curtailment import Slot

_ROUNDING: Final = 1e-9


class Option(NamedTuple):
    """One way to run. Revenue in USD per hour, energy in kWh per hour, the costs of a change to it in USD."""

    revenue: float
    kwh: float  # 0 stands for off
    cost: float  # from another option that runs
    cold_cost: float  # from off


OFF: Final = Option(0.0, 0.0, 0.0, 0.0)


class Planner:
    """The best course of one rig or block over known prices.

    Args:
        options: All ways to run, off among them if it may stand still.
        slots: Hours and price (USD per kWh) of each stretch, from now on.
        dwell: Hours that an option must run after a change to it, or to the end of the slots.
    """

    def __init__(self, options: Sequence[Option], slots: Sequence[Slot], dwell: float = 0.0) -> None:
        self._options = options
        self._slots = slots
        self._ends = _ends(slots, dwell)
        self._off = [index for index, each in enumerate(options) if not each.kwh]
        revenues = [each.revenue for each in options]
        energies = [each.kwh for each in options]
        hot, cold = [each.cost for each in options], [each.cold_cost for each in options]
        later = [0.0] * len(options)
        self._following = [later]  # from the last slot backwards: what is earned from there on, by option in force
        for slot in range(len(slots) - 1, -1, -1):
            hours, price = slots[slot]
            if self._ends[slot] == slot + 1:
                stay = move = [
                    (earned - price * kwh) * hours + rest
                    for earned, kwh, rest in zip(revenues, energies, later, strict=True)
                ]
            else:
                stay, move = self._earned(slot, slot + 1), self._earned(slot, self._ends[slot])
            best = max(map(sub, move, hot))
            later = [rest if rest > best else best for rest in stay]  # noqa: FURB136 - max() takes twice as long
            for index in self._off:
                later[index] = max(stay[index], *map(sub, move, cold))
            self._following.append(later)

    def value(self, current: int) -> float:
        """Return what the best course earns from the option in force on, less its changes, USD."""
        return self._following[-1][current]

    def option(self, current: int, slot: int = 0) -> int:
        """Return the option to run from a slot on, with ``current`` in force before it. A tie changes nothing."""
        options = self._options
        stay, move = self._earned(slot, slot + 1), self._earned(slot, self._ends[slot])
        costs = (each.cost if options[current].kwh else each.cold_cost for each in options)
        moved = list(map(sub, move, costs))
        best = max(moved)
        return current if stay[current] >= best else moved.index(best)

    def course(self, current: int) -> tuple[int, ...]:
        """Return the option of each slot of the best course."""
        path: list[int] = []
        while len(path) < len(self._slots):
            slot = len(path)
            chosen = self.option(current, slot)
            path.extend([chosen] * (1 if chosen == current else self._ends[slot] - slot))
            current = chosen
        return tuple(path)

    def _earned(self, first: int, until: int) -> list[float]:
        """Return what each option earns from a slot to another, and after it."""
        slots = self._slots[first:until]
        hours = sum(slot.hours for slot in slots)
        paid = sum(slot.hours * slot.price for slot in slots)
        after = self._following[len(self._slots) - until]
        return [each.revenue * hours - each.kwh * paid + rest for each, rest in zip(self._options, after, strict=True)]


def _ends(slots: Sequence[Slot], dwell: float) -> list[int]:
    """Return for each slot the first one at whose start an option begun in it may change again."""
    ends = []
    for first in range(len(slots)):
        until, spent = first + 1, slots[first].hours
        while until < len(slots) and spent < dwell * (1 - _ROUNDING):
            spent += slots[until].hours
            until += 1
        ends.append(until)
    return ends


def condensed(slots: Sequence[Slot], steps: Sequence[tuple[float, float]]) -> list[Slot]:
    """Join slots of one price, and those further ahead to longer ones at their mean price.

    Args:
        slots: Hours and price of each stretch, from now on.
        steps: Pairs of hours: until how far ahead slots are joined to stretches of at most that length. The slots end
            with the last of them.
    """
    joined: list[Slot] = []
    elapsed = 0.0
    horizon = steps[-1][0]
    for slot in slots:
        if elapsed >= horizon:
            break
        hours = min(slot.hours, horizon - elapsed)
        longest = next(length for until, length in steps if elapsed < until)
        last = joined[-1] if joined else None
        if last is not None and (last.price == slot.price or last.hours + hours <= longest + _ROUNDING):
            whole = last.hours + hours
            same = last.price == slot.price
            mean = slot.price if same else (last.price * last.hours + slot.price * hours) / whole
            joined[-1] = Slot(whole, mean)
        else:
            joined.append(Slot(hours, slot.price))
        elapsed += hours
    return joined
