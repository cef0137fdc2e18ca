"""``hashmargin state backup|restore|show`` on files that an exporter uses, also of older and newer versions."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_state import DECISION, HISTORY, NETWORK, RIG, VERSION_2, load, save, store

from exporter import __version__
from exporter.cli import main
from exporter.state import FILE_VERSION, State, document

STATE = State(rigs={"a": RIG, "b": RIG}, documents={"network": document(NETWORK)}, decision=DECISION, history=HISTORY)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["state", *map(str, arguments)])


def replaced(folder: Path) -> list[Path]:
    return list(folder.glob("*.before-restore-*"))


async def test_a_backup_of_a_file_in_use_is_restored_elsewhere(tmp_path: Path) -> None:
    path, kept, other = (tmp_path / name for name in ("state.sqlite", "backup.sqlite", "other.sqlite"))
    async with store(path) as opened:
        await opened.save(STATE)
        done = run("backup", "--state.path", path, kept)
        assert (done.exit_code, str(kept) in done.output) == (0, True)
        await opened.save(State(rigs={"c": RIG}))
        assert run("backup", "--state.path", path, kept).exit_code == 0  # as each night
        done = run("restore", "--state.path", path, kept)
        assert done.exit_code == 1
        assert "an exporter uses it: stop that first" in done.output
    assert run("restore", "--state.path", other, kept).exit_code == 0
    assert (await load(other)).rigs.keys() == {"a", "b", "c"}
    assert other.stat().st_mode & 0o777 == 0o600


async def test_a_restore_keeps_the_former_file(tmp_path: Path) -> None:
    path, kept = tmp_path / "state.sqlite", tmp_path / "backup.sqlite"
    await save(path, STATE)
    assert run("backup", "--state.path", path, kept).exit_code == 0
    await save(path, State(rigs={"c": RIG}))
    done = run("restore", "--state.path", path, kept)
    assert done.exit_code == 0
    (former,) = replaced(tmp_path)
    assert str(former) in done.output
    assert (await load(path)).rigs.keys() == {"a", "b"}
    assert (await load(former)).rigs.keys() == {"a", "b", "c"}


async def test_what_a_file_keeps_is_shown_while_it_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    async with store(path) as opened:
        await opened.save(STATE)
        record = json.loads(run("show", "--state.path", path, "--output", "json").output)
        text = run("show", "--state.path", path).output
    assert record["rigs"] == 2
    assert record["rig_verdicts"] == 1
    assert record["block_verdicts"] == 2
    assert (record["blocks_with_history"], record["hours_of_history"]) == (1, 1)
    assert (record["format"], record["written_by"]) == (FILE_VERSION, __version__)
    assert record["values"]["network"] == "1970-01-01T00:16:40+00:00"
    assert f"written by           hashmargin {__version__} (format {FILE_VERSION})" in text


def test_a_file_of_an_older_version_is_shown_and_restored_as_it_is(tmp_path: Path) -> None:
    path, target = tmp_path / "old.sqlite", tmp_path / "state.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_2)
    assert "hashmargin of an older version (format 2)" in run("show", "--state.path", path).output
    assert run("restore", "--state.path", target, path).exit_code == 0


def test_the_configuration_names_the_state_file(tmp_path: Path) -> None:
    config = tmp_path / "site.yml"
    config.write_text("site: prairie-1\nstate: {path: state.sqlite}\n", encoding="utf-8")
    done = run("show", "--config.file", config)
    assert (done.exit_code, f"{tmp_path / 'state.sqlite'} does not exist" in done.output) == (1, True)
    config.write_text("site: prairie-1\n", encoding="utf-8")
    done = run("show", "--config.file", config)
    assert (done.exit_code, "no state is kept" in done.output) == (2, True)
    done = run("show")
    assert (done.exit_code, "--state.path" in done.output) == (2, True)


async def test_what_is_no_sound_backup_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path, bad = tmp_path / "state.sqlite", tmp_path / "bad.sqlite"
    await save(path, STATE)
    before = path.read_bytes()
    newer = before[:60] + (99).to_bytes(4, "big") + before[64:]  # the user version in SQLite's header
    for content, why in (
        (b"site: prairie-1\n", "a text that hashmargin did not write"),
        (before[: len(before) // 2], "bad.sqlite"),
        (b"", "no tables"),
        (newer, "format 99"),
    ):
        bad.write_bytes(content)
        done = run("restore", "--state.path", path, bad)
        assert (done.exit_code, why in done.output) == (1, True), done.output
        bad.unlink()
    assert path.read_bytes() == before
    assert replaced(tmp_path) == []


@pytest.mark.parametrize("target", ["folder/backup.sqlite", "notes.txt"])
async def test_a_backup_overwrites_nothing_else(tmp_path: Path, target: str) -> None:
    path = tmp_path / "state.sqlite"
    await save(path, STATE)
    (tmp_path / "notes.txt").write_text("my notes", encoding="utf-8")
    done = run("backup", "--state.path", path, tmp_path / target)
    assert done.exit_code == 1
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "my notes"
