"""GPUs as NVIDIA's dcgm-exporter tells them, from its own text or through a Prometheus.

Family names and units: https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from pydantic import Field

from exporter.readings import GpuReading
from exporter.sources.contract import SourceSettings

Gpus = tuple[GpuReading, ...]


class Sample(NamedTuple):
    """One sample of a family, as dcgm-exporter or Prometheus tells it."""

    family: str
    labels: Mapping[str, str]
    value: float


class _Family(NamedTuple):
    """Into which field a family goes, in which unit it comes, and up to which value (in ours) it is believed."""

    field: str
    scale: float
    highest: float


_MEMORY: Final = "DCGM_FI_DEV_FB_USED"
_MEBIBYTE: Final = 1024.0 * 1024.0
_FAMILIES: Final = {
    "DCGM_FI_DEV_POWER_USAGE": _Family("power", 1.0, 5_000.0),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": _Family("energy", 1e-3, 2.0**47 * 1e-3),
    "DCGM_FI_DEV_GPU_UTIL": _Family("utilization", 0.01, 1.0),
    "DCGM_FI_DEV_GPU_TEMP": _Family("temperature", 1.0, 200.0),
    "DCGM_FI_DEV_XID_ERRORS": _Family("xid_error", 1.0, 100_000.0),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": _Family("engine_active", 1.0, 1.0),
    _MEMORY: _Family("memory_used", _MEBIBYTE, 2.0**44),
}
FAMILIES: Final = tuple(_FAMILIES)
"""The families that are wanted; all others are not even parsed."""

_HELD_MEMORY: Final = 1024.0 * _MEBIBYTE  # above what driver and monitoring themselves take
_TENANT_LABELS: Final = ("pod", "exported_pod", "hpc_job")


class GpuSettings(SourceSettings):
    """What all sources of GPUs share."""

    held_memory_mebibytes: float = Field(
        default=1024.0, ge=0, description="With more memory in use than this a GPU counts as allocated."
    )


def read_gpus(samples: Iterable[Sample], held_memory: float = _HELD_MEMORY) -> Gpus:
    """Make one reading per physical GPU. ``held_memory`` (bytes) is what an unallocated GPU has in use at most."""
    by_gpu: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        uuid = sample.labels.get("UUID")
        if uuid:
            by_gpu[uuid].append(sample)
    return tuple(_gpu(uuid, found, held_memory) for uuid, found in by_gpu.items())


def _gpu(uuid: str, samples: list[Sample], held_memory: float) -> GpuReading:
    values: dict[str, float] = {}
    memory: dict[str, float] = {}  # by MIG instance
    for family, labels, value in samples:
        field, scale, highest = _FAMILIES[family]
        converted = value * scale
        if not 0 <= converted < highest * 1.0001:  # NaN and DCGM's "blank" sentinels fail this too
            continue
        if family == _MEMORY:
            memory[labels.get("GPU_I_ID", "")] = converted
        else:  # MIG instances and sharing pods repeat the whole GPU's figure
            values[field] = max(converted, values.get(field, 0.0))
    if memory:
        values["memory_used"] = memory.get("", sum(memory.values()))
    labels = samples[0].labels
    xid = values.pop("xid_error", None)
    return GpuReading(
        gpu=uuid,
        model=labels.get("modelName", ""),
        hostname=labels.get("Hostname") or labels.get("hostname", ""),
        xid_error=int(xid) if xid is not None else None,
        allocated=_allocated(samples, values.get("memory_used"), held_memory),
        **values,
    )


def _allocated(samples: list[Sample], memory: float | None, held_memory: float) -> bool | None:
    """Whether a tenant holds the GPU: by pod or job label, else by memory in use; None where nothing tells."""
    tenants = [sample.labels[label] for sample in samples for label in _TENANT_LABELS if label in sample.labels]
    if any(tenants):
        return True
    if memory is not None:
        return memory > held_memory
    return False if tenants else None
