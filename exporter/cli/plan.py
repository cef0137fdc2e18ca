"""``hashmargin plan``."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import Number, Power
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_scheme, with_server

if TYPE_CHECKING:
    from exporter.sources.http import Endpoint


def _bounds(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, date]:
    """Split texts such as ``c1=2027-12-31`` into block and day."""
    bounds: dict[str, date] = {}
    for value in values:
        block, _, day = value.rpartition("=")
        try:
            bounds[block] = date.fromisoformat(day)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not like c1=2027-12-31.") from None
    return bounds


@click.command(
    epilog=f"""\b
Examples:
  hashmargin plan --megawatts 5
  hashmargin plan --megawatts 0.5 --url https://miner-gw:9852 --ca-file ca.pem --username desk --password-file pw
  hashmargin plan --megawatts 5 --prometheus http://prometheus:9090 --site prairie-1 --moving-cost 120
  hashmargin plan --megawatts 5 --least-megawatts 2 --together c1,c2 --bound-until c7=2027-12-31 --by 2027-07-01
  hashmargin plan --megawatts 5 --output csv > blocks.csv

{EXIT_CODES}"""
)
@click.option(
    "--megawatts",
    type=Power("MW", min=0, min_open=True),
    required=True,
    metavar="POWER",
    help="Power to free, in MW, or with a unit: 5MW, 500kW.",
)
@with_server
@click.option("--prometheus", metavar="URL", help="Query this Prometheus, which scrapes all shards, instead of --url.")
@click.option("--site", metavar="NAME", help="With --prometheus: only blocks with this target label `site`.")
@click.option(
    "--moving-cost",
    type=Number(min=0),
    metavar="USD",
    help="Cost of moving one rig, for blocks without moving_cost_usd_per_rig.",
)
@click.option(
    "--least-megawatts",
    type=Power("MW", min=0),
    default=0.0,
    metavar="POWER",
    help="Refuse blocks that free less, alone or together with others of --together.",
)
@click.option(
    "--together",
    multiple=True,
    metavar="BLOCK,BLOCK",
    help="Convert these blocks only together. May be given several times.",
)
@click.option(
    "--bound-until",
    callback=_bounds,
    multiple=True,
    metavar="BLOCK=DATE",
    help="Last day of a contract that binds a block. Needs --by. May be given several times.",
)
@click.option(
    "--by",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="DATE",
    help="Day on which the power must be free. Blocks whose contract ends later are refused.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "csv", "json", "markdown"]),
    default="text",
    show_default=True,
    help="Output format.",
)
def plan(
    server: Server, megawatts: float, prometheus: str | None, site: str | None, output: str, **options: Any
) -> None:
    """Choose the blocks to convert in order to free power.

    The plan chooses whole blocks that free at least the given power and lose the least mining margin. It compares this
    optimum with the simple rule of taking the cheapest kilowatts first. If all blocks together do not free enough, the
    plan shows the most that is possible. A block that loses money counts as 0: its rigs can be switched off without a
    plan. The gap says by how much the chosen blocks may be above the optimum.

    The margin lost is given twice: for converting the blocks with their rigs, and for a swap, in which the good rigs of
    those blocks replace the worst rigs of the fleet.
    """
    from exporter.tools import plan

    if site is not None and prometheus is None:
        raise click.UsageError("--site needs --prometheus: an exporter serves only one site")
    by: datetime | None = options["by"]
    if options["bound_until"] and by is None:
        raise click.UsageError("--bound-until needs --by, the day on which the power must be free")
    constraints = plan.Constraints(
        least_kilowatts=options["least_megawatts"] * 1_000.0,
        together=tuple(tuple(names.split(",")) for names in options["together"]),
        bound_until=options["bound_until"],
        needed_on=None if by is None else by.date(),
    )

    async def query(endpoint: Endpoint) -> plan.Fleet:
        return await (plan.query_exporter(endpoint) if prometheus is None else plan.query_shards(endpoint, site))

    fleet = (server if prometheus is None else server._replace(url=with_scheme(prometheus))).query(query)
    try:
        result = plan.plan(fleet, megawatts * 1_000.0, moving_cost=options["moving_cost"], constraints=constraints)
    except plan.UnknownBlockError as error:
        raise InputError(str(error)) from None
    match output:
        case "json":
            click.echo(to_json(plan.as_record(result)))
        case "csv":
            click.echo(plan.as_csv(result), nl=False)
        case "markdown":
            click.echo(plan.as_markdown(result))
        case _:
            colour = "green" if result.allocation.feasible else "yellow"
            click.echo(f"{click.style(plan.headline(result), fg=colour, bold=True)}\n\n{plan.as_text(result)}")
