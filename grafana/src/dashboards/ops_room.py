"""Ops room: one screen that is read from five metres."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.firing import ACTIVE, INHIBITED
from dashboards.frame import RUNBOOKS, begin
from dashboards.panels import (
    ALERTS_KNOWN,
    GAIN,
    HASHRATE,
    IN_BLOCK,
    NONE_WANTED,
    PLAIN,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    USD_PER_KILOWATT_YEAR,
    WATTS,
    Column,
    Face,
    Panel,
    Query,
    largest,
    series,
    site,
    total,
)

_SILENCE = (
    f"${{alertmanager}}/#/silences/new?filter=%7Balertname%3D%22{panels.of_row('alertname')}%22"
    f"%2Csite%3D%22{panels.of_row('site')}%22%7D&{panels.LEFT_ENCODED}"
)
_ALERT_LINKS = {
    "alertname": (
        ("What to do: runbook", f"{RUNBOOKS}/{panels.of_row('alertname')}.md"),
        ("Silence in Alertmanager", _SILENCE),
    ),
}


def build() -> builders.Dashboard:
    """Margin now, hashrate, power, what is wrong, rigs by margin, blocks by verdict and reassign score."""
    page = begin(
        "hashmargin / Ops room",
        "hashmargin-ops-room",
        "What the site earns now, what is wrong, and which block to look at. What is unknown is absent, never zero.",
    )
    page.with_variable(
        builders.TextBoxVariable("alertmanager").label("Alertmanager").default_value("http://localhost:9093")
    )
    for panel in (*_now(), *_wrong(), *_course(), *_worst()):
        page.with_panel(panel)
    return page


def _now() -> list[Panel]:
    return [
        panels.figures(
            Face("Margin", "Revenue less avoidable power cost, of all rigs whose inputs are known.", USD_PER_DAY, 6, 4),
            site("margin_usd_per_day"),
            GAIN,
        ),
        panels.figures(
            Face(
                "Avoidable loss",
                "What losing rigs cost while they draw power. Curtailing them avoids it.",
                USD_PER_DAY,
                5,
                4,
            ),
            f"{site('avoidable_loss_usd_per_day')} and {site('margin_usd_per_day')}",
            ((None, "green"), (1.0, "orange"), (100.0, "red")),
        ),
        panels.figures(
            Face("Hashrate", "Realised hashrate of all rigs that answer.", HASHRATE, 4, 4),
            site("hashrate_hashes_per_second"),
        ),
        panels.figures(Face("Power", "Power of all rigs whose power is known.", WATTS, 3, 4), site("power_watts")),
        _alerts(
            "Critical",
            "Critical alerts that fire now and are not inhibited: somebody was paged. "
            "Unknown while an exporter is out or the alerts are not evaluated.",
            "red",
        ),
        _alerts(
            "Warnings",
            "Warnings that fire now and are not inhibited: to be acted on today. Unknown as the critical ones are.",
            "orange",
        ),
    ]


def _alerts(title: str, description: str, color: str) -> Panel:
    severity = "critical" if title == "Critical" else "warning"
    return panels.figures(
        Face(title, description, PLAIN, 3, 4),
        f'count by (site) ({ACTIVE} and on (alertname, site) ALERTS{{severity="{severity}",site=~"$site"}})'
        f" or 0 * max by (site) ({ALERTS_KNOWN})",
        ((None, "green"), (1.0, color)),
    )


def _wrong() -> list[Panel]:
    return [
        panels.rows(
            Face(
                "What is wrong",
                "Alerts that fire now, critical ones first. Inhibited ones follow from another and notify nobody. "
                "Where the numbers of alerts are unknown, an empty list is no all-clear.",
                PLAIN,
                9,
                7,
            ),
            Column("Firing", f"count by (severity, alertname, site, block) ({ACTIVE})", PLAIN, shown_as=panels.BLANK),
            Column(
                "Inhibited", f"count by (severity, alertname, site, block) ({INHIBITED})", PLAIN, shown_as=panels.BLANK
            ),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
            order="severity",
            descending=False,
            widths={"severity": 90, "site": 90, "block": 110, "Firing": 65, "Inhibited": 80},
            first=("severity", "alertname", "site", "block"),
            links=_ALERT_LINKS,
        ),
        panels.bars(
            Face(
                "Rigs by status",
                "Each rig has one: mining, stopped (answers, does not hash), expected_off, down, unknown.",
                PLAIN,
                5,
                7,
            ),
            Query(total("mining_rigs", by="site, status"), "{{status}}, {{site}}"),
        ),
        panels.bars(
            Face("Blocks by verdict", "What should be done with the blocks as a whole.", PLAIN, 5, 7),
            Query(total("mining_block_verdict", by="site, verdict"), "{{verdict}}, {{site}}"),
        ),
        panels.bars(
            Face("Rigs by verdict", "What should be done with the rigs.", PLAIN, 5, 7),
            Query(total("mining_block_rigs", by="site, verdict"), "{{verdict}}, {{site}}"),
        ),
    ]


def _course() -> list[Panel]:
    return [
        panels.lines(
            Face("Revenue, power cost and margin", "The margin is the first less the second.", USD_PER_DAY, 12, 6),
            Query(site("revenue_usd_per_day"), "{{site}} revenue"),
            Query(site("power_cost_usd_per_day"), "{{site}} power cost"),
            Query(site("margin_usd_per_day"), "{{site}} margin"),
        ),
        panels.spread(
            Face(
                "Rigs by margin per kilowatt-hour",
                "How many rigs stand at which margin per billed kilowatt-hour; below zero they lose money.",
                USD_PER_KILOWATT_HOUR,
                12,
                6,
            ),
            Query(total("site:mining_rig_margin_usd_per_kilowatt_hour:bucket", by="le")),
        ),
    ]


def _worst() -> list[Panel]:
    by_block = "site, block"
    return [
        panels.rows(
            Face("Rigs that lose most", "The 15 rigs with the lowest margin now.", USD_PER_DAY, 8, 7),
            Column(
                "Margin",
                f"max by (site, block, rig) (bottomk(15, {series('mining_rig_margin_usd_per_day')}) * {IN_BLOCK})",
                USD_PER_DAY,
                GAIN,
            ),
            key="rig",
            link=panels.open_with("hashmargin-rig", "rig"),
            descending=False,
        ),
        panels.rows(
            Face(
                "Blocks by reassign score",
                "What a kilowatt-year of each block would earn more as AI hosting than by mining.",
                USD_PER_KILOWATT_YEAR,
                16,
                7,
            ),
            Column(
                "Reassign score",
                largest("mining_block_reassign_score_usd_per_kilowatt_year", by=by_block),
                USD_PER_KILOWATT_YEAR,
            ),
            Column("Margin", largest("mining_block_margin_usd_per_day", by=by_block), USD_PER_DAY, GAIN),
            Column(
                "Avoidable loss",
                largest("mining_block_avoidable_loss_usd_per_day", by=by_block),
                USD_PER_DAY,
                NONE_WANTED,
            ),
            Column("Power", largest("mining_block_power_watts", by=by_block), WATTS),
            Column("Hashrate", largest("mining_block_hashrate_hashes_per_second", by=by_block), HASHRATE),
            Column("Rigs priced", largest("mining_block_rigs_priced", by=by_block), PLAIN),
            key="block",
            link=panels.open_with("hashmargin-block", "block"),
        ),
    ]
