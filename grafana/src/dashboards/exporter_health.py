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
        panels.figures(
            Face(
                "Configuration reload",
                "Refused: an exporter refused its new configuration and still uses the previous one.",
                PLAIN,
                6,
                4,
            ),
            f"min by (site) ({series('mining_config_last_reload_successful')})",
            ((None, "red"), (1.0, "green")),
            panels.texts(**{"0": ("refused", "red"), "1": ("in use", "green")}),
        ),
        panels.figures(
            Face("Configuration loaded", "When the configuration in use was loaded, the oldest shard.", SINCE, 6, 4),
            f"1000 * min by (site) ({series('mining_config_last_reload_success_timestamp_seconds')})",
        ),
        panels.figures(
            Face("State failures", "Failed reads and writes of the state file within an hour.", PLAIN, 6, 4),
            f"sum by (site) (round(increase({series('mining_state_failures_total')}[1h]))"
            f" and {series('mining_state_failures_total')})",
            NONE_WANTED,
        ),
        panels.figures(
            Face("Sources not usable", "Sources without a value that is fresh enough to be used.", PLAIN, 6, 4),
            f"count by (site) ({series('mining_source_usable')} == 0)"
            f" or 0 * max by (site) ({series('mining_source_usable')})",
            ((None, "green"), (1.0, "red")),
        ),
    ]


def _polls() -> list[Panel]:
    buckets = f"sum by (site, le) (rate({series('mining_poll_duration_seconds_bucket')}{_RATE}))"
    late = f"sum by (site, le) (rate({series('mining_poll_lateness_seconds_bucket')}{_RATE}))"
    delay = f"sum by (site, le) (rate({series('mining_event_loop_delay_seconds_bucket')}{_RATE}))"
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
        panels.lines(
            Face("Lateness of polls", "How late polls of healthy rigs begin. Above a second: too few cores.", SECONDS),
            Query(f"histogram_quantile(0.99, {late})", "{{site}} 99 of 100 are earlier"),
        ),
        panels.lines(
            Face("Delay of the event loop", "How late a waiting task wakes up. Above 0.1 s: too few cores.", SECONDS),
            Query(f"histogram_quantile(0.99, {delay})", "{{site}} 99 of 100 are earlier"),
        ),
    ]


def _sources() -> list[Panel]:
    failures = f"sum by (site, source) (rate({series('mining_source_failures_total')}{_RATE}))"
    requests = f"sum by (site, source) (rate({series('mining_source_requests_total')}{_RATE}))"
    return [
        panels.rows(
            Face(
                "Market and power sources",
                "Failing ones first: whether the last fetch succeeded, whether the value can be used, and its time.",
                PLAIN,
                12,
                8,
            ),
            Column(
                "Succeeds", f"min by (site, source) ({series('mining_source_up')})", PLAIN, shown_as=panels.YES_GOOD
            ),
            Column(
                "Usable", f"min by (site, source) ({series('mining_source_usable')})", PLAIN, shown_as=panels.YES_GOOD
            ),
            Column(
                "Last value",
                f"1000 * {largest('mining_source_last_success_timestamp_seconds', by='site, source')}",
                SINCE,
            ),
            key="source",
            descending=False,
        ),
        panels.lines(
            Face("Failed fetches", "Share of fetches that failed, by source.", RATIO),
            Query(f"({failures} or 0 * {requests}) / ({requests} > 0)", "{{site}} {{source}}"),
        ),
        panels.lines(
            Face("Failed fetches by reason", "Of each source, per second.", PER_SECOND),
            Query(
                f"sum by (site, source, reason) (rate({series('mining_source_failures_total')}{_RATE}))",
                "{{site}} {{source}} {{reason}}",
            ),
        ),
        panels.lines(
            Face("Disagreement of sources", "Largest minus smallest value of a quantity, over the value used.", RATIO),
            Query(largest("mining_source_disagreement_ratio", by="site, quantity"), "{{site}} {{quantity}}"),
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
