"""Many sites in one place: the federation of docs/many-sites.md, and its queries, over two sites."""

import contextlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from harness import (
    ROOT,
    ask,
    exporter,
    hurry_exporter,
    prometheus,
    prometheus_of,
    simulated_site,
    wait_for,
)
from prometheus_releases import RELEASES, Release

pytestmark = pytest.mark.e2e

PAGE = (ROOT / "docs/many-sites.md").read_text(encoding="utf-8")
SITES = ("prairie-1", "prairie-2")


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_the_totals_of_two_sites_are_federated_and_queried(tmp_path: Path, release: Release) -> None:
    (recipe,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", PAGE, re.DOTALL)
    (queries,) = re.findall(r"```promql\n(.*?)```", PAGE, re.DOTALL)
    with contextlib.ExitStack() as parts:
        folders = [tmp_path / name for name in (*SITES, "global")]
        for folder in folders:
            folder.mkdir()
        control, config = parts.enter_context(simulated_site(tmp_path, "127.83.0.0/18", "--rigs", "30"))
        hurry_exporter(config)
        url = parts.enter_context(exporter(tmp_path, config))
        watchers = [
            parts.enter_context(prometheus(folder, [url], release=release, site=site))
            for site, folder in zip(SITES, folders, strict=False)
        ]
        document = yaml.safe_load(recipe) | {"global": {"scrape_interval": "1s"}}
        targets = [urlsplit(watcher.url).netloc for watcher in watchers]
        document["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
        overall = parts.enter_context(prometheus_of(folders[-1], document, release))

        wait_for("both sites", lambda: set(overall.by("site", "site:mining_rigs:count")) == set(SITES))
        wait_for("their money", lambda: set(overall.by("site", "site:mining_margin_usd_per_day:sum")) == set(SITES))
        rigs = len(ask(f"{control}/")["rigs"])
        wait_for("all their rigs", lambda: overall.value("sum(site:mining_rigs:count)") == 2 * rigs)
        assert not overall.query('{__name__=~"mining_rig.+"}'), "only totals"
        for query in re.findall(r"^(.+?)(?: +#.*)?$", queries, re.MULTILINE):
            wait_for(query, lambda query=query: overall.query(query))
