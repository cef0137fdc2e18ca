"""Power that was bought day ahead, settled apart from what is drawn, and the income from capacity that was sold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from exporter.model.fields import MINUTES_PER_DAY, WEEK, Days, SettingsGroup, TimeOfDay
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.readings import DatedPositions
from exporter.model.units import HOURS_PER_DAY, kilowatts

NONE_DATED: Final = DatedPositions()


class PositionSettings(SettingsGroup):
    """Power that was bought day ahead for some days and hours, such as an on-peak block."""

    kilowatts: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="Power that was bought, in kW.")
    days: Days = Field(default=WEEK, description="mon to sun, weekday, weekend or all.")
    start: TimeOfDay = Field(default=0, alias="from", description="Local time at which it starts, such as 06:00.")
    end: TimeOfDay = Field(
        default=MINUTES_PER_DAY, alias="to", description="Local time at which it ends, such as 22:00."
    )

    @model_validator(mode="after")
    def _one_day(self) -> Self:
        if self.start >= self.end:
            raise ValueError("it ends before it begins: write one until 24:00 and another from 00:00")
        return self

    def holds(self, local: datetime) -> bool:
        """Return whether it is for this local time."""
        return WEEK[local.weekday()] in self.days and self.start <= 60 * local.hour + local.minute < self.end


class SettlementSettings(SettingsGroup):
    """A position in the day-ahead market. What is drawn beyond it is bought in real time, what is not is sold there."""

    day_ahead_tariff: str = Field(description="The tariff with the day-ahead price at which the position was bought.")
    real_time_tariff: str = Field(description="The tariff with the real-time price.")
    position_kilowatts: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Power that was bought day ahead, in kW, in every hour for which `by_date` and `positions` have "
        "none. Required without `by_date`.",
    )
    positions: tuple[PositionSettings, ...] = Field(
        default=(), description="Other positions by day and hour. The first that matches counts."
    )
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Time zone of `positions`.")

    def position(self, now: float, dated: DatedPositions | None) -> float | None:
        """Return the position in kW at ``now`` (unix seconds). None if it is not known.

        ``dated`` are the positions by date, None if they cannot be read.
        """
        if dated is None:
            return None
        given = dated.at(now)
        if given or not dated.complete:
            return given.pop() if len(given) == 1 else None
        local = datetime.fromtimestamp(now, self.timezone)
        return next((each.kilowatts for each in self.positions if each.holds(local)), self.position_kilowatts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Flows now, in USD per day. None if an input is missing."""

    day_ahead: float | None = None  # cost of the position
    real_time: float | None = None  # cost of what is drawn beyond it; negative for what is sold
    capacity: float | None = None  # income from awards


def settle(position: float, day_ahead: float, load: float, real_time: float) -> tuple[float, float]:
    """Return the cost of the position and of the difference: Q p_da and (L - Q) p_rt, in USD.

    Energies in kWh, prices in USD per kWh.
    """
    return position * day_ahead, (load - position) * real_time


def bought_block_cost(
    block: float, price: float, load: float, real_time: float, sold_share: float = 0.0, loss: float = 0.0
) -> float:
    """Return what a bought block of energy costs: B p + max(L - B, 0) P - s max(B - L, 0) (P - l), in USD.

    Args:
        block: B, kWh that were bought at ``price``.
        price: p, USD per kWh.
        load: L, kWh that are used.
        real_time: P, the price of more, and of what is sold.
        sold_share: s, 0 if nothing can be sold.
        loss: l, USD per kWh that is lost in a sale.
    """
    return block * price + max(load - block, 0.0) * real_time - sold_share * max(block - load, 0.0) * (real_time - loss)


def capacity_income(obligations: Iterable[Obligation], now: float) -> float | None:
    """Return the income from awards that hold now, USD per day; None if one of them has no price."""
    held = [each for each in obligations if each.kind is ObligationKind.AWARD and each.holds(now)]
    if any(each.price is None for each in held):
        return None
    return sum(kilowatts(each.floor or 0.0) * (each.price or 0.0) * HOURS_PER_DAY for each in held)


def settlement(
    settings: SettlementSettings | None,
    prices: dict[str, float],
    load: float | None,
    income: float | None,
    now: float,
    dated: DatedPositions | None = NONE_DATED,
) -> Settlement:
    """Return the flows at ``now`` (unix seconds).

    ``load`` is the site's power in watts, ``prices`` are by tariff, ``dated`` the positions by date, None if they
    cannot be read.
    """
    bought = None if settings is None else settings.position(now, dated)
    if settings is None or bought is None:
        return Settlement(capacity=income)
    day_ahead, real_time = prices.get(settings.day_ahead_tariff), prices.get(settings.real_time_tariff)
    position = bought * HOURS_PER_DAY
    committed = None if day_ahead is None else position * day_ahead
    rest = None
    if real_time is not None and load is not None:
        _, rest = settle(position, 0.0, kilowatts(load) * HOURS_PER_DAY, real_time)
    return Settlement(day_ahead=committed, real_time=rest, capacity=income)
