"""The whole exporter as a process of its own against a few simulated rigs: start, evaluation, stop."""

import asyncio
import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from own_network import fresh_network
from whole_exporter import (
    NEVER,
    Exporter,
    all_margins,
    ended,
    one,
    read_to,
    values,
)

from exporter.settings.load import load
from exporter.settings.sources import sources
from exporter.simulation.faults import Fault
from exporter.simulation.site import SimulatedSite


async def test_sighup_during_the_start_causes_one_reload_after_it(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running("-X", "importtime", held_back=True) as process:
        assert process.stderr is not None
        while b"click" not in await process.stderr.readline():  # one of the first imports
            pass
        logged = asyncio.create_task(read_to("configuration reloaded", process.stderr))
        while (waiting := exporter.reader()) is None:
            process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        exporter.hand_over(waiting)
        assert "event=serving" in await logged
        assert "configuration reloaded" not in await ended(process)


async def test_every_rig_is_priced_and_a_signal_stops_the_exporter(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running() as process:
        samples = await exporter.until(all_margins)
        revenue = values(samples, "mining_rig_revenue_usd_per_day")
        cost = values(samples, "mining_rig_power_cost_usd_per_day")
        margin = values(samples, "mining_rig_margin_usd_per_day")
        assert margin == pytest.approx({rig: revenue[rig] - cost[rig] for rig in margin})
        assert "Traceback" not in await ended(process)


async def test_the_end_of_the_first_round_starts_an_evaluation(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.configure(evaluation_interval="1h")
    async with exporter.running() as process:
        await exporter.until(lambda samples: bool(values(samples, "mining_rig_last_success_timestamp_seconds")))
        async with asyncio.timeout(NEVER):  # ready once every source was asked too
            while await exporter.ask("GET", "/-/ready") != (200, "Ready.\n"):  # noqa: ASYNC110 -- of another process
                await asyncio.sleep(0.1)
        await ended(process)


async def test_the_day_ahead_plan_stops_what_a_known_price_makes_a_loss(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    now = datetime.now(UTC).hour  # a price that changes soon is not worth a stop or a start
    dear_from, dear_to = (f"{(now + hours) % 24:02}:00" for hours in (-6, 6))
    periods = [{"price": 0.9, "from": dear_from, "to": dear_to}, {"price": 0.02}]
    listed = {"kind": "time_of_use", "timezone": "UTC", "periods": periods}
    exporter.configure(tariff="list", tariffs={"list": listed}, decision={"day_plan": {"horizon": "48h"}})
    exporter.configure(gpus=None, blocks={block: {} for block in exporter.config["blocks"]})
    exporter.configure(polling={"interval": "8s", "deadline": "8s"})  # the first round outlasts some evaluations
    async with exporter.running() as process:
        samples = await exporter.until(lambda found: one(found, "mining_plan_value_usd") is not None)
        _, text = await exporter.ask("GET", "/api/v1/plan")
        slots = json.loads(text)["plan"]["slots"]
        errors = await ended(process)
    assert "Traceback" not in errors
    dear_hours = {(now + hours) % 24 for hours in range(-6, 6)}
    dear = {int(slot["start"][11:13]) in dear_hours for slot in slots if slot["watts"] == 0}
    cheap = {int(slot["start"][11:13]) in dear_hours for slot in slots if slot["watts"] > 8_500}  # all three rigs
    assert (dear, cheap) == ({True}, {False})
    assert len(slots) >= 48
    assert one(samples, "mining_plan_violation_watts") == 0
    assert one(samples, "mining_plan_failures_total") == 0


FEW_DESCRIPTORS = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 60))
sys.argv[:] = sys.argv[2:]
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""


async def test_rigs_that_hang_leave_file_descriptors_to_scrapes(tmp_path: Path) -> None:
    async with SimulatedSite(
        models=["Antminer S21"] * 60, network=fresh_network(), port_offset=20_000, control_port=0, lowest_port=1024
    ) as site:
        await site.set_fault(site.machines, Fault.HUNG)
        exporter = Exporter(tmp_path, site.config())
        async with exporter.running("-c", FEW_DESCRIPTORS) as process:
            await exporter.until(lambda samples: 0 in values(samples, "mining_rig_up").values())
            for _ in range(40):
                assert (await exporter.ask("GET", "/metrics"))[0] == 200
            log = await ended(process)
            assert log.count("few file descriptors") == 1
            assert "Too many open files" not in log


def test_two_queries_to_one_prometheus_are_two_sources(tmp_path: Path) -> None:
    queries = [
        {"kind": "prometheus", "url": "http://127.61.0.9:9090", "query": query} for query in ("dcgm_a", "dcgm_b")
    ]
    node = {"kind": "dcgm_exporter", "url": "http://127.61.0.9:9400/metrics"}
    file = tmp_path / "site.yml"
    file.write_text(yaml.safe_dump({"site": "x", "gpus": {"endpoints": [*queries, node]}}), encoding="utf-8")
    named = sources(load(file, environ={}))
    assert sorted(map(str, named)) == ["gpus:127.61.0.9:9090#1", "gpus:127.61.0.9:9090#2", "gpus:127.61.0.9:9400"]
