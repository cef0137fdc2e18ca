"""The demo's scripted power price: every viewer sees a block of old rigs reassigned and taken back, within minutes."""

import argparse
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.decision.history import MarginHistory
from exporter.decision.site import decide
from exporter.decision.values import DecisionState
from exporter.economics.site import price_site
from exporter.model.readings import NetworkState, Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice
from exporter.settings.load import load
from exporter.settings.model import Settings
from exporter.simulation.__main__ import _weight, write_config
from exporter.simulation.market import BITCOIN_USD
from exporter.simulation.site import SimulatedSite
from exporter.simulation.wire import SimulationError

START = 1_774_000_000.0
NETWORK = NetworkState(
    height=942_472, difficulty=133.79e12, block_fees=0.0222, epoch_start_time=START - 594_000, tip_time=START
)


def demo(folder: Path, **options: Any) -> tuple[SimulatedSite, Settings]:
    site = SimulatedSite(
        16,
        network="127.81.16.0/20",
        clock=lambda: START,
        troubles=False,
        slot_seconds=15.0,
        lowest_port=1024,
        **options,
    )
    write_config(site, folder / "site.yml")
    return site, load(folder / "site.yml", environ={})


def snapshot(site: SimulatedSite, settings: Settings, now: float) -> SiteSnapshot:
    vitals = {name: machine.vitals(now) for name, machine in site.machines.items()}
    prices = {"spot": site.power.price(now) / 1_000, "ppa": 0.05, "time-of-use": 0.056}
    return SiteSnapshot(
        taken_at=now,
        rigs=tuple(
            RigSnapshot(
                rig=replace(rig, algorithm="sha256"),
                up=True,
                reading=Reading(RigReading(hashrate=seen.hashrate, power=seen.power), now),
            )
            for rig in settings.rigs
            for seen in [vitals[rig.name]]
        ),
        blocks=settings.fleet_blocks,
        network=Reading(NETWORK, now),
        bitcoin_price=Reading(BITCOIN_USD, now),
        tariffs={name: TariffPrice(price) for name, price in prices.items()},
    )


def test_a_block_of_old_rigs_is_reassigned_and_back_within_one_price_wave(tmp_path: Path) -> None:
    site, settings = demo(tmp_path, wave_seconds=300.0)
    state, history = DecisionState(), MarginHistory()
    seen: dict[str, list[str]] = {block: [] for block in site.blocks}
    for step in range(int(500 / settings.evaluation_interval)):
        now = START + step * settings.evaluation_interval
        taken = snapshot(site, settings, now)
        economics = price_site(taken, settings.site_settings)
        decision, state, history = decide(state, taken, economics, history, settings.site_settings, settings.decision)
        for block in decision.blocks:
            seen[block.name].append(str(block.verdict))
    turns = {block: [verdict for verdict, _ in groupby(verdicts)] for block, verdicts in seen.items()}
    assert turns["container-1"] == ["mine", "curtail", "reassign", "mine", "curtail", "reassign", "mine"]
    assert turns["container-3"] == ["mine"], "new rigs are worth their power at any of its prices"


def test_the_demo_has_an_outlook_where_numpy_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, settings = demo(tmp_path, wave_seconds=300.0)
    assert settings.ai is not None
    assert settings.ai.outlook is not None
    monkeypatch.setattr("exporter.simulation.config.find_spec", lambda _: None)
    _, settings = demo(tmp_path, wave_seconds=300.0)
    assert settings.ai is not None
    assert settings.ai.outlook is None


def test_the_price_wave_goes_from_high_to_nearly_zero_and_back(tmp_path: Path) -> None:
    site, _ = demo(tmp_path, wave_seconds=300.0)
    prices = [site.power.price(START + step * 15.0) for step in range(21)]
    assert prices[0] == prices[20] == max(prices) == 56
    assert prices[10] == min(prices) == 6
    assert prices[:11] == sorted(prices[:11], reverse=True)


def test_without_a_price_wave_the_decision_settings_are_the_defaults(tmp_path: Path) -> None:
    _, settings = demo(tmp_path)
    assert settings.decision.reassign_after == 72 * 3_600
    assert settings.polling.interval == 30


def test_the_demo_owes_reserve_and_a_call_that_begins_within_minutes(tmp_path: Path) -> None:
    site, settings = demo(tmp_path, wave_seconds=300.0)
    assert settings.compliance.interval == 60
    assert "utility" in settings.obligations
    award, call = yaml.safe_load((tmp_path / "obligations.yml").read_text(encoding="utf-8"))
    assert (award["kind"], call["kind"], call["block"]) == ("award", "call", site.blocks[1])
    assert datetime.fromisoformat(call["from"]).timestamp() == START + 180
    assert datetime.fromisoformat(call["until"]).timestamp() == START + 480
    assert 0 < call["cap_kilowatts"] < settings.fleet_blocks[1].capacity_watts / 1_000
    assert not demo(tmp_path)[1].obligations


def test_rigs_of_the_demo_visit_a_lower_point_half_by_half_and_come_back(tmp_path: Path) -> None:
    site, settings = demo(tmp_path, wave_seconds=300.0, weights={"luxos": 3.0})
    listing = [site.machines[each.name] for each in site.placements if each.family.lists_points]
    assert len(listing) > 2
    shares = []
    for step in range(4):
        site.rounds.move(step)
        shares.append([machine.operation.share for machine in listing])
    assert shares[0] == shares[3] == [1.0] * len(listing)
    assert [{one, other} for one, other in zip(shares[1], shares[2], strict=True)] == [{0.8, 1.0}] * len(listing)
    assert settings.points is not None
    assert settings.points.ramp == listing[0].operation.ramp == 5
    assert all(machine.operation.share == 1 for machine in site.machines.values())


def test_the_mixture_has_more_of_a_firmware_with_a_higher_weight() -> None:
    def luxos(**options: object) -> int:
        site = SimulatedSite(60, network="127.81.16.0/20", lowest_port=1024, **options)  # type: ignore[arg-type]
        return sum(placement.family.name == "luxos" for placement in site.placements)

    assert luxos(weights={"luxos": 1.0}) > luxos()


def test_an_unknown_firmware_in_the_mixture_is_refused_with_the_nearest() -> None:
    with pytest.raises(SimulationError, match=r"there is no firmware 'luxus': did you mean 'luxos'\?"):
        SimulatedSite(4, network="127.81.16.0/20", weights={"luxus": 1.0})


@pytest.mark.parametrize("text", ["luxos", "luxos=much", "luxos=0", "luxos=-1", "luxos=nan", "luxos=inf"])
def test_a_weight_is_a_number_above_zero(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no firmware and weight above 0"):
        _weight(text)
    assert _weight("luxos=0.5") == ("luxos", 0.5)
