"""The exporter's own metrics: what it did, not what it saw. One instance per process, on a registry of its own.

The fleet's series do not pass through here: see :mod:`exporter.exposition`.
"""

from contextlib import suppress
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.gc_collector import GCCollector

from exporter import __version__

_POLL_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0)
_DELAY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LATENESS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """Every own metric as an attribute; the attribute's name is the metric's, without prefix and suffix."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.build = Info("mining_exporter_build", "Version of the running exporter.", registry=registry)
        self.build.info({"version": __version__})
        self.poll_duration = Histogram(
            "mining_poll_duration_seconds",
            "Time one poll of one rig took, failed ones included.",
            buckets=_POLL_BUCKETS,
            registry=registry,
        )
        self.poll_lateness = Histogram(
            "mining_poll_lateness_seconds",
            "How long after its moment a poll of a healthy rig began.",
            buckets=_LATENESS_BUCKETS,
            registry=registry,
        )
        self.rig_identity_changes = Counter(
            "mining_rig_identity_changes_total",
            "Times that another device or another firmware answered at a rig's address.",
            ["change"],
            registry=registry,
        )
        self.dropped_values = Counter(
            "mining_rig_dropped_values_total",
            "Readings of a rig from which a value of this kind was dropped, because physics forbids it.",
            ["rig", "field"],
            registry=registry,
        )
        self.state_failures = Counter(
            "mining_state_failures_total",
            "Failed attempts to read or write the state file.",
            registry=registry,
        )
        self.poll_failures = Counter(
            "mining_poll_failures_total", "Failed polls of rigs, by reason.", ["reason"], registry=registry
        )
        self.source_up = Gauge(
            "mining_source_up", "Whether the source's last fetch succeeded.", ["source"], registry=registry
        )
        self.source_last_success = Gauge(
            "mining_source_last_success_timestamp_seconds",
            "When the source last gave a value.",
            ["source"],
            registry=registry,
        )
        self.source_usable = Gauge(
            "mining_source_usable",
            "Whether the source has a value fresh enough to be used; where not, all that needs it is absent.",
            ["source"],
            registry=registry,
        )
        self.source_requests = Counter(
            "mining_source_requests_total",
            "Fetches of the source, failed ones included.",
            ["source"],
            registry=registry,
        )
        self.source_failures = Counter(
            "mining_source_failures_total",
            "Failed fetches of the source, by reason.",
            ["source", "reason"],
            registry=registry,
        )
        self.source_disagreement = Gauge(
            "mining_source_disagreement_ratio",
            "By how much the sources of a quantity differ: largest less smallest, over the one taken.",
            ["quantity"],
            registry=registry,
        )
        self.source_outliers = Counter(
            "mining_source_outliers_total",
            "Values left out because they were too far from the median of all sources.",
            ["source"],
            registry=registry,
        )
        self.source_ignored = Gauge(
            "mining_source_ignored",
            "Rigs and blocks of which what the source tells is not used: not in the inventory (unknown), what none can "
            "draw (implausible), not what the block's rigs say (disbelieved).",
            ["source", "reason"],
            registry=registry,
        )
        self.loop_delay = Histogram(
            "mining_event_loop_delay_seconds",
            "How much later than due the event loop woke a task that only waits.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.evaluation_duration = Gauge(
            "mining_evaluation_duration_seconds",
            "Time the last evaluation took, from snapshot to published bytes.",
            registry=registry,
        )
        self.config_reload_successful = Gauge(
            "mining_config_last_reload_successful",
            "Whether the last attempt to load the configuration succeeded.",
            registry=registry,
        )
        self.config_reload_successful.set(1)
        self.config_reload_time = Gauge(
            "mining_config_last_reload_success_timestamp_seconds",
            "When the configuration in force was loaded.",
            registry=registry,
        )
        self.config_reload_time.set_to_current_time()
        self.evaluation_failures = Counter(
            "mining_evaluation_failures_total",
            "Evaluations that gave no publication: a bug, told in the log.",
            registry=registry,
        )

    def forget_source(self, source: str) -> None:
        """Drop the series of a source that is no longer asked, counters included."""
        for metric in (self.source_up, self.source_usable, self.source_last_success, self.source_requests):
            with suppress(KeyError):
                metric.remove(source)
        for metric_by_reason in (self.source_failures, self.source_ignored):
            metric_by_reason.remove_by_labels({"source": source})
