"""`hashmargin doctor`: each thing that is wrong is a line with the next step, and what is right is one too."""

import json
from pathlib import Path
from typing import Any

import pytest
from site_server import served
from test_tools_plan import HOST, blocks_of_old_and_new, invoke

SITE = f"""\
site: prairie-1
tariffs: {{ppa: {{kind: fixed, usd_per_kilowatt_hour: 0.05}}}}
network: {{kind: bitcoin_core, url: "http://{HOST}:1", username: rpc, password: x}}
bitcoin: {{kind: fixed, usd: 70370}}
state: {{path: state.sqlite}}
fleet: {{rigs: [{{name: a-01, address: {HOST}}}, {{name: a-02, address: {HOST}1}}]}}
"""


async def diagnosed(file: Path, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code, output, errors = await invoke("doctor", "--config.file", str(file), "--output", "json", *arguments)
    assert output, errors
    return code, json.loads(output)


@pytest.fixture
def text() -> str:
    return SITE


@pytest.fixture
def site(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "site.yml"
    file.write_text(text, encoding="utf-8")
    return file


async def test_each_thing_that_is_wrong_is_a_finding_with_the_next_step(site: Path) -> None:
    code, found = await diagnosed(site, "--url", f"{HOST}:1")
    assert code == 1
    said = {(one["state"], one["subject"]): one["text"] for one in found}
    assert said["ok", "configuration"] == "valid, 2 rigs and addresses"
    assert said["ok", "state file"] == f"{site.parent / 'state.sqlite'} can be written"
    assert "nothing listens there" in said["failed", "source network"]
    assert said["ok", "source bitcoin"] == "$70,370.00"
    assert said["failed", "rigs"] == "0 of 2 that were tried answer"
    assert (
        "such as a-01: check its power, cable and address" in said["warning", "rigs"]
        or "a-01" in said["warning", "rigs"]
    )
    assert "start `hashmargin run` there" in said["failed", "exporter"]


async def test_an_exporter_without_a_fresh_evaluation_is_a_finding(site: Path) -> None:
    async with served(publication=blocks_of_old_and_new) as exporter:
        _, found = await diagnosed(site, "--url", exporter.url, "--sample", "0")
    assert [one["subject"] for one in found].count("rigs") == 0
    assert (found[-1]["state"], found[-1]["subject"]) == ("failed", "exporter")
    assert "see the log of the exporter" in found[-1]["text"]


async def test_the_findings_are_lines_for_people(site: Path) -> None:
    code, output, errors = await invoke("doctor", "--config.file", str(site), "--sample", "0", "--url", f"{HOST}:1")
    assert code == 1
    assert output.splitlines()[0] == "ok       configuration        valid, 2 rigs and addresses"
    assert errors.endswith("checks failed\n")


@pytest.mark.parametrize("text", [SITE.replace("state.sqlite", "site.yml/state.sqlite")])
async def test_a_state_file_that_cannot_be_written_is_a_finding(site: Path) -> None:
    _, found = await diagnosed(site, "--sample", "0", "--url", f"{HOST}:1")
    failed = {one["subject"]: one["text"] for one in found if one["state"] == "failed"}
    assert failed["state file"] == f"this user cannot write {site}: set its owner to the exporter's user"
