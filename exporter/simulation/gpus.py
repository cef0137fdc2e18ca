"""Simulated GPU nodes in the text of dcgm-exporter, with eight H100s each.

The first node is fully rented. The second has the difficult cases: an idle GPU, one held by an idle pod, one divided by
MIG (each slice has the power of the whole GPU), and one that has fallen off the bus (blank values). It runs a newer
release, which writes ``hostname`` instead of ``Hostname``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from aiohttp import web

from exporter.simulation.service import Service

_MODEL: Final = "NVIDIA H100 80GB HBM3"
_DRIVER: Final = "580.105.08"
_MEMORY_MIB: Final = 81_079
_IDLE_WATTS: Final = 71.0
_TOP_WATTS: Final = 660.0
_BLANK_INTEGER: Final = 9_223_372_036_854_775_794  # DCGM: not supported
_BLANK_FLOAT: Final = 140_737_488_355_330.0  # DCGM: not supported
_OFF_THE_BUS: Final = 79
_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load of a GPU: mean share of full power, its swing, and the period of the swing (s)."""

    mean: float
    swing: float = 0.0
    period: float = 900.0
    phase: float = 0.0

    def at(self, now: float) -> float:
        """Share of full power at a time."""
        return self.mean + self.swing * math.sin(math.tau * now / self.period + self.phase)

    def total(self, now: float) -> float:
        """Integral of the share until a time, in seconds, from an arbitrary zero."""
        return self.mean * now - self.swing * self.period / math.tau * math.cos(
            math.tau * now / self.period + self.phase
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One physical GPU. ``slices`` are its MIG instances, as (profile, instance)."""

    index: int
    uuid: str
    bus: str
    load: Load
    pod: str = ""
    memory: float = 0.0  # share in use
    slices: tuple[tuple[str, int], ...] = ()
    failed: bool = False
    energy_at_start: float = 0.0  # J, offset of the counter to `joules`

    def watts(self, now: float) -> float:
        """Power now."""
        return _IDLE_WATTS + (_TOP_WATTS - _IDLE_WATTS) * self.load.at(now)

    def joules(self, now: float) -> float:
        """Energy drawn until a time, from an arbitrary zero."""
        return _IDLE_WATTS * now + (_TOP_WATTS - _IDLE_WATTS) * self.load.total(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One field of DCGM: its declaration and its value. Not every field exists ``per_slice`` of a GPU."""

    name: str
    kind: str
    text: str
    read: Callable[[Gpu, float], float]
    whole: bool = True  # written as an integer
    per_slice: bool = True


def _memory(gpu: Gpu, now: float) -> float:  # noqa: ARG001 - every field is read the same way
    return round(_MEMORY_MIB * gpu.memory)


_METRICS: Final = (
    Metric(
        name="SM_CLOCK",
        kind="gauge",
        text="SM clock frequency (in MHz).",
        read=lambda gpu, now: 1_980 if gpu.load.at(now) else 345,
    ),
    Metric(name="MEM_CLOCK", kind="gauge", text="Memory clock frequency (in MHz).", read=lambda _gpu, _now: 2_619),
    Metric(
        name="MEMORY_TEMP",
        kind="gauge",
        text="Memory temperature (in C).",
        read=lambda gpu, now: 36 + 34 * gpu.load.at(now),
    ),
    Metric(
        name="GPU_TEMP", kind="gauge", text="GPU temperature (in C).", read=lambda gpu, now: 31 + 36 * gpu.load.at(now)
    ),
    Metric(name="POWER_USAGE", kind="gauge", text="Power draw (in W).", read=Gpu.watts, whole=False),
    Metric(
        name="TOTAL_ENERGY_CONSUMPTION",
        kind="counter",
        text="Total energy consumption since boot (in mJ).",
        read=lambda gpu, now: 1_000 * (gpu.energy_at_start + gpu.joules(now)),
    ),
    Metric(name="PCIE_REPLAY_COUNTER", kind="counter", text="Total number of PCIe retries.", read=lambda _gpu, _now: 0),
    Metric(
        name="GPU_UTIL",
        kind="gauge",
        text="GPU utilization (in %).",
        read=lambda gpu, now: 100 * min(gpu.load.at(now) * 1.6, 1.0),
        per_slice=False,
    ),
    Metric(
        name="MEM_COPY_UTIL",
        kind="gauge",
        text="Memory utilization (in %).",
        read=lambda gpu, now: 60 * gpu.load.at(now),
        per_slice=False,
    ),
    Metric(
        name="XID_ERRORS",
        kind="gauge",
        text="Value of the last XID error encountered.",
        read=lambda gpu, _now: _OFF_THE_BUS if gpu.failed else 0,
    ),
    Metric(
        name="FB_FREE",
        kind="gauge",
        text="Framebuffer memory free (in MiB).",
        read=lambda gpu, now: _MEMORY_MIB - _memory(gpu, now),
    ),
    Metric(name="FB_USED", kind="gauge", text="Framebuffer memory used (in MiB).", read=_memory),
    Metric(
        name="PROF_GR_ENGINE_ACTIVE",
        kind="gauge",
        text="Ratio of time the graphics engine is active.",
        read=lambda gpu, now: min(gpu.load.at(now) * 1.15, 1.0),
        whole=False,
    ),
    Metric(
        name="PROF_PIPE_TENSOR_ACTIVE",
        kind="gauge",
        text="Ratio of cycles the tensor (HMMA) pipe is active.",
        read=lambda gpu, now: gpu.load.at(now) * 0.55,
        whole=False,
    ),
    Metric(
        name="PROF_DRAM_ACTIVE",
        kind="gauge",
        text="Ratio of cycles the device memory interface is active sending or receiving data.",
        read=lambda gpu, now: gpu.load.at(now) * 0.4,
        whole=False,
    ),
)


class GpuNode:
    """One server with its dcgm-exporter."""

    def __init__(
        self, name: str, gpus: list[Gpu], clock: Callable[[], float], host: str, port: int, *, host_label: str
    ) -> None:
        self._name = name
        self._gpus = gpus
        self._clock = clock
        self._host_label = host_label
        self.service = Service(name, host, port, [web.get("/metrics", self._handle)])

    def text(self) -> str:
        """Return all metrics in the text format."""
        now = self._clock()
        lines: list[str] = []
        for metric in _METRICS:
            name = f"DCGM_FI_{'' if metric.name.startswith('PROF') else 'DEV_'}{metric.name}"
            lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} {metric.kind}"]
            lines += [
                f"{name}{{{labels}}} {value}" for gpu in self._gpus for labels, value in self._samples(metric, gpu, now)
            ]
        return "\n".join(lines) + "\n"

    def _samples(self, metric: Metric, gpu: Gpu, now: float) -> list[tuple[str, str]]:
        if gpu.failed and metric.name != "XID_ERRORS":
            value = str(_BLANK_INTEGER) if metric.whole else f"{_BLANK_FLOAT:.6f}"
        else:
            number = metric.read(gpu, now)
            value = str(round(number)) if metric.whole else f"{number:.6f}"
        if not gpu.slices:
            return [(self._labels(metric, gpu, None), value)]
        if not metric.per_slice:
            return []
        return [(self._labels(metric, gpu, part), value) for part in gpu.slices]

    def _labels(self, metric: Metric, gpu: Gpu, part: tuple[str, int] | None) -> str:
        labels = {
            "gpu": str(gpu.index),
            "UUID": gpu.uuid,
            "pci_bus_id": gpu.bus,
            "device": f"nvidia{gpu.index}",
            "modelName": _MODEL,
        }
        if part is not None:
            labels |= {"GPU_I_PROFILE": part[0], "GPU_I_ID": str(part[1])}
        labels |= {self._host_label: self._name, "DCGM_FI_DRIVER_VERSION": _DRIVER}
        if gpu.pod:
            labels |= {"container": "main", "namespace": "tenants", "pod": gpu.pod}
        if metric.name == "XID_ERRORS":
            labels |= {
                "err_code": str(_OFF_THE_BUS if gpu.failed else 0),
                "err_msg": "GPU has fallen off the bus" if gpu.failed else "No Error",
            }
        return ",".join(f'{name}="{value}"' for name, value in labels.items())

    async def _handle(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler has one
        return web.Response(body=self.text().encode(), headers={"Content-Type": _CONTENT_TYPE})


def gpu_nodes(seed: int, clock: Callable[[], float], host: str, ports: tuple[int, int]) -> tuple[GpuNode, GpuNode]:
    """Create the two nodes of the site."""
    random = Random(f"{seed} gpus")

    def training() -> Load:  # all GPUs of a job wait for each other
        return Load(mean=random.uniform(0.88, 0.92), swing=0.06, period=47.0)

    def serving() -> Load:
        return Load(mean=0.45, swing=0.25, period=5_400.0, phase=random.uniform(0.0, math.tau))

    full = [_gpu(random, clock, index, training(), pod="train-70b-0", memory=0.93) for index in range(8)]
    mixed = [_gpu(random, clock, index, serving(), pod=f"serve-chat-{index}", memory=0.82) for index in range(4)]
    mixed += [
        _gpu(random, clock, 4, Load(mean=0.0)),
        _gpu(random, clock, 5, Load(mean=0.0), pod="notebook-0", memory=0.31),
        _gpu(random, clock, 6, serving(), pod="batch-0", memory=0.4, slices=(("3g.40gb", 1), ("3g.40gb", 2))),
        _gpu(random, clock, 7, Load(mean=0.0), failed=True),
    ]
    return (
        GpuNode("gpu-1", full, clock, host, ports[0], host_label="Hostname"),
        GpuNode("gpu-2", mixed, clock, host, ports[1], host_label="hostname"),
    )


def _gpu(
    random: Random,
    clock: Callable[[], float],
    index: int,
    load: Load,
    *,
    pod: str = "",
    memory: float = 0.0,
    slices: tuple[tuple[str, int], ...] = (),
    failed: bool = False,
) -> Gpu:
    digits = f"{random.getrandbits(128):032x}"
    uuid = f"GPU-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    gpu = Gpu(
        index=index,
        uuid=uuid,
        bus=f"00000000:{0x1A + 0x11 * index:02X}:00.0",
        load=load,
        pod=pod,
        memory=memory,
        slices=slices,
        failed=failed,
    )
    return replace(gpu, energy_at_start=random.uniform(2e8, 3e9) - gpu.joules(clock()))
