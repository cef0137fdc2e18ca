"""What signed AI leases earn, firm and curtailable power apart."""

from collections.abc import Iterator, Mapping

from exporter.economics.settings import AiLeaseSettings
from exporter.economics.values import LeaseEconomics
from exporter.model.readings import Commitment
from exporter.model.units import (
    DAYS_PER_YEAR,
    HOURS_PER_YEAR,
    MONTHS_PER_YEAR,
    SECONDS_PER_DAY,
    WATTS_PER_KILOWATT,
    midnight,
)


def price_leases(leases: Mapping[str, AiLeaseSettings], now: float) -> tuple[LeaseEconomics, ...]:
    """Price each lease at ``now`` (unix seconds). Before its start and after its end it earns 0."""
    return tuple(priced for name, lease in leases.items() for priced in _parts(name, lease, now))


def _parts(name: str, lease: AiLeaseSettings, now: float) -> Iterator[LeaseEconomics]:
    due = midnight(lease.start) <= now and (lease.end is None or now < midnight(lease.end) + SECONDS_PER_DAY)
    for commitment, kilowatts, rent, value in (
        (Commitment.FIRM, lease.firm_kilowatts, _firm_rent(lease), _firm_rent(lease)),
        (Commitment.INTERRUPTIBLE, lease.curtailable_kilowatts, _curtailable_rent(lease), curtailable_value(lease)),
    ):
        if kilowatts:
            yield LeaseEconomics(
                lease=name,
                tenant=lease.tenant or name,
                commitment=commitment,
                start=midnight(lease.start),
                power=kilowatts * WATTS_PER_KILOWATT,
                revenue=rent * kilowatts / DAYS_PER_YEAR if due else 0.0,
                value_per_kilowatt_year=value,
            )


def _firm_rent(lease: AiLeaseSettings) -> float:
    return MONTHS_PER_YEAR * (lease.usd_per_kilowatt_month or 0.0)


def _curtailable_rent(lease: AiLeaseSettings) -> float:
    """Return the rent per curtailable IT kW and year: 12 x rent x (1 - H / 8760 x (1 - share that stays due))."""
    lost = lease.curtailed_hours_per_year / HOURS_PER_YEAR * (1 - lease.throttled_rent_ratio)
    return MONTHS_PER_YEAR * (lease.curtailable_usd_per_kilowatt_month or 0.0) * (1 - lost)


def curtailable_value(lease: AiLeaseSettings) -> float:
    """Return what a curtailable IT kW is worth per year: its rent, and what the programme pays for the power cut."""
    return _curtailable_rent(lease) + lease.response_usd_per_kilowatt_year * (1 - lease.throttled_power_ratio)
