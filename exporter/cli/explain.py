"""``hashmargin explain``."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import with_output
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server

_VERDICT_COLOURS: Final = {"mine": "green", "curtail": "yellow", "reassign": "magenta", "repair": "red"}


@click.command(
    epilog=f"""\b
Examples:
  hashmargin explain c1-001
  hashmargin explain c1-001 --url http://miner-gw:9852 --output json

{EXIT_CODES}"""
)
@click.argument("rig")
@with_server
@with_output
def explain(server: Server, rig: str, output: str) -> None:
    """Show how the verdict of a rig is computed.

    Queries a running exporter. The output lists every input with its value, source and age, then every step of the
    computation, then power, mining and AI in USD per kWh, and the prices at which the verdict would change.
    """
    from exporter.tools import explain

    try:
        result = server.query(partial(explain.query, rig=rig))
    except explain.NoSuchRigError as error:
        raise InputError(str(error)) from None
    if output == "json":
        click.echo(to_json(result))
    else:
        colour = _VERDICT_COLOURS.get(result["rig"]["verdict"])
        click.echo(f"{rig}: {click.style(explain.verdict(result), fg=colour, bold=True)}\n{explain.as_text(result)}")
