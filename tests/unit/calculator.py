"""An independent calculator of the decision, written from its definition alone. It shares no code with the exporter."""

from collections.abc import Sequence


def best(revenue: float, energy: float, price: float, *, owed: bool = False, sale: float | None = None) -> float:
    """What one rig's hour is worth, in the words of the definition."""
    uses = [revenue - price * energy]
    if owed:
        uses.append(-price * energy)
        if sale is not None:
            uses.append(sale * energy - price * energy)
    else:
        uses.append(0.0)
        if sale is not None:
            uses.append((sale - price) * energy)
    return max(uses)


def conversion_margin(
    hours: Sequence[Sequence[tuple[float, float, float]]], ending_per_year: float, capacity: float
) -> float:
    """M, of hours that each list their rigs' revenue, energy and price, on a feeder of so many kW."""
    worth = [sum(best(revenue, energy, price) for revenue, energy, price in rigs) for rigs in hours]
    return (sum(worth) / len(worth) * 8_760 - ending_per_year) / capacity


def annuity(rate: float, years: float) -> float:
    """The yearly payment that repays 1."""
    return 1 / sum((1 + rate) ** -year for year in range(1, int(years) + 1))


def lease_value(*, rent: float, noi: float, capex: float, rate: float, years: int, ratio: float, months: int) -> float:
    """A lease month by month on paper: rent yearly in arrears, capex in the middle of each month of building."""
    income = sum(12 * rent * noi / (1 + rate) ** (months / 12 + year) for year in range(1, years + 1))
    paid = [capex / months / (1 + rate) ** ((month + 0.5) / 12) for month in range(months)] if months else [capex]
    return (income - sum(paid)) * annuity(rate, years) / ratio


def score(ai_value: float, margin: float, sale: float = 0.0, removal: float = 0.0, recovery: float = 0.0) -> float:
    """AI's value and the rigs' price against mining; sale and removal per kW."""
    return ai_value + recovery * (sale - removal) - max(margin, 0.0)
