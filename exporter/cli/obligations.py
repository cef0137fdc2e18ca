"""``hashmargin obligations``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import with_output
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InputError(f"--timezone {name} is not a time zone: write it like America/Chicago") from None


_with_timezone = click.option(
    "--timezone", "zone", default="UTC", show_default=True, metavar="ZONE", help="Time zone of the times."
)


@click.group(
    epilog=f"""\b
Examples:
  hashmargin obligations list --timezone America/Chicago
  hashmargin obligations report e-7
  hashmargin obligations report e-7 --format csv > e-7.csv

{EXIT_CODES}"""
)
def obligations() -> None:
    """Show what the site owes, and report how an event was kept."""


@obligations.command("list")
@with_server
@_with_timezone
@with_output
def list_all(server: Server, zone: str, output: str) -> None:
    """List calls, caps and awards, now and later, and the events that ended.

    Asks a running exporter with `obligations`.
    """
    from exporter.tools import obligations

    timezone = _zone(zone)
    found = server.query(obligations.query)
    click.echo(to_json(found) if output == "json" else obligations.as_text(found, timezone))


@obligations.command()
@click.argument("event")
@with_server
@_with_timezone
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "csv"]),
    default="markdown",
    show_default=True,
    help="Format of the report.",
)
def report(event: str, server: Server, zone: str, form: str) -> None:
    """Report how EVENT was kept: power delivered against power obliged, for each settlement interval.

    Intervals without enough measurements are `not_measured`.
    """
    from exporter.tools import obligations

    timezone = _zone(zone)
    found = server.query(obligations.query)
    try:
        intervals = obligations.deliveries(found, event)
    except obligations.NoEventError as error:
        raise InputError(str(error)) from None
    if form == "csv":
        click.echo(obligations.as_csv(intervals, timezone), nl=False)
    else:
        click.echo(obligations.as_markdown(str(found.get("site", "")), intervals, timezone))
