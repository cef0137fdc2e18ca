"""Scanning, probing, capturing and asking the sources, against a simulated site over real sockets."""

import asyncio
import contextlib
import csv
import io
import json
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner
from own_network import OWN, fresh_network
from rig_servers import cgminer, saying, serving
from small_site import WELL
from source_site import serve

from exporter.cli import main
from exporter.inventory.csv_files import csv_file
from exporter.inventory.load import Names, load_inventory
from exporter.inventory.model import InventorySettings
from exporter.model.failures import RIG_ADVICE, SOURCE_ADVICE, Failure, Reason
from exporter.model.fields import paths_relative_to
from exporter.model.fleet import Credentials
from exporter.model.readings import (
    DatedPositions,
    ExpectedOff,
    GpuReading,
    MeterReading,
    NetworkState,
    PoolPayment,
    PoolReading,
    PoolWorker,
    PositionSlot,
    PriceSlot,
    Reading,
    RigIdentity,
)
from exporter.simulation.faults import Fault
from exporter.simulation.firmware import families
from exporter.simulation.site import SimulatedSite
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.network.fixed import Settings as FixedNetwork
from exporter.sources.rigs.contract import Target
from exporter.sources.tariffs import TariffSettings
from exporter.sources.tariffs.http_json import Settings as HttpTariff
from exporter.tools import online
from exporter.tools.capture import capture, questions
from exporter.tools.probe import Probed, as_record, as_text, probe
from exporter.tools.redact import redacted
from exporter.tools.scan import KNOCK_SECONDS, Found, Journal, as_csv, as_records, rescan, scan

MODELS = ("Antminer S19j Pro", "Antminer S21")


@pytest.fixture
async def site() -> AsyncIterator[SimulatedSite]:
    async with SimulatedSite(models=MODELS, network=fresh_network(), troubles=False, control_port=0) as site:
        yield site


@pytest.fixture
def rigs(site: SimulatedSite) -> list[str]:
    return [placement.address for placement in site.placements]


def ignore(*_: object) -> None:
    """Take no notice of progress."""


def no_login(_: str) -> None:
    """Use the factory's login."""


# --- scan ---------------------------------------------------------------------------------------------------------


async def test_a_scan_finds_the_rigs_among_silent_addresses(rigs: list[str]) -> None:
    first = rigs[0].rpartition(".")[0]
    addresses = [f"{first}.{last}" for last in range(1, 30)]
    done: list[int] = []
    found = (await scan(addresses, no_login, done.append)).found
    assert [one.address for one in found] == rigs
    assert [one.who.model for one in found if isinstance(one.who, RigIdentity)] == ["S19j Pro", "S21"]
    assert sum(done) == len(addresses)


async def test_a_scan_with_few_open_files_finds_every_rig(rigs: list[str]) -> None:
    command = f"ulimit -n 64; exec {sys.executable} -m exporter scan {rigs[0].rpartition('.')[0]}.0/24"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert [line.partition(",")[0] for line in output.decode().splitlines()[1:]] == rigs
    assert (process.returncode, errors) == (0, b"Scanned 254 addresses. Rigs: 2. Other hosts that answer: 0.\n")


async def test_what_misses_the_first_knock_gets_a_second_one(rigs: list[str]) -> None:
    address = rigs[0].rpartition(".")[0] + ".98"
    with socket.create_server((address, 4028), backlog=0) as server, contextlib.ExitStack() as queue:
        for _ in range(2):  # fill its queue, so that the kernel drops what comes next
            client = queue.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, 4028))
        server.setblocking(False)

        async def accept_later() -> None:
            await asyncio.sleep(KNOCK_SECONDS + 0.1)
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(server)
                connection.close()

        accepting = asyncio.create_task(accept_later())
        (found,) = (await scan([address], no_login, ignore)).found
        accepting.cancel()
    assert found.address == address


async def test_a_scan_that_was_stopped_continues_where_it_was(rigs: list[str], tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        whole = await scan(rigs, no_login, ignore, journal)
    lines = path.read_text(encoding="utf-8").splitlines()
    done: list[int] = []
    path.write_text("\n".join((*lines, '{"address": "127.60.0.9"}', '{"addr')), encoding="utf-8")
    with Journal(path) as journal:
        assert journal.known["127.60.0.9"] is None
        again = await scan([*rigs, "127.60.0.9"], no_login, done.append, journal)
    assert (again, sum(done)) == (whole, 3)


async def test_the_scan_command_removes_its_progress_when_it_is_done(rigs: list[str], tmp_path: Path) -> None:
    path = tmp_path / "journal"
    entry = json.dumps({"address": rigs[1], "reason": "auth", "detail": "kept"})
    path.write_text(f"{entry}\n", encoding="utf-8")
    network = f"{rigs[0].rpartition('.')[0]}.0/28"
    code, output, _ = await invoke("scan", network, "--output", "json", "--resume", str(path))
    assert code == 0
    assert {record["address"]: record.get("detail") for record in json.loads(output)} == {
        rigs[0]: None,
        rigs[1]: "kept",
    }
    assert not path.exists()


async def test_an_update_keeps_the_files_separator_line_ends_and_columns(rigs: list[str], tmp_path: Path) -> None:
    file, site = tmp_path / "rigs.csv", tmp_path / "site.yml"
    before = f"\ufeffsep=;\r\nBezeichnung;IP;Gekauft am\r\na;{rigs[0]};2024\r\n"
    file.write_bytes(before.encode())
    site.write_text("site: x\nfleet: {csv: [rigs.csv], columns: {address: IP, name: Bezeichnung}}\n", encoding="utf-8")
    network = f"{rigs[0].rpartition('.')[0]}.0/28"
    code, _, errors = await invoke("scan", network, "--update", str(file), "--config.file", str(site))
    assert (code, "1 rigs added" in errors) == (0, True)
    assert file.read_bytes().decode() == f"{before};{rigs[1]};\r\n"


async def test_what_answers_but_is_no_rig_is_distinguished(rigs: list[str]) -> None:
    address = rigs[0].rpartition(".")[0] + ".99"

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, address, 4028):
        (found,) = (await scan([address], no_login, ignore)).found
    assert isinstance(found.who, Failure)
    assert as_csv([found]).splitlines()[1:] == []
    assert as_records([found]) == [{"address": address, "reason": found.who.reason, "detail": found.who.detail}]


async def test_the_csv_of_a_scan_is_an_inventory(rigs: list[str], tmp_path: Path) -> None:
    found = (await scan(rigs, no_login, ignore)).found
    (tmp_path / "rigs.csv").write_text(as_csv(found), encoding="utf-8")
    with paths_relative_to(tmp_path):
        fleet = load_inventory(
            InventorySettings(csv=(Path("rigs.csv"),)), Names(blocks={}, tariffs=(), schedules=())
        ).rigs
    identities = [one.who for one in found if isinstance(one.who, RigIdentity)]
    assert [rig.address for rig in fleet] == rigs
    assert [rig.name for rig in fleet] == [who.mac for who in identities]


CLONE = "02:00:00:00:00:0c"


def who(mac: str = "", serial: str = "") -> RigIdentity:
    return RigIdentity(reader="x", make="Acme", model="A1", mac=mac, serial=serial)


def test_clones_of_one_mac_make_an_inventory_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "rigs.csv"
    file.write_text(as_csv([Found("127.60.0.5", who(CLONE)), Found("127.60.0.6", who(CLONE))]), encoding="utf-8")
    assert [(row.address, row.mac) for row in csv_file(file).rows] == [("127.60.0.5", CLONE), ("127.60.0.6", None)]


def test_a_later_scan_adds_what_is_new_and_forgets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rigs.csv"
    file.write_text(
        "# ours\nname;address;mac;block\nsleeps;127.60.0.1;02:00:00:00:00:01;c1\nhere;127.60.0.2;;c1\n"
        "moved;127.60.0.3;02:00:00:00:00:03;c1\nswapped;127.60.0.4;02:00:00:00:00:04;c1\nhost;rig-5;02:00:00:00:00:05;c1\n",
        encoding="utf-8",
    )
    found = [
        Found("127.60.0.2", who("02:00:00:00:00:02")),
        Found("127.60.0.9", who("02:00:00:00:00:03")),
        Found("127.60.0.4", who("02:00:00:00:00:44")),
        Found("127.60.0.5", who("02:00:00:00:00:05")),
        Found("127.60.0.6", who("02:00:00:00:00:06", "SN6")),
        Found("127.60.0.7", Failure(Reason.AUTH, "no")),
    ]
    news = rescan(csv_file(file), found)
    assert (news.lines, news.added) == (";127.60.0.6;02:00:00:00:00:06;\n", 1)
    assert news.conflicts == (
        "moved is listed at 127.60.0.3 and answers at 127.60.0.9",
        "swapped is listed at 127.60.0.4, where 02:00:00:00:00:44 answers",
    )


def test_what_a_rig_says_cannot_run_in_a_spreadsheet() -> None:
    liar = RigIdentity(reader="x", make="=HYPERLINK()", model='a"b,c', hostname="@SUM(1)")
    rows = list(csv.DictReader(io.StringIO(as_csv([Found("127.60.0.5", liar)]))))
    assert (rows[0]["#make"], rows[0]["#model"], rows[0]["#hostname"]) == ("'=HYPERLINK()", 'a"b,c', "'@SUM(1)")


# --- probe --------------------------------------------------------------------------------------------------------


async def test_a_probe_shows_who_it_is_what_it_says_and_each_question(rigs: list[str]) -> None:
    probed = await probe(Target(rigs[1]), deadline=5.0)
    text = as_text(probed, raw=False)
    assert f"{rigs[1]}  AntMiner S21, identified in" in text
    assert "TH/s" in text
    assert 'port 4028  {"command":"version"}  ->' in text
    record = json.loads(json.dumps(as_record(probed, raw=False)))
    assert record["reading"]["hashrate"] == pytest.approx(200e12, rel=0.1)
    assert record["failure"] is None
    assert all(question["seconds"] >= 0 and "answer" not in question for question in record["questions"])


def test_a_probe_shows_everything_that_a_rig_can_say() -> None:
    assert WELL.reading is not None
    reading = WELL.reading.value
    text = as_text(
        Probed(Target("a"), identity=WELL.identity, identify_seconds=0.1, reading=reading, read_seconds=0.1), raw=False
    )
    for line in (
        "board serials        0 BSN0, 1 BSN1",
        "power target         3,550 W",
        "supply input voltage 231 V",
        "tuner                tuned",
        "hardware error ratio 0.0004",
        "thermal margin       13 C",
        "last share at        2026-03-21 ",
    ):
        assert f"  {line}" in text
    assert re.search(r"board 0  hashrate 100 TH/s, .*frequency 490 MHz, voltage 13.8 V, power 1,160 W", text)
    assert re.search(r"board 1  .*, failed chips 17", text)
    assert re.search(r"pool 0  host pool.example.com, .*difficulty 524,288", text)
    assert "None" not in text


async def test_a_raw_probe_shows_the_answers_without_workers(rigs: list[str]) -> None:
    record = as_record(await probe(Target(rigs[0]), deadline=5.0), raw=True)
    answers = {question["request"]: question["answer"] for question in record["questions"]}
    users = {pool["User"] for pool in answers['{"command":"pools"}']["POOLS"]}
    assert users <= {"removed", ""}
    assert "VERSION" in as_text(await probe(Target(rigs[0]), deadline=5.0), raw=True)


async def test_a_probe_of_nothing_says_what_to_do(site: SimulatedSite, rigs: list[str]) -> None:
    await site.set_fault(site.placements[0].name, Fault.REFUSED)
    probed = await probe(Target(rigs[0]), deadline=5.0)
    assert probed.failure is not None
    assert probed.failure.reason is Reason.REFUSED
    assert "what to do: it is up, but its API port is closed" in as_text(probed, raw=False)
    assert as_record(probed, raw=False)["failure"]["advice"] == RIG_ADVICE[Reason.REFUSED]


# --- capture ------------------------------------------------------------------------------------------------------


async def test_a_capture_is_a_fixture_with_its_provenance_and_nothing_private(rigs: list[str]) -> None:
    asked: list[None] = []
    name, record = await capture(Target(rigs[1], Credentials("root", "root")), lambda: asked.append(None))
    assert name.startswith("antminer_s21_stock_")
    assert record["reader"] == "antminer"
    assert record["provenance"].startswith("captured from AntMiner S21")
    assert {"version", "summary", "stats", "pools"} <= record["rpc"].keys()
    assert len(asked) == questions()
    text = json.dumps(record)
    assert rigs[1] not in text
    who = (await probe(Target(rigs[1]), deadline=5.0)).identity
    assert who is not None
    assert who.mac.upper() not in text.upper()
    assert who.serial not in text


async def test_a_capture_of_any_firmware_gives_no_worker_and_no_rig_away() -> None:
    models = [family.models[-1].name for family in families()]
    async with SimulatedSite(models=models, network=fresh_network(), troubles=False, control_port=0) as site:
        for placement in site.placements:
            _, record = await capture(Target(placement.address, Credentials("root", "root")), ignore)
            text = json.dumps(record).lower()
            machine = site.machines[placement.name]
            assert record["reader"]
            for private in ("prairie", placement.address, machine.mac.lower(), machine.serial.lower()):
                assert private not in text, placement.model.name


async def test_a_capture_logs_in_where_braiins_rest_api_is_and_tells_no_token() -> None:
    async with SimulatedSite(
        models=["Braiins REST S21"], network=fresh_network(), troubles=False, control_port=0
    ) as site:
        target = Target(site.placements[0].address, Credentials("root", "root"))
        _, record = await capture(target, ignore)
    assert record["http"]["80"]["/api/v1/actions/locate"] is False
    assert record["http"]["80"]["/api/v1/pools/"][0]["pools"][0]["user"] == "removed"
    assert "token" not in json.dumps(record)


@pytest.mark.parametrize(
    ("answer", "captured"),
    [
        (b'{"POOLS":[{"User":"acme.rig7","GHS 5s":100.5', '{"POOLS":[{"User":"removed","GHS 5s":100.5'),
        (b"POOL=0,User=acme.rig7,Pass=hunter2,MHS av=55.1|", "POOL=0,User=removed,Pass=removed,MHS av=55.1|"),
        (b'[{"user":"acme.rig7","power":3000}]', [{"user": "removed", "power": 3_000}]),
    ],
)
async def test_a_capture_keeps_what_no_reader_can_make_sense_of(answer: bytes, captured: object) -> None:
    address = f"{OWN}.1.78"
    async with serving(address, 4028, saying(answer + b"\0")):
        name, record = await capture(Target(address), ignore)
    assert name.startswith("unknown_")
    assert record["rpc"]["pools"] == captured


async def test_a_capture_of_nothing_fails_classified(rigs: list[str]) -> None:
    with pytest.raises(Failure) as caught:
        await capture(Target(rigs[0].rpartition(".")[0] + ".98"), ignore)
    assert caught.value.reason is Reason.REFUSED


PRIVATE: dict[str, Any] = {
    "User": "acme.rig7",
    "StratumConfigs": [{"login": "acme.rig7", "password": "x"}],
    "miner_id": "8048891c74e1f",
    "stratumUser": "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.bitaxe",
    "URL": "stratum+tcp://acme:pw@pool.example:3333",
    "pool": {"pass": "x", "password": "hunter2"},
    "wallet": "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    "note": "pays bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "macaddr": "28:E2:97:CD:F8:1E",
    "ssid": "acme-yard",
    "salt": "uhCiDy-acme",
    "serinum": "SMTT1234567",
    "pcbsn0": "75136D273E536",
    "SerialNumber": "JYZZB0UBDJABF06RB",
    "MAC": "b4a2eb31f7c9",
    "MM ID0": "Ver[1246-83] DNA[02010000cbd2fd6d] Temp[30]",
    "ip": "127.60.0.5",
    "gateway": "172.16.31.7",
    "hostname": "acme-r7",
}


def test_redacting_removes_what_is_private_and_keeps_shapes() -> None:
    cleaned = redacted(PRIVATE, "127.60.0.5")
    text = json.dumps(cleaned)
    for secret in ("acme", "hunter2", "bc1q", "1Boat", "CD:F8:1E", "1234567", "75136", "8048891", "127.60.0.5"):
        assert secret not in text
    for secret in ("JYZZ", "31f7c9", "fd6d", "172.16"):
        assert secret not in text
    assert cleaned.keys() == PRIVATE.keys()
    assert cleaned["macaddr"] == "28:E2:97:00:00:01"
    assert cleaned["URL"] == "stratum+tcp://***@pool.example:3333"
    assert cleaned["SerialNumber"] == "XXXXX0XXXXXXX00XX"
    assert cleaned["MM ID0"] == "Ver[1246-83] DNA[00000000xxx0xx0x] Temp[30]"


def test_redacting_keeps_figures_and_model_names() -> None:
    answer = {
        "GHS 5s": "100196.36",
        "Type": "Antminer S19j Pro",
        "temps": [55, 44.5, None, True],
        "Miner": "10.0.1.3.9",
    }
    assert redacted(answer, "127.60.0.5") == answer


# --- the sources, asked once --------------------------------------------------------------------------------------


async def test_every_source_is_checked_and_a_failure_is_a_row() -> None:
    sources = {
        "network": FixedNetwork(difficulty=1.3e14, height=941_000),
        "tariff:spot": HttpTariff(url="http://127.60.0.1:9/prices", price="price"),
    }
    good, bad = await online.check_all(sources)
    assert (good.source, good.value, good.failure) == ("network", "height 941,000, difficulty 1.3e+14", None)
    assert bad.failure is not None
    text = online.as_text([good, bad])
    assert text.splitlines()[0].split() == ["source", "kind", "took", "age", "value"]
    assert f"FAILED {bad.failure.reason}" in text
    record = online.as_records([bad])[0]
    assert record["failure"] == bad.failure.reason
    assert record["advice"] == SOURCE_ADVICE[bad.failure.reason]


class Stubborn(SourceSettings):
    """It never answers, or has a bug."""

    kind: str = "stubborn"
    error: bool = False

    def connect(self, context: SourceContext) -> "Stubborn":  # noqa: ARG002
        return self

    async def fetch(self) -> Reading[Any]:
        if self.error:
            raise RuntimeError("oops")
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_source_that_hangs_or_has_a_bug_does_not_affect_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.polling.sources._DEADLINE", 0.05)
    network = FixedNetwork(difficulty=1.3e14, height=941_000)
    asked = await online.check_all({"meters:a": Stubborn(), "meters:b": Stubborn(error=True), "network": network})
    assert [one.failure and one.failure.reason for one in asked] == [Reason.TIMEOUT, Reason.INTERNAL, None]
    hung, broken, _ = online.as_text(asked).splitlines()[1:]
    assert f"FAILED timeout: no answer within 0.05 s ({SOURCE_ADVICE[Reason.TIMEOUT]})" in hung
    assert "FAILED internal: RuntimeError" in broken


@dataclass(frozen=True, slots=True)
class Saying:
    reading: Reading[Any]

    async def fetch(self) -> Reading[Any]:
        return self.reading


class OldPrice(SourceSettings):
    kind: str = "old"

    def connect(self, context: SourceContext) -> Saying:
        return Saying(Reading(70_000.0, context.clock() - 700))


class PastSlots(TariffSettings):
    kind: str = "past"

    def energy(self, context: SourceContext) -> Saying:
        now = context.clock()
        return Saying(Reading((PriceSlot(now - 7200, now - 5400, 0.05),), now))


async def test_a_value_that_a_running_exporter_would_ignore_is_a_failure() -> None:
    old, past = await online.check_all({"bitcoin": OldPrice(), "tariff:spot": PastSlots()})
    assert old.failure is not None
    assert old.failure.detail == "observed 700 s ago, max_age is 600 s"
    assert past.failure is not None
    assert past.failure.detail.startswith("the last price ended at ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (70_370.0, "$70,370.00"),
        (NetworkState(height=941_000, difficulty=1.3e14), "height 941,000, difficulty 1.3e+14"),
        ((PriceSlot(0, 100, 0.05), PriceSlot(100, 200, -0.01)), "2 slots, $0.0500/kWh, then -$0.0100"),
        ((PriceSlot(0, 10, 0.05),), "1 slots, no current price"),
        ((GpuReading(gpu="a", power=500.0), GpuReading(gpu="b")), "2 GPUs, 500 W"),
        (MeterReading(rigs={"a": 3_000.0, "b": 2_500.0}), "2 rigs, 5,500 W"),
        (MeterReading(blocks={"c1": 48_000.0}, refused=("c2",)), "1 blocks, 1 refused, 48,000 W"),
        (
            PoolReading(
                window=3_600.0,
                workers=(PoolWorker("a", 2e14), PoolWorker("b", 0.0), PoolWorker("c", None)),
                payments=(PoolPayment(0.0, 0.01),),
            ),
            "3 workers, 1 with work, 0.200 PH/s, 1 days paid",
        ),
        (DatedPositions((PositionSlot(0, 100, 5e3), PositionSlot(100, 200, 0))), "5,000 kW, 1 later lines"),
        (DatedPositions(complete=False), "no line for now, 0 later lines, with errors, which the log names"),
        (ExpectedOff(), "off: nothing"),
        (ExpectedOff(blocks=("c1",), rigs=("a", "b")), "off: 1 blocks, 2 rigs"),
        (ExpectedOff(site=True), "off: the whole site"),
    ],
)
def test_a_value_is_described_in_a_few_words(value: object, words: str) -> None:
    assert online.described(value, now=50.0) == words


# --- through the command line -------------------------------------------------------------------------------------


async def invoke(*arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread: it has an event loop of its own."""
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    return result.exit_code, result.stdout, result.stderr


async def test_scan_writes_csv_and_tells_the_count_beside_it(rigs: list[str]) -> None:
    code, output, errors = await invoke("scan", f"{rigs[0].rpartition('.')[0]}.0/28", "--exclude", rigs[1])
    assert code == 0
    assert [line.partition(",")[0] for line in output.splitlines()] == ["address", rigs[0]]
    assert errors == "Scanned 13 addresses. Rigs: 1. Other hosts that answer: 0.\n"


async def test_scan_adds_to_an_inventory_and_a_second_time_nothing(rigs: list[str], tmp_path: Path) -> None:
    file, network = tmp_path / "rigs.csv", f"{rigs[0].rpartition('.')[0]}.0/28"
    file.write_text(f"name,address\nmine,{rigs[0]}", encoding="utf-8")
    for added in (1, 0):
        code, output, errors = await invoke("scan", network, "--update", str(file))
        assert (code, output) == (0, "")
        assert f"{added} rigs added to {file}" in errors
        assert file.read_text(encoding="utf-8").splitlines() == ["name,address", f"mine,{rigs[0]}", f",{rigs[1]}"]


async def test_scan_refuses_to_add_to_an_inventory_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "rigs.csv").write_text("name,adress\na,10.0.0.1\n", encoding="utf-8")
    code, _, errors = await invoke("scan", "127.60.0.0/30", "--update", str(tmp_path / "rigs.csv"))
    assert code == 2
    assert "did you mean 'address'" in errors


@pytest.mark.parametrize("text", ["10.0.0.0/8", "nonsense"])
async def test_a_range_that_cannot_be_meant_is_exit_code_2(text: str) -> None:
    code, _, errors = await invoke("scan", text)
    assert code == 2
    assert errors.startswith(f"hashmargin: '{text}' ")


async def test_probe_finds_address_and_login_in_the_inventory(rigs: list[str], tmp_path: Path) -> None:
    file = tmp_path / "site.yml"
    file.write_text(f"site: x\nfleet: {{rigs: [{{name: a-01, address: {rigs[0]}}}]}}\n", encoding="utf-8")
    code, output, _ = await invoke("probe", "a-01", "--config.file", str(file), "--output", "json")
    assert code == 0
    assert json.loads(output)["address"] == rigs[0]
    code, _, errors = await invoke("probe", "a-02", "--config.file", str(file))
    assert (code, errors) == (2, "hashmargin: there is no rig 'a-02': did you mean 'a-01'?\n")


async def test_probe_says_when_another_rig_has_the_address(rigs: list[str], tmp_path: Path) -> None:
    file = tmp_path / "site.yml"
    listed = f"{{name: a-01, address: {rigs[0]}, mac: '02:1a:b3:00:00:01'}}"
    file.write_text(
        f"site: x\nfleet: {{rigs: [{listed}], defaults: {{username: root, password: root}}}}\n", encoding="utf-8"
    )
    code, output, errors = await invoke("probe", "a-01", "--config.file", str(file), "--output", "json")
    assert code == 0
    who = json.loads(output)["identity"]["mac"]
    assert errors == f"hashmargin: {who} answers at {rigs[0]}, not a-01: has it moved?\n"


async def test_a_password_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe")
    code, _, errors = await invoke("probe", "127.0.0.1", "--password-file", str(file))
    assert (code, errors) == (2, f"hashmargin: {file} is not UTF-8 text: save it as UTF-8\n")


async def test_probe_asks_for_the_address_of_a_rig_that_was_found_in_a_range(tmp_path: Path) -> None:
    file = tmp_path / "site.yml"
    file.write_text("site: x\nfleet: {ranges: [{cidr: 10.0.0.0/30}]}\n", encoding="utf-8")
    code, _, errors = await invoke("probe", "02:1a:b3:00:00:01", "--config.file", str(file))
    assert code == 2
    assert "there is no rig '02:1a:b3:00:00:01'" in errors
    assert "give its address, the label `ip` of mining_rig_info" in errors


async def test_capture_writes_its_file_or_says_why_not(rigs: list[str], tmp_path: Path) -> None:
    code, output, _ = await invoke("capture", rigs[0], "--folder", str(tmp_path))
    assert code == 0
    file = Path(output.removeprefix("Written to ").partition(": ")[0])
    assert file.parent == tmp_path
    form = output.rpartition("attach it to an issue at ")[2].strip()
    assert form.startswith("https://github.com/hashmargin/hashmargin/issues/new?template=")
    template = Path(".github/ISSUE_TEMPLATE") / form.rpartition("=")[2]
    assert await asyncio.to_thread(template.is_file), "the form that it names exists"
    record = await asyncio.to_thread(file.read_text, encoding="utf-8")
    assert json.loads(record)["reader"] == "antminer"
    _, output, _ = await invoke("capture", rigs[0], "--folder", str(tmp_path))
    assert Path(output.removeprefix("Written to ").partition(": ")[0]) == file.with_stem(f"{file.stem}_2")
    assert await asyncio.to_thread(file.read_text, encoding="utf-8") == record
    code, _, errors = await invoke("capture", rigs[0].rpartition(".")[0] + ".98", "--folder", str(tmp_path))
    assert code == 1
    assert "could not be captured (refused): it is up, but its API port is closed" in errors
    stranger = f"{OWN}.1.79"
    async with serving(stranger, 80, saying(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")):
        _, _, errors = await invoke("capture", stranger, "--folder", str(tmp_path))
    assert "could not be captured (unsupported): it answers none of our requests" in errors


async def test_half_a_character_from_a_rig_breaks_neither_probe_nor_capture(tmp_path: Path) -> None:
    address = f"{OWN}.1.77"
    async with serving(address, 4028, cgminer({"version": {"VERSION": [{"CompileTime": "half \ud800"}]}})):
        _, probed, _ = await invoke("probe", address, "--raw")
        code, printed, _ = await invoke("capture", address, "--folder", str(tmp_path))
    assert "half \\ud800" in probed
    assert code == 0
    file = Path(printed.removeprefix("Written to ").partition(": ")[0])
    record = json.loads(await asyncio.to_thread(file.read_text, encoding="utf-8"))
    assert record["rpc"]["version"]["VERSION"] == [{"CompileTime": "half \ud800"}]


async def test_check_config_online_names_reports_that_match_no_rig_or_block(tmp_path: Path) -> None:
    async def prometheus(request: web.Request) -> web.Response:
        label = "block" if request.query["query"] == "feeder" else "rig"
        names = (
            ["north", "nort"] if label == "block" else ["a-01", "A-02", *(f"outlet {number}" for number in range(6))]
        )
        result = [{"metric": {label: name}, "value": [time.time(), "3000"]} for name in names]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serve(prometheus) as server:
        settings = {
            "site": "x",
            "blocks": {"north": {}},
            "fleet": {
                "rigs": [
                    {"name": name, "address": f"127.60.0.{index}"} for index, name in enumerate(("a-01", "a-02"), 1)
                ],
                "ranges": [{"cidr": "127.60.1.0/24"}],
            },
            "meters": {
                "pdus": {"kind": "prometheus", "url": server, "query": "outlets"},
                "feeders": {"kind": "prometheus", "url": server, "query": "feeder", "block_label": "block"},
            },
        }
        file = tmp_path / "site.yml"
        file.write_text(yaml.safe_dump(settings), encoding="utf-8")
        code, output, _ = await invoke("check-config", "--config.file", str(file), "--online")
    assert code == 0
    assert "1 blocks not used: nort (nearest: north) match no block" in output
    shown = "A-02 (nearest: a-02), outlet 0, outlet 1, outlet 2, outlet 3 and 2 more"
    assert f"7 rigs not used: {shown} match no listed rig, unless they are found in a range" in output


async def test_check_config_online_fails_if_a_source_fails(tmp_path: Path) -> None:
    file = tmp_path / "site.yml"
    text = "site: x\nnetwork: {kind: fixed, difficulty: 1.3e+14, height: 941000}\n"
    file.write_text(text, encoding="utf-8")
    code, output, _ = await invoke("check-config", "--config.file", str(file), "--online")
    assert code == 0
    assert "height 941,000" in output
    file.write_text(text + "bitcoin: {kind: coinbase, url: 'http://127.60.0.1:9/'}\n", encoding="utf-8")
    code, _, errors = await invoke("check-config", "--config.file", str(file), "--online", "--output", "json")
    assert (code, errors) == (1, "hashmargin: 1 of 2 sources gave no value: bitcoin\n")
