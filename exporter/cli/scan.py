"""``hashmargin scan``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import credentials, load_file, path_type, with_login
from exporter.cli.output import log_errors_only, progress, to_json

if TYPE_CHECKING:
    from exporter.model.fleet import Credentials
    from exporter.settings.model import Settings
    from exporter.tools.scan import Scan


@click.command(
    epilog=f"""\b
Examples:
  hashmargin scan 10.0.0.0/20 > rigs.csv            then in site.yml: fleet: {{csv: [rigs.csv]}}
  hashmargin scan 10.0.0.0/20 --update rigs.csv     add new rigs, keep those that are off now
  hashmargin scan 10.0.0.0/20 --update rigs.csv --config.file site.yml
  hashmargin scan 10.0.0.0/16 --resume scan.journal > rigs.csv
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
@click.option(
    "--config.file",
    "config_file",
    type=path_type(),
    metavar="FILE",
    help="Use the logins and the names of CSV columns of this site's fleet.",
)
@click.option(
    "--resume",
    type=path_type(must_exist=False),
    metavar="FILE",
    help="Keep the progress in this file, and continue with it if the scan was stopped. Removed when the scan is done.",
)
def scan(
    ranges: tuple[str, ...],
    exclude: tuple[str, ...],
    username: str | None,
    password_file: Path | None,
    output: str,
    update: Path | None,
    config_file: Path | None,
    resume: Path | None,
) -> None:
    """Find the rigs in address ranges.

    Prints an inventory file to standard output.
    """
    from exporter.inventory.csv_files import csv_file
    from exporter.inventory.listed import InventoryError
    from exporter.model.failures import Failure
    from exporter.tools import scan

    addresses = addresses_in(ranges, exclude)
    settings = None if config_file is None else load_file(config_file)
    try:
        known = None if update is None else csv_file(update, settings.fleet.columns if settings else {})
    except InventoryError as error:
        raise InputError(str(error)) from None
    login = _logins(settings, credentials(username, password_file))
    log_errors_only()
    done = scan_addresses(addresses, login, resume)
    found = done.found
    if update is not None and known is not None:
        news = scan.rescan(known, found)
        _append(update, news.lines, known.line_end)
        for sentence in news.conflicts:
            click.echo(f"{sentence}: correct its line", err=True)
        click.echo(f"{news.added:,} rigs added to {update}", err=True)
    if output == "json" or update is None:
        click.echo(to_json(scan.as_records(found)) if output == "json" else scan.as_csv(found).rstrip())
    rigs = sum(not isinstance(one.who, Failure) for one in found)
    others = len(found) - rigs
    click.echo(f"Scanned {len(addresses):,} addresses. Rigs: {rigs:,}. Other hosts that answer: {others:,}.", err=True)
    refuse_unsure(done)


def refuse_unsure(done: Scan) -> None:
    """Raise CommandError if the scan may have missed rigs."""
    if done.unsure:
        raise CommandError(
            f"this host was too busy to find out whether {len(done.unsure):,} addresses have rigs, such as "
            f"{done.unsure[0]}: scan again on a quieter host, in smaller ranges, or with more open files (ulimit -n)"
        )


def scan_addresses(
    addresses: Sequence[str], login: Callable[[str], Credentials | None], resume: Path | None = None
) -> Scan:
    """Scan with a progress bar. Raises InputError if ``resume`` cannot be read."""
    import asyncio

    from exporter.tools import scan

    try:
        journal = None if resume is None else scan.Journal(resume)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{resume} cannot be read as the progress of a scan: {error}") from None
    with journal or nullcontext(), progress(len(addresses), "Scanning") as advance:
        done = asyncio.run(scan.scan(addresses, login, advance, journal))
    if journal is not None and not done.unsure:
        journal.remove()
    return done


def _logins(settings: Settings | None, given: Credentials | None) -> Callable[[str], Credentials | None]:
    """Return the given login for every address, else that of the configuration."""
    from exporter.sources.rigs.logins import Logins

    if given is not None or settings is None:
        return lambda _: given
    logins = {rig.address: Logins(rig.logins, rig.address).current for rig in settings.rigs}
    return logins.get


def addresses_in(ranges: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Return every address of the ranges. Raises InputError if one of them cannot be meant."""
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


def _append(path: Path, lines: str, line_end: str) -> None:
    if not lines:
        return
    text = path.read_bytes()
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(lines if text.endswith(b"\n") else f"{line_end}{lines}")
