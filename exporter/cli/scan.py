"""``hashmargin scan``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import credentials, with_login
from exporter.cli.output import log_errors_only, progress, to_json


@click.command(
    epilog=f"""\b
Examples:
  hashmargin scan 10.0.0.0/20 > rigs.csv            then in site.yml: fleet: {{csv: [rigs.csv]}}
  hashmargin scan 10.0.0.0/20 --update rigs.csv     add new rigs, keep those that are off now
  hashmargin scan 10.1.0.0/24 10.2.0.0/24 --exclude 10.1.0.1 --output json

\b
CSV lists the rigs. JSON lists every address that answers, with the reason if it is not a supported rig.
A rig that is off or asleep is in neither.

{EXIT_CODES}"""
)
@click.argument("ranges", nargs=-1, required=True, metavar="RANGE...")
@click.option("--exclude", multiple=True, metavar="RANGE", help="Address or range to skip; may be repeated.")
@with_login
@click.option(
    "--output",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="Output format: csv is an inventory file, json is for scripts.",
)
@click.option(
    "--update",
    type=click.Path(exists=True, dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Append the rigs that this inventory file lacks to it, instead of printing one.",
)
def scan(
    ranges: tuple[str, ...],
    exclude: tuple[str, ...],
    username: str | None,
    password_file: Path | None,
    output: str,
    update: Path | None,
) -> None:
    """Find the rigs in address ranges.

    Prints an inventory file to standard output.
    """
    import asyncio

    from exporter.inventory.csv_files import csv_file
    from exporter.inventory.listed import InventoryError
    from exporter.model.failures import Failure
    from exporter.tools import scan

    addresses = _addresses(ranges, exclude)
    try:
        known = None if update is None else csv_file(update)
    except InventoryError as error:
        raise InputError(str(error)) from None
    log_errors_only()
    with progress(len(addresses), "Scanning") as advance:
        found = asyncio.run(scan.scan(addresses, credentials(username, password_file), advance))
    if update is not None and known is not None:
        news = scan.rescan(known, found)
        _append(update, news.lines)
        for sentence in news.told:
            click.echo(f"{sentence}: correct its line", err=True)
        click.echo(f"{news.added:,} rigs added to {update}", err=True)
    if output == "json" or update is None:
        click.echo(to_json(scan.as_records(found)) if output == "json" else scan.as_csv(found).rstrip())
    rigs = sum(not isinstance(one.who, Failure) for one in found)
    others = len(found) - rigs
    click.echo(f"Scanned {len(addresses):,} addresses. Rigs: {rigs:,}. Other hosts that answer: {others:,}.", err=True)


def _addresses(ranges: Sequence[str], exclude: Sequence[str]) -> list[str]:
    from pydantic import ValidationError

    from exporter.inventory.listed import InventoryError
    from exporter.inventory.load import Names, load_inventory
    from exporter.inventory.model import InventorySettings
    from exporter.model.configuration_errors import sentence

    listed = [{"cidr": text, "exclude": exclude} for text in ranges]
    try:
        settings = InventorySettings.model_validate({"ranges": listed})
        rigs = load_inventory(settings, Names(blocks={}, tariffs=(), schedules=())).rigs
    except ValidationError as error:
        raise InputError("; ".join(map(sentence, error.errors()))) from None
    except InventoryError as error:
        raise InputError(str(error)) from None
    return [rig.address for rig in rigs]


def _append(path: Path, lines: str) -> None:
    if not lines:
        return
    text = path.read_bytes()
    with path.open("a", encoding="utf-8") as file:
        file.write(lines if text.endswith(b"\n") else f"\n{lines}")
