"""Figures of one answer that contradict each other: the one that cannot be true is absent and counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.economics.retarget import expect_retarget
from exporter.model.readings import GpuReading, NetworkState
from exporter.sources.contract import Discards
from exporter.sources.gpus import dcgm_exporter
from exporter.sources.network import fixed
from exporter.telemetry import Telemetry

TIP = 1_774_698_900.0
DIFFICULTY = 133_790_000_000_000.3
STATE = NetworkState(
    height=942_472,  # 1,000 blocks after a retarget
    difficulty=DIFFICULTY,
    block_fees=0.0222,
    epoch_start_time=TIP - 1_000 * 600,
    tip_time=TIP,
    hashrate=DIFFICULTY * 2**32 / 600,
    block_interval=597,
)
SETTINGS = fixed.Settings(difficulty=DIFFICULTY, height=942_472)


def reconciled(state: NetworkState) -> tuple[NetworkState, set[str]]:
    discards = Discards("network", Telemetry())
    found = SETTINGS.reconcile(state, discards)
    return found, set(discards.notes)


def test_figures_that_agree_stay() -> None:
    assert reconciled(STATE) == (STATE, set())


def test_an_epoch_three_times_as_slow_as_its_last_blocks_has_no_start() -> None:
    wrong = replace(STATE, epoch_start_time=TIP - 1_000 * 1_807)
    estimate = expect_retarget(wrong).difficulty
    assert estimate is not None
    assert estimate / DIFFICULTY == pytest.approx(0.332, abs=0.001)
    found, lost = reconciled(wrong)
    assert lost == {"epoch_start_time"}
    assert expect_retarget(found).difficulty is None
    assert found.block_interval == 597


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("hashrate", 1e12),
        ("hashrate", 1e27),
        ("block_interval", 0.2),
        ("block_interval", 1e6),
        ("epoch_start_time", TIP + 86_400),
        ("next_difficulty", DIFFICULTY * 5),
        ("next_difficulty", DIFFICULTY * 0.332),
        ("next_difficulty", DIFFICULTY / 5),
    ],
)
def test_a_figure_that_contradicts_the_others_is_absent_and_counted(figure: str, value: float) -> None:
    telemetry = Telemetry()
    found = SETTINGS.reconcile(replace(STATE, **{figure: value}), Discards("network", telemetry))
    assert getattr(found, figure) is None
    assert found.difficulty == DIFFICULTY
    labels = {"source": "network", "figure": figure}
    assert telemetry.registry.get_sample_value("mining_source_discarded_total", labels) == 1


@given(pace=st.floats(420, 900), blocks=st.integers(1, 2_015), drift=st.floats(0.8, 1.25))
def test_an_epoch_that_could_be_is_never_doubted(pace: float, blocks: int, drift: float) -> None:
    state = replace(
        STATE,
        height=943_488 - 2_016 + blocks,
        epoch_start_time=TIP - blocks * pace,
        block_interval=pace * drift,
    )
    assert reconciled(state)[1] == set()


def gpus(*values: GpuReading) -> tuple[tuple[GpuReading, ...], set[str]]:
    discards = Discards("gpus", Telemetry())
    found = dcgm_exporter.Settings(url="http://node/metrics").reconcile(values, discards)
    return found, set(discards.notes)


def test_a_busy_gpu_whose_engine_is_never_active_has_no_engine_activity() -> None:
    busy = GpuReading(gpu="a", utilization=0.99, engine_active=0.0, power=650)
    assert gpus(busy) == ((replace(busy, engine_active=None),), {"engine_active"})


def test_a_busy_gpu_without_watts_has_no_power() -> None:
    busy = GpuReading(gpu="a", utilization=0.4, power=0.0)
    assert gpus(busy) == ((replace(busy, power=None),), {"power"})


def test_an_idle_gpu_keeps_its_zeros() -> None:
    idle = GpuReading(gpu="a", utilization=0.0, engine_active=0.0, power=0.0)
    assert gpus(idle) == ((idle,), set())


def test_a_gpu_below_what_an_idle_one_draws_has_no_power() -> None:
    in_kilowatts = GpuReading(gpu="a", utilization=0.9, power=0.65)
    assert gpus(in_kilowatts) == ((replace(in_kilowatts, power=None),), {"power"})
    idle = GpuReading(gpu="b", utilization=0.0, power=8.0)
    assert gpus(idle) == ((idle,), set())
