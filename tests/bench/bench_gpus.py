"""What a scrape of many GPUs costs: dcgm-exporter's text to readings, off the event loop, measured as CPU time."""

import time
from typing import Final

from exporter.sources.gpus import FAMILIES
from exporter.sources.gpus.dcgm_exporter import Settings, parse
from tests.bench.result import Result

_GPUS: Final = 1000
_FAMILIES: Final = 60
_ROUNDS: Final = 5


def gpu_parse_cpu() -> Result:
    """CPU seconds to read 1,000 GPUs of 60 series each: the best of a few rounds."""
    text = _text()
    settings = Settings(url="http://node-1:9400/metrics")
    spent = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        gpus = parse(text, settings)
        spent.append(time.process_time() - started)
        if len(gpus) != _GPUS or any(gpu.power is None or gpu.memory_used is None for gpu in gpus):
            raise SystemExit("the readings are not those of the text")
    return Result(min(spent), "s")


def _text() -> str:
    others = (f"DCGM_FI_DEV_OTHER_{number}" for number in range(_FAMILIES - len(FAMILIES)))
    lines = []
    for family in (*FAMILIES, *others):
        lines += [f"# HELP {family} Some field of DCGM.", f"# TYPE {family} gauge"]
        for gpu in range(_GPUS):
            labels = (
                f'gpu="{gpu % 8}",UUID="GPU-22dbdd79-0000-0000-0000-{gpu:012}",pci_bus_id="00000000:53:00.0",'
                f'device="nvidia{gpu % 8}",modelName="NVIDIA H100 80GB HBM3",Hostname="node-{gpu // 8}",'
                f'DCGM_FI_DRIVER_VERSION="580.105.08",container="train",namespace="tenant",pod="train-{gpu}"'
            )
            lines.append(f"{family}{{{labels}}} 0.{gpu:06}")
    return "\n".join(lines) + "\n"


BENCHES: Final = {"gpu_parse_cpu": gpu_parse_cpu}
