"""The example site and the written documentation stay true."""

from pathlib import Path

import pytest

from docs.generators import __main__ as generators
from docs.generators import configuration
from exporter.settings.load import load
from exporter.settings.model import Settings
from exporter.settings.upgrade import upgrades

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"


@pytest.fixture(scope="module")
def site() -> Settings:
    return load(EXAMPLES / "site.yml")


def test_the_example_is_what_it_says(site: Settings) -> None:
    rigs = {rig.name: rig for rig in site.rigs}
    assert sum(rig.discovered for rig in site.rigs) == 254 - 1 - 15 - 1  # the gateway, the PDUs, the bench's own row
    assert {rig.block for rig in site.rigs} == {"container-1", "container-2"} == set(site.blocks)
    assert rigs["b-r1-01"].tariff == "utility"
    assert rigs["b-r2-01"].tariff == "birch-ppa"
    assert rigs["b-r2-03"].expected_mining is False
    assert rigs["a-test-bench"].expected_schedule == "nights"


def test_the_example_has_no_deprecated_key() -> None:
    assert not [line for line in upgrades(EXAMPLES / "site.yml") if "deprecated" in line]


def test_every_key_of_the_settings_is_documented() -> None:
    page = configuration.page()
    for key in Settings.model_fields:
        assert f"`{key}" in page


def test_a_stale_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tmp_path / "configuration.md"
    monkeypatch.setattr(configuration, "PAGE", stale)
    assert generators.main(["--check"]) == 1
    stale.write_text(configuration.page(), encoding="utf-8")
    assert generators.main(["--check"]) == 0
