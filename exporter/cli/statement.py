"""``hashmargin statement``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import load_file, path_type
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_scheme

if TYPE_CHECKING:
    from exporter.tools.statement import Sheet


@click.command(
    epilog=f"""\b
Examples:
  hashmargin statement --config.file site.yml --prometheus http://prometheus:9090 --customer acme --month 2026-11
  hashmargin statement ... --output pdf --to acme-2026-11.pdf
  hashmargin statement ... --notes november.csv --output csv

\b
Notes are a CSV file with the columns from, to, rig, class and note. They move windows that are unexplained to another
class: curtailed, maintenance, host_fault, rig_fault or customer.

\b
Lines are a CSV file with the columns code, amount and note, in USD to the cent. A credit is negative.

{EXIT_CODES}"""
)
@click.option(
    "--config.file",
    "config_file",
    type=path_type(),
    required=True,
    metavar="FILE",
    help="The site's YAML file, with `contracts` and `customers`.",
)
@click.option("--prometheus", required=True, metavar="URL", help="The Prometheus that scrapes the exporters.")
@click.option("--customer", required=True, metavar="NAME", help="The customer.")
@click.option("--contract", metavar="NAME", help="The contract, if the customer's rigs have several.")
@click.option("--month", required=True, metavar="YYYY-MM", help="The billing month, local to the contract.")
@click.option("--site", metavar="NAME", help="Only series with this target label `site`.")
@click.option("--notes", type=path_type(), metavar="FILE", help="Notes on unexplained windows.")
@click.option("--lines", type=path_type(), metavar="FILE", help="More lines, such as corrections and fees.")
@click.option(
    "--output",
    type=click.Choice(["text", "csv", "json", "html", "pdf"]),
    default="text",
    show_default=True,
    help="html is made for print; pdf needs Chromium.",
)
@click.option("--to", type=path_type(must_exist=False), metavar="FILE", help="Write to a new file.")
def statement(output: str, to: Path | None, **options: Any) -> None:
    """Write what a hosted customer owes for a month, and why.

    Reads the month from Prometheus or VictoriaMetrics in windows of five minutes. Each window of each rig has one
    class. Energy that was not recorded is counted as missing and never billed.
    """
    from exporter.tools import statement

    if output == "pdf" and to is None:
        raise click.UsageError("--output pdf needs --to FILE")
    if to is not None and to.exists():
        raise InputError(f"{to} exists: a statement is not changed once it is issued, so give another --to")
    record = _sheet(**options).record
    try:
        if output == "pdf" and to is not None:
            statement.print_pdf(statement.as_page(record), to)
            return
        formats = {"csv": statement.as_csv, "json": to_json, "html": statement.as_page, "text": statement.as_text}
        text = formats[output](record)
        if to is None:
            click.echo(text)
        else:
            to.write_text(text + "\n", encoding="utf-8")
    except statement.StatementError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"cannot write {to} ({error.strerror}): give another --to") from None


def _sheet(
    config_file: Path,
    prometheus: str,
    customer: str,
    contract: str | None,
    month: str,
    site: str | None,
    notes: Path | None,
    lines: Path | None,
) -> Sheet:
    """Read a customer's month. Raises InputError and CommandError."""
    import time

    from exporter.model.configuration_errors import unknown
    from exporter.tools import statement, usage
    from exporter.tools.spans import Span

    settings = load_file(config_file)
    if customer not in settings.customers:
        raise InputError(f"{config_file}: {unknown('customer', customer, settings.customers)}")
    owned = {rig.name: rig.contract for rig in settings.rigs if rig.customer == customer}
    named = {each for each in (*owned.values(), settings.customers[customer].contract, contract) if each}
    if contract is None and len(named) > 1:
        raise InputError(f"{customer} has several contracts, {', '.join(sorted(named))}: choose one with --contract")
    name = contract or next(iter(named), None)
    if name is None:
        raise InputError(f"{config_file}: customers.{customer}.contract is not set, so there is nothing to bill by")
    if name not in settings.contracts:
        raise InputError(f"{customer}: {unknown('contract', name, settings.contracts)}")
    agreed = settings.contracts[name]
    try:
        period = Span.month(month, agreed.timezone)
        read = [] if notes is None else usage.read_notes(notes, agreed.timezone)
        more = [] if lines is None else statement.read_lines(lines)
    except ValueError:
        raise InputError(f"{month!r} is not a month such as 2026-11") from None
    except (usage.NoteError, statement.StatementError) as error:
        raise InputError(str(error)) from None
    if period.end > time.time():
        raise InputError(f"{month} is not over yet in {period.zone}: give an earlier --month")
    asked = usage.Question(
        customer=customer,
        contract=name,
        start=agreed.start,
        end=agreed.end,
        site=site,
        host_tariff=(agreed.host_tariff or settings.default_tariff) if agreed.pass_through else "",
        own_revenue=agreed.pool_fee is not None or agreed.scheme is not None,
        income=bool(agreed.curtailment_credit_share),
        accounts=settings.customers[customer].pools,
        notes=read,
        others=frozenset(rig for rig, each in owned.items() if each != name),
    )
    found = Server(with_scheme(prometheus)).query(partial(usage.read, question=asked, period=period))
    return statement.sheet_of(settings.site, customer, name, agreed, period, found, time.time(), more)
