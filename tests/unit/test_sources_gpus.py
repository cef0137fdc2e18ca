"""GPUs from dcgm-exporter's text: what counts, what is dropped, who holds what; and nodes that come and go."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
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
    reported = ",".join(f'{name}="{text}"' for name, text in {"UUID": uuid, **labels}.items())
    return f"DCGM_FI_{family}{{{reported}}} {value}"


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
    assert gpu.model == 'a "B" {c}, d=\\ '
    assert gpu.power == 70
    assert gpu.allocated is True


def test_a_timestamp_after_the_value_is_no_part_of_it() -> None:
    assert read(line("DEV_POWER_USAGE", "70 1774094400000")).power == 70


def test_a_line_of_another_family_is_not_even_parsed() -> None:
    assert read(line("DEV_POWER_USAGE", 70), 'DCGM_FI_DEV_POWER_USAGE_OTHER{UUID="b"} x', "nonsense {{{").power == 70


def test_control_characters_are_no_part_of_a_label() -> None:
    text = 'DCGM_FI_DEV_POWER_USAGE{UUID="GPU-\x16a",modelName="H\x141\\n00",Hostname="\x00node"} 70'
    (gpu,) = parse(text, SETTINGS)
    assert (gpu.gpu, gpu.model, gpu.hostname) == ("GPU-a", "H100", "node")


def test_a_gpu_without_a_uuid_is_none() -> None:
    assert parse('DCGM_FI_DEV_POWER_USAGE{gpu="0"} 70', SETTINGS) == ()


def test_a_broken_line_costs_only_itself() -> None:
    unreadable: list[str] = []
    text = "\n".join(
        ['DCGM_FI_DEV_POWER_USAGE{UUID="a', line("DEV_POWER_USAGE", "much", "b"), line("DEV_POWER_USAGE", 70)]
    )
    assert [gpu.gpu for gpu in parse(text, SETTINGS, unreadable)] == ["GPU-a"]
    assert len(unreadable) == 2


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


H100 = "NVIDIA H100 80GB HBM3"


def parts(family: str, values: dict[str, object], model: str = H100) -> list[str]:
    """One line for each instance, numbered from 7, by profile."""
    return [
        line(family, value, modelName=model, GPU_I_ID=str(index), GPU_I_PROFILE=profile.split("#")[0])
        for index, (profile, value) in enumerate(values.items(), start=7)
    ]


def test_a_mig_gpu_is_counted_once() -> None:
    gpu = read(
        *parts("DEV_POWER_USAGE", {"3g.40gb": 300, "3g.40gb#2": 300}),
        *parts("DEV_FB_USED", {"3g.40gb": 1000, "3g.40gb#2": 1000}),
    )
    assert (gpu.power, gpu.memory_used) == (300, 2000 * 2**20)


@pytest.mark.parametrize(
    ("values", "model", "whole"),
    [
        ({"1g.10gb": 0, "1g.10gb#2": 1.0, "1g.10gb#3": 0}, H100, 1 / 7),
        ({"3g.40gb": 0.5, "4g.40gb": 1.0}, H100, 5.5 / 7),
        ({"7g.80gb": 0.25}, "NVIDIA A100-SXM4-80GB", 0.25),
        ({"1g.6gb+me": 1.0, "2g.12gb": 0.5}, "NVIDIA A30", 0.5),
        ({"1c.3g.40gb": 1.0}, "NVIDIA H200", 3 / 7),
        ({"1g.10gb": 0, "1g.10gb#2": 0}, H100, 0),
        ({"1g.10gb": 1.0, "1g.10gb#2": "NaN"}, H100, None),
        ({"1g.10gb": 1.0}, "NVIDIA X1", None),
        ({"slice": 1.0}, H100, None),
    ],
)
def test_the_engine_activity_of_mig_instances_is_weighed_by_their_size(
    values: dict[str, object], model: str, whole: float | None
) -> None:
    assert read(*parts("PROF_GR_ENGINE_ACTIVE", values, model)).engine_active == (
        None if whole is None else pytest.approx(whole)
    )


def test_pods_that_share_a_mig_instance_count_it_once() -> None:
    shared = [
        line("PROF_GR_ENGINE_ACTIVE", 0.7, modelName=H100, GPU_I_ID="7", GPU_I_PROFILE="1g.10gb", pod=pod)
        for pod in ("a", "b")
    ]
    assert read(*shared).engine_active == pytest.approx(0.1)


def test_a_field_that_mig_does_not_support_is_absent() -> None:
    assert read(*parts("DEV_GPU_UTIL", {"1g.10gb": 0, "1g.10gb#2": 0})).utilization is None
    mixed = [line("DEV_GPU_UTIL", 0, modelName=H100), *parts("DEV_POWER_USAGE", {"1g.10gb": 300})]
    assert (read(*mixed).utilization, read(*mixed).power) == (None, 300)


def test_memory_of_an_instance_that_is_not_known_makes_the_sum_absent() -> None:
    assert read(*parts("DEV_FB_USED", {"1g.10gb": 100, "1g.10gb#2": "9223372036854775794"})).memory_used is None


def amd(family: str, value: object, partition: str = "0", mode: str = "spx", **labels: str) -> str:
    reported = {"card_model": "MI300X", "gpu_partition_id": partition, "gpu_compute_partition_type": mode, **labels}
    shown = ",".join(
        f'{name}="{text}"' for name, text in ({"serial_number": "SN-1", "gpu_id": partition} | reported).items()
    )
    return f"{family}{{{shown}}} {value}"


@pytest.mark.parametrize("prefix", ["", "amd_"])
def test_amd_gpus_have_their_own_units(prefix: str) -> None:
    gpu = read(
        amd(f"{prefix}gpu_package_power", 713),
        amd(f"{prefix}gpu_energy_consumed", 2e6),
        amd(f"{prefix}gpu_gfx_activity", 98),
        amd(f"{prefix}gpu_used_vram", 3),
        amd(f"{prefix}gpu_junction_temperature", 76),
        amd(f"{prefix}gpu_prof_gui_util_percent", 50),
    )
    assert gpu == GpuReading(
        gpu="SN-1",
        model="MI300X",
        power=713,
        energy=2,
        utilization=0.98,
        memory_used=3 * 2**20,
        temperature=76,
        engine_active=0.5,
        allocated=False,
    )


def test_a_partitioned_amd_gpu_has_the_power_of_the_whole_and_no_utilization() -> None:
    gpu = read(
        amd("gpu_package_power", 400, "0", "cpx"),
        amd("gpu_package_power", 0, "1", "cpx"),
        amd("gpu_gfx_activity", 12, "0", "cpx"),
        amd("gpu_used_vram", 10, "0", "cpx"),
        amd("gpu_used_vram", 20, "1", "cpx"),
    )
    assert (gpu.power, gpu.utilization, gpu.memory_used) == (400, None, 30 * 2**20)


def test_of_several_powers_of_an_amd_gpu_the_current_one_is_used() -> None:
    assert read(amd("gpu_power_usage", 690), amd("gpu_average_package_power", 700)).power == 700
    assert read(amd("gpu_average_package_power", 700), amd("gpu_package_power", 713)).power == 713
    assert read(amd("gpu_package_power", 65_535), amd("gpu_power_usage", 690)).power == 690


@pytest.mark.parametrize(("labels", "tenant"), [({"pod": "x"}, True), ({"job_id": "12"}, True), ({"pod": ""}, None)])
def test_who_holds_an_amd_gpu(labels: dict[str, str], tenant: bool | None) -> None:
    assert read(amd("gpu_package_power", 140, **labels)).allocated is (tenant or False)


@given(st.text(alphabet='DCGM_FI_DEV_POWER_USAGE{}="a,1 \n\\UUID', max_size=200))
def test_no_text_does_more_than_fail(text: str) -> None:
    with suppress(ValueError, LookupError):
        assert all(gpu.gpu for gpu in parse("DCGM_FI_DEV_POWER_USAGE{" + text, SETTINGS))


class Cluster:
    """A discovery server, and nodes known by the address they are asked at."""

    def __init__(self) -> None:
        self.targets: Any = []
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
        yield SourceContext(session, clock=lambda: cluster.now, timer=lambda: cluster.now, telemetry=telemetry)


@pytest.mark.parametrize(("targets", "where"), [("127.0.0.1:9400", "0.targets: "), ([9400], "0.targets.0: ")])
async def test_what_is_no_list_of_targets_is_refused(
    cluster: Cluster, context: SourceContext, targets: Any, where: str
) -> None:
    cluster.targets = targets
    async with serve(cluster.handle) as discovery:
        with pytest.raises(Failure, match=f"not a list of targets as http_sd has it: {where}") as caught:
            await http_sd.Settings(url=f"{discovery}/targets").build(context).fetch()
    assert caught.value.reason is Reason.GARBLED


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


async def test_a_list_that_lost_many_nodes_is_used_once_it_has_lasted_and_an_empty_one_never(
    cluster: Cluster, context: SourceContext, telemetry: Telemetry
) -> None:
    async with AsyncExitStack() as stack:
        discovery, *nodes = [await stack.enter_async_context(serve(cluster.handle)) for _ in range(6)]
        cluster.targets = names = [node.removeprefix("http://") for node in nodes]
        named = context.named("gpus:list")
        source = http_sd.Settings(url=f"{discovery}/targets").build(named)

        async def gpus() -> int:
            cluster.now += 60
            return len((await source.fetch()).value)

        assert await gpus() == 5
        cluster.targets = names[:2]
        with capture_logs() as logs:
            assert [await gpus() for _ in range(10)] == [5] * 10
        detail = "the list has 2 targets instead of 5, which must last for 10 minutes: the last list stays in use"
        assert [(entry["figure"], entry["detail"]) for entry in logs] == [("list", detail)]
        cluster.targets = names
        assert await gpus() == 5
        assert named.discards.notes == {}
        cluster.targets = names[:2]
        assert [await gpus() for _ in range(11)] == [5] * 10 + [2]
        cluster.targets = []
        assert [await gpus() for _ in range(20)] == [2] * 20
        labels = {"source": "gpus:list", "figure": "list"}
        assert telemetry.registry.get_sample_value("mining_source_discarded_total", labels) == 40


class GuardedCluster(Cluster):
    """A cluster that keeps the Authorization headers, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, str | None] = {}

    async def handle(self, request: web.Request) -> web.Response:
        self.sent[request.path] = request.headers.get("Authorization")
        return await super().handle(request)


LIST_LOGIN = {"username": "list", "password": "secret", "headers": {"X-Key": "k"}}


async def test_the_login_of_the_list_is_not_sent_to_its_targets(context: SourceContext) -> None:
    cluster = GuardedCluster()
    async with serve(cluster.handle) as server:
        cluster.targets = [server.removeprefix("http://")]
        await http_sd.Settings.model_validate({"url": f"{server}/targets"} | LIST_LOGIN).build(context).fetch()
        assert cluster.sent["/metrics"] is None
        assert (cluster.sent["/targets"] or "").startswith("Basic ")
        networks = {"target_login": {"bearer_token": "gpu"}, "target_networks": ["127.0.0.0/8"]}
        settings = http_sd.Settings.model_validate({"url": f"{server}/targets"} | LIST_LOGIN | networks)
        await settings.build(context).fetch()
        assert cluster.sent["/metrics"] == "Bearer gpu"
        assert (cluster.sent["/targets"] or "").startswith("Basic ")


@pytest.mark.parametrize(
    ("networks", "target"),
    [
        ([], "169.254.169.254"),
        ([], "[fe80::1]:9400"),
        (["10.2.0.0/16"], "127.0.0.1:1"),
        (["10.2.0.0/16"], "localhost:1"),
        ([], "user:password@127.0.0.1"),
    ],
)
async def test_a_target_outside_the_networks_is_not_requested(
    cluster: Cluster, context: SourceContext, networks: list[str], target: str
) -> None:
    async with serve(cluster.handle) as server:
        cluster.targets = [target]
        settings = http_sd.Settings.model_validate({"url": f"{server}/targets", "target_networks": networks})
        source = settings.build(context)
        with capture_logs() as logs, pytest.raises(Failure, match="no target of the list is within target_networks"):
            await source.fetch()
        assert [entry["targets"] for entry in logs] == [f"gpus:{target}"]
        own = server.removeprefix("http://")
        cluster.targets = [target, own]
        if not networks:
            assert [gpu.gpu for gpu in (await source.fetch()).value] == [f"GPU-{own}"]


def test_a_login_for_targets_needs_their_networks() -> None:
    with pytest.raises(ValidationError, match="target_login needs target_networks"):
        http_sd.Settings.model_validate({"url": "http://127.0.0.1/targets", "target_login": {"bearer_token": "x"}})


async def test_a_node_of_two_lists_is_requested_once_and_taken_over_when_one_drops_it(
    cluster: Cluster, context: SourceContext
) -> None:
    lists: dict[str, list[str]] = {}

    async def directory(request: web.Request) -> web.Response:
        return web.json_response([{"targets": lists[request.path]}])

    async with serve(cluster.handle) as first, serve(cluster.handle) as second, serve(directory) as server:
        one, two = first.removeprefix("http://"), second.removeprefix("http://")
        lists |= {"/a": [one, two], "/b": [two]}
        contexts = {path: context.named(f"gpus:{path}") for path in lists}
        sources = {path: http_sd.Settings(url=f"{server}{path}").build(each) for path, each in contexts.items()}

        async def gpus(path: str) -> set[str]:
            cluster.now += 60
            return {gpu.gpu for gpu in (await sources[path].fetch()).value}

        assert await gpus("/a") == {f"GPU-{one}", f"GPU-{two}"}
        assert await gpus("/b") == set()
        assert contexts["/b"].discards.notes == {"targets": f"{two} of 1 are requested for another list or entry"}
        assert [*contexts["/a"].members, *contexts["/b"].members] == [f"gpus:{one}", f"gpus:{two}"]
        lists["/a"] = [one]
        assert await gpus("/a") == {f"GPU-{one}"}
        assert await gpus("/b") == {f"GPU-{two}"}
        assert contexts["/b"].discards.notes == {}


async def test_a_node_that_is_an_entry_of_its_own_is_left_out_of_a_list(
    cluster: Cluster, context: SourceContext
) -> None:
    async with serve(cluster.handle) as first, serve(cluster.handle) as second, serve(cluster.handle) as discovery:
        one, two = first.removeprefix("http://"), second.removeprefix("http://")
        cluster.targets = [one, two]
        entry = dcgm_exporter.Settings(url=f"{first}/metrics").build(context)
        source = http_sd.Settings(url=f"{discovery}/targets").build(context)
        assert [gpu.gpu for gpu in (await source.fetch()).value] == [f"GPU-{two}"]
        assert [gpu.gpu for gpu in (await entry.fetch()).value] == [f"GPU-{one}"]


async def test_a_node_at_the_address_of_its_list_has_a_label_of_its_own(
    cluster: Cluster, context: SourceContext
) -> None:
    async with serve(cluster.handle) as discovery:
        address = discovery.removeprefix("http://")
        cluster.targets = [address]
        named = context.named(f"gpus:{address}")
        await http_sd.Settings(url=f"{discovery}/targets").build(named).fetch()
        assert [*named.members] == [f"gpus:{address}/metrics"]
