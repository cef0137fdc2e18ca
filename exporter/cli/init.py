"""``hashmargin init``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import Number, path_type
from exporter.cli.output import log_errors_only

if TYPE_CHECKING:
    from exporter.tools.first_site import FirstSite
    from exporter.tools.scan import Scan


@click.command(
    epilog=f"""\b
Examples:
  hashmargin init                                   asks for everything
  hashmargin init 10.1.0.0/22 10.2.0.0/22 --exclude 10.1.0.1
  hashmargin init 10.1.0.0/22 --no-input --site prairie-1 --power-price 0.05
  hashmargin init --directory /etc/hashmargin

\b
It writes site.yml and rigs.csv, and rig-password if you type a password. None of them may exist.
A rig that is off is not found: add it later with hashmargin scan --update rigs.csv.

{EXIT_CODES}"""
)
@click.argument("ranges", nargs=-1, metavar="[RANGE]...")
@click.option("--exclude", multiple=True, metavar="RANGE", help="Address or range to skip; may be repeated.")
@click.option("--site", metavar="NAME", help="Name of the site.")
@click.option("--block", metavar="NAME", help="Block of the rigs: what is switched or converted together.")
@click.option(
    "--power-price", type=Number(-1, 1), metavar="USD", help="Fixed power price in US dollars per kWh, such as 0.05."
)
@click.option("--username", metavar="NAME", help="User name for the rigs' web interface.")
@click.option("--password-file", type=path_type(), metavar="FILE", help="File with the user's password.")
@click.option(
    "--public-sources/--no-public-sources",
    default=None,
    help="Whether to request the difficulty from mempool.space and the bitcoin price from three exchanges.",
)
@click.option(
    "--directory",
    type=path_type(folder=True),
    default=Path(),
    help="Existing directory of the new files. Default: the current one.",
)
@click.option("--no-input", is_flag=True, help="Ask nothing, and leave out what no option gives.")
def init(ranges: tuple[str, ...], exclude: tuple[str, ...], directory: Path, no_input: bool, **given: Any) -> None:
    """Write the first configuration of a site: scan for its rigs, and ask for what a scan cannot find.

    The new site.yml is checked as `check-config` does, and can be run as it is. No file is replaced.
    """
    from exporter.cli.scan import addresses_in, refuse_unsure, scan_addresses
    from exporter.tools.first_site import PASSWORD_FILE, RIGS_FILE

    site_file = directory / "site.yml"
    for path in (site_file, directory / RIGS_FILE, directory / PASSWORD_FILE):
        if path.exists() or path.is_symlink():
            raise InputError(f"{path} exists and is not replaced: move it away, or give another --directory")
    if no_input:
        missing = [] if given["site"] else ["--site"]
        missing += [] if ranges else ["a RANGE"]
        if missing:
            raise click.UsageError(f"--no-input needs {' and '.join(missing)}.")
        site, password = _answers(given), ""
    else:
        ranges, site, password = _ask(ranges, exclude, given)
    addresses = addresses_in(ranges, exclude)
    log_errors_only()
    login = _login(site, password)
    done = scan_addresses(addresses, lambda _: login)
    refuse_unsure(done)
    rigs = _number_of_rigs(done)
    if not rigs:
        raise CommandError(
            f"none of {len(addresses):,} addresses has a rig that can be read: check the ranges, and whether this host "
            "reaches the rigs, with hashmargin probe ADDRESS; nothing was written"
        )
    _write(site, ranges, done, password, site_file)
    others = len(done.found) - rigs
    click.echo(f"Scanned {len(addresses):,} addresses. Rigs: {rigs:,}. Other hosts that answer: {others:,}.")
    click.echo(f"Wrote {site_file} and {directory / RIGS_FILE}. Next:")
    click.echo(f"  hashmargin check-config --online --config.file {site_file}")
    click.echo(f"  hashmargin run --config.file {site_file}")


def _answers(given: dict[str, Any]) -> FirstSite:
    from exporter.tools.first_site import FirstSite

    password_file = given["password_file"]
    return FirstSite(
        site=given["site"],
        block=given["block"] or "",
        power_price=given["power_price"],
        username=given["username"] or "",
        password_file=None if password_file is None else password_file.absolute(),
        public_sources=bool(given["public_sources"]),
    )


def _ask(
    ranges: tuple[str, ...], exclude: tuple[str, ...], given: dict[str, Any]
) -> tuple[tuple[str, ...], FirstSite, str]:
    """Ask for what no option gives. Returns the ranges, the other answers, and a typed password."""
    password = ""
    try:
        given["site"] = given["site"] or click.prompt("Name of the site")
        question = "Address ranges of the rigs, such as 10.1.0.0/22"
        ranges = ranges or click.prompt(question, value_proc=lambda answer: _ranges(answer, exclude))
        if given["block"] is None:
            given["block"] = _optional("Block of these rigs, such as container-1")
        if given["power_price"] is None:
            given["power_price"] = _optional("Power price in USD per kWh, such as 0.05", _Price())
        if given["username"] is None and given["password_file"] is None:
            given["username"] = _optional("User name for the rigs' web interface")
            if given["username"]:
                password = click.prompt("Password", hide_input=True, default="", show_default=False)
        if given["public_sources"] is None:
            question = "Request difficulty and bitcoin price from mempool.space, Kraken, Coinbase and Bitstamp"
            given["public_sources"] = click.confirm(question, default=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise InputError("the input ended before all questions were answered: give options and --no-input") from None
    return ranges, _answers(given), password


def _ranges(answer: str, exclude: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ranges of an answer. Raises BadParameter, after which the question is asked again."""
    from exporter.cli.scan import addresses_in

    ranges = tuple(answer.replace(",", " ").split())
    try:
        addresses_in(ranges, exclude)
    except InputError as error:
        raise click.BadParameter(str(error)) from None
    return ranges


def _optional(question: str, kind: click.FloatRange | None = None) -> Any:
    return click.prompt(f"{question} (empty: none)", default="", show_default=False, type=kind)


class _Price(Number):
    """A price that may be left out."""

    def __init__(self) -> None:
        super().__init__(-1, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return None if value == "" else super().convert(value, param, ctx)


def _login(site: FirstSite, password: str) -> Any:
    from exporter.cli.options import credentials
    from exporter.model.fleet import Credentials

    return Credentials(site.username, password) if password else credentials(site.username or None, site.password_file)


def _number_of_rigs(done: Scan) -> int:
    from exporter.model.failures import Failure

    return sum(not isinstance(one.who, Failure) for one in done.found)


def _write(site: FirstSite, ranges: tuple[str, ...], done: Scan, password: str, site_file: Path) -> None:
    """Write the files and check them. Raises InputError, and leaves no file then."""
    from exporter.cli.options import load_file
    from exporter.tools.first_site import PASSWORD_FILE, RIGS_FILE, NewFiles
    from exporter.tools.scan import as_csv

    directory = site_file.parent
    try:
        with NewFiles() as new:
            if password:
                new.write(directory / PASSWORD_FILE, f"{password}\n", secret=True)
                site = replace(site, password_file=Path(PASSWORD_FILE))
            new.write(directory / RIGS_FILE, as_csv(done.found))
            new.write(site_file, site.text(ranges))
            load_file(site_file)
    except OSError as error:
        raise InputError(f"cannot write {error.filename} ({error.strerror}): give another --directory") from None
