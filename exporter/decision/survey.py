"""How much of a block is known at one moment, and what it would earn then."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from exporter.decision.history import HOSTED, Moment, step_of
from exporter.decision.settings import DecisionSettings
from exporter.decision.values import Clock, DecisionState
from exporter.economics.contract import is_owed, sold_at
from exporter.economics.lines import cost_lines
from exporter.economics.margin import IDLE_SHARE
from exporter.economics.peaks import price_at
from exporter.economics.settings import SiteSettings
from exporter.economics.values import Books, RigEconomics, SiteEconomics
from exporter.model.snapshot import RigSnapshot, SiteSnapshot
from exporter.model.units import finite, kilowatts

_NEW = Clock()


class Survey(NamedTuple):
    """One block at one moment."""

    coverage: float  # 0-1, by kW: the share of its rigs that are observed, and whose margin is known
    sight: float  # 0-1, by kW: the share of its rigs that are observed, whether their margin is known or not
    observed: bool  # whether any rig is
    moment: Moment | None  # None if no rig has a margin


def _counts_peaks(tariff: str, settings: SiteSettings, now: float) -> bool:
    """Return whether the expected cost of a peak is a cost of the hour.

    It is not where a peak tag stands for it, nor of energy that is owed or can be sold, whose hours may stand still.
    """
    economics, power = settings.at(tariff)
    tagged = any(line.peak_tag for line in cost_lines(economics, power))
    return not tagged and not is_owed(power, now) and sold_at(tariff, power) is None


class _HostedPrices:
    """Mean prices of the rigs of each hosting contract, weighted by power."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float, float]] = {}

    def add(self, books: Books | None, power: float) -> None:
        """Add a rig of so many billed kW whose host's best margin is known, if it has a contract."""
        if books is None or not books.contract:
            return
        key = HOSTED + books.contract
        watts, cost, charge = self._sums.get(key, (0.0, 0.0, 0.0))
        cost += power * (books.host_price or 0.0)
        charge += power * (books.energy_charge_per_kwh or 0.0)
        self._sums[key] = watts + power, cost, charge

    @property
    def prices(self) -> dict[str, tuple[float, float]]:
        """By contract: what the host pays for a billed kWh, and what the customer pays for it, in USD."""
        return {key: (cost / power, charge / power) for key, (power, cost, charge) in self._sums.items()}


class Surveyor:
    """Surveys blocks at one moment; what all blocks share is worked out once.

    Args:
        snapshot: the site.
        economics: the same snapshot, priced.
        previous: the state after the last evaluation: which rigs were to be curtailed or repaired.
        settings: the site's contracts.
        decision: what counts as observed.
    """

    def __init__(
        self,
        snapshot: SiteSnapshot,
        economics: SiteEconomics,
        previous: DecisionState,
        settings: SiteSettings,
        decision: DecisionSettings,
    ) -> None:
        self._rigs = snapshot.rigs
        self._priced = economics.rigs
        self._clocks = previous.rigs
        self._now = snapshot.taken_at
        self._decision = decision
        self._availability = decision.mining_availability
        self._payout = economics.market.payout_usd
        known = {name: tariff.price for name, tariff in snapshot.tariffs.items()}
        powers = {name: settings.at(name)[1] for name in known}
        sales = {name: sold_at(name, power) for name, power in powers.items()}
        peaks = {name: price_at(slots, self._now) for name, slots in snapshot.surcharges.items()}
        self._prices: Mapping[str, tuple[float, float | None]] = {
            name: (
                price + (peaks.get(name, 0.0) if _counts_peaks(name, settings, self._now) else 0.0),
                known.get(sale) if (sale := sales[name]) is not None else None,
            )
            for name, price in known.items()
        }
        used = {rig.rig.tariff for rig in snapshot.rigs}  # a rig that is wholly in its block needs no price of its own
        self._block_tariffs = {name: settings.at(name)[1].block_tariff for name in used}

    def survey(self, indices: Sequence[int]) -> Survey:
        """Survey the block of the rigs at these indices of the snapshot.

        Rigs whose margin is not known count at the highest margin per kW of the block's others, so that the sums mean
        the whole block; rigs whose power is not known, at the others' mean power.
        """
        total = seen = priced_power = unpriced = 0.0
        unknown = 0
        observed = False
        best: tuple[float, Sequence[tuple[str, float]], int, float] | None = None
        groups: dict[tuple[str, int], list[float]] = {}
        hosted = _HostedPrices()
        for index in indices:
            rig, priced = self._rigs[index], self._priced[index]
            answers = rig.reading is not None or self._off_on_purpose(rig, priced)
            observed |= answers
            if priced.potential_power is None:
                unknown += 1
                continue
            power = kilowatts(priced.potential_power)
            total += power
            seen += power if answers else 0.0
            margin, work = priced.best_margin, priced.potential_work
            if margin is None or work is None or power <= 0:
                unpriced += power
                continue
            if answers:
                priced_power += power
            step = step_of(work, power)
            if best is None or margin / power > best[0]:
                best = margin / power, self._shares(rig, priced), step, work / power
            if priced.books is None and priced.block_share is None:  # as most rigs
                self._add(groups, rig.rig.tariff, step, work, power, rig)
                continue
            hosted.add(priced.books, power)
            for tariff, share in self._shares(rig, priced):
                self._add(groups, tariff, step, work * share, power * share, rig)
        priced_rigs = len(indices) - unknown
        missing = total / priced_rigs * unknown if priced_rigs else 0.0
        whole = total + missing
        if best is not None and unpriced + missing > 0:
            _, shares, step, work_per_kilowatt = best
            for tariff, share in shares:
                power = (unpriced + missing) * share
                self._add(groups, tariff, step, work_per_kilowatt * power, power, None)
        coverage, sight = (finite(power / whole) if whole > 0 else None for power in (priced_power, seen))
        return Survey(
            coverage=coverage or 0.0,
            sight=float(observed) if sight is None else sight,
            observed=observed,
            moment=self._moment(groups, hosted.prices),
        )

    def _moment(
        self,
        groups: Mapping[tuple[str, int], Sequence[float]],
        hosted: Mapping[str, tuple[float, float]],
    ) -> Moment | None:
        if not groups or self._payout is None:
            return None
        sums = {key: (work, power) for key, (work, power) in groups.items()}
        if any(finite(figure) is None for pair in sums.values() for figure in pair):
            return None
        tariffs = {tariff for tariff, _ in sums}
        prices = {name: self._prices[name] for name in tariffs if name in self._prices}
        return Moment(self._payout, {**prices, **hosted}, sums)

    def _shares(self, rig: RigSnapshot, priced: RigEconomics) -> Sequence[tuple[str, float]]:
        """Return the tariffs that a rig's energy is billed on, with the share of each."""
        if priced.books is not None and priced.books.contract:
            return ((HOSTED + priced.books.contract, 1.0),)
        tariff, share = rig.rig.tariff, priced.block_share
        if share is None or (block := self._block_tariffs[tariff]) is None:
            return ((tariff, 1.0),)
        return [(name, part) for name, part in ((block, share), (tariff, 1 - share)) if part > 0]

    def _add(
        self,
        groups: dict[tuple[str, int], list[float]],
        tariff: str,
        step: int,
        work: float,
        power: float,
        rig: RigSnapshot | None,
    ) -> None:
        """Add a rig to its group; of a rig that needs a repair, what it would not be available for stands still."""
        available = self._availability
        if available < 1 and rig is not None and self._clocks.get(rig.rig.name, _NEW).repair.on:
            still = groups.setdefault((tariff, step_of(0.0, power)), [0.0, 0.0])
            still[1] += power * (1 - available)
            work, power = work * available, power * available
        group = groups.get((tariff, step))
        if group is None:
            groups[tariff, step] = [work, power]
        else:
            group[0] += work
            group[1] += power

    def _off_on_purpose(self, rig: RigSnapshot, priced: RigEconomics) -> bool:
        """Return whether a rig without a reading answered lately, or is off on purpose and hashed within the window."""
        now, decision = self._now, self._decision
        if rig.last_success is not None and 0 <= now - rig.last_success <= decision.hold_limit:
            return True
        if rig.last_good is None or now - rig.last_good.observed_at > decision.history:
            return False
        return rig.expected_mining is False or self._heeded(rig, priced)

    def _heeded(self, rig: RigSnapshot, priced: RigEconomics) -> bool:
        """Return whether a rig was to be curtailed, and its meter shows that it is off."""
        drawn, running = priced.billed_power, priced.potential_power
        curtailed = self._clocks.get(rig.rig.name, _NEW).curtail.on
        return curtailed and drawn is not None and running is not None and drawn < IDLE_SHARE * running
