"""``hashmargin rigs``."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server

_COLUMNS: Final = (
    "rig,block,model,status,verdict,margin_usd_per_day,hashrate_hashes_per_second,power_watts,"
    "efficiency_joules_per_terahash,failure_reason"
)


@click.command(
    epilog=f"""\b
Examples:
  hashmargin rigs --status down
  hashmargin rigs --sort margin --limit 20
  hashmargin rigs --block c1 --search S19 --sort efficiency --descending
  hashmargin rigs --verdict curtail --columns rig,address,margin_usd_per_day --output csv > curtail.csv
  hashmargin rigs --url miner-gw:9852 --output json | jq -r .rigs[].rig

{EXIT_CODES}"""
)
@with_server
@click.option("--search", default="", metavar="TEXT", help="Text in name, address, model, serial numbers and others.")
@click.option("--block", default="", metavar="NAME", help="Only rigs of this block.")
@click.option(
    "--status", default="", metavar="STATUS", help="Only rigs that are mining, stopped, expected_off, down or unknown."
)
@click.option(
    "--verdict",
    default="",
    metavar="VERDICT",
    help="Only rigs with the verdict mine, curtail, reassign, repair or unknown.",
)
@click.option(
    "--sort",
    default="rig",
    show_default=True,
    metavar="KEY",
    help="Sort key: rig, margin, power and others; an unknown one lists them. Rigs without the value come last.",
)
@click.option("--descending", is_flag=True, help="Highest first.")
@click.option("--limit", type=click.IntRange(min=1, max=999_999_999), help="Show at most this many rigs.")
@click.option(
    "--columns",
    metavar="FIELD,FIELD",
    help="Fields to show, named as in the JSON API. Default: the main ones in a table, all in csv and json.",
)
@click.option(
    "--output",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Output format: table for people, csv for spreadsheets, json for scripts.",
)
def rigs(
    server: Server, search: str, descending: bool, limit: int | None, columns: str | None, output: str, **chosen: str
) -> None:
    """List rigs: filter, sort, and print them as a table, CSV or JSON.

    Queries a running exporter. An unknown number is `?` in the table, an empty cell in CSV and null in JSON.
    """
    from exporter.tools import fleet

    parameters = {
        **chosen,
        "q": search,
        "order": "desc" if descending else "",
        "limit": "" if limit is None else str(limit),
        "fields": columns or (_COLUMNS if output == "table" else ""),
    }
    try:
        found = server.query(partial(fleet.rigs, parameters=parameters))
    except fleet.QueryError as error:
        raise InputError(str(error)) from None
    match output:
        case "json":
            click.echo(to_json({"total": found.total, "rigs": found.rigs}))
        case "csv":
            click.echo(fleet.as_csv(found), nl=False)
        case _:
            click.echo(fleet.as_text(found))
            click.echo(f"{len(found.rigs):,} of {found.total:,} rigs", err=True)
