"""``hashmargin explain``."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import with_output
from exporter.cli.output import to_json
from exporter.cli.server import Server, complete_rig, with_scheme, with_server

_VERDICT_COLOURS: Final = {"mine": "green", "curtail": "yellow", "reassign": "magenta", "repair": "red"}


def _seconds(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """Read a duration such as ``24h``, in seconds."""
    from pydantic import TypeAdapter, ValidationError

    from exporter.model.fields import Duration

    if value is None:
        return None
    try:
        seconds: float = TypeAdapter(Duration).validate_python(value)
    except ValidationError:
        raise click.BadParameter(f"{value!r} is not a duration such as 24h.") from None
    return seconds


@click.command(
    epilog=f"""\b
Examples:
  hashmargin explain c1-001
  hashmargin explain 10.1.0.17
  hashmargin explain c1-001 --url http://miner-gw:9852 --output json
  hashmargin explain --since 24h --prometheus http://prometheus:9090 --site prairie-1

{EXIT_CODES}"""
)
@click.argument("rig", required=False, shell_complete=complete_rig)
@with_server
@click.option(
    "--since",
    callback=_seconds,
    metavar="DURATION",
    help="Explain how the margin of the site changed since so long ago, such as 24h. Needs --prometheus.",
)
@click.option("--prometheus", metavar="URL", help="With --since: the Prometheus that scrapes the exporters.")
@click.option("--site", metavar="NAME", help="With --since: only series with this target label `site`.")
@with_output
def explain(
    server: Server, rig: str | None, since: float | None, prometheus: str | None, site: str | None, output: str
) -> None:
    """Show how the verdict of a rig is computed, or why the margin changed.

    RIG is a name or an address. Queries a running exporter. The output lists every input with its value, source and
    age, then every step of the computation, then power, mining and AI in USD per kWh, and the prices at which the
    verdict would change.

    With --since, queries Prometheus and splits the change of the margin into bitcoin price, difficulty, subsidy, fees,
    power price, hashrate, efficiency and uptime. The causes add up to the change.
    """
    from exporter.tools import change, explain

    if (since is None) is not (prometheus is None):
        raise click.UsageError("--since and --prometheus belong together")
    if since is not None and prometheus is not None:
        if rig is not None:
            raise click.UsageError("give either a rig or --since")
        changes = server._replace(url=with_scheme(prometheus)).query(partial(change.query, site=site, seconds=since))
        click.echo(to_json(changes) if output == "json" else change.as_text(changes))
        return
    if rig is None:
        raise click.UsageError("give either a rig or --since")
    try:
        result = server.query(partial(explain.query, rig=rig))
    except explain.NoSuchRigError as error:
        raise InputError(str(error)) from None
    if output == "json":
        click.echo(to_json(result))
    else:
        colour = _VERDICT_COLOURS.get(result["rig"]["verdict"])
        name, verdict = result["rig"]["rig"], click.style(explain.verdict(result), fg=colour, bold=True)
        click.echo(f"{name}: {verdict}\n{explain.as_text(result)}")
