"""GPUs as dcgm-exporter (NVIDIA) and device-metrics-exporter (AMD) report them, directly or through a Prometheus.

Names and units: https://docs.nvidia.com/datacenter/dcgm/latest/dcgm-api/dcgm-api-field-ids.html and
https://instinct.docs.amd.com/projects/device-metrics-exporter.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from pydantic import Field

from exporter.model.fields import Duration
from exporter.model.readings import GpuReading
from exporter.sources.contract import Discards, SourceSettings, printable
from exporter.sources.metrics_text import Sample

Gpus = tuple[GpuReading, ...]


class _Family(NamedTuple):
    """The field of a family, the factor to our unit, and the highest plausible value in it.

    ``parts`` is how a GPU that is divided into instances shows the value: the whole GPU's in each (``repeated``), a
    share of the instance (``weighed``), an amount of the instance (``summed``), or nothing usable (``unsupported``).
    """

    field: str
    scale: float
    highest: float
    parts: str


_MEBIBYTE: Final = 1024.0 * 1024.0
_MAX_WATTS: Final = 5_000.0
_MAX_JOULES: Final = 1e11
_MAX_BYTES: Final = 2.0**44
_NVIDIA: Final = {
    "DCGM_FI_DEV_POWER_USAGE": _Family("power", 1.0, _MAX_WATTS, "repeated"),
    "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": _Family("energy", 1e-3, _MAX_JOULES, "repeated"),
    "DCGM_FI_DEV_GPU_UTIL": _Family("utilization", 0.01, 1.0, "unsupported"),  # MIG: 0 whatever runs
    "DCGM_FI_DEV_GPU_TEMP": _Family("temperature", 1.0, 200.0, "repeated"),
    "DCGM_FI_DEV_XID_ERRORS": _Family("xid_error", 1.0, 100_000.0, "repeated"),
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE": _Family("engine_active", 1.0, 1.0, "weighed"),
    "DCGM_FI_DEV_FB_USED": _Family("memory_used", _MEBIBYTE, _MAX_BYTES, "summed"),
}
_AMD: Final = {  # of several families for one field, the first that a GPU has is used
    "gpu_package_power": _Family("power", 1.0, _MAX_WATTS, "repeated"),
    "gpu_average_package_power": _Family("power", 1.0, _MAX_WATTS, "repeated"),
    "gpu_power_usage": _Family("power", 1.0, _MAX_WATTS, "repeated"),
    "gpu_energy_consumed": _Family("energy", 1e-6, _MAX_JOULES, "repeated"),
    "gpu_gfx_activity": _Family("utilization", 0.01, 1.0, "unsupported"),
    "gpu_prof_gui_util_percent": _Family("engine_active", 0.01, 1.0, "unsupported"),
    "gpu_junction_temperature": _Family("temperature", 1.0, 200.0, "repeated"),
    "gpu_edge_temperature": _Family("temperature", 1.0, 200.0, "repeated"),
    "gpu_used_vram": _Family("memory_used", _MEBIBYTE, _MAX_BYTES, "summed"),
}
_FAMILIES: Final = _NVIDIA | _AMD | {f"amd_{name}": family for name, family in _AMD.items()}
FAMILIES: Final = tuple(_FAMILIES)
"""The families that are read. All others are not even parsed."""

_JOBS: Final = ("hpc_job", "job_id")
_WHOLE: Final = ""
_UNDIVIDED: Final = frozenset({"", "spx", "na", "none"})  # values of gpu_compute_partition_type

_PROFILE: Final = re.compile(r"(?:\dc\.)?(\d)g\.")
_SLICES: Final = {"A30": 4, "RTX PRO 6000": 4} | dict.fromkeys(
    ("A100", "A800", "H100", "H800", "H20", "H200", "GH200", "B200", "GB200", "B300", "GB300"), 7
)
_SLICES_BY_MODEL: Final = re.compile(rf"\b({'|'.join(sorted(_SLICES, key=len, reverse=True))})\b")

_BUSY: Final = 0.5
_LEAST_WATTS: Final = 2.0
"""No idle GPU draws less. Kilowatts that are taken for watts lie below."""

MAX_BYTES: Final = 32 * 1024 * 1024
"""Size limit of an answer: 60 series each of more than a thousand GPUs."""


class GpuSettings(SourceSettings):
    """Settings of all GPU sources. One lost answer must not change a sum; two must show."""

    max_age: Duration = Field(default=150.0, description="GPU readings older than this are not used.")
    held_memory_mebibytes: float = Field(
        default=1024.0,  # above what driver and monitoring use
        ge=0,
        description="A GPU with more memory in use than this counts as allocated.",
    )

    tenant_label: str = Field(default="pod", description="Label with the tenant of a GPU, beside hpc_job and job_id.")

    @property
    def held_memory(self) -> float:
        """The same in bytes."""
        return self.held_memory_mebibytes * _MEBIBYTE

    def reconcile(self, value: Gpus, discards: Discards) -> Gpus:
        """Leave out figures that the utilization of the same GPU excludes."""
        return tuple(_reconciled(gpu, discards) for gpu in value)


def _reconciled(gpu: GpuReading, discards: Discards) -> GpuReading:
    busy = gpu.utilization or 0.0
    if busy >= _BUSY and gpu.engine_active == 0:  # DCGM's profiling stops without an error
        discards.note("engine_active", f"{gpu.gpu}: engine active 0 % with a utilization of {busy:.0%}")
        gpu = replace(gpu, engine_active=None)
    if gpu.power == 0 and busy > 0:
        discards.note("power", f"{gpu.gpu}: 0 W with a utilization of {busy:.0%}")
        gpu = replace(gpu, power=None)
    if gpu.power is not None and 0 < gpu.power < _LEAST_WATTS:
        discards.note("power", f"{gpu.gpu}: {gpu.power:g} W is less than an idle GPU draws: is it in kilowatts?")
        gpu = replace(gpu, power=None)
    return gpu


def read_gpus(samples: Iterable[Sample], settings: GpuSettings) -> Gpus:
    """Return one reading per physical GPU."""
    by_gpu: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        identity = _identity(sample.labels)
        if identity:
            by_gpu[identity].append(sample)
    labels = (settings.tenant_label, *_JOBS)
    tenants_known = any(label in sample.labels for found in by_gpu.values() for sample in found for label in labels)
    return tuple(_gpu(gpu, found, settings, tenants_known=tenants_known) for gpu, found in by_gpu.items())


def _identity(labels: Mapping[str, str]) -> str:
    """Return what identifies the physical GPU: NVIDIA's UUID, or AMD's serial number, or host and index."""
    named = _text(labels, "UUID", "serial_number", "gpu_uuid")
    if named:
        return named
    host, index = _text(labels, "hostname"), _text(labels, "gpu_id")
    return f"{host}/{index}" if host and index else ""


def _text(labels: Mapping[str, str], *names: str) -> str:
    """Return the first label that is set, without control characters. Empty if there is none."""
    return printable(next((labels[name] for name in names if labels.get(name)), ""))


def _part(labels: Mapping[str, str]) -> str:
    """Return the instance (MIG) or partition of the GPU that a sample is of; empty for the whole GPU."""
    instance = labels.get("GPU_I_ID")
    if instance:
        return instance
    if labels.get("gpu_compute_partition_type", "").lower() in _UNDIVIDED:
        return _WHOLE
    return f"{labels.get('gpu_partition_id', '')}/{labels.get('gpu_id', '')}"


def _gpu(identity: str, samples: list[Sample], settings: GpuSettings, *, tenants_known: bool) -> GpuReading:
    labels = samples[0].labels
    model = _text(labels, "modelName", "card_model")
    values = _values(samples, model)
    xid = values.pop("xid_error", None)
    held = any(sample.labels.get(label) for sample in samples for label in (settings.tenant_label, *_JOBS))
    return GpuReading(
        gpu=identity,
        model=model,
        hostname=_text(labels, "Hostname", "hostname"),
        xid_error=int(xid) if xid is not None else None,
        allocated=held or _holds_memory(values.get("memory_used"), settings.held_memory, otherwise=tenants_known),
        **values,
    )


def _values(samples: list[Sample], model: str) -> dict[str, float]:
    """Return the values of a GPU by field, put together from its parts."""
    by_family: dict[str, dict[str, float | None]] = defaultdict(dict)
    profiles: dict[str, str] = {}
    for family, labels, value in samples:
        part = _part(labels)
        profiles[part] = labels.get("GPU_I_PROFILE", "")
        converted = value * _FAMILIES[family].scale
        plausible = 0 <= converted <= _FAMILIES[family].highest  # NaN and DCGM's blank values are not
        known = by_family[family].get(part)
        by_family[family][part] = max(converted, known or 0.0) if plausible else known
    divided = any(part != _WHOLE for part in profiles)
    values: dict[str, float] = {}
    for family in sorted(by_family, key=FAMILIES.index):
        field = _FAMILIES[family].field
        whole = _whole(by_family[family], _FAMILIES[family].parts, profiles, model, divided=divided)
        if whole is not None:
            values.setdefault(field, whole)
    return values


def _whole(
    parts: Mapping[str, float | None], how: str, profiles: Mapping[str, str], model: str, *, divided: bool
) -> float | None:
    """Return the value of the whole GPU. None if its parts do not determine it."""
    if divided and how == "unsupported":
        return None
    if _WHOLE in parts:
        return parts[_WHOLE]
    known = [value for value in parts.values() if value is not None]
    if how == "repeated":
        return max(known, default=None)
    if len(known) < len(parts):
        return None
    return sum(known) if how == "summed" else _weighed(parts, profiles, model)


def _weighed(parts: Mapping[str, float | None], profiles: Mapping[str, str], model: str) -> float | None:
    """Return the share of the whole GPU, from shares of its instances. None if the size of one is not known."""
    total = _SLICES_BY_MODEL.search(model)
    sizes = {part: _PROFILE.match(profiles[part]) for part in parts}
    if total is None or not all(sizes.values()):
        return None
    busy = sum(value * int(size[1]) for part, value in parts.items() if value is not None and (size := sizes[part]))
    return min(busy / _SLICES[total[1]], 1.0)


def _holds_memory(used: float | None, held: float, *, otherwise: bool) -> bool | None:
    """Return whether memory in use shows a tenant. If it is not known, the GPU is free only if tenants are labelled."""
    if used is not None:
        return used > held
    return False if otherwise else None
