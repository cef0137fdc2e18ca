"""Reports what the verdicts would have earned: replays the history of the market with a fleet."""

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
from exporter.model.models import BITCOIN_ALGORITHM, algorithm_of
from exporter.model.units import HASHES_PER_TERAHASH, kilowatts
from exporter.tools import plots, tables
from exporter.tools.history import Row, write_csv
from exporter.tools.replay import Backtest, RigGroup, backtest
from exporter.tools.tables import figure

_MOST_CHANGES: Final = 200
_MOST_SOURCES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The fleet to replay, and its settings."""

    site: str
    groups: tuple[RigGroup, ...]
    blocks: tuple[Block, ...]
    settings: SiteSettings
    decision_settings: DecisionSettings
    unrated: int = 0  # rigs left out because the inventory has no ratings
    unknown: int = 0  # rated rigs left out because their algorithm is not set to SHA-256


def fleet_of(
    site: str, rigs: Sequence[Rig], blocks: Sequence[Block], settings: SiteSettings, decision_settings: DecisionSettings
) -> Fleet:
    """Make the fleet of a configuration from the ratings of its rigs whose ``algorithm`` is set to SHA-256."""
    rated: Counter[tuple[str, str, float, float]] = Counter()
    unknown = 0
    for rig in rigs:
        if rig.rated_hashrate is None or rig.rated_power is None:
            continue
        if algorithm_of("", rig.algorithm, "", "") == BITCOIN_ALGORITHM:
            rated[rig.block, rig.tariff, rig.rated_hashrate, rig.rated_power] += 1
        else:
            unknown += 1
    return Fleet(
        site=site,
        groups=tuple(
            RigGroup(block=block, tariff=tariff, hashrate=hashrate * count, power=watts * count, rigs=count)
            for (block, tariff, hashrate, watts), count in rated.items()
        ),
        blocks=tuple(blocks),
        settings=settings,
        decision_settings=decision_settings,
        unrated=len(rigs) - rated.total() - unknown,
        unknown=unknown,
    )


def sample_fleet() -> Fleet:
    """Make a site of 10 MW with a third each of old, medium and new rigs, and AI hosting at a medium rent."""
    kinds = (("old", 29.5), ("medium", 21.5), ("new", 17.5))  # J/TH
    watts = 3_000_000.0
    return Fleet(
        site="sample",
        groups=tuple(
            RigGroup(block=name, hashrate=watts / efficiency * HASHES_PER_TERAHASH, power=watts)
            for name, efficiency in kinds
        ),
        blocks=tuple(Block(name=name, capacity_watts=watts * 10 / 9) for name, _ in kinds),
        settings=SiteSettings(
            economics=EconomicsSettings(pool_fee=0.01),
            power=PowerSettings(overhead=1.03),
            ai=AiSettings(rent_usd_per_kilowatt_month=150, capex_usd_per_kilowatt=10_000),
        ),
        decision_settings=DecisionSettings(),
    )


def replay(rows: Sequence[Row], fleet: Fleet, *, known_ahead: float = 0.0) -> Backtest:
    """Replay the market, with power prices known ``known_ahead`` seconds ahead. Takes some seconds for a year."""
    points = [row.point for row in rows]
    return backtest(
        points, fleet.groups, fleet.blocks, fleet.settings, fleet.decision_settings, known_ahead=known_ahead
    )


def write(rows: Sequence[Row], fleet: Fleet, result: Backtest, folder: Path, *, drawn: bool) -> Path:
    """Write report, history and, if ``drawn``, plots into ``folder``. Returns the report's path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.csv").write_text(write_csv(rows), encoding="utf-8")
    pictures = plots.draw(rows, result, folder) if drawn else []
    path = folder / "report.md"
    path.write_text("\n".join(_report(rows, fleet, result, pictures)) + "\n", encoding="utf-8")
    return path


def money(result: Backtest) -> str:
    """Format the earnings of each policy for a terminal."""
    return tables.as_text(_MONEY, _money(result), right=(1, 2, 3))


def as_record(rows: Sequence[Row], result: Backtest) -> dict[str, Any]:
    """Return the result as a record for JSON."""
    return {
        "from": _moment(rows[0].time),
        "to": _moment(rows[-1].time),
        "rows": len(rows),
        "rows_generated": sum(bool(row.generated) for row in rows),
        "earned_usd": {
            "followed": result.earned.followed,
            "always_mine": result.earned.always_mine,
            "curtailed": result.earned.curtailed,
            "planned": result.earned.planned,
            "curtail_right": result.earned.curtail_right,
            "foresight": result.earned.foresight,
        },
        "converted": [{"block": block, "at": _moment(at)} for block, at in result.converted],
        "changes": [
            {"at": _moment(change.time), "block": change.block, "before": change.before, "after": change.after}
            for change in result.changes
        ],
    }


_MONEY: Final = ("policy", "earned, USD", "compared with always mining, USD", "of the perfect one below")


def _money(result: Backtest) -> list[tuple[str, str, str, str]]:
    earned = result.earned
    policies = (
        ("always mining", earned.always_mine, None),
        ("curtailing by the verdicts", earned.curtailed, earned.curtail_right),
        *([] if earned.planned is None else [("following the day-ahead plan", earned.planned, earned.curtail_right)]),
        ("perfect curtailment", earned.curtail_right, None),
        ("curtailing and converting by the verdicts", earned.followed, earned.foresight),
        ("perfect foresight", earned.foresight, None),
    )
    return [
        (name, figure(usd, 0), f"{usd - earned.always_mine:+,.0f}", f"{usd / most:.1%}" if most and most > 0 else "")
        for name, usd, most in policies
    ]


def _report(rows: Sequence[Row], fleet: Fleet, result: Backtest, pictures: Sequence[str]) -> Iterator[str]:
    yield f"# Backtest of {fleet.site}"
    yield ""
    yield f"From {_moment(rows[0].time)} to {_moment(rows[-1].time)}: {len(rows):,} points, evaluated at each "
    yield "point, every hour, and when a verdict is due to change."
    yield from _generated_note(rows)
    yield from ("", "## Earnings", "", tables.as_markdown(_MONEY, _money(result), right=(1, 2, 3)), "")
    if any(row.generated for row in rows):
        yield "All of these figures rest on **generated** values.\n"
    yield (
        "Curtailing by the verdicts stops and resumes as they change, and converts nothing. Converting by them also "
        "converts a block at its first `reassign`. A converted block never mines again. From that day it earns the "
        "value of its leases, net of their capital and the building time, as a perpetual annuity, and the sale price "
        "of its rigs. Perfect curtailment knows all prices and pays the same for a start. Perfect foresight also "
        "converts each block at the best moment, or never. No policy can earn more. Costs that end at a conversion "
        "are paid until then."
    )
    yield from (f"\n![{name.removesuffix('.svg')}]({name})" for name in pictures)
    if "market.svg" in pictures and any(row.generated for row in rows):
        yield "\nGrey lines are generated. Blue lines and dots are observed."
    yield from ("", "## Conversions", "")
    conversions = [(_moment(at), block) for block, at in result.converted]
    yield tables.as_markdown(("when (UTC)", "block"), conversions) if conversions else "None."
    yield from ("", "## Verdict changes", "")
    changes = [(_moment(one.time), one.block, one.before.value, one.after.value) for one in result.changes]
    yield tables.as_markdown(("when (UTC)", "block", "from", "to"), changes[:_MOST_CHANGES]) if changes else "None."
    if len(changes) > _MOST_CHANGES:
        yield f"\n... and {len(changes) - _MOST_CHANGES:,} more."
    yield from _replayed(fleet)
    yield from _sources(rows)


def _generated_note(rows: Sequence[Row]) -> Iterator[str]:
    generated = Counter(name for row in rows for name in row.generated)
    if generated:
        counts = ", ".join(f"{name.replace('_', ' ')} at {count:,}" for name, count in generated.most_common())
        yield ""
        yield (
            f"> **Part of this history is generated**, not observed: of {len(rows):,} points, {counts}. `history.csv` "
            "marks them."
        )


def _replayed(fleet: Fleet) -> Iterator[str]:
    settings, decision = fleet.settings, fleet.decision_settings
    yield from ("", "## Fleet and settings", "")
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
        yield f"\nNot replayed: {fleet.unrated:,} rigs without rated_terahash and rated_watts in the inventory."
    if fleet.unknown:
        yield f"\nNot replayed: {fleet.unknown:,} rigs whose `algorithm` is not set to `sha256` in the fleet."
    value = value_ai(settings.ai)
    worth = "none" if value is None else f"{figure(value.per_kilowatt_year)} USD/kW/year"
    yield ""
    elsewhere = ", unless a tariff overrides them" if settings.tariffs else ""
    fee, overhead = settings.economics.pool_fee, settings.power.overhead
    yield f"- AI value: {worth}; pool fee {fee:.2%}; overhead {overhead:g}{elsewhere}"
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
        f"- a start costs {decision.restart.usd:g} USD per rig and {decision.restart.minutes:g} minutes of revenue, "
        "booked at the stop"
    )
    yield (
        "- the next difficulty is known from 500 blocks of an epoch on, by the pace of its blocks; without a "
        "difficulty in the history it stays"
    )


def _sources(rows: Sequence[Row]) -> Iterator[str]:
    published = [row for row in rows if row.source and row.generated]
    if not published:
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
        for row in published[:_MOST_SOURCES]
    ]
    header = ("when (UTC)", "hashprice, USD/PH/day", "difficulty", "bitcoin, USD", "source", "generated values")
    yield from ("", "## Published points", "", tables.as_markdown(header, table, right=(1, 2, 3)))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
