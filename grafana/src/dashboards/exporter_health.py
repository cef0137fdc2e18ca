"""Exporter health: whether what the other dashboards show can be believed."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import begin
from dashboards.panels import (
    BYTES,
    NONE_WANTED,
    PER_SECOND,
    PLAIN,
    RATIO,
    SECONDS,
    SINCE,
    Column,
    Face,
    Panel,
    Query,
    largest,
    series,
    total,
)

_RATE = "[$__rate_interval]"


def build() -> builders.Dashboard:
    """Evaluations, polls, sources, shards, and what the process uses."""
    page = begin(
        "hashmargin / Exporter health",
        "hashmargin-exporter-health",
        "Whether the numbers are fresh: evaluations, polls of rigs, market sources, shards, and what the process uses.",
    )
    for panel in (*_now(), *_polls(), *_sources(), *_process()):
        page.with_panel(panel)
    return page


def _now() -> list[Panel]:
    return [
        panels.figure(
            Face("Exporters down", "Exporters that Prometheus cannot scrape.", PLAIN, 4, 5),
            Query(f"count by (site) ({series('up')}) - {total('up', by='site')}", "{{site}}"),
            ((None, "green"), (1.0, "red")),
        ),
        panels.figures(
            Face(
                "Age of the evaluation",
                "The oldest of all shards. Beyond 45 s the exporter reports itself as down.",
                SECONDS,
                5,
                5,
            ),
            f"time() - min by (site) ({series('mining_evaluation_timestamp_seconds')})",
            ((None, "green"), (30.0, "orange"), (45.0, "red")),
        ),
        panels.figures(
            Face("Evaluation takes", "From snapshot to published bytes, the slowest shard.", SECONDS, 5, 5),
            largest("mining_evaluation_duration_seconds", by="site"),
            ((None, "green"), (5.0, "orange"), (10.0, "red")),
        ),
        panels.figures(
            Face("Shards missing", "Shards that the site is split into and that do not report.", PLAIN, 5, 5),
            f"{largest('mining_exporter_shards', by='site')}"
            f" - count by (site) (count by (site, shard) ({series('mining_exporter_shard_info')}))",
            NONE_WANTED,
        ),
        panels.figures(
            Face("Series", "Samples of the last scrape.", PLAIN, 5, 5),
            f"sum by (site) ({series('scrape_samples_scraped')} > 0)",
        ),
    ]


def _polls() -> list[Panel]:
    buckets = f"sum by (site, le) (rate({series('mining_poll_duration_seconds_bucket')}{_RATE}))"
    return [
        panels.lines(
            Face("Time of a poll", "Of one rig, failed polls included.", SECONDS, 8),
            Query(f"histogram_quantile(0.5, {buckets})", "{{site}} half are faster"),
            Query(f"histogram_quantile(0.99, {buckets})", "{{site}} 99 of 100 are faster"),
        ),
        panels.lines(
            Face("Failed polls by reason", "Per second.", PER_SECOND, 8),
            Query(
                f"sum by (site, reason) (rate({series('mining_poll_failures_total')}{_RATE}))", "{{site}} {{reason}}"
            ),
            stacked=True,
        ),
        panels.lines(
            Face("Rigs by status", "Summing to the inventory.", PLAIN, 8),
            Query(total("mining_rigs", by="site, status"), "{{site}} {{status}}"),
            stacked=True,
        ),
    ]


def _sources() -> list[Panel]:
    failures = f"sum by (site, source) (rate({series('mining_source_failures_total')}{_RATE}))"
    requests = f"sum by (site, source) (rate({series('mining_source_requests_total')}{_RATE}))"
    return [
        panels.rows(
            Face(
                "Market and power sources",
                "Whether each gave a value when last asked, and when it last did.",
                PLAIN,
                12,
                8,
            ),
            Column(
                "Up", f"min by (site, source) ({series('mining_source_up')})", PLAIN, ((None, "red"), (1.0, "green"))
            ),
            Column(
                "Last value",
                f"1000 * {largest('mining_source_last_success_timestamp_seconds', by='site, source')}",
                SINCE,
            ),
            key="source",
        ),
        panels.lines(
            Face("Failed fetches", "Share of fetches that failed, by source.", RATIO),
            Query(f"({failures} or 0 * {requests}) / ({requests} > 0)", "{{site}} {{source}}"),
        ),
    ]


def _process() -> list[Panel]:
    return [
        panels.lines(
            Face("Processor", "Share of one core, by exporter.", RATIO, 8),
            Query(f"rate({series('process_cpu_seconds_total')}{_RATE})", "{{site}} {{instance}}"),
        ),
        panels.lines(
            Face("Memory", "Resident, by exporter.", BYTES, 8),
            Query(series("process_resident_memory_bytes"), "{{site}} {{instance}}"),
        ),
        panels.lines(
            Face("Scrape takes", "As Prometheus sees it.", SECONDS, 8),
            Query(series("scrape_duration_seconds"), "{{site}} {{instance}}"),
        ),
    ]
