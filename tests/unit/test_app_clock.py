"""The whole exporter as a process of its own while its clock is set, its machine suspended, or summer time begins."""

import time
from datetime import datetime
from pathlib import Path

import pytest
from whole_exporter import Exporter, Samples, all_margins, decided, ended, one, read_within, values, verdicts

from exporter.simulation.site import SimulatedSite

UNDER_ANOTHER_CLOCK = """
import pathlib, runpy, sys, time
real, timer, setting = time.time, time.clock_gettime, pathlib.Path(sys.argv.pop(1))
steps = lambda: map(float, setting.read_text().split())  # of the system clock, and of suspend
time.time = lambda: real() + sum(steps())
time.clock_gettime = lambda clock: timer(clock) + (list(steps())[1] if clock == time.CLOCK_BOOTTIME else 0)
sys.argv[:] = sys.argv[2:]
runpy.run_module("exporter", run_name="__main__", alter_sys=True)
"""


class OtherClock:
    """The clock of a process that runs ``UNDER_ANOTHER_CLOCK``."""

    def __init__(self, folder: Path, ahead: float = 0.0) -> None:
        self.setting = folder / "clock"
        self._steps = [ahead, 0.0]
        self._write()

    def turn(self, seconds: float) -> None:
        """Set the system clock."""
        self._steps[0] += seconds
        self._write()

    def suspend(self, seconds: float) -> None:
        """Let time go by while the machine does not run: timers of the process stand still."""
        self._steps[1] += seconds
        self._write()

    def _write(self) -> None:
        file = self.setting.with_suffix(".next")
        file.write_text(" ".join(map(str, self._steps)), encoding="utf-8")
        file.rename(self.setting)


async def test_a_clock_that_is_set_costs_no_reading(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["polling"] = {"interval": "10s", "deadline": "5s"}
    clock = OtherClock(tmp_path)
    evaluated = "mining_evaluation_timestamp_seconds"
    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        before = await exporter.until(lambda samples: all_margins(samples) and decided(samples))
        for step in (3600.0, -3600.0, 86_400.0, -86_400.0):
            clock.turn(step)
            reached = (one(before, evaluated) or 0.0) + step
            after = await exporter.until(
                lambda samples, reached=reached: abs((one(samples, evaluated) or 0.0) - reached) < 1_800
            )
            assert set(values(after, "mining_rig_margin_usd_per_day")) >= read_within(24, after)
            assert one(after, "mining_bitcoin_price_usd") is not None
            assert decided(after)
            same = verdicts(before).keys() & verdicts(after).keys()  # another hour's price may call for another verdict
            shifted = {rig: since + step for rig, since in verdicts(before).items() if rig in same}
            assert {rig: since for rig, since in verdicts(after).items() if rig in same} == pytest.approx(
                shifted, abs=2
            )
            before = after
        assert (await ended(process)).count("the system clock was set") == 4


async def test_a_clock_that_is_set_back_before_a_start_leaves_nothing_in_the_future(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    clock = OtherClock(tmp_path, ahead=3_600.0)
    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        await exporter.until(lambda samples: all_margins(samples) and decided(samples))
        await ended(process)
    clock.turn(-3_600.0)
    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        for holds in (bool, all_margins):
            samples = await exporter.until(holds)
            evaluated = one(samples, "mining_evaluation_timestamp_seconds")
            assert evaluated is not None
            read = values(samples, "mining_rig_last_success_timestamp_seconds")
            times = [*read.values(), *verdicts(samples).values()]
            times += [at for (name, _), at in samples.items() if name == "mining_source_last_success_timestamp_seconds"]
            assert max(times) <= evaluated + 60  # a source may answer after the evaluation, and long before the hour
        await ended(process)


async def test_a_machine_that_was_suspended_serves_nothing_old_and_counts_no_energy_for_it(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["polling"] = {"interval": "10s", "deadline": "5s"}
    clock = OtherClock(tmp_path)
    evaluated, energies = "mining_evaluation_timestamp_seconds", "mining_rig_energy_joules_total"
    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        before = await exporter.until(lambda samples: all_margins(samples) and len(values(samples, energies)) == 3)
        clock.suspend(3600.0)
        resumed = (one(before, evaluated) or 0.0) + 3600.0
        after = await exporter.until(bool)
        assert (one(after, evaluated) or 0.0) >= resumed, "until the next evaluation a scrape returns 503"
        read = values(after, "mining_rig_last_success_timestamp_seconds")
        assert set(values(after, "mining_rig_power_watts")) <= {rig for rig, at in read.items() if at >= resumed - 25}
        after = await exporter.until(
            lambda samples: (one(samples, evaluated) or 0.0) >= resumed and all_margins(samples)
        )
        spent = (one(after, evaluated) or 0.0) - (one(before, evaluated) or 0.0) - 3600.0
        for rig, joules in values(after, energies).items():
            grown = joules - values(before, energies)[rig]
            assert 0 <= grown <= 1.05 * values(after, "mining_rig_power_watts")[rig] * (spent + 10)
        assert "the system clock was set" not in await ended(process)


SPRING, AUTUMN = (datetime.fromisoformat(f"2026-{day}:00Z").timestamp() for day in ("03-08T08:00", "11-01T07:00"))
"""When clocks in Chicago go from 02:00 to 03:00, and from 02:00 back to 01:00."""


@pytest.mark.parametrize(
    ("change", "window", "dear"),
    [
        (SPRING, {"from": "03:00", "to": "04:00"}, {"from": "03:00", "to": "24:00"}),
        (AUTUMN, {"from": "01:00", "to": "01:30"}, {"from": "01:00", "to": "01:30"}),
    ],
    ids=["spring", "autumn"],
)
async def test_schedules_and_prices_change_with_summer_time(
    site: SimulatedSite, tmp_path: Path, change: float, window: dict[str, str], dear: dict[str, str]
) -> None:
    exporter = Exporter(tmp_path, site.config())
    zone = {"timezone": "America/Chicago"}
    exporter.config["schedules"] = {"nights": {**zone, "mining": [window]}}
    exporter.config["fleet"]["defaults"] = {"expected_mining": "nights"}
    periods = [{"price": 0.12, **dear}, {"price": 0.03}]
    exporter.config["tariffs"] = {"grid": {"kind": "time_of_use", **zone, "periods": periods}}
    exporter.config["tariff"] = "grid"
    del exporter.config["gpus"]  # which have another tariff
    exporter.config["blocks"] = {block: {"capacity_kilowatts": 20} for block in exporter.config["blocks"]}
    clock = OtherClock(tmp_path, change - time.time() - 10)
    evaluated = "mining_evaluation_timestamp_seconds"

    def now(samples: Samples) -> tuple[float | None, set[float]]:
        price = one(samples, "mining_power_price_usd_per_kilowatt_hour", tariff="grid")
        return price, set(values(samples, "mining_rig_expected_mining").values())

    async with exporter.running("-c", UNDER_ANOTHER_CLOCK, str(clock.setting)) as process:
        before = await exporter.until(lambda samples: now(samples)[0] is not None)
        if (one(before, evaluated) or 0.0) < change:  # else the start took more than ten seconds
            assert now(before) == (0.03, {0.0})
        after = await exporter.until(lambda samples: (one(samples, evaluated) or 0.0) >= change + 1)
        assert now(after) == (0.12, {1.0})
        assert "the system clock was set" not in await ended(process)
