"""Renders the table of ``docs/firmware.md`` from what each native reader declares."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docs.generators.sections import replaced, with_section
from exporter.simulation.firmware import families
from exporter.simulation.machine import Model
from exporter.sources.rigs.contract import Questions
from exporter.sources.rigs.firmware import native_readers

PAGE: Final = Path(__file__).parents[2] / "docs" / "firmware.md"
_READERS: Final = {"whatsminer": "whatsminer_v2", "hiveon": "antminer", "msk": "antminer"}
"""The readers of simulated families that are not named after theirs."""


def page() -> str:
    """Return the page with its tables of firmware written anew."""
    text = with_section(PAGE, "firmware", list(_table()))
    return replaced(text, "evidence", list(_evidence()))


def _evidence() -> Iterator[str]:
    yield from ("| reader | model | firmware version | evidence |", "|---|---|---|---|")
    simulated: defaultdict[str, list[Model]] = defaultdict(list)
    for family in families():
        simulated[_READERS.get(family.name, family.name)].extend(family.models)
    for name, reader in sorted(native_readers().items()):
        known = reader.firmware
        for model, version, by in known.recorded:
            yield f"| `{name}` | {model} | {version or 'not published'} | recorded ({by}) |"
        if known.documented:
            yield f"| `{name}` | all others | {known.documented} | documented |"
        for each in simulated[name]:
            yield f"| `{name}` | {each.name} | the demo's | simulated |"
    yield "| all | all others | all others | unseen |"


def _table() -> Iterator[str]:
    yield from ("| firmware | reader | protocol | power |", "|---|---|---|---|")
    for name, reader in sorted(native_readers().items()):
        known = reader.firmware
        yield f"| {_link(known.title, known.section)} | `{name}` | {_protocol(known.questions)} | {known.power} |"
    yield f"| {_link('all other SHA-256 firmware', 'Other firmware')} | `pyasic` | depends on the rig | if reported |"


def _link(title: str, section: str) -> str:
    """Link ``title`` to its section. A firmware that needs no explanation has none."""
    if f"\n### {section}\n" not in PAGE.read_text(encoding="utf-8"):
        return title
    return f"[{title}](#{re.sub('[^a-z0-9-]', '', section.lower().replace(' ', '-'))})"


def _protocol(questions: Questions) -> str:
    spoken = [f"HTTP {port}" for port in questions.pages]
    spoken += ["TCP 4028"] if questions.rpc else []
    spoken += ["TCP 4433"] if questions.v3 else []
    return ", ".join(spoken)
