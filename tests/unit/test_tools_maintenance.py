"""`hashmargin maintenance`: what it writes is what the exporter reads, and the rest of the file stays."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from exporter.cli import main
from exporter.sources.expected_off.maintenance import Outage
from exporter.tools.maintenance import MaintenanceError, add, end, entries

CHICAGO = ZoneInfo("America/Chicago")
NOW = datetime(2026, 3, 21, 12, tzinfo=UTC)
SITE = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
network: {kind: fixed, difficulty: 1.3e14, height: 941000}
bitcoin: {kind: fixed, usd: 70370}
expected_off: {planned: {kind: maintenance, path: maintenance.csv, timezone: America/Chicago}}
blocks: {c1: {}}
fleet: {rigs: [{name: a-01, address: 127.60.0.5, block: c1}, {name: a-02, address: 127.60.0.6, block: c1}]}
"""


def outage(**given: str) -> Outage:
    return Outage.model_validate(given)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("m.csv", "", "rig,block,from,until,reason\na,,2026-03-21T07:00:00-05:00,,fan\n"),
        ("m.csv", "from;rig;reason\n;b;\n", "from;rig;reason\n;b;\n2026-03-21T07:00:00-05:00;a;fan\n"),
        (
            "m.csv",
            "rig,from,reason\r\n# note\r\nb,,",
            "rig,from,reason\r\n# note\r\nb,,\r\na,2026-03-21T07:00:00-05:00,fan\r\n",
        ),
        ("m.yml", "", "- {rig: a, from: '2026-03-21T07:00:00-05:00', reason: fan}\n"),
        (
            "m.yml",
            "# note\n  - rig: b\n",
            "# note\n  - rig: b\n  - {rig: a, from: '2026-03-21T07:00:00-05:00', reason: fan}\n",
        ),
    ],
)
def test_an_entry_is_added_in_the_form_of_the_file(tmp_path: Path, name: str, before: str, after: str) -> None:
    file = tmp_path / name
    file.write_bytes(before.encode())
    add(file, [outage(rig="a", reason="fan", **{"from": "2026-03-21T12:00:00Z"})], CHICAGO)
    assert file.read_bytes().decode() == after
    assert entries(file, CHICAGO, NOW).errors == []


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "m.csv",
            'rig,until,reason\na,,"two\nlines"\n# note\nb,,\na,2020-01-01,past\n',
            'rig,until,reason\na,2026-03-21T07:00:01-05:00,"two\nlines"\n# note\nb,,\na,2020-01-01,past\n',
        ),
        ("m.csv", "rig;from;until\na\nwrong\n", "rig;from;until\na;;2026-03-21T07:00:01-05:00\nwrong\n"),
        (
            "m.yml",
            "# note\n- {rig: a}  # kept\n- rig: a\n  reason: fan\n- rig: b\n",
            (
                '# note\n- {rig: a, until: "2026-03-21T07:00:01-05:00"}  # kept\n'
                '- rig: a\n  reason: fan\n  until: "2026-03-21T07:00:01-05:00"\n- rig: b\n'
            ),
        ),
        (
            "m.yml",
            "- {rig: a, until: 2027-01-01}\n- {rig: a, from: 2027-01-01}\n",
            '- {rig: a, until: "2026-03-21T07:00:01-05:00"}\n- {rig: a, from: 2027-01-01}\n',
        ),
    ],
)
def test_entries_in_force_are_ended_and_the_rest_stays(tmp_path: Path, name: str, before: str, after: str) -> None:
    file = tmp_path / name
    file.write_text(before, encoding="utf-8")
    assert end(file, ["a"], [], CHICAGO, NOW) == after.count("07:00:01")
    assert file.read_text(encoding="utf-8") == after


def test_what_cannot_be_edited_safely_is_left_as_it_was(tmp_path: Path) -> None:
    for name, text, words in (
        ("a.csv", "rig\na\n", "has no column 'until': add it to the header line"),
        ("b.yml", "[{rig: a}]\n", "is a list in square brackets"),
        ("c.yml", "rig: a\n", "not a YAML list"),
        ("e.csv", "a" * 200_000, "line 1 is not CSV: field larger than"),
        ("d.csv", "\ud800", "not UTF-8 text"),
    ):
        file = tmp_path / name
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(MaintenanceError, match=words):
            add(file, [outage(rig="b", until="2027-01-01T00:00:00Z")], CHICAGO)
        assert file.read_bytes() == text.encode("utf-8", "surrogatepass")
    with pytest.raises(MaintenanceError, match="No such file or directory"):
        add(tmp_path / "absent" / "m.csv", [outage(rig="b")], CHICAGO)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.yml"
    file.write_text(SITE, encoding="utf-8")
    return file


def invoke(site: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["maintenance", *arguments, "--config.file", str(site)])


def test_downtime_is_added_listed_and_ended(site: Path) -> None:
    assert invoke(site, "add", "a-01", "a-02", "--for", "4h", "--reason", "fans").exit_code == 0
    assert (
        invoke(site, "add", "--block", "c1", "--from", "2999-03-01T08:00", "--until", "2999-03-01T16:00").exit_code == 0
    )
    listed = json.loads(invoke(site, "list", "--output", "json").stdout)
    assert [(one["state"], one["rig"], one["block"], one["from"]) for one in listed[2:]] == [
        ("planned", None, "c1", "2999-03-01T08:00:00-06:00")
    ]
    ended = invoke(site, "end", "a-01")
    assert (ended.exit_code, ended.stderr) == (0, f"Ended 1 in {site.parent / 'maintenance.csv'}.\n")
    assert invoke(site, "end", "--block", "c1").exit_code == 1
    table = invoke(site, "list").stdout.splitlines()
    assert len(table) == 4
    others = [line.split()[:2] for line in table if "a-01" not in line]  # whose end is this very second, or just past
    assert others == [["state", "rig"], ["in", "force"], ["planned", "c1"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add",), "name at least one rig"),
        (("add", "a-1"), "did you mean 'a-01'?"),
        (("end", "--block", "c2"), "there is no block 'c2': choose from c1"),
        (("add", "a-01", "--until", "soon"), "'soon' is not a time such as"),
        (("add", "a-01", "--for", "long"), "--for: "),
        (("add", "a-01", "--for", "4h", "--until", "2999-01-01"), "not both"),
        (("add", "a-01", "--until", "2001-01-01"), "it would end before it begins"),
        (("list", "--source", "plan"), "did you mean 'planned'?"),
    ],
)
def test_an_invalid_request_is_exit_code_2_and_writes_nothing(
    site: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = invoke(site, *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (site.parent / "maintenance.csv").exists()


def test_a_site_without_a_maintenance_file_gets_advice_how_to_have_one(site: Path) -> None:
    site.write_text("\n".join(line for line in SITE.splitlines() if "expected_off" not in line), encoding="utf-8")
    result = invoke(site, "list")
    assert result.exit_code == 2
    assert "expected_off: {maintenance: {kind: maintenance, path: maintenance.csv}}" in result.stderr


def test_an_entry_with_an_error_is_listed_as_left_out(site: Path) -> None:
    (site.parent / "maintenance.csv").write_text("rig,block\na-01,c1\n", encoding="utf-8")
    result = invoke(site, "list")
    assert result.stdout == "no entries\n"
    assert "left out: line 2: name a rig or a block, and not both" in result.stderr
