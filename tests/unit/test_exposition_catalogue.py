"""The catalogue's lint: what a name must look like, and that every fixed name is there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_site import ALL_GROUPS, small_site

from exporter.exposition.catalogue import CATALOGUE, Kind, Metric
from exporter.exposition.publication import Encoding, Format
from exporter.exposition.render import Renderer
from exporter.exposition.settings import ExpositionSettings, GroupSettings, Profile
from exporter.telemetry import Telemetry

ROOT = Path(__file__).parents[2]

# Names that dashboards, rules and users rely on: removing or renaming one breaks them.
FIXED_NAMES = """
mining_rig_inventory_info mining_rig_info mining_rig_up mining_rig_last_success_timestamp_seconds mining_rig_mining
mining_rig_expected_mining mining_rig_hashrate_hashes_per_second mining_rig_expected_hashrate_hashes_per_second
mining_rig_work_hashrate_hashes_per_second mining_rig_power_watts mining_rig_power_source mining_rig_power_limit_watts
mining_rig_energy_joules_total mining_rig_efficiency_joules_per_terahash mining_rig_uptime_seconds
mining_rig_temperature_celsius mining_rig_fan_speed_rpm mining_rig_fans_expected
mining_rig_board_hashrate_hashes_per_second mining_rig_board_temperature_celsius
mining_rig_board_chip_temperature_celsius mining_rig_board_chips mining_rig_board_chips_expected mining_rig_pool_up
mining_rig_pool_active mining_rig_worker_expected mining_rig_pool_info mining_rig_pool_accepted_shares_total
mining_rig_pool_rejected_shares_total mining_rig_pool_stale_shares_total mining_rig_hardware_errors_total
mining_rig_fault
mining_rig_revenue_usd_per_day mining_rig_power_cost_usd_per_day mining_rig_margin_usd_per_day
mining_rig_potential_margin_usd_per_day mining_rig_margin_low_usd_per_day mining_rig_margin_high_usd_per_day
mining_rig_allin_margin_usd_per_day mining_rig_forward_margin_usd_per_day mining_rig_margin_usd_per_kilowatt_hour
mining_rig_breakeven_power_price_usd_per_kilowatt_hour mining_rig_breakeven_hashprice_usd_per_petahash_day
mining_rig_breakeven_bitcoin_price_usd mining_rig_cost_usd_per_bitcoin mining_rig_reassign_score_usd_per_kilowatt_year
mining_rig_verdict mining_rig_verdict_since_timestamp_seconds
mining_block_rigs mining_block_rigs_priced mining_block_capacity_watts mining_block_power_watts
mining_block_hashrate_hashes_per_second mining_block_revenue_usd_per_day mining_block_power_cost_usd_per_day
mining_block_margin_usd_per_day mining_block_potential_margin_usd_per_day mining_block_avoidable_loss_usd_per_day
mining_block_ai_value_usd_per_day mining_block_reassign_score_usd_per_kilowatt_year mining_block_verdict
mining_block_reassign_payback_years
mining_network_difficulty mining_network_hashrate_hashes_per_second mining_network_block_height
mining_network_subsidy_bitcoins mining_network_block_fees_bitcoins mining_network_block_interval_seconds
mining_network_next_difficulty mining_network_retarget_blocks_remaining mining_network_retarget_timestamp_seconds
mining_network_halving_timestamp_seconds mining_bitcoin_price_usd mining_hashprice_usd_per_petahash_day
mining_hashprice_bitcoins_per_petahash_day mining_forward_hashprice_usd_per_petahash_day
mining_power_price_usd_per_kilowatt_hour mining_power_price_next_usd_per_kilowatt_hour
mining_ai_value_usd_per_kilowatt_hour mining_ai_breakeven_rent_usd_per_kilowatt_month
mining_gpu_info mining_gpu_power_watts mining_gpu_utilization_ratio mining_gpu_engine_active_ratio
mining_gpu_memory_used_bytes mining_gpu_temperature_celsius mining_gpu_allocated mining_gpu_energy_joules_total
mining_gpu_contracted mining_gpu_xid_error_info mining_gpu_revenue_usd_per_day mining_gpu_power_cost_usd_per_day
mining_gpu_margin_usd_per_day mining_gpu_margin_usd_per_kilowatt_hour
mining_rigs mining_evaluation_timestamp_seconds mining_exporter_shard_info
"""

FIXED_OWN_NAMES = """
mining_source_up mining_source_last_success_timestamp_seconds mining_source_requests mining_source_failures
mining_poll_duration_seconds mining_poll_failures mining_evaluation_duration_seconds mining_exporter_build
process_cpu_seconds process_resident_memory_bytes python_info python_gc_objects_collected
"""

UNITS = {
    "",
    "amperes",
    "bitcoins",
    "bitcoins_per_petahash_day",
    "bytes",
    "celsius",
    "hashes_per_second",
    "hertz",
    "joules",
    "joules_per_terahash",
    "ratio",
    "rpm",
    "seconds",
    "usd",
    "usd_per_bitcoin",
    "usd_per_day",
    "usd_per_gpu_hour",
    "usd_per_kilowatt",
    "usd_per_kilowatt_hour",
    "usd_per_kilowatt_month",
    "usd_per_kilowatt_year",
    "usd_per_petahash_day",
    "volts",
    "watts",
    "years",
}

each_metric = pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)


def test_the_catalogue_has_every_fixed_name() -> None:
    assert set(FIXED_NAMES.split()) <= {metric.name for metric in CATALOGUE}


def test_the_own_metrics_have_every_fixed_name() -> None:
    assert set(FIXED_OWN_NAMES.split()) <= {family.name for family in Telemetry().registry.collect()}


def test_names_are_unique_also_among_the_own_metrics() -> None:
    names = [metric.name for metric in CATALOGUE]
    own = {f"{family.name}{suffix}" for family in Telemetry().registry.collect() for suffix in ("", "_total", "_info")}
    assert len(names) == len(set(names))
    assert own.isdisjoint(names)


@each_metric
def test_a_name_is_lower_case_with_the_prefix(metric: Metric) -> None:
    assert re.fullmatch(r"mining(_[a-z]+)+", metric.name)


@each_metric
def test_a_name_ends_with_its_unit_and_only_counters_with_total(metric: Metric) -> None:
    assert metric.unit in UNITS
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    stem = metric.name.removesuffix("_total")
    assert stem.endswith(f"_{metric.unit}" if metric.unit else "")
    assert (metric.unit == "seconds") == stem.endswith("_seconds")
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_created", "_gauge"))


@each_metric
def test_labels_are_lower_case_and_distinct(metric: Metric) -> None:
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in metric.scope.labels)
    assert len(set(metric.scope.labels)) == len(metric.scope.labels)
    assert {"site", "job", "instance", "le", "quantile"}.isdisjoint(metric.scope.labels)


@each_metric
def test_help_is_whole_sentences_without_escaping(metric: Metric) -> None:
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert metric.help.endswith(".")
    assert not set(metric.help) & set('\\"\n')


@each_metric
def test_the_small_site_has_every_metric(metric: Metric) -> None:
    """So that the golden files show each of them."""
    assert f"\n{metric.name}" in _text()


def test_info_metrics_are_one() -> None:
    infos = [line for line in _text().splitlines() if re.match(r"mining\w+_info\{", line)]
    assert infos
    assert all(line.endswith((" 1", " 1.0")) for line in infos)


def test_a_disabled_group_has_no_series() -> None:
    everything = {metric.name for metric in CATALOGUE}
    for group in GroupSettings.model_fields:
        text = _text(ExpositionSettings(groups=ALL_GROUPS.groups.model_copy(update={group: False})))
        left = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
        assert everything - left == {metric.name for metric in CATALOGUE if metric.group == group}


def test_the_lean_profile_keeps_what_our_dashboards_rules_alerts_and_commands_use() -> None:
    folders = (("deploy/prometheus", "*.yml"), ("grafana/dashboards", "*.json"), ("exporter", "*.py"))
    files = (file for folder, name in folders for file in (ROOT / folder).rglob(name) if file.name != "catalogue.py")
    used = {name for file in files for name in re.findall(r"\bmining_\w+", file.read_text(encoding="utf-8"))}
    of_rigs = {metric.name for metric in CATALOGUE if "rig" in metric.scope.labels}
    text = _text(ALL_GROUPS.model_copy(update={"profile": Profile.LEAN}))
    left = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    assert {metric.name for metric in CATALOGUE} - left == of_rigs - used


def test_promtool_accepts_the_exposition() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=_text(), capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.stdout + checked.stderr, checked.returncode) == ("", 0)


def _text(settings: ExpositionSettings = ALL_GROUPS) -> str:
    publication = Renderer(settings, Telemetry().registry).render(small_site())
    return b"".join(publication.body(Encoding(Format.TEXT, gzip=False)).chunks).decode()
