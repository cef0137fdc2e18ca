"""Formats the statement of a hosted customer: text, CSV, JSON, a page made for print, and PDF through Chromium."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from exporter.economics.hosting import Class, ContractSettings, Line, RigUse, Statement, state
from exporter.exposition import spreadsheets
from exporter.model.units import HASHES_PER_TERAHASH
from exporter.tools import tables
from exporter.tools.spans import Span, local_time, printable
from exporter.tools.usage import Usage, windows_of

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PRINT_SECONDS: Final = 120
_HASH_DIGITS: Final = 12


class StatementError(Exception):
    """The statement cannot be written. The message is one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A statement with what it is made of."""

    host: str
    customer: str
    contract_name: str
    contract: ContractSettings
    period: Span
    usage: Usage
    statement: Statement
    issued_at: float  # unix seconds

    @property
    def record(self) -> dict[str, Any]:
        """The statement as a record for JSON. Amounts and quantities are texts, so that no cent is rounded away."""
        statement, uptime = self.statement, self.statement.uptime
        content: dict[str, Any] = {
            "host": self.host,
            "customer": self.customer,
            "contract": self.contract_name,
            "period": {
                "from": local_time(self.period.start, self.contract.timezone.key),
                "to": local_time(self.period.end, self.contract.timezone.key),
                "hours": self.period.hours,
                "zone": self.period.zone,
            },
            "provisional": statement.provisional,
            "rigs": len(self.usage.rigs),
            "kilowatts": str(statement.kilowatts),
            "energy": {
                "kwh": {source: str(kwh) for source, kwh in sorted(statement.kilowatt_hours.items())},
                "missing_windows": statement.missing,
                "factor": str(Decimal(repr(self.contract.energy_factor))),
            },
            "windows": {found.value: count for found, count in statement.windows.items()},
            "windows_moved_by_notes": self.usage.moved,
            "uptime": {
                name: None if value is None else round(value, 7)
                for name, value in (
                    ("hashing", uptime.hashing),
                    ("power", uptime.power),
                    ("performance", uptime.performance),
                    ("sla", uptime.sla),
                )
            },
            "uptime_that_pays": self.contract.uptime.measure,
            "incidents": [
                {
                    "from": local_time(incident.start, self.contract.timezone.key),
                    "to": local_time(incident.end, self.contract.timezone.key),
                    "class": incident.found.value,
                    "block": incident.block,
                    "rigs": incident.rigs,
                }
                for incident in self.usage.incidents
            ],
            "lines": [_line_record(line) for line in statement.lines],
            "total": str(statement.total),
            "deposit": f"{self.contract.deposit_usd:.2f}",
            "by_rig": [_rig_record(rig) for rig in self.usage.rigs],
            "queries": dict(self.usage.queries),
        }
        digest = sha256(tables.as_json(content).encode()).hexdigest()
        number = f"{self.customer}-{self.period.name}-{digest[:_HASH_DIGITS]}"
        issued = datetime.fromtimestamp(self.issued_at, UTC).isoformat(timespec="seconds")
        return {"number": number, "issued_at": issued, "sha256": digest, **content}


def sheet_of(
    host: str, customer: str, contract_name: str, contract: ContractSettings, period: Span, usage: Usage,
    issued_at: float,
) -> Sheet:  # fmt: skip
    """Make the sheet of a customer's period."""
    return Sheet(
        host=host,
        customer=customer,
        contract_name=contract_name,
        contract=contract,
        period=period,
        usage=usage,
        statement=state(contract, usage.rigs, windows_of(period)),
        issued_at=issued_at,
    )


def _line_record(line: Line) -> dict[str, str]:
    record = {"code": line.code}
    if line.quantity is not None:
        record |= {"quantity": str(line.quantity), "unit": line.unit}
    if line.price is not None:
        record["price"] = str(line.price)
    return record | {"amount": str(line.amount)} | ({"note": line.note} if line.note else {})


def _rig_record(rig: RigUse) -> dict[str, Any]:
    """A rig's part, not rounded: parts of a line do not add up once each is rounded."""
    return {
        "rig": rig.rig,
        "windows": {found.value: rig.windows.get(found, 0) for found in Class},
        "kwh": dict(sorted(rig.kilowatt_hours.items())),
        "missing_windows": rig.missing,
        "mean_terahash": None if rig.mean_hashrate is None else rig.mean_hashrate / HASHES_PER_TERAHASH,
        "contracted_terahash": None if rig.hashrate is None else rig.hashrate / HASHES_PER_TERAHASH,
    }


def as_text(record: Mapping[str, Any]) -> str:
    """Format a statement's record for a terminal."""
    period = record["period"]
    lines = [
        (line["code"], line.get("quantity", ""), line.get("unit", ""), line.get("price", ""), line["amount"])
        for line in record["lines"]
    ]
    return "\n".join(
        [
            f"Statement {record['number']}{' (provisional)' if record['provisional'] else ''}",
            f"{record['host']} to {record['customer']}, contract {record['contract']}",
            f"{period['from']} to {period['to']}, {period['hours']:g} hours ({period['zone']})",
            "",
            tables.as_text(("line", "quantity", "unit", "price", "USD"), lines, right=(1, 3, 4)),
            f"total {record['total']} USD",
            "",
            *_facts(record),
        ]
    )


def _facts(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Rigs: {record['rigs']}, {record['kilowatts']} kW under contract"
    energy = ", ".join(f"{kwh} kWh {source}" for source, kwh in record["energy"]["kwh"].items()) or "none"
    yield f"Energy: {energy}; {record['energy']['missing_windows']:,} windows of 5 minutes without a figure"
    measures = ", ".join(
        f"{name} {'unknown' if value is None else f'{value:.4%}'}" for name, value in record["uptime"].items()
    )
    yield f"Uptime: {measures}. The contract pays by {record['uptime_that_pays']}."
    windows = ", ".join(f"{name} {count:,}" for name, count in record["windows"].items() if count)
    yield f"Windows: {windows}; {record['windows_moved_by_notes']:,} moved by notes"
    yield f"SHA-256 of the statement: {record['sha256']}"


_CSV: Final = ("part", "name", "quantity", "unit", "price", "amount", "note")


def as_csv(record: Mapping[str, Any]) -> str:
    """Format a statement as CSV: its lines, its total, and every rig's energy and windows."""
    rows: list[tuple[object, ...]] = [
        (
            "line",
            line["code"],
            line.get("quantity"),
            line.get("unit"),
            line.get("price"),
            line["amount"],
            line.get("note"),
        )
        for line in record["lines"]
    ]
    rows.append(("total", record["number"], None, "USD", None, record["total"], None))
    for rig in record["by_rig"]:
        name = spreadsheets.no_formula(rig["rig"])
        rows += [("energy", name, kwh, "kWh", None, None, source) for source, kwh in rig["kwh"].items()]
        rows += [
            ("windows", name, count, "windows", None, None, found) for found, count in rig["windows"].items() if count
        ]
        if rig["missing_windows"]:
            rows.append(("missing", name, rig["missing_windows"], "windows", None, None, None))
    return spreadsheets.as_csv(_CSV, rows)


def as_page(record: Mapping[str, Any]) -> str:
    """Format a statement as a page made for print."""
    return printable("statement.html", dict(record))


def print_pdf(page: str, file: Path) -> None:
    """Print a page to a PDF file through Chromium. Raises StatementError if there is none, or if it fails."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        raise StatementError("PDF needs Chromium or Chrome: install one, or write --output html and print that")
    with tempfile.TemporaryDirectory(prefix="hashmargin-") as folder:
        source = Path(folder) / "statement.html"
        source.write_text(page, encoding="utf-8")
        profile, target = f"--user-data-dir={folder}/profile", f"--print-to-pdf={file.resolve()}"
        command = (browser, "--headless", "--no-sandbox", "--no-pdf-header-footer", profile, target, source.as_uri())
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_PRINT_SECONDS)  # noqa: S603
        except (subprocess.SubprocessError, OSError) as error:
            raise StatementError(f"{browser} could not print it: {str(error)[:200]}") from None
