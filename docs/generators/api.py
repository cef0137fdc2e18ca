"""Renders ``docs/api.md`` from the records of the JSON API and the catalogue of metrics."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from exporter.exposition.catalogue import CATALOGUE
from exporter.server.fleet import SORTS
from exporter.server.obligation_records import DeliveryRecord, ObligationRecord
from exporter.server.outlook_records import BlockOutlookRecord, OutlookRecord, StartRecord
from exporter.server.plan_records import PlannedBlockRecord, PlannedSlotRecord, PlanRecord
from exporter.server.records import BlockRecord, FaultRecord, MarketRecord, RigRecord, TariffRecord
from exporter.server.setpoint_records import CutRecord, SetpointRecord, ShedRecord

PAGE: Final = Path(__file__).parents[2] / "docs" / "api.md"

_INTRODUCTION: Final = f"""\
# JSON API

Use the latest evaluation in scripts. `make docs` generates this page from the code: do not edit it.

```sh
curl -s 'http://127.0.0.1:9852/api/v1/rigs?verdict=curtail&sort=margin&limit=10'
```

| call | returns |
|---|---|
| `/api/v1/rigs` | `rigs`, and `total`, the number of matching rigs |
| `/api/v1/rigs/<rig>` | `rig`, and the `explanation` of its verdict |
| `/api/v1/blocks` | `blocks` |
| `/api/v1/market` | `market` |
| `/api/v1/obligations` | `known` sources, `obligations` now and later, `deliveries` that ended |
| `/api/v1/outlook` | `outlook` of `ai.outlook`; null if there is none |
| `/api/v1/setpoints` | `setpoints` of all rigs, those that shed most per dollar lost first, and their `total` |
| `/api/v1/shed?kilowatts=2000` | `shed`: which rigs to turn down to shed so many kW at the least loss |
| `/api/v1/plan` | `plan` of `decision.day_plan`; null if there is none |

- All calls are GET and read only. They are answered from memory, and no rig is contacted.
- Every answer has the `site` and the time of the evaluation, `evaluated_at_timestamp_seconds`.
- A value that is unknown is `null`, never 0.
- Names of fields include their unit. Times are Unix times in seconds.
- Status 503 means that there is no evaluation yet. Status 400 means an unknown word in the query; the text lists the
  known ones.

`/api/v1/rigs` takes these parameters:

| parameter | meaning |
|---|---|
| `q` | text in name, address, model, customer, serial numbers and others |
| `block`, `status`, `verdict` | filters |
| `sort` | {", ".join(f"`{word}`" for word in SORTS)} |
| `order` | `asc` or `desc` |
| `limit`, `offset` | number of rigs, and rigs to skip |
| `fields` | only these fields of each rig, such as `rig,margin_usd_per_day` |

Rigs without the value to sort by come last.

`/api/v1/setpoints` takes `block`, `limit` and `offset`. It and `/api/v1/shed` return CSV with the same fields, for
`format=csv` or the header `Accept: text/csv`.

An explanation has these parts:

| part | meaning |
|---|---|
| `inputs` | every input, with source and time |
| `lines` | the calculation, line by line |
| `axis` | power, mining, AI and GPUs in USD per kWh |
| `flips` | for one input, the value at which the verdict would change |

A field that is also a metric has the description of the metric. `true` and `false` stand for 1 and 0, and `null` for
an absent series.
"""


class _Record(NamedTuple):
    """A type of record, its title, and what its fields' names begin with as metrics."""

    title: str
    kind: type[Any]
    prefix: str


_RECORDS: Final = (
    _Record("Rig", RigRecord, "mining_rig_"),
    _Record("Fault, of a rig", FaultRecord, "mining_rig_fault_"),
    _Record("Block", BlockRecord, "mining_block_"),
    _Record("Market", MarketRecord, "mining_"),
    _Record("Tariff, in a market", TariffRecord, "mining_"),
    _Record("Obligation", ObligationRecord, "mining_"),
    _Record("Delivery, of an event", DeliveryRecord, "mining_"),
    _Record("Outlook", OutlookRecord, "mining_"),
    _Record("Block, in an outlook", BlockOutlookRecord, "mining_"),
    _Record("Start, of a block in an outlook", StartRecord, "mining_"),
    _Record("Setpoint", SetpointRecord, "mining_rig_"),
    _Record("Shed", ShedRecord, "mining_"),
    _Record("Cut, of a shed", CutRecord, "mining_rig_"),
    _Record("Plan", PlanRecord, "mining_plan_"),
    _Record("Slot, of a plan", PlannedSlotRecord, "mining_plan_"),
    _Record("Block, in a slot of a plan", PlannedBlockRecord, "mining_plan_"),
)
_METRICS: Final = {metric.name: metric.help for metric in CATALOGUE}
_TABLE: Final = ("| field | type | meaning |", "|---|---|---|")
_JSON_TYPES: Final = {
    "float": "number",
    "int": "number",
    "str": "string",
    "bool": "boolean",
    "NoneType": "null",
    "Mapping": "object",
}


def page() -> str:
    """Return the text of the page."""
    tables = (line for record in _RECORDS for line in _table(record))
    return "\n".join([_INTRODUCTION, *tables]) + "\n"


def _table(record: _Record) -> Iterator[str]:
    yield from (f"## {record.title}", "", record.kind.__doc__ or "", "", *_TABLE)
    hints = get_type_hints(record.kind, include_extras=True)
    for field in fields(record.kind):
        hint = hints[field.name]
        kind, text = get_args(hint) if get_origin(hint) is Annotated else (hint, _METRICS[record.prefix + field.name])
        yield f"| `{field.name}` | {_json_type(kind)} | {text} |"
    yield ""


def _json_type(kind: Any) -> str:
    if get_origin(kind) is tuple:
        part = get_args(kind)[0]
        if is_dataclass(part):
            return "array of objects"
        inner = _json_type(part)
        return f"array of {inner.replace('array', 'arrays', 1) if inner.startswith('array') else inner + 's'}"
    if get_origin(kind) is None or _is_container(kind):
        return _JSON_TYPES[(get_origin(kind) or kind).__name__]
    return " or ".join(map(_json_type, get_args(kind)))


def _is_container(kind: Any) -> bool:
    return getattr(get_origin(kind), "__name__", "") in {*_JSON_TYPES, "tuple"}
