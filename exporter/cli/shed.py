"""``hashmargin shed``."""

from __future__ import annotations

from functools import partial

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import Power
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server


@click.command(
    epilog=f"""\b
Examples:
  hashmargin shed --kilowatts 2000
  hashmargin shed --kilowatts 500 --output csv > cuts.csv
  hashmargin shed --kilowatts 2000 --output json | jq -r '.cuts[] | [.address, .point] | @tsv'

{EXIT_CODES}"""
)
@with_server
@click.option(
    "--kilowatts",
    type=Power("kW", min=0, min_open=True),
    required=True,
    metavar="POWER",
    help="Power to shed at the billing meter, in kW, or with a unit: 2MW, 500kW.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Output format: table for people, csv for spreadsheets, json for scripts.",
)
def shed(server: Server, kilowatts: float, output: str) -> None:
    """List which rigs to move to which lower point, or off, to shed some power at the least loss.

    Queries a running exporter. Blocks above their feeder's capacity come first. Of rigs whose losses are equal, those
    are chosen whose block has shed the smallest share of its power. hashmargin never changes a rig.
    """
    from exporter.tools import fleet

    try:
        found = server.query(partial(fleet.shed, kilowatts=kilowatts))
    except fleet.QueryError as error:
        raise InputError(str(error)) from None
    match output:
        case "json":
            totals: dict[str, float | None] = {
                "shed_watts": found.shed,
                "missing_watts": found.missing,
                "loss_usd_per_day": found.loss,
                "valid_until_timestamp_seconds": found.valid_until,
            }
            click.echo(to_json(totals | {"blocks_over_capacity": found.over_capacity, "cuts": found.cuts.rigs}))
        case "csv":
            click.echo(fleet.as_csv(found.cuts), nl=False)
        case _:
            click.echo(fleet.shed_table(found))
    click.echo(fleet.shed_summary(found, kilowatts), err=True)
