"""GPUs from dcgm-exporter's text: what counts, what is dropped, who holds what; and nodes that come and go."""

from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from source_site import serve
from structlog.testing import capture_logs

from exporter.model.failures import Failure, Reason
from exporter.model.readings import GpuReading
from exporter.sources.contract import SourceContext
from exporter.sources.gpus import dcgm_exporter, http_sd
from exporter.sources.gpus.dcgm_exporter import parse
from exporter.telemetry import Telemetry

SETTINGS = dcgm_exporter.Settings(url="http://node-1:9400/metrics")
NOW = 1_774_094_400.0


def line(family: str, value: object, uuid: str = "GPU-a", **labels: str) -> str:
    told = ",".join(f'{name}="{text}"' for name, text in {"UUID": uuid, **labels}.items())
    return f"DCGM_FI_{family}{{{told}}} {value}"


def read(*lines: str) -> GpuReading:
    (gpu,) = parse("\n".join(lines), SETTINGS)
    return gpu


@pytest.mark.parametrize(
    "blank",
    ["9223372036854775794", "9223372036854775792", "140737488355328", "1.40737488355330e+14", "NaN", "-1", "+Inf"],
)
@pytest.mark.parametrize(
    "family",
    [
        "DEV_POWER_USAGE",
        "DEV_TOTAL_ENERGY_CONSUMPTION",
        "DEV_GPU_UTIL",
        "DEV_GPU_TEMP",
        "DEV_FB_USED",
        "DEV_XID_ERRORS",
        "PROF_GR_ENGINE_ACTIVE",
    ],
)
def test_a_blank_figure_is_absent(family: str, blank: str) -> None:
    assert read(line(family, blank), line("DEV_POWER_USAGE", "NaN")) == GpuReading(gpu="GPU-a")


def test_units_are_converted() -> None:
    gpu = read(
        line("DEV_TOTAL_ENERGY_CONSUMPTION", 1500),
        line("DEV_GPU_UTIL", 50),
        line("DEV_FB_USED", 2),
        line("PROF_GR_ENGINE_ACTIVE", 0.5),
    )
    assert (gpu.energy, gpu.utilization, gpu.memory_used, gpu.engine_active) == (1.5, 0.5, 2 * 2**20, 0.5)


def test_labels_are_read_whatever_stands_in_them() -> None:
    gpu = read(line("DEV_POWER_USAGE", 70, modelName=r"a \"B\" {c}, d=\\ \n", Hostname="n", pod="p} 5"))
    assert gpu.model == 'a "B" {c}, d=\\ \n'
    assert gpu.power == 70
    assert gpu.allocated is True


def test_a_timestamp_after_the_value_is_no_part_of_it() -> None:
    assert read(line("DEV_POWER_USAGE", "70 1774094400000")).power == 70


def test_a_line_of_another_family_is_not_even_parsed() -> None:
    assert read(line("DEV_POWER_USAGE", 70), 'DCGM_FI_DEV_POWER_USAGE_OTHER{UUID="b"} x', "nonsense {{{").power == 70


def test_a_gpu_without_a_uuid_is_none() -> None:
    assert parse('DCGM_FI_DEV_POWER_USAGE{gpu="0"} 70', SETTINGS) == ()


def test_a_broken_line_is_no_answer() -> None:
    with pytest.raises((ValueError, LookupError)):
        parse('DCGM_FI_DEV_POWER_USAGE{UUID="a', SETTINGS)


@pytest.mark.parametrize(
    ("lines", "allocated"),
    [
        ([line("DEV_POWER_USAGE", 70)], None),
        ([line("DEV_POWER_USAGE", 70, pod="")], False),
        ([line("DEV_POWER_USAGE", 70, pod="train")], True),
        ([line("DEV_POWER_USAGE", 70, hpc_job="123")], True),
        ([line("DEV_POWER_USAGE", 70, pod=""), line("DEV_FB_USED", 60_000, pod="")], True),
        ([line("DEV_FB_USED", 500)], False),
        ([line("DEV_POWER_USAGE", 70, GPU_I_ID="1", pod=""), line("DEV_POWER_USAGE", 70, GPU_I_ID="2", pod="x")], True),
    ],
)
def test_who_holds_a_gpu(lines: list[str], allocated: bool | None) -> None:
    assert read(*lines).allocated is allocated


def test_a_gpu_without_a_tenant_label_is_free_where_others_have_one() -> None:
    gpus = parse("\n".join([line("DEV_POWER_USAGE", 70, "a", pod="x"), line("DEV_POWER_USAGE", 70, "b")]), SETTINGS)
    assert [gpu.allocated for gpu in gpus] == [True, False]


def test_a_mig_gpu_is_counted_once() -> None:
    gpu = read(
        *(line("DEV_POWER_USAGE", 300, GPU_I_ID=part) for part in "12"),
        *(line("DEV_FB_USED", 1000, GPU_I_ID=part) for part in "12"),
        line("PROF_GR_ENGINE_ACTIVE", 0.1, GPU_I_ID="1"),
        line("PROF_GR_ENGINE_ACTIVE", 0.6, GPU_I_ID="2"),
    )
    assert (gpu.power, gpu.memory_used, gpu.engine_active) == (300, 2000 * 2**20, 0.6)


@given(st.text(alphabet='DCGM_FI_DEV_POWER_USAGE{}="a,1 \n\\UUID', max_size=200))
def test_no_text_does_more_than_fail(text: str) -> None:
    with suppress(ValueError, LookupError):
        assert all(gpu.gpu for gpu in parse("DCGM_FI_DEV_POWER_USAGE{" + text, SETTINGS))


class Cluster:
    """A discovery server, and nodes known by the address they are asked at."""

    def __init__(self) -> None:
        self.targets: list[str] | None = []
        self.down: set[str] = set()
        self.now = NOW

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == "/targets":
            if self.targets is None:
                return web.Response(status=500)
            return web.json_response([{"targets": self.targets}] if self.targets else [])
        name = request.host
        if name in self.down:
            return web.Response(status=503)
        return web.Response(text=line("DEV_POWER_USAGE", 70, f"GPU-{name}", pod=""))


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
async def context(cluster: Cluster, telemetry: Telemetry) -> AsyncIterator[SourceContext]:
    async with aiohttp.ClientSession() as session:
        yield SourceContext(session, clock=lambda: cluster.now, telemetry=telemetry)


async def test_nodes_come_and_go(cluster: Cluster, context: SourceContext, telemetry: Telemetry) -> None:
    async with serve(cluster.handle) as first, serve(cluster.handle) as second, serve(cluster.handle) as discovery:
        one, two = first.removeprefix("http://"), second.removeprefix("http://")
        source = http_sd.Settings(url=f"{discovery}/targets").build(context)

        async def gpus() -> set[str]:
            cluster.now += 60
            return {gpu.gpu for gpu in (await source.fetch()).value}

        with pytest.raises(Failure) as caught:
            await gpus()
        assert caught.value.reason is Reason.NOT_READY

        cluster.targets = [one, two]
        assert await gpus() == {f"GPU-{one}", f"GPU-{two}"}

        cluster.down = {two}
        with capture_logs() as logs:
            assert await gpus() == {f"GPU-{one}"}
            assert await gpus() == {f"GPU-{one}"}
        assert [entry["source"] for entry in logs] == [f"gpus:{two}"]

        cluster.targets = [one]
        assert await gpus() == {f"GPU-{one}"}
        assert telemetry.registry.get_sample_value("mining_source_up", {"source": f"gpus:{two}"}) is None

        cluster.targets = None
        with capture_logs() as logs:
            assert await gpus() == {f"GPU-{one}"}
            assert await gpus() == {f"GPU-{one}"}
        assert len(logs) == 1

        cluster.down = {one}
        with pytest.raises(Failure) as caught:
            await gpus()
        assert caught.value.reason is Reason.NOT_READY
