"""GPUs as NVIDIA's dcgm-exporter tells them, from its own text or through a Prometheus.

Family names and units: https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import GpuReading
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
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": _Family("energy", 1e-3, 1e11),
    "DCGM_FI_DEV_GPU_UTIL": _Family("utilization", 0.01, 1.0),
    "DCGM_FI_DEV_GPU_TEMP": _Family("temperature", 1.0, 200.0),
    "DCGM_FI_DEV_XID_ERRORS": _Family("xid_error", 1.0, 100_000.0),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": _Family("engine_active", 1.0, 1.0),
    _MEMORY: _Family("memory_used", _MEBIBYTE, 2.0**44),
}
FAMILIES: Final = tuple(_FAMILIES)
"""The families that are wanted; all others are not even parsed."""

_JOB: Final = "hpc_job"

MAX_BYTES: Final = 32 * 1024 * 1024
"""What an answer may hold: 60 series each of more than a thousand GPUs."""


class GpuSettings(SourceSettings):
    """What all sources of GPUs share. As with rigs, one lost answer must not dent a sum, two must show."""

    max_age: Duration = Field(default=150.0, description="Past this age what the GPUs told is refused, all of it.")
    held_memory_mebibytes: float = Field(
        default=1024.0,  # above what driver and monitoring themselves take
        ge=0,
        description="With more memory in use than this a GPU counts as allocated.",
    )

    tenant_label: str = Field(default="pod", description="The label that names who holds a GPU; hpc_job does as well.")

    @property
    def held_memory(self) -> float:
        """The same in bytes."""
        return self.held_memory_mebibytes * _MEBIBYTE


def read_gpus(samples: Iterable[Sample], settings: GpuSettings) -> Gpus:
    """Make one reading per physical GPU."""
    by_gpu: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        uuid = sample.labels.get("UUID")
        if uuid:
            by_gpu[uuid].append(sample)
    labels = (settings.tenant_label, _JOB)
    tenants_told = any(label in sample.labels for found in by_gpu.values() for sample in found for label in labels)
    return tuple(_gpu(uuid, found, settings, tenants_told=tenants_told) for uuid, found in by_gpu.items())


def _gpu(uuid: str, samples: list[Sample], settings: GpuSettings, *, tenants_told: bool) -> GpuReading:
    values: dict[str, float] = {}
    memory: dict[str, float] = {}  # by MIG instance
    for family, labels, value in samples:
        field, scale, highest = _FAMILIES[family]
        converted = value * scale
        if not 0 <= converted <= highest:  # NaN and DCGM's "blank" sentinels fail this too
            continue
        if family == _MEMORY:
            memory[labels.get("GPU_I_ID", "")] = converted
        else:  # MIG instances and sharing pods repeat the whole GPU's figure
            values[field] = max(converted, values.get(field, 0.0))
    if memory:
        values["memory_used"] = memory.get("", sum(memory.values()))
    labels = samples[0].labels
    xid = values.pop("xid_error", None)
    held = any(sample.labels.get(label) for sample in samples for label in (settings.tenant_label, _JOB))
    return GpuReading(
        gpu=uuid,
        model=labels.get("modelName", ""),
        hostname=labels.get("Hostname") or labels.get("hostname", ""),
        xid_error=int(xid) if xid is not None else None,
        allocated=held or _holds_memory(values.get("memory_used"), settings.held_memory, otherwise=tenants_told),
        **values,
    )


def _holds_memory(used: float | None, held: float, *, otherwise: bool) -> bool | None:
    """Whether memory in use shows a tenant. Where memory is not told, it is free only if tenants are ``otherwise``."""
    if used is not None:
        return used > held
    return False if otherwise else None
