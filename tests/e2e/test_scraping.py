"""How each Prometheus negotiates a scrape: formats, escaping, histograms, and names that are not plain ASCII."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from harness import ask, exporter, prometheus_of, promtool, wait_for
from prometheus_releases import CURRENT, PACKAGED, RELEASES, Release

pytestmark = pytest.mark.e2e

RIGS = ("W\u00fcrfel 7", "\u5317-1", 'the "old" one', "back\\slash", "\u26cf")
SITE = {
    "site": "s\u00f8r-1",
    "evaluation_interval": "1s",
    "polling": {"interval": "1s", "deadline": "1s"},
    "fleet": {"rigs": [{"name": name, "address": f"127.80.190.{n}"} for n, name in enumerate(RIGS, 1)]},
    "tariffs": {"ppa": {"kind": "fixed", "usd_per_kilowatt_hour": 0.05}},
    "network": {"kind": "fixed", "height": 941_472, "difficulty": 133.79e12, "block_fees": 0.02},
    "bitcoin": {"kind": "fixed", "usd": 70_370},
}

HISTOGRAM = "mining_poll_duration_seconds"
CONVERTED = {"convert_classic_histograms_to_nhcb": True, "always_scrape_classic_histograms": True}
OPENMETRICS: dict[str, dict[str, Any]] = {
    "default": {},
    "native_histograms": {"scrape_native_histograms": True},
    "converted_histograms": CONVERTED,
    "legacy_names": {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "underscores"},
    **{scheme: {"metric_name_escaping_scheme": scheme} for scheme in ("allow-utf-8", "underscores", "dots", "values")},
    "OpenMetricsText1.0.0": {"scrape_protocols": ["OpenMetricsText1.0.0"]},
}
PLAIN = {
    name: {"scrape_protocols": [name]}
    for name in ("PrometheusText1.0.0", "PrometheusText0.0.4", "OpenMetricsText0.0.1")
}


@pytest.fixture(scope="module")
def exporter_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("names")
    config = folder / "site.yml"
    config.write_text(yaml.safe_dump(SITE), encoding="utf-8")
    with exporter(folder, config) as url:
        wait_for("every rig to be polled", lambda: ask(f"{url}/metrics").count("\nmining_rig_up{") == len(RIGS))
        yield url


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_metrics_are_named_and_described_as_prometheus_wants_them(exporter_url: str, release: Release) -> None:
    assert not promtool(release, "check", "metrics", stdin=ask(f"{exporter_url}/metrics"))


def test_a_current_prometheus_may_scrape_as_it_likes(
    exporter_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    jobs = OPENMETRICS | PLAIN
    with prometheus_of(tmp_path_factory.mktemp("prometheus"), watching(exporter_url, jobs), CURRENT) as watcher:
        wait_for("every job's scrape", lambda: set(watcher.by("job", "up == 1")) == set(jobs))
        for job in jobs:
            names = f'mining_rig_inventory_info{{job="{job}"}}'
            wait_for(f"all rigs of {job}", lambda names=names: set(watcher.by("rig", names)) == set(RIGS))

        def as_many_samples() -> bool:
            samples = watcher.by("job", 'scrape_samples_scraped{job!="converted_histograms"} > 0')
            assert len(set(samples.values())) == 1, samples
            return len(samples) == len(jobs) - 1

        wait_for("as many samples in every job", as_many_samples)
        units = f"{watcher.url}/api/v1/targets/metadata?metric=mining_evaluation_timestamp_seconds"
        wait_for(  # the others get plain text, which has no units
            "units in OpenMetrics only",
            lambda: {each["target"]["job"] for each in ask(units)["data"] if each["unit"]} == set(OPENMETRICS),
        )
        both = f'histogram_count({HISTOGRAM}) == on (job) {HISTOGRAM}_count{{job="converted_histograms"}}'
        wait_for("native and classic ones, for dashboards made for either", lambda: watcher.query(both))
        wait_for("classic ones", lambda: watcher.query(f'{HISTOGRAM}_bucket{{job="native_histograms"}}'))
        assert not watcher.query(f'{HISTOGRAM}{{job="native_histograms"}}'), "no native ones without conversion"


def test_a_prometheus_2_scrapes_the_same_names(exporter_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    document, flag = (
        watching(exporter_url, {"default": {}}),
        "--enable-feature=native-histograms",
    )  # it asks for protobuf
    with prometheus_of(tmp_path_factory.mktemp("prometheus"), document, PACKAGED, flag) as watcher:
        wait_for("the scrape", lambda: set(watcher.by("rig", "mining_rig_inventory_info")) == set(RIGS))
        wait_for("a histogram", lambda: watcher.query(f"{HISTOGRAM}_bucket"))


def watching(url: str, jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The configuration of a Prometheus that scrapes an exporter once for each job, with the job's settings."""
    target = [{"targets": [urlsplit(url).netloc]}]
    return {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": name, "static_configs": target, **how} for name, how in jobs.items()],
    }
