"""``hashmargin setpoints``."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from exporter.cli.errors import EXIT_CODES
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server

_COLUMNS: Final = (
    *("rig", "block", "verdict", "operating_point", "best_point", "best_point_confidence", "best_power_watts"),
    *("tuning_gain_usd_per_day", "lower_point", "lower_point_shed_watts", "lower_point_loss_usd_per_kilowatt_hour"),
)


@click.command(
    epilog=f"""\b
Examples:
  hashmargin setpoints
  hashmargin setpoints --block c1 --limit 20
  hashmargin setpoints --output csv > setpoints.csv
  hashmargin setpoints --output json | jq '.setpoints[] | select(.tuning_gain_usd_per_day > 0)'

{EXIT_CODES}"""
)
@with_server
@click.option("--block", default="", metavar="NAME", help="Only rigs of this block.")
@click.option("--limit", type=click.IntRange(min=1, max=999_999_999), help="Show at most this many rigs.")
@click.option(
    "--output",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Output format: table for people, csv for spreadsheets, json for scripts.",
)
def setpoints(server: Server, block: str, limit: int | None, output: str) -> None:
    """List at which operating point each rig runs, and at which it should run.

    Queries a running exporter with the section `points`. The rigs that shed most power per dollar lost come first.
    hashmargin never changes a rig: a person or a controller acts on the list, until the time in it.
    """
    from exporter.tools import fleet

    parameters = {"block": block, "limit": "" if limit is None else str(limit)}
    found = server.query(partial(fleet.setpoints, parameters=parameters))
    match output:
        case "json":
            click.echo(to_json({"total": found.total, "setpoints": found.rigs}))
        case "csv":
            click.echo(fleet.as_csv(found), nl=False)
        case _:
            shown = [{name: rig[name] for name in _COLUMNS} for rig in found.rigs]
            click.echo(fleet.as_text(fleet.Rigs(total=found.total, rigs=shown)))
            click.echo(f"{len(found.rigs):,} of {found.total:,} rigs", err=True)
