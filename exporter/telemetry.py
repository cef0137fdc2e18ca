"""The exporter's own metrics: polls, sources, evaluations. One instance per process, with its own registry.

The metrics of the site are in :mod:`exporter.exposition`.
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
    """The exporter's own metrics, one attribute each, named like the metric without prefix and suffix."""

    def __init__(self, *, has_lease: bool = False) -> None:
        """``has_lease`` exports whether this exporter is active."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.build = Info(
            "mining_exporter_build", "Always 1; the label is the version of the running exporter.", registry=registry
        )
        self.build.info({"version": __version__})
        self.active = Gauge(
            "mining_exporter_active",
            "1 if this exporter is active, 0 if it stands by. Absent without `lease.path`.",
            registry=registry if has_lease else None,
        )
        self.poll_duration = Histogram(
            "mining_poll_duration_seconds",
            "Duration of one poll of one rig in seconds, failed polls included.",
            buckets=_POLL_BUCKETS,
            registry=registry,
        )
        self.poll_lateness = Histogram(
            "mining_poll_lateness_seconds",
            "Delay between the scheduled and the actual start of a poll of a healthy rig, in seconds.",
            buckets=_LATENESS_BUCKETS,
            registry=registry,
        )
        self.rig_identity_changes = Counter(
            "mining_rig_identity_changes_total",
            "Number of times that a different device or firmware responded at the address of a rig, by change.",
            ["change"],
            registry=registry,
        )
        self.dropped_values = Counter(
            "mining_rig_dropped_values_total",
            "Readings of a rig from which an implausible value was dropped, by field.",
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
        self.outage_rigs = Gauge(
            "mining_outage_rigs",
            "Rigs that stopped answering together and do not answer yet, by the block, rack or network that they "
            "share; all are empty for the site. Absent without such an outage.",
            ["block", "rack", "network"],
            registry=registry,
        )
        self.source_up = Gauge(
            "mining_source_up",
            "1 if the last fetch of the source succeeded, 0 if it failed. Absent before the first fetch.",
            ["source"],
            registry=registry,
        )
        self.source_last_success = Gauge(
            "mining_source_last_success_timestamp_seconds",
            "Unix time at which the latest value of the source was observed, in seconds. Absent before the first.",
            ["source"],
            registry=registry,
        )
        self.source_usable = Gauge(
            "mining_source_usable",
            "1 if the source has a value that is fresh enough to be used. If 0, all metrics that need it are absent.",
            ["source"],
            registry=registry,
        )
        self.source_requests = Counter(
            "mining_source_requests_total",
            "Fetches of the source, failed fetches included.",
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
            "Difference between the sources of a quantity: largest minus smallest value, divided by the value used.",
            ["quantity"],
            registry=registry,
        )
        self.source_deviation = Gauge(
            "mining_source_deviation_ratio",
            "How far a source's value is above the median of its group, over that median; negative is below.",
            ["source"],
            registry=registry,
        )
        self.source_outliers = Counter(
            "mining_source_outliers_total",
            "Values of the source that were ignored because they were too far from the median of all sources.",
            ["source"],
            registry=registry,
        )
        self.source_discarded = Counter(
            "mining_source_discarded_total",
            "Values of answers that are not used because they are unreadable or contradict the same answer.",
            ["source", "figure"],
            registry=registry,
        )
        self.measured_overhead = Gauge(
            "mining_measured_overhead_ratio",
            "Watts at the feeder or utility meter per watt of the rigs behind it; block is empty for the site. Absent "
            "without such a meter, or if the power of more than 2 % of the rigs is unknown.",
            ["block"],
            registry=registry,
        )
        self.configured_overhead = Gauge(
            "mining_configured_overhead_ratio",
            "The same as configured by overhead, calibration and transformer_loss. Absent if the measured one is.",
            ["block"],
            registry=registry,
        )
        self.source_ignored = Gauge(
            "mining_source_ignored",
            "Rigs and blocks whose values from the source are ignored, by reason. unknown: not in the inventory. "
            "implausible: no rig or block can draw this. disbelieved: contradicts the rigs behind the meter.",
            ["source", "reason"],
            registry=registry,
        )
        self.loop_delay = Histogram(
            "mining_event_loop_delay_seconds",
            "Delay between the due and the actual wake-up of a waiting task in the event loop, in seconds.",
            buckets=_DELAY_BUCKETS,
            registry=registry,
        )
        self.evaluation_duration = Gauge(
            "mining_evaluation_duration_seconds",
            "Duration of the last evaluation in seconds, from snapshot to publication.",
            registry=registry,
        )
        self.evaluation_lateness = Gauge(
            "mining_evaluation_lateness_seconds",
            "How much longer than evaluation_interval it was from one evaluation to the next, in seconds: on a busy "
            "machine evaluations become rarer, and polls do not.",
            registry=registry,
        )
        self.config_reload_successful = Gauge(
            "mining_config_last_reload_successful",
            "1 if the last attempt to load the configuration succeeded, 0 if the previous one, or a list of it, stays.",
            registry=registry,
        )
        self.config_reload_successful.set(1)
        self.config_invalid = Gauge(
            "mining_config_invalid",
            "1 if the last attempt to load the configuration found an error in it, so that all of the previous one "
            "stays. 0 if it is in use, or if only lists of rigs are refused.",
            registry=registry,
        )
        self.config_reload_time = Gauge(
            "mining_config_last_reload_success_timestamp_seconds",
            "Unix time at which the configuration in use was loaded, in seconds.",
            registry=registry,
        )
        self.config_reload_time.set_to_current_time()
        self.inventory_shrink_refused = Gauge(
            "mining_inventory_shrink_refused",
            "1 if the latest inventory was refused because it lost more rigs than fleet.max_shrink allows, else 0.",
            registry=registry,
        )
        self.inventory_lists_kept = Gauge(
            "mining_inventory_lists_kept",
            "Lists of rigs (csv, file_sd, http_sd) whose last content is in use, because the present one cannot be "
            "read, is invalid, or lost more rigs than fleet.max_shrink allows.",
            registry=registry,
        )
        self.evaluation_failures = Counter(
            "mining_evaluation_failures_total",
            "Failed evaluations. Each is a bug; see the log.",
            registry=registry,
        )
        self.outlook_failures = Counter(
            "mining_outlook_failures_total",
            "Failed attempts to compute the outlook of `ai.outlook`; see the log. There is no outlook until the next.",
            registry=registry,
        )
        self.day_plan_failures = Counter(
            "mining_plan_failures_total",
            "Failed attempts to make the plan of `decision.day_plan`; see the log. There is no plan until the next.",
            registry=registry,
        )

    def forget_source(self, source: str) -> None:
        """Remove the series of a source that is no longer configured, counters included."""
        for metric in (
            self.source_up,
            self.source_usable,
            self.source_last_success,
            self.source_requests,
            self.source_deviation,
        ):
            with suppress(KeyError):
                metric.remove(source)
        for metric_by_reason in (self.source_failures, self.source_ignored, self.source_discarded):
            metric_by_reason.remove_by_labels({"source": source})
