"""``hashmargin rma``."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from exporter.cli.errors import EXIT_CODES, InputError
from exporter.cli.options import POSITIVE, Number
from exporter.cli.output import to_json
from exporter.cli.server import Server, with_server

_DAYS_PER_MONTH: Final = 365 / 12
_PRICE: Final = Number(min=0)


@click.command(
    epilog=f"""\b
Examples:
  hashmargin rma
  hashmargin rma --block c1 --output csv > rma.csv
  hashmargin rma --customer acme --months 24 --sale 6 --sale-as-is 1.5

{EXIT_CODES}"""
)
@with_server
@click.option("--block", default="", metavar="NAME", help="Only rigs of this block.")
@click.option("--customer", default="", metavar="NAME", help="Only rigs of this customer.")
@click.option("--months", type=POSITIVE, help="Months that the rigs would still mine.")
@click.option("--sale", type=_PRICE, help="Price of a working rig, USD per TH/s.")
@click.option("--sale-as-is", type=_PRICE, help="Price of a broken rig, USD per TH/s.")
@click.option(
    "--output",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="Output format: table for people, csv with an empty column for photos, json for scripts.",
)
def rma(
    server: Server,
    block: str,
    customer: str,
    months: float | None,
    sale: float | None,
    sale_as_is: float | None,
    output: str,
) -> None:
    """List rigs and boards to be repaired: fault, age, serial number, and the dollars that each rig loses per day.

    With --months, --sale and --sale-as-is it shows what a repair may cost at most before the rig is better sold:
    what the repaired rig earns in these months, or its price, less what it earns or brings as it is. Earnings are at
    today's margin. Queries a running exporter. The loss stands on the first line of each rig.
    """
    from exporter.tools import rma as repairs

    given = (months, sale, sale_as_is)
    prices = None
    if months is not None and sale is not None and sale_as_is is not None:
        prices = repairs.Prices(days=months * _DAYS_PER_MONTH, sale=sale, sale_as_is=sale_as_is)
    elif any(value is not None for value in given):
        raise InputError("give --months, --sale and --sale-as-is together: none of them has a default")
    found = server.query(partial(repairs.query, parameters={"block": block}, prices=prices, customer=customer))
    match output:
        case "json":
            click.echo(to_json({"items": repairs.as_records(found)}))
        case "csv":
            click.echo(repairs.as_csv(found), nl=False)
        case _:
            click.echo(repairs.as_text(found, priced=prices is not None))
