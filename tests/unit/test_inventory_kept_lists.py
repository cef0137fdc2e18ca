"""One bad list of rigs, of whatever kind, costs nothing else: its last content stays in use, is counted and logged."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.settings.load import load
from exporter.settings.model import Settings
from exporter.settings.reload import Reload
from exporter.telemetry import Telemetry

ADDRESSES = tuple(f"127.60.0.{number}" for number in range(1, 11))
MORE = tuple(f"127.60.1.{number}" for number in range(1, 11))
Write = Callable[..., None]


def write_csv(path: Path, *addresses: str, **cells: str) -> None:
    rows = [",".join((address, *cells.values())) for address in addresses]
    path.write_text("\n".join((",".join(("address", *cells)), *rows)) + "\n", encoding="utf-8")


def write_targets(path: Path, *addresses: str, **labels: str) -> None:
    path.write_text(json.dumps([{"targets": addresses, "labels": labels}]), encoding="utf-8")


KINDS: dict[str, tuple[str, str, Write]] = {
    "csv": ("csv", "rigs.csv", write_csv),
    "file_sd": ("file_sd", "rigs.json", write_targets),
    "pattern": ("file_sd", "rig*.json", write_targets),
}


@dataclass
class Running:
    """The settings in use, of one list and one other rig, and the reload that changes them."""

    folder: Path
    key: str
    names: str
    write: Write
    settings: Settings = field(init=False)
    telemetry: Telemetry = field(default_factory=Telemetry)

    def __post_init__(self) -> None:
        self.list = self.folder / self.names.replace("*", "s")
        self.write(self.list, *ADDRESSES)
        self.configure()
        self.settings = load(self.folder / "site.yml")
        self.reload = Reload(lambda: load(self.folder / "site.yml"), self, self.telemetry)

    def configure(self, fleet: dict[str, Any] | None = None, **more: Any) -> None:
        lists = {self.key: [self.names], "rigs": [{"address": "127.60.9.9"}], **(fleet or {})}
        (self.folder / "site.yml").write_text(json.dumps({"site": "x", "fleet": lists, **more}), encoding="utf-8")

    def apply(self, settings: Settings) -> None:
        self.settings = settings

    def is_invalid(self) -> bool:
        """Whether the alert about the configuration fires."""
        return self.telemetry.registry.get_sample_value("mining_config_invalid") == 1

    def gauges(self) -> tuple[float | None, ...]:
        names = ("config_last_reload_successful", "inventory_lists_kept", "inventory_shrink_refused")
        return tuple(self.telemetry.registry.get_sample_value(f"mining_{name}") for name in names)


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr("exporter.settings.reload.configure", lambda _: None)  # it would end the capture of logs
    return Running(tmp_path, *KINDS[request.param])


BAD: dict[str, Callable[[Running], object]] = {
    "nonsense": lambda it: it.list.write_bytes(b'{"\xff'),
    "no rigs' keys": lambda it: it.write(it.list, *ADDRESSES, blok="c1"),
    "no address": lambda it: it.write(it.list, "a b"),
    "twice": lambda it: it.write(it.list, ADDRESSES[0], ADDRESSES[0]),
    "a rig of another list": lambda it: it.write(it.list, *ADDRESSES, "127.60.9.9"),
    "no login": lambda it: it.write(it.list, *ADDRESSES, login="nobody"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_list_keeps_its_rigs_and_everything_else_changes(running: Running, bad: str) -> None:
    BAD[bad](running)
    running.configure(log={"level": "debug"}, fleet={"rigs": [{"address": "127.60.9.9"}, {"address": "127.60.9.8"}]})
    with capture_logs() as logs:
        for _ in range(2):
            answer = await running.reload()
            assert answer is not None
            assert answer.startswith("Everything is in use but these lists of rigs")
    assert (len(running.settings.rigs), running.settings.log.level) == (12, "debug")
    assert (running.gauges(), running.is_invalid()) == ((0, 1, 0), False)
    refused = "list of rigs refused, its last content stays in use"
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [refused], "once"
    running.write(running.list, *ADDRESSES, "127.60.0.11")
    assert await running.reload() is None
    assert (len(running.settings.rigs), running.gauges()) == (13, (1, 0, 0))


async def test_a_file_that_is_gone_keeps_its_rigs_and_is_an_error_where_it_never_was(running: Running) -> None:
    running.list.unlink()
    assert await running.reload() is not None
    kept = (0, 1, 1) if "*" in running.names else (0, 1, 0)  # a pattern without a file is a list without rigs
    assert (len(running.settings.rigs), running.gauges()) == (11, kept)
    running.write(running.list, *ADDRESSES)
    running.configure(fleet={"csv": ["new.csv"]})
    answer = await running.reload()
    assert answer is not None
    assert answer.startswith("The new configuration is rejected")
    assert "site.yml: " in answer or "site.yml:1: " in answer
    assert running.is_invalid()
    running.configure()
    assert await running.reload() is None
    assert not running.is_invalid()


async def test_a_list_that_lost_many_rigs_keeps_them_and_everything_else_changes(running: Running) -> None:
    running.write(running.list, *ADDRESSES[:2])
    running.configure(log={"level": "debug"})
    for _ in range(2):
        answer = await running.reload()
        assert answer is not None
        assert "lists 2 rigs instead of 10, more than fleet.max_shrink allows" in answer
        assert (len(running.settings.rigs), running.settings.log.level) == (11, "debug")
        assert (running.gauges(), running.is_invalid()) == ((0, 1, 1), False)
    assert await running.reload(allow_shrink=True) is None
    assert (len(running.settings.rigs), running.gauges()) == (3, (1, 0, 0))


async def test_of_two_lists_only_the_bad_one_stays_as_it_was(running: Running) -> None:
    write_csv(running.folder / "other.csv", *MORE)
    both = {"csv": ["other.csv", *(["rigs.csv"] if running.key == "csv" else [])]}
    running.configure(both)
    assert await running.reload() is None
    write_csv(running.folder / "other.csv", *MORE, "127.60.1.11")
    running.write(running.list, "a b")
    assert await running.reload() is not None
    assert {rig.address for rig in running.settings.rigs} == {*ADDRESSES, *MORE, "127.60.1.11", "127.60.9.9"}
    assert running.gauges() == (0, 1, 0)


async def test_a_rig_that_moved_to_another_list_before_it_left_the_first_keeps_both_lists(running: Running) -> None:
    write_csv(running.folder / "zz.csv", *MORE)
    both = {"csv": [*(["rigs.csv"] if running.key == "csv" else []), "zz.csv"]}
    running.configure(both)
    assert await running.reload() is None
    first, other = (running.list, running.folder / "zz.csv")
    if running.key == "file_sd":  # CSV files are read first
        first, other = other, first
    write = running.write if first == running.list else write_csv
    moved = MORE[0] if first == running.list else ADDRESSES[0]
    write(first, *(ADDRESSES if first == running.list else MORE), moved)
    answer = await running.reload()
    assert answer is not None
    assert "is already taken at" in answer
    assert {rig.address for rig in running.settings.rigs} == {*ADDRESSES, *MORE, "127.60.9.9"}
    assert running.gauges() == (0, 2, 0)


async def test_a_csv_file_that_lost_a_column_of_the_configuration_keeps_its_rigs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.settings.reload.configure", lambda _: None)
    columns = {"columns": {"address": "IP", "rack": "Shelf"}}

    def write(path: Path, *addresses: str) -> None:
        path.write_text("IP,Shelf\n" + "".join(f"{address},r1\n" for address in addresses), encoding="utf-8")

    running = Running(tmp_path, "csv", "rigs.csv", write_csv)
    write(running.list, *ADDRESSES)
    running.configure(columns)
    assert await running.reload() is None
    write_csv(running.list, *ADDRESSES)
    assert await running.reload() is not None
    assert (len(running.settings.rigs), running.gauges()) == (11, (0, 1, 0))
    write(running.list, *ADDRESSES)
    running.configure({"columns": {"address": "IP", "rack": "Rack No."}})
    answer = await running.reload()
    assert answer is not None
    assert "there is no header 'Rack No.'" in answer
    assert answer.startswith("The new configuration is rejected")
