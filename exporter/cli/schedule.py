"""``hashmargin schedule``."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli.errors import EXIT_CODES, CommandError
from exporter.cli.options import drawing, with_output, with_picture
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server


@click.command(
    epilog=f"""\b
Examples:
  hashmargin schedule
  hashmargin schedule --block c1 --block c2
  hashmargin schedule --url http://miner-gw:9852 --picture schedule.svg
  hashmargin schedule --output json

{EXIT_CODES}"""
)
@with_server
@click.option("--block", "blocks", multiple=True, metavar="NAME", help="Show this block; repeat for several.")
@with_picture
@with_output
def schedule(server: Server, blocks: tuple[str, ...], picture: Path | None, output: str) -> None:
    """Show the day-ahead plan: which blocks run in which hours, and at which operating point.

    Asks a running exporter with `decision.day_plan`. Times are local.
    """
    from exporter.tools import schedule

    try:
        with drawing(picture):
            found = server.query(schedule.query)
            text = schedule.as_text(found, blocks)
            if picture is not None:
                schedule.draw(found, blocks, picture)
    except schedule.NoPlanError as error:
        raise CommandError(str(error)) from None
    click.echo(to_json(found) if output == "json" else text)
