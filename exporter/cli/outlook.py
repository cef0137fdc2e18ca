"""``hashmargin outlook``."""

from __future__ import annotations

from pathlib import Path

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import path_type, with_output
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
@click.option(
    "--picture",
    type=path_type(must_exist=False),
    metavar="FILE",
    help="Also draw it, as .svg or .png. Needs matplotlib.",
)
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
    from exporter.tools import history, outlook, plots

    try:
        if propose is not None:
            click.echo(outlook.as_yaml(outlook.propose(history.read_csv(propose))))
            return
        if picture is not None and picture.suffix not in {".svg", ".png"}:
            raise click.UsageError("--picture needs a name that ends in .svg or .png")
        if picture is not None and not plots.installed():
            raise CommandError("--picture needs matplotlib: run pip install 'hashmargin[backtest]'")
        found = server.query(outlook.query)
        if picture is not None:
            outlook.draw(found, picture)
    except history.HistoryError as error:
        raise InputError(str(error)) from None
    except outlook.NoOutlookError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"cannot write {picture} ({error.strerror}): give another --picture") from None
    click.echo(to_json(found) if output == "json" else outlook.as_text(found))
