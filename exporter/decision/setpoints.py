"""The setpoint of each rig: at which operating point it should run now, what that is worth, and for how long.

The choice includes what a change costs: a ramp in which on average half of the new point's hashrate is missing, and
wear. Where prices are known ahead, the best course over them decides; else the price in force is expected to last for
``points.persistence``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

from exporter.decision.course import OFF, Option, Planner, condensed
from exporter.decision.curtailment import Slot, slots_ahead
from exporter.decision.judged import Terms, terms
from exporter.decision.values import RigDecision, SiteDecision, Verdict
from exporter.economics.points import Candidate, Curve
from exporter.economics.settings import PointsSettings, SiteSettings
from exporter.economics.site import rigs_by_block
from exporter.economics.values import RigEconomics, SiteEconomics
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.model.units import HOURS_PER_DAY, SECONDS_PER_HOUR, finite, total

STAND_STILL: Final = "off"
"""Name of the setpoint of a rig that should not run."""
STEPS: Final = ((3.0, 0.0), (8.0, 1.0), (24.0, 4.0))
"""Until how many hours ahead prices are joined to stretches of how many hours: what is far off decides little."""
_LONGEST_PRICE: Final = 7 * 24.0  # hours
_TRUSTED: Final = 2
_MOST_CHOICES: Final = 2_000
"""Choices that are made anew at one evaluation, of rigs that have one: the others follow at the next ones."""
_CHOSEN_SECONDS: Final = 300.0
_SAME_VALUE: Final = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoint:
    """What one rig should do. Money in USD per day in the book of the one who decides; ``best`` None stands for off."""

    in_force: Candidate | None = None  # None if it is off, or if the point in force cannot be judged
    best: Candidate | None = None
    best_margin: float | None = None
    best_margin_low: float | None = None
    best_margin_high: float | None = None
    gain: float | None = None  # 0 or more; None without two trusted points
    gain_low: float | None = None  # what is left of it if the figures are off by their errors
    valid_until: float = 0.0  # unix seconds
    value: float = 0.0  # USD per H/s and day
    price: float = 0.0  # USD per kWh, marginal
    fixed: float = 0.0  # USD per day, as long as the rig hashes at any point

    @property
    def name(self) -> str:
        """Name of the point, or ``off``."""
        return STAND_STILL if self.best is None else self.best.name

    @property
    def best_power(self) -> float:
        """W of the best point; 0 if it is off."""
        return 0.0 if self.best is None else self.best.power


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSetpoints:
    """Sums of a block over its rigs that have a gain. Money in USD per day."""

    name: str
    rigs: int = 0
    judged: int = 0  # rigs with a gain
    best_power: float | None = None  # W, billed
    best_margin: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    revenue: float | None = None  # of the points in force of these rigs

    @property
    def gain_ratio(self) -> float | None:
        """The gain as a share of the revenue."""
        return None if self.gain is None or not self.revenue else finite(self.gain / self.revenue)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSetpoints:
    """All setpoints of one evaluation; ``rigs`` and ``curves`` in the snapshot's order."""

    curves: tuple[Curve, ...] = ()
    rigs: tuple[Setpoint | None, ...] = ()
    blocks: tuple[BlockSetpoints, ...] = ()


NO_SETPOINTS: Final = SiteSetpoints()


class Prospect(NamedTuple):
    """The power prices that a rig faces from now on."""

    slots: Sequence[Slot]
    known: bool  # whether they are known ahead, or only expected to last
    next_change: float | None  # unix seconds, when the price in force ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One rig at one moment, as far as the choice of its point needs it."""

    curve: Curve
    in_force: Candidate | None  # None if it stands still
    value: float  # USD per H/s and day, that its owner is paid
    prospect: Prospect
    may_stop: bool = True
    held: bool = False  # it changed too lately or too often to change now
    ramp: float | None = None  # s, that its last start took


def choose(situation: Situation, settings: PointsSettings) -> Candidate | None:
    """Return the point to run at now; None for off."""
    curve, current, slots = situation.curve, situation.in_force, situation.prospect.slots
    best = curve.best(situation.value, slots[0].price)
    if current is not None and (situation.held or best is current):  # to change before its price comes is never better
        return current
    if current is not None and not current.allowed and best is not None:
        return best
    points = _worth_considering(situation)
    options = _options(points, situation, settings)
    here = len(points) if current is None else points.index(current)
    if situation.may_stop or current is None:
        options.append(_rest(options, situation))
    first = Planner(options, slots, settings.dwell / SECONDS_PER_HOUR).option(here)
    chosen = points[first] if first < len(points) else None
    price = slots[0].price
    if chosen is None and not situation.may_stop:
        return _least_losing(situation, price)
    if situation.prospect.known or chosen is None:
        return chosen
    if current is None:  # one start, and not a second change soon after it
        return best or chosen
    gain = chosen.margin(situation.value, price) - current.margin(situation.value, price)
    return chosen if gain >= settings.least_gain * situation.value * current.hashrate else current


_NEVER: Final = 1e12  # USD


def _worth_considering(situation: Situation) -> list[Candidate]:
    """Return the points that are best at one of the prices ahead, the lowest of the hull, and the one in force."""
    curve, value = situation.curve, situation.value
    found = {curve.best(value, slot.price) for slot in situation.prospect.slots}
    found.update(curve.hull[:1])
    found.add(situation.in_force)
    found.discard(None)
    return sorted((each for each in found if each is not None), key=_energy)


def _rest(options: Sequence[Option], situation: Situation) -> Option:
    """Return standing still as an option. Where prices surprise, a stop is charged the start that follows it."""
    if not situation.may_stop:
        return OFF._replace(cost=_NEVER, cold_cost=_NEVER)
    if situation.prospect.known:
        return OFF
    return OFF._replace(cost=min((each.cold_cost for each in options), default=0.0))


def _options(points: Sequence[Candidate], situation: Situation, settings: PointsSettings) -> list[Option]:
    value, wear = situation.value / HOURS_PER_DAY, settings.change_usd
    ramp = situation.ramp or settings.ramp
    hot, cold = ramp / 2 / SECONDS_PER_HOUR, max(ramp, settings.cold_ramp) / 2 / SECONDS_PER_HOUR
    tuning = max(settings.untuned_ramp, settings.cold_ramp) / 2 / SECONDS_PER_HOUR
    options = []
    for point in points:
        revenue = value * point.hashrate
        lost, lost_cold = (tuning, tuning) if point.tuned is False else (hot, cold)
        options.append(Option(revenue, point.kwh / HOURS_PER_DAY, revenue * lost + wear, revenue * lost_cold + wear))
    return options


_energy = attrgetter("kwh")


def prospects(
    snapshot: SiteSnapshot, ahead: Mapping[str, Sequence[Slot]], settings: PointsSettings
) -> dict[str, tuple[list[Slot], float | None]]:
    """Return by tariff the prices known ahead, condensed, and when the one in force ends (unix seconds).

    Prices after the last known one are not known; the last one is expected to last to ``points.persistence`` from now.
    """
    known: dict[str, tuple[list[Slot], float | None]] = {}
    persistence = settings.persistence / SECONDS_PER_HOUR
    for tariff, price in snapshot.tariffs.items():
        slots = list(ahead[tariff]) if len(ahead[tariff]) > 1 else []  # one alone is the price in force
        missing = persistence - sum(slot.hours for slot in slots)
        if slots and missing > 0:
            slots.append(Slot(missing, slots[-1].price))
        known[tariff] = condensed(slots, STEPS), price.ahead[0].end if price.ahead else None
    return known


Mark = tuple[float, tuple[float, ...] | None]
"""What is the same while the prices of a rig are: its own (USD per kWh), and what stands for those ahead."""


class _Chosen(NamedTuple):
    """A choice and what it was made of."""

    curve: Curve
    in_force: Candidate | None
    held: bool
    mark: Mark
    value: float
    best: Candidate | None


class Choices:
    """Keeps the choices between evaluations. When prices change, those of a large site are made over several."""

    def __init__(self) -> None:
        self._settings: PointsSettings | None = None
        self._kept: dict[str, _Chosen] = {}
        self._left = _MOST_CHOICES

    def begin(self, settings: PointsSettings) -> None:
        """Begin an evaluation."""
        self._left = _MOST_CHOICES
        if settings != self._settings:
            self._settings = settings
            self._kept.clear()

    def choose(self, rig: str, situation: Situation, settings: PointsSettings, mark: Mark) -> Candidate | None:
        """Return the choice of a rig, as kept if nothing has changed. ``mark`` stands for the prices."""
        kept, value = self._kept.get(rig), situation.value
        if kept is not None and kept.curve is situation.curve and kept.in_force is situation.in_force:
            same = kept.held is situation.held and kept.mark == mark
            if (same and abs(value - kept.value) <= _SAME_VALUE * kept.value) or self._left <= 0:
                return kept.best
        self._left -= 1
        best = choose(situation, settings)
        self._kept[rig] = _Chosen(situation.curve, situation.in_force, situation.held, mark, value, best)
        return best


def site_setpoints(
    snapshot: SiteSnapshot,
    economics: SiteEconomics,
    decision: SiteDecision,
    curves: Mapping[str, Curve],
    settings: SiteSettings,
    choices: Choices | None = None,
) -> SiteSetpoints:
    """Return the setpoints of all rigs and the sums of all blocks. Without settings of points there are none.

    Args:
        snapshot: The site.
        economics: The same snapshot, priced.
        decision: The verdicts: a rig that is `curtail` is to be off, one that is `mine` runs at its best point.
        curves: Operating points by rig.
        settings: The site's.
        choices: What was chosen at earlier evaluations; none by default.
    """
    points = settings.points
    if points is None:
        return NO_SETPOINTS
    ahead = {tariff: slots_ahead(tariff, snapshot, settings) for tariff in snapshot.tariffs}
    chooser = Chooser(snapshot, ahead, economics.market.payout_usd, settings, points, choices or Choices())
    known = tuple(curves.get(rig.rig.name, _NO_CURVE) for rig in snapshot.rigs)
    rigs = tuple(map(chooser.setpoint, snapshot.rigs, economics.rigs, decision.rigs, known))
    blocks = tuple(
        sum_block(block.name, [rigs[index] for index in indices]) for block, indices in rigs_by_block(snapshot).items()
    )
    return SiteSetpoints(curves=known, rigs=rigs, blocks=blocks)


_NO_CURVE: Final = Curve()


def _mark(price: TariffPrice, now: float) -> tuple[float, ...]:
    """Return what is the same while a tariff's prices ahead are, for five minutes at most."""
    ahead = price.ahead
    return (ahead[0].end, ahead[-1].end, sum(slot.price for slot in ahead), now // _CHOSEN_SECONDS) if ahead else ()


class Chooser:
    """Chooses setpoints at one moment; what all rigs share is worked out once.

    Args:
        snapshot: The site.
        ahead: By tariff, the marginal prices known ahead.
        payout: USD per PH/s and day; None if unknown.
        site: The site's settings, for hosting contracts.
        settings: Costs of changes and limits.
        choices: What was chosen at earlier evaluations.
    """

    def __init__(
        self,
        snapshot: SiteSnapshot,
        ahead: Mapping[str, Sequence[Slot]],
        payout: float | None,
        site: SiteSettings,
        settings: PointsSettings,
        choices: Choices,
    ) -> None:
        self._now = snapshot.taken_at
        self._settings = settings
        self._payout = payout
        self._contracts = site.contracts
        self._prospects = prospects(snapshot, ahead, settings)
        self._marks = {tariff: _mark(price, self._now) for tariff, price in snapshot.tariffs.items()}
        self._choices = choices
        choices.begin(settings)

    def setpoint(
        self, rig: RigSnapshot, economics: RigEconomics, decision: RigDecision, curve: Curve
    ) -> Setpoint | None:
        """Return the setpoint of a rig; None if no verdict, price or point of it is known."""
        verdict = decision.verdict
        if verdict is not Verdict.MINE and verdict is not Verdict.CURTAIL and verdict is not Verdict.REASSIGN:
            return None
        if not curve.hull or rig.points is None:
            return None
        book = terms(economics, self._payout, self._contracts, stopping=verdict is Verdict.CURTAIL)
        if book is None:
            return None
        reading = None if rig.reading is None else rig.reading.value
        hashing = reading is not None and reading.hashrate > 0
        in_force = curve.by_name.get(reading.point) if reading is not None and hashing else None
        if hashing and in_force is None:
            return None
        hosted = economics.hosted
        situation = Situation(
            curve=curve,
            in_force=in_force,
            value=book.value,
            prospect=self._at_present(book.price, None) if hosted else self._prospect(rig.rig.tariff, book.price),
            may_stop=False,
            held=in_force is not None and self._held(rig),
            ramp=None if reading is None else reading.ramp,
        )
        best = None
        if verdict is not Verdict.CURTAIL:
            mark = book.price, None if hosted else self._marks.get(rig.rig.tariff)
            best = self._choices.choose(rig.rig.name, situation, self._settings, mark)
        return self._judged(situation, best, book)

    def _held(self, rig: RigSnapshot) -> bool:
        points = rig.points
        if points is None or points.since is None:
            return False
        waiting = self._now - points.since < self._settings.dwell and points.changes > 0
        return waiting or points.changes >= self._settings.most_changes_per_day

    def _prospect(self, tariff: str, price: float) -> Prospect:
        slots, change = self._prospects.get(tariff, ([], None))
        if slots:
            return Prospect(slots, known=True, next_change=change)
        return self._at_present(price, change)

    def _at_present(self, price: float, change: float | None) -> Prospect:
        """Return that a price lasts to its known end (unix seconds), or for as long as prices usually do."""
        lasts = 0.0 if change is None else min((change - self._now) / SECONDS_PER_HOUR, _LONGEST_PRICE)
        hours = max(lasts, self._settings.persistence / SECONDS_PER_HOUR)
        return Prospect([Slot(hours, price)], known=False, next_change=change)

    def _judged(self, situation: Situation, best: Candidate | None, book: Terms) -> Setpoint:
        current, price = situation.in_force, book.price
        margin = 0.0 if best is None else book.margin(best.hashrate, best.kwh)
        spread = 0.0 if best is None else abs(price) * best.kwh * best.error
        change = situation.prospect.next_change
        end = self._now + self._settings.valid_for
        gain = gain_low = None
        if current is not None and current.checked and situation.curve.trusted >= _TRUSTED:
            gain = max(margin - book.margin(current.hashrate, current.kwh), 0.0)
            gain_low = gain - _doubt(current, best, price)
        return Setpoint(
            in_force=current,
            best=best,
            best_margin=margin,
            best_margin_low=margin - spread,
            best_margin_high=margin + spread,
            gain=gain,
            gain_low=gain_low,
            valid_until=end if change is None or change <= self._now else min(end, change),
            value=book.value,
            price=price,
            fixed=book.fixed,
        )


def _least_losing(situation: Situation, price: float) -> Candidate | None:
    """Return the point for a rig that is to mine although it stands still and no point earns now."""
    able = [each for each in situation.curve.candidates if each.allowed and each.checked]
    return max(able, key=lambda each: each.margin(situation.value, price), default=None)


def _doubt(current: Candidate, best: Candidate | None, price: float) -> float:
    """Return by how much a gain may be lower: the error of the difference between the points, USD per day.

    Errors of one rig's points go the same way, so the energy that both use is not in doubt.
    """
    if best is current:
        return 0.0
    energy, error = (0.0, 0.0) if best is None else (best.kwh, best.error)
    return abs(price) * abs(current.kwh - energy) * max(error, current.error)


def sum_block(name: str, members: Sequence[Setpoint | None]) -> BlockSetpoints:
    """Return the sums of a block."""
    judged = [each for each in members if each is not None and each.gain is not None]
    return BlockSetpoints(
        name=name,
        rigs=len(members),
        judged=len(judged),
        best_power=total(0.0 if each.best is None else each.best.kwh / HOURS_PER_DAY * 1e3 for each in judged),
        best_margin=total(each.best_margin for each in judged),
        gain=total(each.gain for each in judged),
        gain_low=total(each.gain_low for each in judged),
        revenue=total(each.value * each.in_force.hashrate for each in judged if each.in_force is not None),
    )
