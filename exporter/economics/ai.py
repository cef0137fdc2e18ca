"""What a kilowatt is worth for AI, as a colocation lease or as rented GPUs, and mining levelised the same way."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import expm1, log1p
from math import pow as power
from typing import Final

from exporter.economics.gpu_market import GpuHour
from exporter.economics.hashprice import HALVING_BLOCKS
from exporter.economics.retarget import BLOCK_SECONDS
from exporter.economics.settings import AiSettings, Band, CapexDates, GpuRentalSettings
from exporter.model.units import HOURS_PER_YEAR, MONTHS_PER_YEAR, SECONDS_PER_YEAR

SCENARIOS: Final = ("low", "base", "high")
YEARS_PER_HALVING: Final = HALVING_BLOCKS * BLOCK_SECONDS / SECONDS_PER_YEAR


def capital_recovery_factor(rate: float, years: float) -> float:
    """Return the yearly payment, in arrears, that repays 1 with interest: i / (1 - (1 + i)^-n), and 1/n without any."""
    growth = -expm1(-years * log1p(rate))
    return rate / growth if growth else 1 / years


def present_value(rate: float, months: float) -> float:
    """Return what a dollar in so many months is worth today: (1 + i)^-(months / 12)."""
    return power(1 + rate, -months / MONTHS_PER_YEAR)


def building_months(months: float) -> Iterator[tuple[float, float]]:
    """Cut the building time into months: the middle of each (in months from the start), and its length in months."""
    start = 0.0
    while start < months:
        length = min(1.0, months - start)
        yield start + length / 2, length
        start += 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A colocation lease, per IT kW. Value and payback as the energy desk compares them: per utility kW."""

    rent: float  # USD per IT kW and month
    noi_share: float
    capex: float  # USD per IT kW, net of what the tenant pays
    rate: float
    years: float  # of the lease, from its first rent
    utility_ratio: float  # utility kW per IT kW
    months: float = 0.0  # of building, until the first year of rent begins
    capex_dates: CapexDates = CapexDates.INSTALMENTS
    escalator: float = 0.0
    uptime: float = 1.0  # share of the rent that is due
    prepayment: float = 0.0  # USD per IT kW, paid when the building starts
    credit_months: float | None = None  # over which it is credited against the rent; None for the whole term

    @property
    def noi(self) -> float:
        """Net operating income of the first year, USD per IT kW."""
        return MONTHS_PER_YEAR * self.rent * self.uptime * self.noi_share

    @property
    def income_factor(self) -> float:
        """Levelised income per dollar of first-year income: 1 without escalator and building time."""
        real_rate = (1 + self.rate) / (1 + self.escalator) - 1
        income = 1 / ((1 + self.escalator) * capital_recovery_factor(real_rate, self.years))
        return income * present_value(self.rate, self.months) * self.recovery

    @property
    def capex_factor(self) -> float:
        """Present value of the capex per dollar of it, on the dates at which it is paid."""
        if not self.months or self.capex_dates is CapexDates.AT_START:
            return 1.0
        return self._while_building / self.months

    @property
    def recovery(self) -> float:
        """Capital recovery factor of the lease's term."""
        return capital_recovery_factor(self.rate, self.years)

    @property
    def prepayment_gain(self) -> float:
        """What the prepayment is worth at the start, less the rents that it is credited against, USD per IT kW."""
        if not self.prepayment:
            return 0.0
        months = self.years * MONTHS_PER_YEAR if self.credit_months is None else self.credit_months
        parts = (length * present_value(self.rate, self.months + middle) for middle, length in building_months(months))
        return self.prepayment * (1 - sum(parts) / months)

    @property
    def per_kilowatt_year(self) -> float:
        """The lease's value levelised over its term, USD per utility kW and year."""
        return (self.noi * self.income_factor - self.recovery * self._outlay) / self.utility_ratio

    @property
    def _outlay(self) -> float:
        """Capex less what the prepayment gains, present value in USD per IT kW."""
        return self.capex * self.capex_factor - self.prepayment_gain

    def rent_for(self, per_kilowatt_year: float) -> float:
        """Return the rent at which the lease is worth ``per_kilowatt_year``; 0 gives the breakeven rent."""
        needed = per_kilowatt_year * self.utility_ratio + self.recovery * self._outlay
        return needed / (MONTHS_PER_YEAR * self.uptime * self.noi_share * self.income_factor)

    def levelised_building_cost(self, per_year: float, owed_months: float | None = None) -> float:
        """Levelise over the term a yearly cost that is due while building, at the middle of each month.

        Args:
            per_year: the cost per year.
            owed_months: after so many months nothing is due any more; None if it is due all the time.
        """
        factor = self._while_building if owed_months is None else _annuity(self.rate, min(self.months, owed_months))
        return per_year / MONTHS_PER_YEAR * factor * self.recovery

    def levelised_term_cost(self, per_year: float, owed_months: float | None = None) -> float:
        """Levelise over the term a yearly cost that is due from the end of the building time, yearly in arrears.

        With ``owed_months`` it is due until then: the share of the term's cost that falls due by then, discounted.
        """
        cost = per_year * present_value(self.rate, self.months)
        end = self.months + self.years * MONTHS_PER_YEAR
        if owed_months is None or owed_months >= end:
            return cost
        due = max(_annuity(self.rate, owed_months) - self._while_building, 0.0)
        return cost * due / (_annuity(self.rate, end) - self._while_building)

    @property
    def _while_building(self) -> float:
        return _annuity(self.rate, self.months)


def _annuity(rate: float, months: float) -> float:
    """Return the present value of a dollar per month, paid at the middle of each month."""
    return sum(length * present_value(rate, middle) for middle, length in building_months(months))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """GPUs that the site owns and rents out, per GPU and year."""

    hour: GpuHour
    gpu_capex: float
    gpu_recovery: float  # capital recovery factor of the GPUs
    capex: float  # USD per IT kW of data centre
    recovery: float
    opex: float

    @property
    def noi(self) -> float:
        """Rent less platform fee, energy, opex and replacements, USD per GPU and year."""
        return HOURS_PER_YEAR * self.hour.net - self.opex

    @property
    def per_kilowatt_year(self) -> float:
        """The business's value, USD per utility kW and year."""
        capital = self.gpu_recovery * self.gpu_capex + self.recovery * self.capex * self.hour.kilowatts
        return (self.noi - capital) / self.hour.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class AiValue:
    """What AI is worth at this site, per utility kW."""

    scenarios: tuple[tuple[str, float], ...]  # (low | base | high, USD per kW and year)
    noi_per_kilowatt_year: float
    capex_per_kilowatt: float
    recovery: float  # capital recovery factor of the base scenario
    building_months: float  # of the base scenario
    lease: Lease | None  # the base scenario's; None where GPUs are rented out
    low_lease: Lease | None = None

    @property
    def per_kilowatt_year(self) -> float:
        """The base scenario's value."""
        return dict(self.scenarios)["base"]

    @property
    def low_per_kilowatt_year(self) -> float:
        """The low scenario's value."""
        return dict(self.scenarios)["low"]

    @property
    def breakeven_rent(self) -> float | None:
        """The rent (USD per IT kW and month) at which the value is zero."""
        return None if self.lease is None else self.lease.rent_for(0.0)


def value_ai(settings: AiSettings | None) -> AiValue | None:
    """Value the site's power for AI; None without an ``ai`` section, or while the feed that prices it has no price."""
    if settings is None:
        return None
    if settings.gpu_rental is not None:
        price = settings.gpu_rental.price_usd_per_gpu_hour
        return None if isinstance(price, str) else _value_rental(settings.gpu_rental, price)
    leases = {scenario: _lease(settings, scenario) for scenario in SCENARIOS}
    base = leases["base"]
    return AiValue(
        scenarios=tuple((scenario, lease.per_kilowatt_year) for scenario, lease in leases.items()),
        noi_per_kilowatt_year=base.noi / base.utility_ratio,
        capex_per_kilowatt=base.capex / base.utility_ratio,
        recovery=base.recovery,
        building_months=base.months,
        lease=base,
        low_lease=leases["low"],
    )


def _value_rental(settings: GpuRentalSettings, price: Band) -> AiValue:
    rentals = {scenario: _rental(settings, price, scenario) for scenario in SCENARIOS}
    base = rentals["base"]
    return AiValue(
        scenarios=tuple((scenario, rental.per_kilowatt_year) for scenario, rental in rentals.items()),
        noi_per_kilowatt_year=base.noi / base.hour.reserved,
        capex_per_kilowatt=(base.gpu_capex + base.capex * base.hour.kilowatts) / base.hour.reserved,
        recovery=base.recovery,
        building_months=0.0,
        lease=None,
    )


def _lease(settings: AiSettings, scenario: str) -> Lease:
    rent, capex = settings.rent_usd_per_kilowatt_month, settings.capex_usd_per_kilowatt
    if rent is None or capex is None:  # the settings refuse a lease without them
        raise ValueError("a lease needs rent and capex")
    return Lease(
        rent=_income(rent, scenario),
        noi_share=_income(settings.noi_share, scenario),
        capex=_expense(capex, scenario),
        rate=_expense(settings.discount_rate, scenario),
        years=_income(settings.term_years, scenario),
        utility_ratio=_expense(settings.utility_ratio, scenario),
        months=_expense(settings.months_until_power_earns, scenario),
        capex_dates=settings.capex_dates,
        escalator=settings.escalator,
        uptime=settings.uptime,
        prepayment=_income(settings.prepayment_usd_per_kilowatt, scenario),
        credit_months=settings.prepayment_credit_months,
    )


def _rental(settings: GpuRentalSettings, price: Band, scenario: str) -> Rental:
    gpu_capex = _expense(settings.gpu_capex_usd, scenario)
    return Rental(
        hour=GpuHour(
            price=_income(price, scenario),
            utilization=_income(settings.utilization, scenario),
            power_price=settings.power_usd_per_kilowatt_hour,
            kilowatts=settings.kilowatts_per_gpu,
            pue=settings.pue,
            platform_fee=settings.platform_fee,
            idle_power_ratio=settings.idle_power_ratio,
            failures=settings.failures_per_year * gpu_capex / HOURS_PER_YEAR,
        ),
        gpu_capex=gpu_capex,
        gpu_recovery=capital_recovery_factor(settings.discount_rate, settings.gpu_life_years),
        capex=_expense(settings.capex_usd_per_kilowatt, scenario),
        recovery=capital_recovery_factor(settings.discount_rate, settings.term_years),
        opex=settings.opex_usd_per_gpu_year,
    )


def _income(band: Band, scenario: str) -> float:
    """Return the band's figure in a scenario, of an input that is better when higher."""
    return {"low": band.low, "base": band.base, "high": band.high}[scenario]


def _expense(band: Band, scenario: str) -> float:
    """Return the band's figure in a scenario, of an input that is worse when higher."""
    return {"low": band.high, "base": band.base, "high": band.low}[scenario]


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningHorizon:
    """How mining fares over the rigs' life: difficulty grows, the subsidy halves, bitcoin's price and power's stay."""

    difficulty_growth: float  # per year
    halving_in_years: float
    subsidy_share: float  # of today's block reward
    life_years: int
    rate: float
    term_years: float

    def per_kilowatt_year(self, revenue: float, cost: float) -> float:
        """Levelise a margin over the AI term with its capital recovery factor; a losing year is switched off.

        Args:
            revenue: today's, USD per kW and year.
            cost: of power, USD per kW and year.
        """
        present_value = 0.0
        for year in range(self.life_years):
            reward = self.subsidy_share * self._subsidy_in(year) + 1 - self.subsidy_share
            earned = revenue * reward / power(1 + self.difficulty_growth, year + 0.5)  # at mid-year
            present_value += max(earned - cost, 0.0) / power(1 + self.rate, year + 1)
        return present_value * capital_recovery_factor(self.rate, self.term_years)

    def _subsidy_in(self, year: int) -> float:
        """Return the mean subsidy of a year, as a share of today's."""
        halvings = 0 if year < self.halving_in_years else 1 + int((year - self.halving_in_years) / YEARS_PER_HALVING)
        next_halving = self.halving_in_years + halvings * YEARS_PER_HALVING
        before = min(max(next_halving - year, 0.0), 1.0)
        return (before + (1 - before) / 2) * power(2, -halvings)
