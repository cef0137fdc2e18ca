"""The whole exporter as a process of its own, killed or stopped and started again: what it still knows."""

import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import pytest
from whole_exporter import (
    Exporter,
    Samples,
    all_margins,
    ended,
    one,
    values,
)

from exporter.decision.change import Cause
from exporter.simulation.site import SimulatedSite


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let no other process write a state file, as on a disk that hangs."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


KILLS = int(os.environ.get("KILLS", "3"))


async def test_a_kill_lets_no_energy_counter_fall_and_costs_at_most_one_interval(
    site: SimulatedSite, tmp_path: Path
) -> None:
    interval = 2.0
    exporter = Exporter(tmp_path, site.config())
    exporter.config["state"]["interval"] = "10s"
    rng = random.Random(KILLS)
    energies, powers, read_at = (
        f"mining_rig_{name}" for name in ("energy_joules_total", "power_watts", "last_success_timestamp_seconds")
    )
    known: dict[str, tuple[float, float, float]] = {}  # by rig: energy, its power and when it was read

    def look(samples: Samples) -> None:
        energy, power, at = (values(samples, name) for name in (energies, powers, read_at))
        assert all(joules >= known.get(rig, (0.0,))[0] for rig, joules in energy.items())
        known.update({rig: (joules, power[rig], at[rig]) for rig, joules in energy.items() if rig in power})

    was_locked, killed_at = False, 0.0
    for number in range(KILLS):
        async with exporter.running() as process:
            samples = await exporter.until(
                lambda samples: [joules > 0 for joules in values(samples, energies).values()] == [True] * 3
            )
            for rig, (joules, watts, at) in known.items():
                grown, gap = values(samples, energies)[rig] - joules, values(samples, read_at)[rig] - at
                assert grown >= 0
                assert was_locked or grown <= 1.05 * watts * gap  # what could not be saved was not served either
                if killed_at - at < 2.5 * interval:  # else a busy machine had lost it, and its power, before the kill
                    assert grown >= 0.95 * watts * (min(gap, 2.5 * interval) - interval)
            kill_at = time.monotonic() + rng.uniform(0.5, 5.0)
            was_locked = number % 3 == 1
            with locked(tmp_path / "state.sqlite") if was_locked else nullcontext():
                while time.monotonic() < kill_at:
                    look(await exporter.until(bool))
                process.kill()
                killed_at = time.time()


async def test_a_restart_keeps_rigs_and_market(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running() as process:
        await exporter.until(all_margins)
        await ended(process)
    await site.stop()
    async with exporter.running() as process:
        samples = await exporter.until(lambda samples: 0 in values(samples, "mining_rig_up").values())
        assert one(samples, "mining_bitcoin_price_usd") is not None
        assert len(values(samples, "mining_rig_potential_margin_usd_per_day")) == 3
        assert values(samples, "mining_rig_hashrate_hashes_per_second") == {}
        await ended(process)
    bitcoin = exporter.config["bitcoin"]
    exporter.configure(bitcoin=bitcoin | {"url": f"{bitcoin['url']}/elsewhere"})
    async with exporter.running() as process:
        samples = await exporter.until(lambda samples: 0 in values(samples, "mining_rig_up").values())
        assert one(samples, "mining_bitcoin_price_usd") is None
        assert one(samples, "mining_network_difficulty") is not None
        await ended(process)


async def test_the_change_of_the_margin_since_yesterday_is_the_sum_of_its_causes(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    async with exporter.running() as process:
        first = one(await exporter.until(all_margins), "mining_evaluation_timestamp_seconds")
        samples = await exporter.until(
            lambda samples: one(samples, "mining_evaluation_timestamp_seconds") not in {None, first}
        )
        assert "mining_margin_change_usd_per_day" not in {name for name, _ in samples}
        await ended(process)
    with closing(sqlite3.connect(tmp_path / "state.sqlite")) as state, state:
        ((text,),) = state.execute("SELECT document FROM documents WHERE name = 'margin change'")
        kept = json.loads(text)
        for sample in kept:
            sample["at"] -= 86_400.0
            sample["cause"]["bitcoin_price"] *= 0.9
        state.execute("UPDATE documents SET document = ? WHERE name = 'margin change'", (json.dumps(kept),))
    before = Cause(**kept[-1]["cause"]).margin
    async with exporter.running() as process:
        samples = await exporter.until(
            lambda samples: "mining_margin_change_usd_per_day" in {name for name, _ in samples}
        )
        causes = {
            dict(labels)["cause"]: value
            for (name, labels), value in samples.items()
            if name == "mining_margin_change_usd_per_day"
        }
        after = sum(value for (name, _), value in samples.items() if name == "mining_block_margin_usd_per_day")
        assert causes["bitcoin_price"] > 0
        assert sum(causes.values()) == pytest.approx(after - before, abs=1e-6 * (abs(after) + abs(before)))
        assert "bitcoin price" in (await exporter.ask("GET", "/change"))[1]
        await ended(process)
