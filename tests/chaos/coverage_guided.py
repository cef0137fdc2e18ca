"""``make fuzz``: fuzzing that is guided by coverage (atheris), of everything that reads bytes from outside.

It begins with the answers of the recorded rigs and sources. Arguments are those of libFuzzer:
``-max_total_time=600``, ``-runs=1000000``. An exception that is not a classified one ends it, and the input is written
to the working directory.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import atheris
import structlog

with atheris.instrument_imports(include=["exporter"]):
    from hostile_answers import read_rig, read_source, seeds

    from exporter.inventory.csv_files import csv_file
    from exporter.inventory.listed import InventoryError
    from exporter.inventory.service_discovery import file_rows
    from exporter.model.failures import Failure
    from exporter.model.fields import parse_duration
    from exporter.model.secrets import mask_urls
    from exporter.server.negotiation import negotiate
    from exporter.server.web_config import WebConfigError, WebConfigFile
    from exporter.settings import document
    from exporter.sources.backfill import read_file
    from exporter.sources.contract import SourceContext
    from exporter.sources.expected_off.maintenance import outages
    from exporter.sources.http import Answer
    from exporter.sources.metrics_text import samples
    from exporter.sources.registry import settings_classes
    from exporter.sources.tables import read_table
    from exporter.sources.tariffs.http_csv import read_csv
    from exporter.sources.xml import parse_xml
    from exporter.tools.history import HistoryError
    from exporter.tools.history import read_csv as read_history
    from exporter.tools.statement import StatementError, read_lines
    from exporter.tools.usage import NoteError, read_notes

_ZONE = ZoneInfo("America/Chicago")
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
            list(outages(Path(name), text, _ZONE, []))


def _file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes that gives a file with them to ``read``."""

    def reader(content: bytes) -> object:
        _FILE.write_bytes(content)
        return read(_FILE)

    return reader


def _edited(room: str) -> Callable[[bytes], object]:
    """Return a reader of a list that people edit, as YAML or CSV."""

    def reader(content: bytes) -> object:
        path = _FILE.with_suffix((".yml", ".csv")[len(content) % 2])
        path.write_bytes(content)
        settings: Mapping[str, Any] = {"path": path, "timezone": "America/Chicago"}
        source = settings_classes(room)["schedule"].model_validate(settings)
        return asyncio.run(source.build(SourceContext(None)).fetch())  # type: ignore[arg-type]

    return reader


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
    _file(read_file),
    _file(read_history),
    _file(read_lines),
    _file(lambda path: read_notes(path, _ZONE)),
    _edited("obligations"),
    _edited("positions"),
    read_source,
    read_rig,
)
_REFUSALS = (Failure, InventoryError, WebConfigError, HistoryError, StatementError, NoteError, ValueError)


def one_input(content: bytes) -> None:
    """Give the input to the reader that its first byte chooses."""
    if content:
        with suppress(*_REFUSALS):
            _READERS[content[0] % len(_READERS)](content[1:])


def _drop(*_: object) -> NoReturn:
    """Log nothing."""
    raise structlog.DropEvent


def _corpus() -> str:
    """Write the recorded answers as first inputs, and return their folder."""
    folder = Path(tempfile.mkdtemp(prefix="hashmargin-corpus-"))
    for number, (reader, content) in enumerate(seeds()):
        (folder / str(number)).write_bytes(bytes((_READERS.index(reader),)) + content)
    return str(folder)


if __name__ == "__main__":
    structlog.configure(processors=[_drop])
    atheris.Setup([*sys.argv, _corpus()], one_input)
    atheris.Fuzz()
