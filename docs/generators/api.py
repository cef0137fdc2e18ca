"""Renders ``docs/api.md`` from the records that the JSON API serves."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

from exporter.server.fleet import SORTS
from exporter.server.records import BlockRecord, FaultRecord, MarketRecord, RigRecord, TariffRecord

PAGE: Final = Path(__file__).parents[2] / "docs" / "api.md"

_INTRODUCTION: Final = f"""\
# JSON API

Written by `make docs` from the code: do not edit it here.

The last evaluation as JSON, for scripts. All calls are GET, read only, and answered from memory: no rig is asked. Every
answer names the `site` and when it was evaluated (`evaluated_at_timestamp_seconds`). What is unknown is `null`, never
0. Fields carry their units; times are unix seconds. 503 means that there is no evaluation yet, 400 that a word of the
query is not known; the text says which there are.

    curl -s 'http://127.0.0.1:9852/api/v1/rigs?verdict=curtail&sort=margin&limit=10'

| call | answer |
|---|---|
| `/api/v1/rigs` | `rigs`, and `total`, the number of those that fit |
| `/api/v1/rigs/<rig>` | `rig`, and the `explanation` of its verdict |
| `/api/v1/blocks` | `blocks` |
| `/api/v1/market` | `market` |

`/api/v1/rigs` takes `q` (in name, address, model, customer, serial numbers...), `block`, `status`, `verdict`, `sort`,
`order` (asc, desc), `limit` and `offset`. Rigs without the value sorted by come last. They sort by
{", ".join(f"`{word}`" for word in SORTS)}.

An explanation has `inputs` (what went in, with source and time), `lines` (the sum, line by line), `axis` (power,
mining, AI and GPUs side by side in USD per kWh) and `flips` (the value of one input, all others as they are, at which
the verdict would change).
"""
_RECORDS: Final = {
    "Rig": RigRecord,
    "Fault, of a rig": FaultRecord,
    "Block": BlockRecord,
    "Market": MarketRecord,
    "Tariff, in a market": TariffRecord,
}
_TABLE: Final = ("| field | type | meaning |", "|---|---|---|")
_JSON_TYPES: Final = {
    "float": "number",
    "int": "number",
    "str": "string",
    "bool": "boolean",
    "NoneType": "null",
    "tuple": "array of objects",
    "Mapping": "object",
}


def page() -> str:
    """The whole page."""
    tables = (line for title, record in _RECORDS.items() for line in _table(title, record))
    return "\n".join([_INTRODUCTION, *tables]) + "\n"


def _table(title: str, record: type[Any]) -> Iterator[str]:
    yield from (f"## {title}", "", record.__doc__ or "", "", *_TABLE)
    hints = get_type_hints(record, include_extras=True)
    for field in fields(record):
        kind, *said = (
            get_args(hints[field.name]) if hasattr(hints[field.name], "__metadata__") else (hints[field.name],)
        )
        yield f"| `{field.name}` | {_json_type(kind)} | {' '.join(said)} |"
    yield ""


def _json_type(kind: Any) -> str:
    if get_origin(kind) is None or _is_container(kind):
        return _JSON_TYPES[(get_origin(kind) or kind).__name__]
    return " or ".join(map(_json_type, get_args(kind)))


def _is_container(kind: Any) -> bool:
    return getattr(get_origin(kind), "__name__", "") in _JSON_TYPES
