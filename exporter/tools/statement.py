"""Formats the statement of a hosted customer: text, CSV, JSON, a page made for print, and PDF through Chromium."""

import csv
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from exporter.economics.hosting import Class, ContractSettings, Line, RigUse, Statement, charges_of, state
from exporter.exposition import spreadsheets
from exporter.model.units import HASHES_PER_TERAHASH
from exporter.tools import tables
from exporter.tools.spans import Span, local_time, printable
from exporter.tools.windows import Usage, windows_of

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PRINT_SECONDS: Final = 120
_HASH_DIGITS: Final = 12
_CENT: Final = Decimal("0.01")


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
        statement, uptime, rigs = self.statement, self.statement.uptime, self.usage.rigs
        windows = windows_of(self.period)
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
                "reported_kwh": f"{sum(rig.reported_kilowatt_hours for rig in rigs):.3f}",
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
            "hashrate": {
                "mean_terahash": _terahash(_sum(rig.mean_hashrate for rig in rigs)),
                "contracted_terahash": _terahash(_sum(rig.hashrate for rig in rigs)),
                "credited_terahash": _terahash(_sum(rig.credited_hashrate for rig in rigs)),
                "compared_terahash": _terahash(_sum(rig.compared_hashrate for rig in rigs)),
                "credited_rigs": sum(rig.credited_hashrate is not None for rig in rigs),
            },
            "earned_usd": f"{sum(rig.mined for rig in rigs):.2f}",
            "windows_without_earnings": sum(rig.unearned for rig in rigs),
            "windows_without_host_price": sum(rig.unpriced for rig in rigs),
            "curtailment": {
                "earned_usd": f"{sum(rig.saved for rig in rigs):.2f}",
                "windows_without_income": sum(rig.unsold for rig in rigs),
            }
            if self.contract.curtailment_credit_share
            else None,
            "production": [
                {"utc_day": day.day, "earned_btc": _bitcoins(day.earned), "paid_btc": _bitcoins(day.paid)}
                for day in self.usage.production
            ],
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
            "by_rig": [_rig_record(rig, charges_of(self.contract, rig, windows)) for rig in rigs],
            "queries": dict(self.usage.queries),
        }
        digest = sha256(tables.as_json(content).encode()).hexdigest()
        number = f"{self.customer}-{self.period.name}-{digest[:_HASH_DIGITS]}"
        issued = datetime.fromtimestamp(self.issued_at, UTC).isoformat(timespec="seconds")
        return {"number": number, "issued_at": issued, "sha256": digest, **content}


def sheet_of(
    host: str, customer: str, contract_name: str, contract: ContractSettings, period: Span, usage: Usage,
    issued_at: float, more: Sequence[Line] = (),
) -> Sheet:  # fmt: skip
    """Make the sheet of a customer's period. ``more`` are lines of the operator."""
    return Sheet(
        host=host,
        customer=customer,
        contract_name=contract_name,
        contract=contract,
        period=period,
        usage=usage,
        statement=state(contract, usage.rigs, windows_of(period), more),
        issued_at=issued_at,
    )


def read_lines(path: Path) -> list[Line]:
    """Read lines of the operator from a CSV file with the columns code, amount and note. Raises StatementError."""
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise StatementError(f"{path} cannot be read: {getattr(error, 'strerror', 'it is not UTF-8 text')}") from None
    try:
        if set(rows.fieldnames or ()) != {"code", "amount", "note"}:
            raise StatementError(f"{path} needs the columns code, amount and note")
        return list(_lines(path, rows))
    except csv.Error as error:
        raise StatementError(f"{path}, line {rows.line_num}: {error}") from None


def _lines(path: Path, rows: "csv.DictReader[str]") -> Iterator[Line]:
    for row in rows:
        try:
            amount = Decimal((row["amount"] or "").strip())
            cents = amount.quantize(_CENT)
        except InvalidOperation:
            raise StatementError(f"{path}, line {rows.line_num}: {row['amount']!r:.40} is no amount of USD") from None
        code, note = (row["code"] or "").strip(), (row["note"] or "").strip()
        if amount != cents:
            raise StatementError(f"{path}, line {rows.line_num}: {amount} has parts of a cent")
        if not code or not note:
            raise StatementError(f"{path}, line {rows.line_num}: a line needs a code, and a note with the reason")
        yield Line(code=code, amount=cents, note=note)


def _line_record(line: Line) -> dict[str, str]:
    record = {"code": line.code}
    if line.quantity is not None:
        record |= {"quantity": str(line.quantity), "unit": line.unit}
    if line.price is not None:
        record["price"] = str(line.price)
    return record | {"amount": str(line.amount)} | ({"note": line.note} if line.note else {})


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _terahash(hashrate: float | None) -> float | None:
    return None if hashrate is None else hashrate / HASHES_PER_TERAHASH


def _bitcoins(coins: float | None) -> str | None:
    return None if coins is None else f"{coins:.8f}"


def _rig_record(rig: RigUse, charges: Mapping[str, Decimal]) -> dict[str, Any]:
    """A rig's part, not rounded: parts of a line do not add up once each is rounded."""
    return {
        "rig": rig.rig,
        "windows": {found.value: rig.windows.get(found, 0) for found in Class},
        "kwh": dict(sorted(rig.kilowatt_hours.items())),
        "missing_windows": rig.missing,
        "reported_kwh": rig.reported_kilowatt_hours,
        "mean_terahash": _terahash(rig.mean_hashrate),
        "contracted_terahash": _terahash(rig.hashrate),
        "credited_terahash": _terahash(rig.credited_hashrate),
        "compared_terahash": _terahash(rig.compared_hashrate),
        "earned_usd": rig.mined,
        "charges_usd": {code: float(usd) for code, usd in charges.items()},
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
    if float(record["energy"]["reported_kwh"]):
        yield f"Energy by the rigs' own reports: {record['energy']['reported_kwh']} kWh"
    yield from _earnings(record)
    measures = ", ".join(
        f"{name} {'unknown' if value is None else f'{value:.4%}'}" for name, value in record["uptime"].items()
    )
    yield f"Uptime: {measures}. The contract pays by {record['uptime_that_pays']}."
    windows = ", ".join(f"{name} {count:,}" for name, count in record["windows"].items() if count)
    yield f"Windows: {windows}; {record['windows_moved_by_notes']:,} moved by notes"
    yield f"SHA-256 of the statement: {record['sha256']}"


def _earnings(record: Mapping[str, Any]) -> Iterator[str]:
    hashrate = record["hashrate"]
    mean, contracted = (tables.figure(hashrate[name], 1) for name in ("mean_terahash", "contracted_terahash"))
    yield f"Hashrate: {mean} TH/s as a mean, of {contracted} contracted"
    if hashrate["credited_rigs"]:
        credited, compared = (tables.figure(hashrate[name], 1) for name in ("credited_terahash", "compared_terahash"))
        rigs = hashrate["credited_rigs"]
        yield f"Pools credited {credited} TH/s to {rigs} rigs, which reported {compared} TH/s over the same windows"
    yield f"Earned: {record['earned_usd']} USD after pool fees, at the hashprice of each window"
    curtailment = record["curtailment"]
    if curtailment is not None:
        earned, unknown = curtailment["earned_usd"], curtailment["windows_without_income"]
        yield f"Earned by standing still: {earned} USD; {unknown:,} curtailed windows without a figure"
    for day in record["production"]:
        earned, paid = (tables.UNKNOWN if day[name] is None else day[name] for name in ("earned_btc", "paid_btc"))
        yield f"Coins of {day['utc_day']} (UTC): earned {earned} BTC, paid by the pool {paid} BTC"


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
    rows += [
        ("coins", day["utc_day"], day[f"{what}_btc"], "BTC", None, None, what)
        for day in record["production"]
        for what in ("earned", "paid")
        if day[f"{what}_btc"] is not None
    ]
    rows.append(("total", record["number"], None, "USD", None, record["total"], None))
    for rig in record["by_rig"]:
        name = spreadsheets.no_formula(rig["rig"])
        rows += [("energy", name, kwh, "kWh", None, None, source) for source, kwh in rig["kwh"].items()]
        rows += [
            ("windows", name, count, "windows", None, None, found) for found, count in rig["windows"].items() if count
        ]
        rows.append(("reported", name, rig["reported_kwh"], "kWh", None, None, None))
        rows.append(("earned", name, None, "USD", None, rig["earned_usd"], None))
        rows += [("charge", name, None, "USD", None, usd, code) for code, usd in rig["charges_usd"].items()]
        rows += [
            ("hashrate", name, rig[f"{what}_terahash"], "TH/s", None, None, what)
            for what in ("mean", "contracted", "credited")
            if rig[f"{what}_terahash"] is not None
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
