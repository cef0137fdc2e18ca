"""``hashmargin status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from exporter.cli.options import POSITIVE, Number
from exporter.cli.server import Server, with_server

if TYPE_CHECKING:
    from exporter.model.failures import Failure
    from exporter.sources.http import Endpoint
    from exporter.tools.site_status import SiteStatus

_COLOURS: Final = {"OK": "green", "WARNING": "yellow", "CRITICAL": "red"}


@click.command(
    epilog="""\b
Examples:
  hashmargin status
  hashmargin status --url miner-gw:9852 --down-critical 20
  hashmargin status --loss-warning 250 --max-age 60

\b
Exit codes:
  0  OK
  1  WARNING: too many rigs are down, the avoidable loss is too high, or the margin is unknown
  2  CRITICAL: far too many rigs are down, the evaluation is too old, or the exporter does not answer;
     also if the command line is invalid
  3  UNKNOWN: the exporter rejects the login, or has nothing to report yet"""
)
@with_server
@click.option("--down-warning", type=Number(0, 100), default=5.0, show_default=True, help="Rigs down or stopped, in %.")
@click.option(
    "--down-critical", type=Number(0, 100), default=10.0, show_default=True, help="Rigs down or stopped, in %."
)
@click.option(
    "--loss-warning", type=POSITIVE, default=100.0, show_default=True, help="Avoidable loss of the site, in USD a day."
)
@click.option(
    "--max-age", type=POSITIVE, default=120.0, show_default=True, help="Seconds after which an evaluation is too old."
)
@click.option("--timeout", type=POSITIVE, default=10.0, show_default=True, help="Seconds to wait for the exporter.")
@click.pass_context
def status(
    context: click.Context,
    server: Server,
    down_warning: float,
    down_critical: float,
    loss_warning: float,
    max_age: float,
    timeout: float,
) -> None:
    """Show the state of the site in one line, for people and for checks.

    The exit code is that of a check of Nagios, Icinga, Checkmk or Sensu. The percentages are of the rigs that should
    mine. After `|` come the same values as performance data.
    """
    from exporter.model.failures import Failure
    from exporter.tools import fleet, site_status

    async def query(endpoint: Endpoint) -> fleet.Overview | Failure:
        try:
            return await fleet.overview(endpoint)
        except Failure as failure:
            return failure

    limits = site_status.Limits(
        down_warning=down_warning / 100.0,
        down_critical=down_critical / 100.0,
        loss_warning=loss_warning,
        max_age=max_age,
    )
    overview = server._replace(timeout=timeout).query(query)
    result = (
        site_status.of_failure(overview, server.url)
        if isinstance(overview, Failure)
        else site_status.of_site(overview, limits)
    )
    _show(result)
    context.exit(result.level)


def _show(result: SiteStatus) -> None:
    level = result.level.name
    figures = f" | {result.figures}" if result.figures else ""
    click.echo(f"{click.style(level, fg=_COLOURS.get(level), bold=True)}: {result.text}{figures}")
