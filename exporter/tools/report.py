"""Reports a day or a month of a site: margin and what changed it, curtailment, worst rigs and blocks, and alerts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from exporter.exposition import spreadsheets
from exporter.model.failures import Failure
from exporter.model.units import SECONDS_PER_DAY, SECONDS_PER_HOUR
from exporter.sources.alertmanager import WATCHDOG
from exporter.sources.http import Endpoint
from exporter.sources.prometheus import ask_range, quoted
from exporter.tools import change, tables
from exporter.tools.sites import check_site
from exporter.tools.spans import Span, local_time, printable
from exporter.tools.tables import figure, usd

_STEP: Final = 300.0
"""Seconds between the looks at what is averaged."""
_WORST: Final = 10
_ALERTS: Final = "Alerts"
_FIRING: Final = 'alertstate="firing"'
_MONEY: Final = {
    "revenue_usd": "sum(mining_block_revenue_usd_per_day{site})",
    "power_cost_usd": "sum(mining_block_power_cost_usd_per_day{site})",
    "margin_usd": "sum(mining_block_margin_usd_per_day{site})",
    "curtailed_rigs": "sum(mining_rig_verdict{curtail})",
    "saved_usd": (
        "-sum(((mining_rig_judged_margin_usd_per_day{site} or on (rig) (mining_rig_potential_margin_usd_per_day{site} "
        "unless on (rig) mining_rig_contract_info{site})) < 0) and on (rig) (mining_rig_verdict{curtail} == 1) "
        "unless on (rig) (mining_rig_mining{site} == 1))"
    ),
}


async def query(endpoint: Endpoint, *, span: Span, site: str | None) -> dict[str, Any]:
    """Return the report's record. What is not recorded is null. Raises Failure and UnknownSiteError."""
    await check_site(endpoint, site)
    reader = _Reader(endpoint, span, site)
    now = {name: await reader.mean(text) for name, text in _MONEY.items()}
    before = {name: await reader.mean(text, ago=1) for name, text in _MONEY.items()}
    days = span.seconds / SECONDS_PER_DAY
    return {
        "span": span.name,
        "from": local_time(span.start, span.zone),
        "to": local_time(span.end, span.zone),
        "site": site,
        "hours": span.hours,
        **{name: _times(now[name], days) for name in ("revenue_usd", "power_cost_usd", "margin_usd")},
        "margin_before_usd": _times(before["margin_usd"], days),
        "causes_usd_per_day": await reader.causes(),
        "curtailed_rig_hours": _times(now["curtailed_rigs"], span.hours),
        "saved_usd": _times(now["saved_usd"], days),
        "worst_blocks": await reader.worst("sum by (block) (mining_block_margin_usd_per_day{site})", "block", days),
        "worst_rigs": await reader.worst("max by (rig) (mining_rig_margin_usd_per_day{site})", "rig", days),
        "rigs_down": await reader.down(),
        "alerts": await reader.alerts(),
        "alerts_evaluated_hours": await reader.evaluated(),
    }


class _Reader:
    """Asks about one span."""

    def __init__(self, endpoint: Endpoint, span: Span, site: str | None) -> None:
        self._endpoint = endpoint
        self._span = span
        where = [] if site is None else [f'site="{quoted(site)}"']
        self._site = site
        self._selectors = {
            "{site}": "{" + ",".join(where) + "}",
            "{curtail}": "{" + ",".join([*where, 'verdict="curtail"']) + "}",
            "{firing}": "{" + ",".join([*where, _FIRING, 'alertname=~"Mining.*"', f'alertname!="{WATCHDOG}"']) + "}",
            "{watchdog}": "{" + ",".join([_FIRING, f'alertname="{WATCHDOG}"']) + "}",
        }

    async def _ask(self, text: str, *, ago: int = 0) -> list[tuple[dict[str, str], float]]:
        for mark, selector in self._selectors.items():
            text = text.replace(mark, selector)
        at = self._span.end - ago * self._span.seconds
        found = await ask_range(self._endpoint, text, at, at, _STEP, allow_empty=True)
        return [(labels, next(iter(values.values()))) for labels, values in found]

    def _over(self, function: str, text: str) -> str:
        return f"{function}_over_time(({text})[{self._span.seconds:.0f}s:{_STEP:.0f}s])"

    async def mean(self, text: str, *, ago: int = 0) -> float | None:
        """Return the mean over the span, or over one that is ``ago`` spans earlier; of times without a sample none."""
        found = await self._ask(self._over("avg", text), ago=ago)
        return found[0][1] if found else None

    async def causes(self) -> dict[str, float] | None:
        """Return what changed the mean margin since the span before, USD per day by cause; None if not known."""
        span = self._span
        try:
            found = await change.between(self._endpoint, self._site, span.start, span.end, span.seconds)
        except Failure:
            return None
        causes: dict[str, float] = found["causes_usd_per_day"]
        return causes

    async def worst(self, text: str, label: str, days: float) -> list[dict[str, Any]]:
        """Return what earned least, with its margin in USD over the span."""
        found = await self._ask(f"bottomk({_WORST}, {self._over('avg', text)})")
        ordered = sorted(found, key=lambda each: (each[1], each[0].get(label, "")))
        return [{label: labels.get(label, ""), "margin_usd": value * days} for labels, value in ordered]

    async def down(self) -> list[dict[str, Any]] | None:
        """Return the rigs that gave no answer for longest, in hours; None if no poll was recorded."""
        if await self.mean("count(mining_rig_up{site})") is None:
            return None
        found = await self._ask(f"topk({_WORST}, {self._over('sum', '1 - max by (rig) (mining_rig_up{site})')} > 0)")
        hours = [(labels.get("rig", ""), value * _STEP / SECONDS_PER_HOUR) for labels, value in found]
        return [{"rig": rig, "hours": each} for rig, each in sorted(hours, key=lambda each: (-each[1], each[0]))]

    async def evaluated(self) -> float:
        """Return the hours in which the alerts were evaluated: only then is a span without an alert one of calm."""
        found = await self._ask(self._over("count", "max(ALERTS{watchdog})"))
        return found[0][1] * _STEP / SECONDS_PER_HOUR if found else 0.0

    async def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that fired, with the hours in which any of them did and the most at once."""
        count = "count by (alertname, severity) (ALERTS{firing})"
        lasted = {_alert(labels): value for labels, value in await self._ask(self._over("count", count))}
        most = {_alert(labels): value for labels, value in await self._ask(self._over("max", count))}
        return [
            {
                "alert": name,
                "severity": severity,
                "hours": looks * _STEP / SECONDS_PER_HOUR,
                "most_at_once": most.get((name, severity)),
            }
            for (name, severity), looks in sorted(lasted.items(), key=lambda each: (-each[1], each[0]))
        ]


def _alert(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("alertname", ""), labels.get("severity", "")


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


# --- formats --------------------------------------------------------------------------------------------------------


def tables_of(record: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str], list[tuple[str, ...]] | None]]:
    """Yield the report's tables: title, header and rows; None if the rows are not known."""
    saved, hours = usd(record["saved_usd"]), figure(record["curtailed_rig_hours"], 0)
    before, now = record["margin_before_usd"], record["margin_usd"]
    yield (
        "Margin",
        ("what", "USD"),
        [
            ("revenue", usd(record["revenue_usd"])),
            ("power", usd(record["power_cost_usd"])),
            ("margin", usd(now)),
            ("margin in the span before", usd(before)),
            (f"saved by curtailment, {hours} rig-hours", saved),
        ],
    )
    causes = record["causes_usd_per_day"]
    if causes is not None:
        ordered = sorted(causes.items(), key=lambda each: -abs(each[1]))
        yield (
            "What changed the margin, USD per day",
            ("cause", "change"),
            [(name.replace("_", " "), f"{value:+,.2f}") for name, value in ordered],
        )
    for title, label in (("Worst blocks", "block"), ("Worst rigs", "rig")):
        worst = record[f"worst_{label}s"]
        rows: list[tuple[str, ...]] = [(each[label], usd(each["margin_usd"])) for each in worst]
        yield title, (label, "margin, USD"), rows or None  # every site has one
    down, alerts, evaluated = (record[name] for name in ("rigs_down", "alerts", "alerts_evaluated_hours"))
    yield (
        "Rigs without an answer",
        ("rig", "hours"),
        None if down is None else [(each["rig"], figure(each["hours"], 1)) for each in down],
    )
    part = evaluated < record["hours"] - 1
    yield (
        _ALERTS + (f", evaluated in {evaluated:.0f} of {record['hours']:.0f} hours" if part else ""),
        ("alert", "severity", "hours", "most at once"),
        [
            (each["alert"], each["severity"], figure(each["hours"], 1), figure(each["most_at_once"], 0))
            for each in alerts
        ]
        or ([] if evaluated else None),
    )


def title_of(record: Mapping[str, Any]) -> str:
    """Return the report's title."""
    return f"Report of {record['site'] or 'all sites'}, {record['span']}"


def as_markdown(record: Mapping[str, Any]) -> str:
    """Format a report as Markdown."""
    lines = [f"# {title_of(record)}", "", f"{record['from']} to {record['to']}, {record['hours']:g} hours"]
    for title, header, rows in tables_of(record):
        right = (2, 3) if title.startswith(_ALERTS) else range(1, len(header))
        table = tables.as_markdown(header, rows, right=tuple(right)) if rows else _nothing(rows)
        lines += ["", f"## {title}", "", table]
    return "\n".join(lines)


def _nothing(rows: Sequence[tuple[str, ...]] | None) -> str:
    return "Unknown: not recorded." if rows is None else "None."


def as_csv(record: Mapping[str, Any]) -> str:
    """Format a report as CSV: one row per figure."""
    rows: list[tuple[object, ...]] = [
        ("site", name, record[name])
        for name in (
            "revenue_usd",
            "power_cost_usd",
            "margin_usd",
            "margin_before_usd",
            "saved_usd",
            "curtailed_rig_hours",
        )
    ]
    rows += [("cause_usd_per_day", name, value) for name, value in (record["causes_usd_per_day"] or {}).items()]
    for label in ("block", "rig"):
        worst = record[f"worst_{label}s"]
        rows += [(f"worst_{label}_usd", spreadsheets.no_formula(each[label]), each["margin_usd"]) for each in worst]
    rows += [("down_hours", spreadsheets.no_formula(each["rig"]), each["hours"]) for each in record["rigs_down"] or ()]
    rows += [("alert_hours", each["alert"], each["hours"]) for each in record["alerts"]]
    rows.append(("site", "alerts_evaluated_hours", record["alerts_evaluated_hours"]))
    return spreadsheets.as_csv(("part", "name", "value"), rows)


def as_page(record: Mapping[str, Any]) -> str:
    """Format a report as a page made for print."""
    shown = [(title, header, rows, _nothing(rows)) for title, header, rows in tables_of(record)]
    content = {"title": title_of(record), "record": record, "tables": shown}
    return printable("report.html", content)
