"""Hosting contracts: what a customer pays the host, and what a period's statement comes to.

Amounts are decimal US dollars. Each line is rounded once, half up, to cents; the total is the sum of the rounded lines.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from math import inf
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from exporter.economics.settings import PayoutScheme, Plausible, PlausibleSettings
from exporter.model.fields import Ratio
from exporter.model.units import midnight

WINDOW_SECONDS: Final = 300.0
"""A rig's time is divided into windows of five minutes; each has one class."""
_CENT: Final = Decimal("0.01")
_QUANTITY: Final = Decimal("0.001")
_PROVISIONAL: Final = 0.01
"""A statement is provisional if more than this share of the energy's windows is missing."""


class Class(StrEnum):
    """What a rig did in a window. The first that applies counts."""

    NOT_CONTRACTED = "not_contracted"
    UNMONITORED = "unmonitored"  # our own gap: never downtime
    CURTAILED = "curtailed"
    MAINTENANCE = "maintenance"
    HASHING = "hashing"
    DEGRADED = "degraded"  # hashing, below 90 % of its contracted rate
    HOST_FAULT = "host_fault"
    RIG_FAULT = "rig_fault"
    CUSTOMER = "customer"  # a wrong pool, or suspended by the customer
    UNEXPLAINED = "unexplained"


_EXCLUDED: Final = (Class.UNMONITORED, Class.CURTAILED, Class.MAINTENANCE, Class.RIG_FAULT, Class.CUSTOMER)
"""Windows that no uptime promise counts. What is unexplained is nobody's fault until an operator says so."""

Measure = Literal["hashing", "power", "performance", "sla"]


class UptimePromise(PlausibleSettings):
    """The uptime that a contract promises. Which of the four measures pays has no default."""

    measure: Measure = Field(
        description="hashing: windows with any hashrate; power: windows with power; performance: hashrate of what is "
        "contracted; sla: all but the host's faults, without excused time."
    )
    promised: Ratio = Field(description="Share of the time that is promised, such as 0.98.")
    credit_share: Annotated[float, Plausible(0, 5, "of the energy charge per missing share", most=100)] = Field(
        default=1.0, description="Credit per missing share of uptime, as a share of the energy charge."
    )


class ContractSettings(PlausibleSettings):
    """What a customer pays the host. Amounts that are not set are not charged."""

    timezone: ZoneInfo = Field(description="Time zone of the billing months, such as America/Chicago.")
    usd_per_kilowatt_hour: Annotated[float | None, Plausible(0, 1, "USD per kWh", most=10)] = Field(
        default=None, description="Rate for energy."
    )
    energy: Literal["metered", "nameplate"] = Field(
        default="metered",
        description="metered: measured energy; nameplate: rated power of the rigs while they run.",
    )
    energy_factor: Annotated[float, Plausible(0.8, 1.3, "times the energy", least=0.1, most=10)] = Field(
        default=1.0, description="Factor on the energy, such as for losses between two meters."
    )
    pass_through: bool = Field(
        default=False, description="Charge the energy at the price of `host_tariff` too, slot by slot."
    )
    host_tariff: str | None = Field(
        default=None, description="Tariff at which the host buys the power. Default: the site's."
    )
    usd_per_kilowatt_month: Annotated[float | None, Plausible(0, 100, "USD per kW and month")] = Field(
        default=None, description="Fixed fee per kW of rated power."
    )
    revenue_share: Ratio = Field(default=0.0, description="Share of the mined coins that the host takes.")
    minimum_usd_per_month: float | None = Field(default=None, ge=0, description="Least that a month costs.")
    deposit_usd: float = Field(default=0.0, ge=0, description="Deposit that the host holds.")
    pool_fee: Ratio | None = Field(default=None, description="The customer's own pool fee. Default: the site's.")
    scheme: PayoutScheme | None = Field(default=None, description="The customer's own payout scheme.")
    host_may_curtail: bool = Field(default=False, description="Whether the host may stop the rigs when that pays him.")
    curtailment_credit_share: Ratio = Field(
        description="The customer's share of what is earned by standing still. Contracts differ: there is no default."
    )
    uptime: UptimePromise = Field(description="The promised uptime, and which measure of it pays.")
    since: date | None = Field(default=None, description="First day of the contract, if it began after its rigs.")
    until: date | None = Field(default=None, description="Last day of the contract.")
    leave_usd: float = Field(default=0.0, ge=0, description="What it costs the host to end the contract early, in USD.")

    def holds(self, now: float) -> bool:
        """Return whether the contract is in force at ``now`` (unix seconds)."""
        return self.start <= now < self.end

    @property
    def start(self) -> float:
        """When the contract begins, unix seconds; minus infinity without a first day."""
        return -inf if self.since is None else midnight(self.since, self.timezone)

    @property
    def end(self) -> float:
        """When the contract ends, unix seconds; infinity without a last day."""
        return inf if self.until is None else midnight(self.until + timedelta(days=1), self.timezone)

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError("until is before since")
        return self

    @model_validator(mode="after")
    def _charges_something(self) -> Self:
        charged = (self.usd_per_kilowatt_hour, self.usd_per_kilowatt_month, self.pass_through, self.revenue_share)
        if not any(charged):
            raise ValueError(
                "charges nothing: set usd_per_kilowatt_hour, usd_per_kilowatt_month, pass_through or revenue_share"
            )
        return self


# --- the use of a period --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RigUse:
    """What one rig did in a period.

    Attributes:
        windows: Number of windows by class.
        energised: Windows in which its block drew power.
        watts: Rated power, W; None if unknown.
        hashrate: Contracted (rated) hashrate, H/s; None if unknown.
        performed: Sum over windows of the hashrate, at most the contracted, H/s.
        mean_hashrate: Mean over the windows under contract, H/s.
        kilowatt_hours: Energy by source: ``metered``, ``reported`` or ``nameplate``.
        reported_kilowatt_hours: Energy by its own reports, beside that which is billed.
        missing: Windows under contract without a figure of its power.
        passed_through: Energy times the host's price, USD.
        unpriced: Windows with energy and without the host's price.
        mined: Mined coins after the customer's pool fee, USD.
        unearned: Windows in which it hashed, without a figure of what was mined.
        saved: Earned by standing still while it was curtailed, USD.
        unsold: Curtailed windows without a figure of what was earned.
        credited_hashrate: Mean of what pools credited, H/s; None if it is not read.
        compared_hashrate: Mean of what it reported over the same windows, H/s.
    """

    rig: str
    windows: Mapping[Class, int]
    energised: int = 0
    watts: float | None = None
    hashrate: float | None = None
    performed: float = 0.0
    mean_hashrate: float | None = None
    kilowatt_hours: Mapping[str, float] = field(default_factory=dict)
    reported_kilowatt_hours: float = 0.0
    missing: int = 0
    passed_through: float = 0.0
    unpriced: int = 0
    mined: float = 0.0
    unearned: int = 0
    saved: float = 0.0
    unsold: int = 0
    credited_hashrate: float | None = None
    compared_hashrate: float | None = None

    @property
    def contracted(self) -> int:
        """Windows under contract."""
        return sum(count for found, count in self.windows.items() if found is not Class.NOT_CONTRACTED)

    @property
    def running(self) -> int:
        """Windows in which it hashed."""
        return self.windows.get(Class.HASHING, 0) + self.windows.get(Class.DEGRADED, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """The four measures, 0 to 1; None if no window counts."""

    hashing: float | None
    power: float | None
    performance: float | None
    sla: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a statement. ``amount`` is in cents, as a decimal of dollars."""

    code: str
    amount: Decimal
    quantity: Decimal | None = None
    unit: str = ""
    price: Decimal | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a customer owes for a period, and why."""

    windows: Mapping[Class, int]
    uptime: Uptime
    kilowatt_hours: Mapping[str, Decimal]  # by source
    missing: int
    provisional: bool
    kilowatts: Decimal  # rated, of the rigs under contract
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """Sum of the rounded lines."""
        return sum((line.amount for line in self.lines), Decimal(0))


def state(contract: ContractSettings, rigs: Sequence[RigUse], windows: int, more: Iterable[Line] = ()) -> Statement:
    """Return the statement of a period of so many windows.

    Args:
        contract: the customer's.
        rigs: what each did. A rig counts for the windows in which it was under contract.
        windows: five-minute windows of the whole period.
        more: lines of the operator, such as corrections of an earlier statement. No minimum counts them.
    """
    classes: Counter[Class] = Counter()
    energy: Counter[str] = Counter()
    for rig in rigs:
        classes.update(rig.windows)
        energy.update(rig.kilowatt_hours)
    uptime = uptime_of(rigs)
    contracted, missing = sum(rig.contracted for rig in rigs), sum(rig.missing for rig in rigs)
    rated = sum((_exact((rig.watts or 0.0) / 1_000) * rig.contracted for rig in rigs), Decimal(0)) / max(windows, 1)
    lines = list(_charges(contract, rigs, energy, rated))
    lines += _credits(contract, rigs, uptime, lines)
    lines += _minimum(contract, lines, contracted)
    lines += more
    return Statement(
        windows={each: classes[each] for each in Class},
        uptime=uptime,
        kilowatt_hours={source: _exact(kwh).quantize(_QUANTITY, ROUND_HALF_UP) for source, kwh in energy.items()},
        missing=missing,
        provisional=_provisional(contract, rigs, contracted, missing),
        kilowatts=rated.quantize(_QUANTITY, ROUND_HALF_UP),
        lines=tuple(lines),
    )


def _provisional(contract: ContractSettings, rigs: Sequence[RigUse], contracted: int, missing: int) -> bool:
    """Return whether too much is missing of what is billed."""
    metered = contract.energy == "metered" or contract.pass_through
    rated = contract.energy == "nameplate" or contract.usd_per_kilowatt_month
    unrated = sum(rig.contracted for rig in rigs if rig.watts is None) if rated else 0
    unpriced = sum(rig.unpriced for rig in rigs) if contract.pass_through else 0
    unearned = sum(rig.unearned for rig in rigs) if contract.revenue_share else 0
    unsold = sum(rig.unsold for rig in rigs) if contract.curtailment_credit_share else 0
    return max(missing if metered else 0, unrated, unpriced, unearned, unsold) > _PROVISIONAL * contracted


def charges_of(contract: ContractSettings, rig: RigUse, windows: int) -> dict[str, Decimal]:
    """Return a rig's part of each charge and of the curtailment credit, USD, not rounded."""
    factor, charges = _exact(contract.energy_factor), {}
    if contract.usd_per_kilowatt_hour is not None:
        kwh = _exact(_billed(contract, (rig,), rig.kilowatt_hours))
        charges["energy"] = kwh * _exact(contract.usd_per_kilowatt_hour)
    if contract.pass_through:
        charges["power"] = _exact(rig.passed_through) * factor
    if contract.usd_per_kilowatt_month is not None:
        share = Decimal(rig.contracted) / max(windows, 1)
        charges["space"] = _exact((rig.watts or 0.0) / 1_000) * share * _exact(contract.usd_per_kilowatt_month)
    if contract.revenue_share:
        charges["revenue_share"] = _exact(rig.mined) * _exact(contract.revenue_share)
    if contract.curtailment_credit_share and rig.saved:
        charges["curtailment_credit"] = -_exact(rig.saved) * _exact(contract.curtailment_credit_share)
    return charges


def uptime_of(rigs: Iterable[RigUse]) -> Uptime:
    """Return the four measures of uptime over all windows of the rigs under contract."""
    every = excluded = faults = running = energised = 0
    performed = promised = 0.0
    for rig in rigs:
        every += rig.contracted
        excluded += sum(rig.windows.get(each, 0) for each in _EXCLUDED)
        faults += rig.windows.get(Class.HOST_FAULT, 0)
        running += rig.running
        energised += rig.energised
        if rig.hashrate:
            performed += rig.performed
            promised += rig.hashrate * rig.contracted
    counted = every - excluded
    return Uptime(
        hashing=running / every if every else None,
        power=energised / every if every else None,
        performance=performed / promised if promised else None,
        sla=1 - faults / counted if counted else None,
    )


def _charges(
    contract: ContractSettings, rigs: Sequence[RigUse], energy: Mapping[str, float], rated: Decimal
) -> Iterator[Line]:
    billed = _exact(_billed(contract, rigs, energy)).quantize(_QUANTITY, ROUND_HALF_UP)
    if contract.usd_per_kilowatt_hour is not None:
        yield _line("energy", billed, "kWh", _exact(contract.usd_per_kilowatt_hour))
    if contract.pass_through:
        cost = _exact(sum(rig.passed_through for rig in rigs)) * _exact(contract.energy_factor)
        yield Line(code="power", quantity=billed, unit="kWh", amount=_cents(cost), note="at the host's price, by slot")
    if contract.usd_per_kilowatt_month is not None:
        yield _line("space", rated.quantize(_QUANTITY, ROUND_HALF_UP), "kW", _exact(contract.usd_per_kilowatt_month))
    if contract.revenue_share:
        mined = _exact(sum(rig.mined for rig in rigs)).quantize(_CENT, ROUND_HALF_UP)
        yield _line("revenue_share", mined, "USD", _exact(contract.revenue_share))


def _billed(contract: ContractSettings, rigs: Sequence[RigUse], energy: Mapping[str, float]) -> float:
    """Return the energy that is billed, kWh: measured, or rated power of the rigs while they run."""
    if contract.energy == "nameplate":
        hours = WINDOW_SECONDS / 3_600
        return sum((rig.watts or 0.0) / 1_000 * rig.running * hours for rig in rigs) * contract.energy_factor
    return sum(energy.values()) * contract.energy_factor


def _credits(
    contract: ContractSettings, rigs: Sequence[RigUse], uptime: Uptime, lines: Iterable[Line]
) -> Iterator[Line]:
    promise = contract.uptime
    reached: float | None = getattr(uptime, promise.measure)
    charged = sum((line.amount for line in lines if line.code in ("energy", "power")), Decimal(0))
    if reached is not None and reached < promise.promised:
        missed = _exact(promise.promised) - _exact(reached)
        yield Line(
            code="sla_credit",
            amount=-_cents(missed * charged * _exact(promise.credit_share)),
            note=f"({promise.promised:g} - {reached:.7f}) x {charged}, of {promise.measure} uptime",
        )
    saved = sum(rig.saved for rig in rigs)
    if saved > 0 and contract.curtailment_credit_share:
        yield Line(
            code="curtailment_credit",
            amount=-_cents(_exact(saved) * _exact(contract.curtailment_credit_share)),
            note=f"{contract.curtailment_credit_share:g} of {_cents(_exact(saved))} earned by standing still",
        )


def _minimum(contract: ContractSettings, lines: Iterable[Line], contracted: int) -> Iterator[Line]:
    least = contract.minimum_usd_per_month
    total = sum((line.amount for line in lines), Decimal(0))
    if least is not None and contracted and total < _cents(_exact(least)):
        yield Line(code="minimum", amount=_cents(_exact(least)) - total, note=f"up to {_cents(_exact(least))} a month")


def _line(code: str, quantity: Decimal, unit: str, price: Decimal) -> Line:
    return Line(code=code, quantity=quantity, unit=unit, price=price, amount=_cents(quantity * price))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


def _exact(value: float) -> Decimal:
    """Return the decimal that a float is written as: 0.072 is 0.072."""
    return Decimal(repr(float(value)))
