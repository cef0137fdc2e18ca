"""GPU: what the GPUs that are already there really earn."""

from grafana_foundation_sdk.builders import dashboard as builders

from dashboards import panels
from dashboards.frame import HOSTNAME, begin
from dashboards.panels import (
    BYTES,
    CELSIUS,
    GAIN,
    NONE_WANTED,
    PLAIN,
    RATIO,
    USD_PER_DAY,
    USD_PER_KILOWATT_HOUR,
    WATTS,
    Column,
    Face,
    Panel,
    Query,
    largest,
    series,
)

_HOSTS = 'hostname=~"$hostname"'
_CHOSEN = series("mining_gpu_info", _HOSTS)
_HOST = f"on (job, site, instance, gpu) group_left (hostname) {_CHOSEN}"
_NAMED = f"on (job, site, instance, gpu) group_left (hostname, model) {_CHOSEN}"


def build() -> builders.Dashboard:
    """Their margin, use, heat and errors."""
    page = begin(
        "hashmargin / GPU",
        "hashmargin-gpu",
        "GPUs on the same axis as rigs: dollars per kilowatt-hour. Each is priced with its share of the host.",
        HOSTNAME,
    )
    for panel in (*_now(), *_money(), *_each()):
        page.with_panel(panel)
    return page


def _of_hosts(metric: str) -> str:
    return f"{series(metric)} * {_HOST}"


def _short(expr: str, by: str) -> str:
    """``expr`` by ``by`` with the first eight characters of the GPU's UUID as its name."""
    return f'max by ({by}) (label_replace({expr}, "gpu", "$1", "gpu", "(?:GPU-)?(.{{8}}).+"))'


def _now() -> list[Panel]:
    contracted, use = series("mining_gpu_contracted"), series("mining_gpu_utilization_ratio")
    idle = f"{contracted} == 1 and on (job, site, instance, gpu) {use} == 0"
    unseen = f"{contracted} == 1 unless on (job, site, instance, gpu) {use}"
    return [
        panels.figures(
            Face("Margin", "Revenue less power cost of all GPUs.", USD_PER_DAY, 6, 5),
            f"sum by (site) ({_of_hosts('mining_gpu_margin_usd_per_day')})",
            GAIN,
        ),
        panels.figures(
            Face("Power", "Of the GPUs themselves, without their hosts.", WATTS, 6, 5),
            f"sum by (site) ({_of_hosts('mining_gpu_power_watts')})",
        ),
        panels.figures(
            Face("Use", "Mean share of time that a GPU ran anything.", RATIO, 6, 5),
            f"avg by (site) ({_of_hosts('mining_gpu_utilization_ratio')})",
        ),
        panels.figures(
            Face("Contracted and idle", "GPUs that somebody pays for and that run nothing now.", PLAIN, 6, 5),
            f"count by (site) ({idle}) or 0 * max by (site) ({contracted} unless on (site) ({unseen}))",
            NONE_WANTED,
        ),
    ]


def _money() -> list[Panel]:
    margin = _of_hosts("mining_gpu_margin_usd_per_day")
    priced = f"and on (job, site, instance, gpu) {series('mining_gpu_margin_usd_per_day')}"
    kilowatt_hours = f"24 / 1000 * {_of_hosts('mining_gpu_billed_power_watts')} {priced}"
    return [
        panels.lines(
            Face("Margin per kilowatt-hour by host", "Margin over energy, beside mining.", USD_PER_KILOWATT_HOUR),
            Query(
                f"sum by (site, hostname) ({margin}) / sum by (site, hostname) ({kilowatt_hours})",
                "{{site}} {{hostname}}",
            ),
            Query(largest("site:mining_margin_usd_per_kilowatt_hour:ratio", by="site"), "{{site}} mining"),
        ),
        panels.lines(
            Face("Revenue and power cost", "Of the chosen hosts' GPUs.", USD_PER_DAY),
            Query(f"sum by (site) ({_of_hosts('mining_gpu_revenue_usd_per_day')})", "{{site}} revenue"),
            Query(f"sum by (site) ({_of_hosts('mining_gpu_power_cost_usd_per_day')})", "{{site}} power cost"),
        ),
    ]


def _each() -> list[Panel]:
    return [
        panels.lines(
            Face("Use by host", "Share of time that the GPUs ran anything.", RATIO, 6),
            Query(f"avg by (site, hostname) ({_of_hosts('mining_gpu_utilization_ratio')})", "{{site}} {{hostname}}"),
        ),
        panels.lines(
            Face("Held and free", "Held and run, held and idle for a quarter of an hour, or held by nobody.", PLAIN, 6),
            Query(f"sum by (site, state) ({series('host:mining_gpus:count', _HOSTS)})", "{{site}} {{state}}"),
        ),
        panels.lines(
            Face("Memory used by host", "Framebuffer in use.", BYTES, 6),
            Query(f"sum by (site, hostname) ({_of_hosts('mining_gpu_memory_used_bytes')})", "{{site}} {{hostname}}"),
        ),
        panels.lines(
            Face("GPUs by host", "GPUs that report. A host that falls to nothing is dark.", PLAIN, 6),
            Query(f"count by (site, hostname) ({_CHOSEN})", "{{site}} {{hostname}}"),
        ),
        panels.rows(
            Face("Hottest GPUs", "The 25 hottest.", CELSIUS, 8, 9),
            Column(
                "Temperature",
                _short(
                    f"topk(25, {series('mining_gpu_temperature_celsius')} * {_NAMED})", "site, hostname, model, gpu"
                ),
                CELSIUS,
                ((None, "green"), (80.0, "orange"), (88.0, "red")),
            ),
            key="gpu",
        ),
        panels.rows(
            Face("GPUs that earn least", "The 25 with the lowest margin.", USD_PER_DAY, 8, 9),
            Column(
                "Margin",
                _short(
                    f"bottomk(25, {series('mining_gpu_margin_usd_per_day')} * {_NAMED})", "site, hostname, model, gpu"
                ),
                USD_PER_DAY,
                GAIN,
            ),
            key="gpu",
            descending=False,
        ),
        panels.rows(
            Face("XID errors", "GPUs whose driver reports an error.", PLAIN, 8, 9),
            Column(
                "Reported",
                _short(f"{series('mining_gpu_xid_error_info')} * {_NAMED}", "site, hostname, model, gpu, code"),
                PLAIN,
                shown_as=panels.texts(**{"1": ("yes", "red")}),
            ),
            key="gpu",
        ),
    ]
