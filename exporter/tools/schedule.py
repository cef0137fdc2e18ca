"""Shows the day-ahead plan of a running exporter as a table and as a picture."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from exporter.model.configuration_errors import unknown
from exporter.model.units import kilowatts
from exporter.sources.contract import translating
from exporter.sources.http import Endpoint
from exporter.tools import tables
from exporter.tools.tables import figure, usd

_MAX_BYTES: Final = 64 * 1024 * 1024
_MOST_BLOCKS: Final = 6
_MINUTES: Final = "%a %H:%M"


class NoPlanError(Exception):
    """The exporter has no plan, or not of this block. The message is one sentence."""


async def query(endpoint: Endpoint) -> dict[str, Any]:
    """Read the plan of a running exporter. Raises Failure, and NoPlanError."""
    answer = await endpoint.get_json("/api/v1/plan", max_bytes=_MAX_BYTES)
    with translating():
        plan: dict[str, Any] | None = answer["plan"]
    if plan is None:
        raise NoPlanError(
            "the exporter has no plan: set decision.day_plan, and use a tariff whose prices are known for two hours or "
            "more; see its log"
        )
    return plan


def as_text(plan: Mapping[str, Any], chosen: Sequence[str] = ()) -> str:
    """Format a plan for a terminal, in local time. Raises NoPlanError for a block that the plan does not have."""
    with translating():
        blocks = _blocks(plan, chosen)
        shown = blocks if chosen or len(blocks) <= _MOST_BLOCKS else []
        lines = list(_rows(plan["slots"], shown))
        header = ("from", "to", "USD/kWh", "site kW", *(f"{name} kW" for name in shown))
        known_until, gap = _local(plan["horizon_end"]), plan["gap_ratio"]
        return "\n".join(
            [
                tables.as_text(header, lines, right=(2, 3)),
                "",
                f"Earns {usd(plan['value_usd'])}; no plan beats {usd(plan['bound_usd'])} (gap {gap:.2%}).",
                *_remarks(plan),
                f"Prices are known until {known_until:%a %d %b %H:%M %Z}. Energy counts at its marginal price.",
                *([f"{len(blocks)} blocks: name those to show with --block."] if blocks and not shown else []),
            ]
        )


def _blocks(plan: Mapping[str, Any], chosen: Sequence[str]) -> list[str]:
    known = list(plan["slots"][0]["blocks"]) if plan["slots"] else []
    for name in chosen:
        if name not in known:
            raise NoPlanError(str(unknown("block", name, known)))
    return list(chosen) or known


def _rows(slots: Sequence[Mapping[str, Any]], blocks: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield a line for each stretch of time in which nothing changes. Times have their zone if the clocks change."""
    offsets = {_local(slot[edge]).utcoffset() for slot in slots for edge in ("start", "end")}
    form = _MINUTES if len(offsets) == 1 else f"{_MINUTES} %Z"
    stretch: tuple[datetime, datetime, tuple[str, ...]] | None = None
    for slot in slots:
        cells = (
            figure(slot["price_usd_per_kilowatt_hour"], 4),
            figure(kilowatts(slot["watts"]), 0),
            *(_cell(slot["blocks"][name]) for name in blocks),
        )
        start, end = _local(slot["start"]), _local(slot["end"])
        if stretch is not None and stretch[2] == cells:
            stretch = stretch[0], end, cells
            continue
        if stretch is not None:
            yield f"{stretch[0]:{form}}", f"{stretch[1]:{form}}", *stretch[2]
        stretch = start, end, cells
    if stretch is not None:
        yield f"{stretch[0]:{form}}", f"{stretch[1]:{form}}", *stretch[2]


def _cell(block: Mapping[str, Any]) -> str:
    profile = block["profile"] or ", ".join(dict.fromkeys(block["profiles"].values()))
    return f"{figure(kilowatts(block['watts']), 0)} {profile}"


def _remarks(plan: Mapping[str, Any]) -> Iterator[str]:
    if plan["violation_watts"]:
        yield f"A limit cannot be kept: by {figure(kilowatts(plan['violation_watts']), 0)} kW at most."
    if plan["excess_kilowatt_hours"]:
        yield f"The energy of a day cannot be kept: by {figure(plan['excess_kilowatt_hours'], 0)} kWh."
    if plan["early_starts_and_stops"]:
        yield f"{plan['early_starts_and_stops']} starts or stops are earlier than the shortest times, for a limit."
    for day, money in plan["earned_usd"].items():
        yield (
            f"Earned {day} (UTC): {usd(money['done'])} as done, {usd(money['plan'])} by the plan, "
            f"{usd(money['verdict'])} by the verdicts."
        )


def draw(plan: Mapping[str, Any], chosen: Sequence[str], file: Path) -> None:
    """Draw price and planned power, as SVG or PNG. Needs matplotlib. Raises OSError, and NoPlanError."""
    import matplotlib as mpl  # noqa: PLC0415 -- optional
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 -- as above
    from matplotlib.figure import Figure  # noqa: PLC0415 -- as above

    with translating(), mpl.rc_context({"svg.hashsalt": "hashmargin", "svg.fonttype": "none", "font.size": 9.0}):
        blocks, slots = _blocks(plan, chosen), plan["slots"]
        edges = [_local(slot["start"]) for slot in slots] + [_local(slots[-1]["end"])]
        picture = Figure(figsize=(10.0, 5.0), layout="constrained")
        price, power = picture.subplots(2, 1, sharex=True)
        price.stairs([slot["price_usd_per_kilowatt_hour"] for slot in slots], edges, color="#1f4e9c")
        price.set_ylabel("price, USD/kWh")
        below = [0.0] * len(slots)
        for name in blocks:
            top = [low + kilowatts(slot["blocks"][name]["watts"]) for low, slot in zip(below, slots, strict=True)]
            power.stairs(top, edges, baseline=below, fill=True, label=name)
            below = top
        power.set_ylabel("planned power, kW")
        power.set_xlabel(f"{edges[0]:%Z}")  # of all times, also after the clocks change
        power.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        locator = AutoDateLocator(tz=edges[0].tzinfo)  # type: ignore[no-untyped-call]
        power.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator, tz=edges[0].tzinfo)  # type: ignore[no-untyped-call]
        power.xaxis.set_major_formatter(formatter)
        for panel in (price, power):
            panel.grid(alpha=0.3)
        picture.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _local(moment: str) -> datetime:
    return datetime.fromisoformat(moment).astimezone()
