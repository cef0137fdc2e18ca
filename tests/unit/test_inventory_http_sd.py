"""The fleet from Prometheus' http_sd, asked over a real socket."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from exporter.inventory.listed import InventoryError
from exporter.inventory.load import Names, load_inventory
from exporter.inventory.model import InventorySettings
from exporter.model.fleet import Rig
from exporter.settings.load import load
from exporter.settings.model import Settings
from exporter.settings.reload import Reload
from exporter.settings.watch import inventory_now
from exporter.telemetry import Telemetry


class Directory:
    """A server that lists targets; ``body`` None makes it answer with an error."""

    def __init__(self) -> None:
        self.body: Any = []
        self.asked = 0
        directory = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                directory.asked += 1
                self.send_response(200 if directory.body is not None else 503)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(directory.body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.60.9.3", 0), Handler)
        self.url = f"http://127.60.9.3:{self.server.server_port}/targets"

    def rigs(self, **settings: Any) -> tuple[Rig, ...]:
        inventory = InventorySettings.model_validate({"http_sd": [{"url": self.url, "interval": "1ms"} | settings]})
        return load_inventory(inventory, Names(blocks={}, tariffs=(), schedules=())).rigs


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    thread = threading.Thread(target=directory.server.serve_forever, args=(0.02,))
    thread.start()
    yield directory
    directory.server.shutdown()
    thread.join()
    directory.server.server_close()


def listing(*addresses: str, **labels: str) -> list[dict[str, Any]]:
    return [{"targets": [f"{address}:9100" for address in addresses], "labels": labels}]


def test_the_list_is_read_with_its_labels(directory: Directory) -> None:
    directory.body = listing("127.60.0.5", "127.60.0.6", block="c1", __meta_datacenter="x")
    assert [(rig.address, rig.block) for rig in directory.rigs()] == [("127.60.0.5", "c1"), ("127.60.0.6", "c1")]


def test_it_is_not_asked_again_within_the_interval(directory: Directory) -> None:
    directory.body = listing("127.60.0.5")
    first, second = directory.rigs(interval="1h"), directory.rigs(interval="1h")
    assert first == second
    assert directory.asked == 1


@pytest.mark.parametrize("step", [-86_400.0, -3_600.0, 86_400.0])
def test_a_clock_that_is_set_lets_no_list_become_younger_or_older(
    directory: Directory, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.body = listing("127.60.0.5")
    directory.rigs(max_age="1h")
    really = time.time
    monkeypatch.setattr("time.time", lambda: really() + step)
    directory.body = None
    assert len(directory.rigs(max_age="1h")) == 1
    directory.body = listing("127.60.0.5", "127.60.0.6")
    assert len(directory.rigs(max_age="1h")) == 2


def test_while_it_does_not_answer_the_last_list_holds_until_it_is_too_old(directory: Directory) -> None:
    directory.body = listing("127.60.0.5")
    known = directory.rigs()
    directory.body = None
    assert directory.rigs() == known
    with pytest.raises(InventoryError, match=r"gave no list of rigs: .*503"):
        directory.rigs(max_age="1ms")


def test_while_it_answers_something_else_the_last_list_holds_too(directory: Directory) -> None:
    directory.body = listing("127.60.0.5")
    known = directory.rigs()
    directory.body = {"error": "the database is being restored"}
    assert directory.rigs() == known
    with pytest.raises(InventoryError, match="the database is being restored"):
        directory.rigs(max_age="1ms")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"targets": []}, "must be a list"),
        ([{"target": []}], "0.target: "),
        (listing("127.60.0.5", blok="c1"), "there is no label 'blok': did you mean 'block'?"),
        (listing("a b"), "'a b' is not an address"),
        (None, "gave no list of rigs"),
    ],
)
def test_an_unusable_list_is_an_error_with_its_url(directory: Directory, body: Any, expected: str) -> None:
    directory.body = body
    with pytest.raises(InventoryError) as caught:
        directory.rigs()
    assert str(caught.value).startswith(directory.url)
    assert expected in str(caught.value)


def test_a_changed_list_is_noticed(directory: Directory, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("site") / "site.yml"
    file.write_text(f"site: x\nfleet: {{http_sd: [{{url: '{directory.url}', interval: 1ms}}]}}\n", encoding="utf-8")
    directory.body = listing("127.60.0.5")
    settings = load(file)
    before = inventory_now(settings)
    assert inventory_now(settings) == before
    directory.body = listing("127.60.0.5", "127.60.0.6")
    assert inventory_now(settings) != before
    assert len(load(file).rigs) == 2


@pytest.mark.parametrize("body", [[], [{"targets": [], "labels": None}], [{"labels": {}}]])
def test_an_empty_list_means_no_rigs(directory: Directory, body: Any) -> None:
    directory.body = body
    assert directory.rigs() == ()


def test_labels_may_be_numbers_and_an_address_may_have_the_prefix_of_one(directory: Directory) -> None:
    directory.body = [{"targets": ["127.60.0.67/32"], "labels": {"rack": 12, "position": 3, "rated_watts": 3250.0}}]
    ((rig),) = directory.rigs()
    assert (rig.address, rig.rack, rig.position, rig.rated_power) == ("127.60.0.67", "12", "3", 3250.0)


def test_a_file_that_a_list_names_is_never_read(directory: Directory) -> None:
    directory.body = listing("127.60.0.5", password_file="/etc/hostname")
    with pytest.raises(InventoryError, match="a list of rigs must not name files"):
        directory.rigs()


# --- a reload with a list that is refused -----------------------------------------------------------------------------


@dataclass
class Running:
    """An exporter's settings in use, and the reload that changes them."""

    file: Path
    url: str
    settings: Settings = field(init=False)
    telemetry: Telemetry = field(default_factory=Telemetry)

    def __post_init__(self) -> None:
        self.write()
        self.settings = load(self.file)
        self.reload = Reload(lambda: load(self.file), self, self.telemetry)

    def write(self, **more: Any) -> None:
        document = {"site": "x", "fleet": {"http_sd": [{"url": self.url, "interval": "1ms"}]}, **more}
        self.file.write_text(json.dumps(document), encoding="utf-8")

    def apply(self, settings: Settings) -> None:
        self.settings = settings

    def gauges(self) -> tuple[float | None, ...]:
        names = ("config_last_reload_successful", "inventory_lists_kept", "inventory_shrink_refused")
        return tuple(self.telemetry.registry.get_sample_value(f"mining_{name}") for name in names)


@pytest.fixture
def running(directory: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setattr("exporter.settings.reload.configure", lambda _: None)  # it would end the capture of logs
    directory.body = listing(*(f"127.60.0.{number}" for number in range(1, 11)))
    return Running(tmp_path / "site.yml", directory.url)


async def test_deprecated_labels_are_logged_when_they_appear(directory: Directory, running: Running) -> None:
    directory.body = [{**directory.body[0], "labels": {"username": "root", "password": "root"}}]
    with capture_logs() as logs:
        for _ in range(2):
            assert await running.reload() is None
    (warning,) = [log for log in logs if log["log_level"] == "warning"]
    assert "has labels username or password, which the next version refuses" in warning["advice"]


GARBAGE = [
    (listing("127.60.0.5", blok="c1"), "there is no label 'blok'"),
    (listing("a b"), "'a b' is not an address"),
    (listing("127.60.0.5", "127.60.0.5"), "127.60.0.5"),
    (listing("127.60.0.5", login="nobody"), "there is no login 'nobody'"),
]


@pytest.mark.parametrize(("body", "expected"), GARBAGE)
async def test_a_list_that_is_invalid_keeps_its_rigs_and_everything_else_changes(
    directory: Directory, running: Running, body: Any, expected: str
) -> None:
    directory.body = body
    running.write(log={"level": "debug"})
    with capture_logs() as logs:
        for _ in range(2):
            answer = await running.reload()
            assert answer is not None
            assert answer.startswith("Everything is in use but these lists of rigs")
            assert expected in answer
    assert (len(running.settings.rigs), running.settings.log.level) == (10, "debug")
    assert running.gauges() == (0, 1, 0)
    assert [log["event"] for log in logs if log["log_level"] == "error"] == [
        "list of rigs refused, its last content stays in use"
    ], "once"
    directory.body = listing("127.60.0.1", *(f"127.60.1.{number}" for number in range(1, 11)))
    with capture_logs() as logs:
        assert await running.reload() is None
    assert (len(running.settings.rigs), running.gauges()) == (11, (1, 0, 0))
    assert "list of rigs accepted again" in [log["event"] for log in logs]


async def test_a_list_that_lost_many_rigs_keeps_them_and_everything_else_changes(
    directory: Directory, running: Running
) -> None:
    directory.body = listing("127.60.0.1", "127.60.0.2")
    running.write(log={"level": "debug"})
    for _ in range(2):
        answer = await running.reload()
        assert answer is not None
        assert "lists 2 rigs instead of 10, more than fleet.max_shrink allows" in answer
        assert (len(running.settings.rigs), running.settings.log.level) == (10, "debug")
        assert running.gauges() == (0, 1, 1)
    assert await running.reload(allow_shrink=True) is None
    assert (len(running.settings.rigs), running.gauges()) == (2, (1, 0, 0))


async def test_an_error_elsewhere_still_changes_nothing(directory: Directory, running: Running) -> None:
    directory.body = GARBAGE[0][0]
    running.write(log={"level": "loud"})
    before = running.settings
    answer = await running.reload()
    assert answer is not None
    assert answer.startswith("The new configuration is rejected, the running one stays:")
    assert (running.settings is before, running.gauges()) == (True, (0, 0, 0))


async def test_a_list_whose_last_rigs_the_configuration_refuses_changes_nothing(
    directory: Directory, running: Running
) -> None:
    directory.body = listing("127.60.0.5", blok="c1")
    running.write(fleet={"http_sd": [{"url": running.url, "interval": "1ms"}], "rigs": [{"address": "127.60.0.1"}]})
    before = running.settings
    assert await running.reload() is not None
    assert running.settings is before


@pytest.mark.parametrize("body", [None, {"error": "the database is being restored"}])
async def test_a_list_that_is_down_is_logged_once_and_once_when_it_is_back(
    directory: Directory, running: Running, body: Any
) -> None:
    good, directory.body = directory.body, body
    running.write(log={"level": "debug"})
    with capture_logs() as logs:
        for _ in range(2):
            assert await running.reload() is None
        assert (len(running.settings.rigs), running.gauges()) == (10, (1, 1, 0))
        directory.body = good
        assert await running.reload() is None
    assert [log["event"] for log in logs if log["event"].startswith("list ")] == [
        "list of rigs is down, its last content stays in use",
        "list of rigs is back",
    ]
    assert running.gauges() == (1, 0, 0)
