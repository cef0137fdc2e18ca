"""What following the verdicts would have earned: a fleet replayed through a market's past, as a report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from exporter.decision.settings import DecisionSettings
from exporter.economics.ai import value_ai
from exporter.economics.settings import AiSettings, EconomicsSettings, PowerSettings, SiteSettings
from exporter.model.fields import format_duration
from exporter.model.fleet import Block, Rig
from exporter.model.units import HASHES_PER_TERAHASH, kilowatts
from exporter.tools import plots, tables
from exporter.tools.history import Row, write_csv
from exporter.tools.replay import Backtest, RigGroup, backtest
from exporter.tools.tables import figure

_MOST_CHANGES: Final = 200
_MOST_SOURCES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is replayed, and on which terms."""

    site: str
    groups: tuple[RigGroup, ...]
    blocks: tuple[Block, ...]
    terms: SiteSettings
    decision_terms: DecisionSettings
    unrated: int = 0  # rigs left out: the inventory does not say what they are rated at


def fleet_of(
    site: str, rigs: Sequence[Rig], blocks: Sequence[Block], terms: SiteSettings, decision_terms: DecisionSettings
) -> Fleet:
    """Take the fleet of a configuration, at what its rigs are rated."""
    rated: Counter[tuple[str, str, float, float]] = Counter()
    for rig in rigs:
        if rig.rated_hashrate is not None and rig.rated_power is not None:
            rated[rig.block, rig.tariff, rig.rated_hashrate, rig.rated_power] += 1
    return Fleet(
        site=site,
        groups=tuple(
            RigGroup(block=block, tariff=tariff, hashrate=hashrate * count, power=watts * count)
            for (block, tariff, hashrate, watts), count in rated.items()
        ),
        blocks=tuple(blocks),
        terms=terms,
        decision_terms=decision_terms,
        unrated=len(rigs) - rated.total(),
    )


def sample_fleet() -> Fleet:
    """A site of 10 MW: a third each of old, middling and new rigs, with AI hosting at the middle of what is paid."""
    kinds = (("old", 29.5), ("middling", 21.5), ("new", 17.5))  # J/TH
    watts = 3_000_000.0
    return Fleet(
        site="sample",
        groups=tuple(
            RigGroup(block=name, hashrate=watts / efficiency * HASHES_PER_TERAHASH, power=watts)
            for name, efficiency in kinds
        ),
        blocks=tuple(Block(name=name, capacity_watts=watts * 10 / 9) for name, _ in kinds),
        terms=SiteSettings(
            economics=EconomicsSettings(pool_fee=0.01),
            power=PowerSettings(overhead=1.03),
            ai=AiSettings(rent_usd_per_kilowatt_month=150, capex_usd_per_kilowatt=10_000),
        ),
        decision_terms=DecisionSettings(),
    )


def replay(rows: Sequence[Row], fleet: Fleet) -> Backtest:
    """Replay the market: seconds for a year of hours."""
    points = [row.point for row in rows]
    return backtest(points, fleet.groups, fleet.blocks, fleet.terms, fleet.decision_terms)


def write(rows: Sequence[Row], fleet: Fleet, result: Backtest, folder: Path, *, drawn: bool) -> Path:
    """Write report, history and (where ``drawn``) plots into ``folder``; returns the report's path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.csv").write_text(write_csv(rows), encoding="utf-8")
    pictures = plots.draw(rows, result, folder) if drawn else []
    path = folder / "report.md"
    path.write_text("\n".join(_report(rows, fleet, result, pictures)) + "\n", encoding="utf-8")
    return path


def money(result: Backtest) -> str:
    """What each policy would have earned, for a terminal."""
    return tables.as_text(_MONEY, _money(result), right=(1, 2))


def as_record(rows: Sequence[Row], result: Backtest) -> dict[str, Any]:
    """The result for scripts."""
    return {
        "from": _moment(rows[0].time),
        "to": _moment(rows[-1].time),
        "rows": len(rows),
        "rows_generated": sum(bool(row.generated) for row in rows),
        "earned_usd": {
            "followed": result.earned.followed,
            "always_mine": result.earned.always_mine,
            "curtail_right": result.earned.curtail_right,
            "foresight": result.earned.foresight,
        },
        "converted": [{"block": block, "at": _moment(at)} for block, at in result.converted],
        "changes": [
            {"at": _moment(change.time), "block": change.block, "before": change.before, "after": change.after}
            for change in result.changes
        ],
    }


_MONEY: Final = ("policy", "earned, USD", "against always mining, USD")


def _money(result: Backtest) -> list[tuple[str, str, str]]:
    earned = result.earned
    policies = (
        ("following the verdicts", earned.followed),
        ("always mining", earned.always_mine),
        ("always curtailing right", earned.curtail_right),
        ("perfect foresight", earned.foresight),
    )
    return [(name, figure(usd, 0), f"{usd - earned.always_mine:+,.0f}") for name, usd in policies]


def _report(rows: Sequence[Row], fleet: Fleet, result: Backtest, pictures: Sequence[str]) -> Iterator[str]:
    yield f"# Backtest of {fleet.site}"
    yield ""
    yield f"From {_moment(rows[0].time)} to {_moment(rows[-1].time)}, {len(rows):,} points, an evaluation every hour."
    yield from _made_up(rows)
    yield from ("", "## Money", "", tables.as_markdown(_MONEY, _money(result), right=(1, 2)), "")
    yield (
        "Following the verdicts curtails and resumes as they say and converts a block at its first `reassign`; from "
        "then on it earns the AI value (net of its capital), and never mines again. Always curtailing right avoids "
        "every loss at once and converts nothing. Perfect foresight also converts each block at its best moment, or "
        "never: no policy can earn more."
    )
    yield from (f"\n![{name.removesuffix('.svg')}]({name})" for name in pictures)
    if "market.svg" in pictures and any(row.generated for row in rows):
        yield "\nGrey lines are generated, blue lines and dots as given."
    yield from ("", "## Conversions", "")
    conversions = [(_moment(at), block) for block, at in result.converted]
    yield tables.as_markdown(("when (UTC)", "block"), conversions) if conversions else "None."
    yield from ("", "## Verdict changes", "")
    changes = [(_moment(one.time), one.block, one.before.value, one.after.value) for one in result.changes]
    yield tables.as_markdown(("when (UTC)", "block", "from", "to"), changes[:_MOST_CHANGES]) if changes else "None."
    if len(changes) > _MOST_CHANGES:
        yield f"\n... and {len(changes) - _MOST_CHANGES:,} more."
    yield from _what_was_replayed(fleet)
    yield from _sources(rows)


def _made_up(rows: Sequence[Row]) -> Iterator[str]:
    made = Counter(name for row in rows for name in row.generated)
    if made:
        counts = ", ".join(f"{name.replace('_', ' ')} at {count:,}" for name, count in made.most_common())
        yield ""
        yield (
            f"> **Part of this history is generated**, not observed: of {len(rows):,} points, {counts}. `history.csv` "
            "says which."
        )


def _what_was_replayed(fleet: Fleet) -> Iterator[str]:
    terms, decision = fleet.terms, fleet.decision_terms
    yield from ("", "## What was replayed", "")
    rows = [
        (
            group.block,
            figure(group.hashrate / HASHES_PER_TERAHASH, 0),
            figure(kilowatts(group.power), 0),
            figure(group.power * HASHES_PER_TERAHASH / group.hashrate, 1) if group.hashrate else tables.UNKNOWN,
        )
        for group in fleet.groups
    ]
    yield tables.as_markdown(("block", "TH/s", "kW", "J/TH"), rows, right=(1, 2, 3))
    if fleet.unrated:
        yield f"\nLeft out: {fleet.unrated:,} rigs without rated_terahash and rated_watts in the inventory."
    value = value_ai(terms.ai)
    worth = "none" if value is None else f"{figure(value.per_kilowatt_year)} USD/kW/year"
    yield ""
    elsewhere = ", if a tariff's terms say no other" if terms.tariffs else ""
    yield f"- AI value: {worth}; pool fee {terms.economics.pool_fee:.2%}; overhead {terms.power.overhead:g}{elsewhere}"
    yield (
        f"- `reassign` above {decision.reassign_score_usd_per_kilowatt_year:g} USD/kW/year and "
        f"{decision.reassign_share:.0%} of the AI value for {format_duration(decision.reassign_after)}, back below 0 "
        f"for {format_duration(decision.reassign_clear_after)}; margins of {format_duration(decision.history)}"
    )
    yield (
        f"- `curtail` after {decision.stop_intervals} and back after {decision.resume_intervals} intervals of "
        f"{format_duration(decision.curtail_interval)}"
    )
    yield (
        "- the coming retarget, what a conversion costs while it is built, and what power could be sold at are not "
        "replayed"
    )


def _sources(rows: Sequence[Row]) -> Iterator[str]:
    said = [row for row in rows if row.source and row.generated]
    if not said:
        return
    table = [
        (
            _moment(row.time),
            figure(row.hashprice),
            "" if row.difficulty is None else f"{row.difficulty / 1e12:.2f}T",
            "" if row.bitcoin is None else figure(row.bitcoin, 0),
            row.source,
            ", ".join(name.replace("_", " ") for name in row.generated),
        )
        for row in said[:_MOST_SOURCES]
    ]
    header = ("when (UTC)", "hashprice, USD/PH/day", "difficulty", "bitcoin, USD", "source", "generated there")
    yield from ("", "## Published points", "", tables.as_markdown(header, table, right=(1, 2, 3)))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
