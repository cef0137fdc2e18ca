"""``make fuzz``: fuzzing that is guided by coverage (atheris), of everything that reads bytes from outside.

Arguments are those of libFuzzer: ``-max_total_time=600``, ``-runs=1000000``. An exception that is not a classified one
ends it, and the input is written to the working directory.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import atheris

with atheris.instrument_imports(include=["exporter"]):
    from exporter.inventory.csv_files import csv_file
    from exporter.inventory.listed import InventoryError
    from exporter.inventory.service_discovery import file_rows
    from exporter.model.failures import Failure
    from exporter.model.fields import parse_duration
    from exporter.model.secrets import mask_urls
    from exporter.server.negotiation import negotiate
    from exporter.server.web_config import WebConfigError, WebConfigFile
    from exporter.settings import document
    from exporter.sources.expected_off.maintenance import outages
    from exporter.sources.http import Answer
    from exporter.sources.metrics_text import samples
    from exporter.sources.tables import read_table
    from exporter.sources.tariffs.http_csv import read_csv
    from exporter.sources.xml import parse_xml

_FILE = Path(tempfile.mkdtemp(prefix="hashmargin-fuzz-")) / "input.yml"


def _web_config(content: bytes) -> None:
    _FILE.write_bytes(content)
    WebConfigFile(_FILE)


def _document(content: bytes) -> None:
    _FILE.write_bytes(content)
    document.read(_FILE)


def _inventory(content: bytes) -> None:
    _FILE.write_bytes(content)
    csv_file(_FILE)


def _targets(content: bytes) -> None:
    _FILE.write_bytes(content)
    list(file_rows(_FILE, [], []))


def _downtime(content: bytes) -> None:
    text = content.decode(errors="replace")
    for name in ("m.yml", "m.csv"):
        with suppress(Failure):
            list(outages(Path(name), text, ZoneInfo("America/Chicago"), []))


_READERS: tuple[Callable[[bytes], object], ...] = (
    _document,
    _web_config,
    _inventory,
    _targets,
    _downtime,
    lambda content: parse_xml(content.decode(errors="replace")),
    lambda content: list(samples(content.decode(errors="replace"), ("DCGM_FI_DEV_POWER_USAGE",), [])),
    lambda content: read_csv(Answer("host", 200, {}, content), ("time", "price")),
    lambda content: read_table(content.decode(errors="replace"), ("time", "price")),
    lambda content: parse_duration(content.decode(errors="replace")),
    lambda content: mask_urls(content.decode(errors="replace")),
    lambda content: negotiate(content.decode("latin-1"), content[::-1].decode("latin-1")),
)


def one_input(content: bytes) -> None:
    """Give the input to the reader that its first byte chooses."""
    if content:
        with suppress(Failure, InventoryError, WebConfigError, ValueError):
            _READERS[content[0] % len(_READERS)](content[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
