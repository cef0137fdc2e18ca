"""The GPUs of one node with AMD's device-metrics-exporter.

https://instinct.docs.amd.com/projects/device-metrics-exporter. A prefix ``amd_`` of its names is recognised.
"""

from typing import Literal

from pydantic import Field

from exporter.sources.gpus import dcgm_exporter


class Settings(dcgm_exporter.Settings):
    """One endpoint."""

    kind: Literal["amd_exporter"] = "amd_exporter"  # type: ignore[assignment]
    url: str = Field(description="Address of the metrics, such as http://node-1:5000/metrics.")

    @property
    def likely_cause(self) -> str:
        """The most likely cause of an answer without a GPU."""
        return "it has no GPU with a serial_number: is it the text of device-metrics-exporter?"
