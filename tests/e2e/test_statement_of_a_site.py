"""A month of a simulated site, priced and rendered on a virtual clock, and billed from a real VictoriaMetrics."""

import json
import re
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from harness import ask, free_port
from prometheus_client.registry import CollectorRegistry
from test_remote_write import victoria_metrics
from test_statement import CONFIG, NOVEMBER, WINDOW, bill

from exporter.cli.options import load_file
from exporter.decision.history import MarginHistory
from exporter.decision.site import decide
from exporter.decision.values import DecisionState
from exporter.economics.metering import metered_power, with_metered_power
from exporter.economics.site import price_site
from exporter.exposition.publication import Encoding, Format
from exporter.exposition.render import Renderer
from exporter.exposition.settings import ExpositionSettings, GroupSettings, Profile
from exporter.exposition.views import SiteView
from exporter.model.fleet import Block, Rig
from exporter.model.obligations import ObligationKind
from exporter.model.readings import MeterReading, NetworkState, Reading, RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.settings.model import Settings
from exporter.simulation.faults import Fault
from exporter.simulation.firmware import families
from exporter.simulation.machine import Climate, Machine, Model
from exporter.tools import usage
from exporter.tools.windows import windows_of

HOUR, DAY = 12, 288  # windows
EVERY = windows_of(NOVEMBER)
GAP = range(4 * DAY, 4 * DAY + 3 * HOUR)
CALL = range(9 * DAY, 9 * DAY + 6 * HOUR)
EXCHANGE = range(11 * DAY, 11 * DAY + 4 * HOUR)  # of the meter of a-1: what is reported counts meanwhile
DARK = range(19 * DAY, 19 * DAY + 40 * HOUR)  # block north
BROKEN = range(21 * DAY, 21 * DAY + 30 * HOUR)  # one rig
MOVE, RENAME = 7 * DAY + 100, 14 * DAY + 7
ASKED = frozenset(re.findall(r"mining_\w+", Path(usage.__file__).read_text(encoding="utf-8")))
"""The series that statements are made of."""
TEXT = Encoding(Format.TEXT, gzip=False)


def _model() -> Model:
    antminers = next(family for family in families() if family.name == "antminer")
    return next(model for model in antminers.models if "S19 XP" in model.name)


MODEL = _model()


@dataclass
class Site:
    """Three rigs of acme in block north and one in block south, and a rig of the host beside them.

    ``windows`` and ``kwh`` are what its events come to, counted beside the exporter.
    """

    machines: dict[str, Machine] = field(default_factory=dict)
    windows: Counter[str] = field(default_factory=Counter)
    kwh: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        climate = Climate(7)
        for number, key in enumerate(("a-1", "a-2", "a-3", "a-4", "own")):
            self.machines[key] = Machine(
                MODEL, name=key, address=f"127.0.0.{number + 2}", mac_prefix="02:00:00", seed=7,
                now=NOVEMBER.start, climate=climate,
            )  # fmt: skip

    def snapshot(self, number: int, at: float) -> SiteSnapshot:
        """Return what the exporter reads in a window."""
        rigs, meters = [], {}
        for key, machine in self.machines.items():
            block = "north" if key in ("a-1", "a-2") or (key == "a-3" and number < MOVE) else "south"
            name = "a-4b" if key == "a-4" and number >= RENAME else key
            fault = _fault(key, block, number)
            if fault is not machine.fault:
                machine.set_fault(fault, at)
            vitals = machine.vitals(at)
            dark = fault is Fault.UNPLUGGED
            # Meters read 4 % more than the rigs report, and the one that replaces the meter of a-1 reads 5 %.
            exchanged = key == "a-1" and number >= EXCHANGE.stop
            watts = 0.0 if dark else vitals.power * (1.05 if exchanged else 1.04)
            metered = not (key == "a-1" and number in EXCHANGE)
            if metered:
                meters[name] = watts
            if key != "own":
                self._count(number, fault, metered=metered, watts=watts if metered else vitals.power)
            rig = Rig(
                name=name, address=machine.address, block=block, tariff="ppa", rated_power=MODEL.watts,
                rated_hashrate=MODEL.terahash * 1e12,
                **({} if key == "own" else {"customer": "acme", "contract": "gold"}),
            )  # fmt: skip
            reading = RigReading(hashrate=vitals.hashrate, power=vitals.power, uptime=float(vitals.elapsed))
            rigs.append(
                RigSnapshot(
                    rig=rig,
                    identity=RigIdentity(reader="antminer", make="Bitmain", model=MODEL.code, algorithm="sha256"),
                    up=not dark,
                    reading=None if dark else Reading(reading, at),
                    expected_mining=number not in CALL,
                    off_because=ObligationKind.CALL if number in CALL else None,
                )
            )
        return SiteSnapshot(
            taken_at=at,
            rigs=tuple(rigs),
            blocks=(Block(name="north"), Block(name="south")),
            network=Reading(NetworkState(height=942_472, difficulty=133.79e12, block_fees=0.0222), at),
            bitcoin_price=Reading(70_370.0, at),
            tariffs={"ppa": TariffPrice(0.05)},
            meters=(MeterReading(rigs=meters),),
        )

    def _count(self, number: int, fault: Fault | None, *, metered: bool, watts: float) -> None:
        if number in GAP:
            self.windows["unmonitored"] += 1
            return
        curtailed = number in CALL
        classes = {None: "hashing", Fault.UNPLUGGED: "host_fault", Fault.STOPPED: "rig_fault"}
        self.windows["curtailed" if curtailed else classes[fault]] += 1
        self.kwh["metered" if metered else "reported"] += watts / 12 / 1_000


def _fault(key: str, block: str, number: int) -> Fault | None:
    if block == "north" and number in DARK:
        return Fault.UNPLUGGED
    stopped = number in CALL or (key == "a-4" and number in BROKEN)
    return Fault.STOPPED if stopped else None


def scrapes(site: Site, settings: Settings) -> Iterator[bytes]:
    """Yield what a scrape in the middle of each window finds, with timestamps, but for the gap."""
    groups = GroupSettings.model_validate(dict.fromkeys(GroupSettings.model_fields, False))
    renderer = Renderer(ExpositionSettings(profile=Profile.LEAN, groups=groups), CollectorRegistry())
    state, history = DecisionState(), MarginHistory()
    for number in range(EVERY):
        at = NOVEMBER.start + (number + 0.5) * WINDOW
        snapshot = site.snapshot(number, at)
        snapshot = with_metered_power(snapshot, metered_power(snapshot))
        economics = price_site(snapshot, settings.site_settings)
        decision, state, history = decide(
            state, snapshot, economics, history, settings.site_settings, settings.decision
        )
        if number in GAP:
            continue
        view = SiteView(snapshot=snapshot, economics=economics, decision=decision, contracts=settings.contracts)
        stamp = b" %d\n" % int(at * 1_000)
        for line in b"".join(renderer.render(view).body(TEXT).chunks).splitlines():
            if line.partition(b"{")[0].partition(b" ")[0].decode() in ASKED:
                yield line + stamp


def fill(url: str, lines: Iterator[bytes]) -> None:
    labels = urllib.parse.urlencode([("extra_label", "job=hashmargin"), ("extra_label", "instance=site:9852")])
    with urllib.request.urlopen(f"{url}/api/v1/import/prometheus?{labels}", data=b"".join(lines), timeout=120) as done:
        assert done.status in (200, 204)
    ask(f"{url}/internal/force_flush")


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.e2e
def test_a_month_of_a_simulated_site_is_billed_twice_with_the_same_result(tmp_path: Path) -> None:
    """With a gap, a call, an outage, a meter exchange, a rig that moves, one that is renamed and breaks, and DST."""
    (tmp_path / "site.yml").write_text(CONFIG, encoding="utf-8")
    settings, site, port = load_file(tmp_path / "site.yml"), Site(), free_port()
    with victoria_metrics(tmp_path, port) as store:
        fill(store.url, scrapes(site, settings))
        first, second = (json.loads(bill(tmp_path, store.url, "--output", "json")) for _ in range(2))
    assert first | {"issued_at": ""} == second | {"issued_at": ""}
    assert not first["provisional"]

    found = first["windows"]
    assert {each: count for each, count in found.items() if count} == {**site.windows, "not_contracted": EVERY}
    assert site.windows.total() == 4 * EVERY
    assert {rig["rig"] for rig in first["by_rig"]} == {"a-1", "a-2", "a-3", "a-4", "a-4b"}
    assert first["energy"]["missing_windows"] == 4 * len(GAP)
    assert {source: float(kwh) for source, kwh in first["energy"]["kwh"].items()} == {
        source: pytest.approx(kwh, abs=0.002) for source, kwh in site.kwh.items()
    }

    kwh = Decimal(repr(round(site.kwh.total(), 3)))
    energy, space = cents(kwh * Decimal("0.072")), cents(4 * Decimal("3.01") * 12)
    reached = 1 - Decimal(site.windows["host_fault"]) / (site.windows["host_fault"] + site.windows["hashing"])
    assert first["uptime"]["sla"] == pytest.approx(float(reached), abs=1e-7)
    credit = cents((Decimal("0.98") - reached) * energy)
    assert credit > 0
    assert {line["code"]: line["amount"] for line in first["lines"]} == {
        "energy": str(energy),
        "space": str(space),
        "sla_credit": str(-credit),
    }
    assert first["total"] == str(energy + space - credit)
