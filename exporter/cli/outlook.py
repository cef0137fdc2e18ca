"""``hashmargin outlook``."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import drawing, path_type, with_output, with_picture
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server


@click.command(
    epilog=f"""\b
Examples:
  hashmargin outlook
  hashmargin outlook --url http://miner-gw:9852 --picture outlook.svg
  hashmargin outlook --propose prices.csv >> site.yml

{EXIT_CODES}"""
)
@with_server
@with_picture
@click.option(
    "--propose",
    type=path_type(),
    metavar="FILE",
    help="Estimate the settings of `ai.outlook` from a history file of `hashmargin backtest`, and query no exporter.",
)
@with_output
def outlook(server: Server, picture: Path | None, propose: Path | None, output: str) -> None:
    """Compare converting each block now with converting it later.

    Shows the outlook of a running exporter with `ai.outlook`: the value of each start over many paths of the bitcoin
    price and the difficulty, and the probability that now is best.
    """
    from exporter.tools import history, outlook

    try:
        if propose is not None:
            click.echo(outlook.as_yaml(outlook.propose(history.read_csv(propose))))
            return
        with drawing(picture):
            found = server.query(outlook.query)
            if picture is not None:
                outlook.draw(found, picture)
    except history.HistoryError as error:
        raise InputError(str(error)) from None
    except outlook.NoOutlookError as error:
        raise CommandError(str(error)) from None
    click.echo(to_json(found) if output == "json" else outlook.as_text(found))
