"""Shows the outlook of a running exporter, and proposes the settings of one from the history of a market."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import StatisticsError, fmean, linear_regression, stdev
from typing import Any, Final, NamedTuple

from exporter.model.units import MONTHS_PER_YEAR, SECONDS_PER_YEAR
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.tools import tables
from exporter.tools.history import Row
from exporter.tools.tables import figure

_MAX_BYTES: Final = 64 * 1024 * 1024
_BANDS: Final = ((0, 4, 0.15), (1, 3, 0.3))  # of quantiles: low, high, opacity
_MEDIAN: Final = 2
_COLOUR: Final = "#1f4e9c"


class NoOutlookError(Exception):
    """The exporter has no outlook, or a history is too short for a proposal. The message is one sentence."""


async def query(endpoint: Endpoint) -> dict[str, Any]:
    """Read the outlook of a running exporter. Raises Failure, and NoOutlookError."""
    answer = await endpoint.get_json("/api/v1/outlook", max_bytes=_MAX_BYTES)
    with translating():
        outlook: dict[str, Any] | None = answer["outlook"]
    if outlook is None:
        raise NoOutlookError(
            "the exporter has no outlook: set ai.outlook and wait for the first evaluations, or see its log"
        )
    return outlook


def as_text(outlook: Mapping[str, Any]) -> str:
    """Format an outlook for a terminal."""
    with translating():
        lines = [line for block in outlook["blocks"] for line in _rows(block)]
        hashprices = outlook["hashprices_usd_per_petahash_day"]
        fan = [
            (f"in {month} months" if month else "now", *(figure(value) for value in hashprices[month]))
            for month in sorted({0, 6, 12, 24, len(hashprices) - 1})
            if month < len(hashprices)
        ]
        names = [f"{share:.0%}" for share in outlook["quantiles"]]
    header = ("block", "start", "mean", "low", "high", "than now", "probability")
    return "\n".join(
        [
            "Value of converting each block, USD per utility kW",
            tables.as_text(header, lines, right=range(2, len(header))),
            "",
            "Hashprice, USD/PH/day, by share of all paths below it",
            tables.as_text(("", *names), fan, right=range(1, len(names) + 1)),
            "",
            "Every start is a commitment made today: the option to decide later is not valued. `never` is only shown.",
            "Probability: that starting now is worth more than the best later start, marked with *.",
        ]
    )


def _rows(block: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    now = block["starts"][0]["mean_usd_per_kilowatt"]
    for start in block["starts"]:
        months, mean, quantiles = start["months"], start["mean_usd_per_kilowatt"], start["quantiles_usd_per_kilowatt"]
        name = "now" if not months else f"in {months} months{' *' if months == block['best_later_months'] else ''}"
        yield (
            block["block"] if not months else "",
            name,
            figure(mean, 0),
            figure(quantiles[0], 0),
            figure(quantiles[-1], 0),
            f"{mean - now:+,.0f}" if months else "",
            f"{block['probability_ratio']:.0%}" if not months else "",
        )
    yield "", "never", figure(block["never_usd_per_kilowatt"], 0), "", "", "", ""


def draw(outlook: Mapping[str, Any], file: Path) -> None:
    """Draw the fan of the hashprice, and the value of each start, as SVG or PNG. Needs matplotlib. Raises OSError."""
    import matplotlib as mpl  # noqa: PLC0415 -- optional
    from matplotlib.figure import Figure  # noqa: PLC0415 -- as above

    with translating(), mpl.rc_context({"svg.hashsalt": "hashmargin", "svg.fonttype": "none", "font.size": 9.0}):
        hashprices, blocks = outlook["hashprices_usd_per_petahash_day"], outlook["blocks"]
        quantiles = [f"{share:.0%}" for share in outlook["quantiles"]]
        picture = Figure(figsize=(10.0, 7.0), layout="constrained")
        fan, values = picture.subplots(2, 1)
        months = range(len(hashprices))
        for low, high, opacity in _BANDS:
            edges = [[row[index] for row in hashprices] for index in (low, high)]
            label = f"{quantiles[low]} to {quantiles[high]} of all paths"
            fan.fill_between(months, *edges, color=_COLOUR, alpha=opacity, linewidth=0, label=label)
        fan.plot(months, [row[_MEDIAN] for row in hashprices], color=_COLOUR, label="median")
        fan.set_xlabel("months from now")
        fan.set_ylabel("hashprice, USD/PH/day")
        fan.set_ylim(bottom=0)
        for block in blocks:
            starts = [start["months"] for start in block["starts"]]
            line = values.plot(starts, [start["mean_usd_per_kilowatt"] for start in block["starts"]], "o-",
                               label=f"{block['block']}: now is best on {block['probability_ratio']:.0%}")  # fmt: skip
            ends = [[start["quantiles_usd_per_kilowatt"][index] for start in block["starts"]] for index in (0, -1)]
            values.fill_between(starts, *ends, color=line[0].get_color(), alpha=0.1, linewidth=0)
        values.set_xlabel("start of the conversion, months from now")
        values.set_ylabel("value, USD per utility kW")
        for panel in (fan, values):
            panel.grid(alpha=0.3)
            panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        picture.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


# --- a proposal -----------------------------------------------------------------------------------------------------


class Proposal(NamedTuple):
    """Estimates of a history for `ai.outlook`."""

    drift: float
    volatility: float
    difficulty_growth: float
    elasticity: float
    fees: tuple[float, float, float]
    months: int
    generated: bool


_RESPONSE_MONTHS: Final = 6
_LEAST_MONTHS: Final = 12


def propose(rows: Sequence[Row]) -> Proposal:
    """Estimate the settings of an outlook from the months of a history. Raises NoOutlookError if it is too short.

    Volatility is the standard deviation of monthly changes of the price's logarithm. Growth and elasticity are the line
    through the changes of the logarithms of difficulty and price over the response months. Drift is proposed as 0: the
    mean change of a few years says nothing about the next ones. Fees are the blocks' rewards less the subsidy of 3.125.
    """
    month = SECONDS_PER_YEAR / MONTHS_PER_YEAR
    known = [row for row in rows if row.bitcoin and row.difficulty]
    monthly: dict[int, Row] = {int((row.time - rows[0].time) // month): row for row in known}
    if len(monthly) <= _LEAST_MONTHS:
        raise NoOutlookError(
            f"a proposal needs more than {_LEAST_MONTHS} months with bitcoin and difficulty, and this history has "
            f"{len(monthly)}"
        )
    prices = {index: math.log(row.bitcoin or 1.0) for index, row in monthly.items()}
    difficulties = {index: math.log(row.difficulty or 1.0) for index, row in monthly.items()}
    changes = [prices[index] - prices[index - 1] for index in prices if index - 1 in prices]
    pairs = [
        (prices[index] - prices[index - _RESPONSE_MONTHS], difficulties[index] - difficulties[index - _RESPONSE_MONTHS])
        for index in prices
        if index - _RESPONSE_MONTHS in prices
    ]
    try:
        elasticity, growth = linear_regression(*zip(*pairs, strict=True))
        volatility = stdev(changes)
    except (StatisticsError, TypeError):
        raise NoOutlookError("the bitcoin price of this history does not change, or has too many gaps") from None
    fees = sorted(max(row.reward - 3.125, 0.0) for row in known if row.reward) or [0.0]
    tail = len(fees) // 20
    return Proposal(
        drift=0.0,
        volatility=volatility * math.sqrt(MONTHS_PER_YEAR),
        difficulty_growth=math.expm1(growth * MONTHS_PER_YEAR / _RESPONSE_MONTHS),
        elasticity=min(max(elasticity, 0.0), 1.5),
        fees=(fees[tail], fmean(fees), fees[-1 - tail]),
        months=len(monthly),
        generated=any({"bitcoin", "difficulty"} & set(row.generated) for row in rows),
    )


def as_yaml(proposal: Proposal) -> str:
    """Format a proposal for the configuration."""
    low, base, high = proposal.fees
    generated = ", part of them generated" if proposal.generated else ""
    return "\n".join(
        [
            f"# From {proposal.months} months{generated}. An estimate, not a forecast: compare it with your own view.",
            "ai:",
            "  outlook:",
            f"    drift: {proposal.drift:.3g}",
            f"    volatility: {proposal.volatility:.2g}",
            f"    difficulty_growth: {proposal.difficulty_growth:.2g}",
            f"    elasticity: {proposal.elasticity:.2g}",
            f"    response_months: {_RESPONSE_MONTHS}",
            f"    fees_bitcoins_per_block: {{low: {low:.2g}, base: {base:.2g}, high: {high:.2g}}}",
        ]
    )
