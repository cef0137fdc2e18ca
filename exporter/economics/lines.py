"""Monthly costs per kilowatt: when each of them stops, and in which margins it counts."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from exporter.economics.settings import AiSettings, Basis, EconomicsSettings, LineName, PowerSettings, StopsWith
from exporter.model.units import HOURS_PER_MONTH


class CostLine(NamedTuple):
    """One monthly cost. A credit is negative."""

    name: str
    usd_per_kilowatt_month: float
    stops_with: StopsWith
    basis: Basis = Basis.RUNNING
    peak_tag: bool = False

    @property
    def per_kilowatt_hour(self) -> float:
        """The cost spread over every hour of the month: USD per kWh of its basis."""
        return self.usd_per_kilowatt_month / HOURS_PER_MONTH

    def stops_at_conversion(self, ai: AiSettings | None) -> bool:
        """Whether the site no longer pays it once the block is converted.

        What stops with the rig or the conversion does. What stops with the billing period does if the tenant pays the
        demand charge of the converted power; if not, it is due on both sides.
        """
        if self.stops_with is StopsWith.PERIOD:
            return ai is None or ai.tenant_pays_demand
        return self.stops_with is not StopsWith.NEVER


_DEMAND: LineName = "demand_charge"


def cost_lines(economics: EconomicsSettings, power: PowerSettings) -> tuple[CostLine, ...]:
    """Return the cost lines of a tariff's settings; those that are not set are left out.

    The demand charge is divided by the load factor. By default it stops with the billing period, and hosting, opex and
    credits stop with the conversion.
    """
    demand = power.demand_charge_usd_per_kilowatt_month
    credit = economics.credits_usd_per_kilowatt_month
    named: tuple[tuple[LineName, float | None], ...] = (
        (_DEMAND, None if demand is None else demand / power.load_factor),
        ("hosting", economics.hosting_usd_per_kilowatt_month),
        ("opex", economics.opex_usd_per_kilowatt_month),
        ("credits", None if credit is None else -credit),
    )
    return (
        *(
            CostLine(
                name=name.replace("_", " "),
                usd_per_kilowatt_month=monthly,
                stops_with=economics.stops_with.get(
                    name, StopsWith.PERIOD if name == _DEMAND else StopsWith.CONVERSION
                ),
                basis=economics.basis.get(name, Basis.RUNNING),
            )
            for name, monthly in named
            if monthly is not None
        ),
        *(
            CostLine(other.name, other.usd_per_kilowatt_month, other.stops_with, other.basis, other.peak_tag)
            for other in economics.other_costs
        ),
    )


def with_rig(lines: Iterable[CostLine]) -> float:
    """Return what stops with the rig, in USD per kWh."""
    return sum(line.per_kilowatt_hour for line in lines if line.stops_with is StopsWith.RIG)


def fixed(lines: Iterable[CostLine]) -> Iterator[CostLine]:
    """Pick the lines that do not stop with the rig: those of the all-in margin."""
    return (line for line in lines if line.stops_with is not StopsWith.RIG)


def per_kilowatt_hour(lines: Iterable[CostLine], basis: Basis | None = None) -> float:
    """Add lines up, in USD per kWh; only those of a ``basis`` if one is given."""
    return sum(line.per_kilowatt_hour for line in lines if basis is None or line.basis is basis)
