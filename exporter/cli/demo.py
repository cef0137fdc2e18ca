"""``hashmargin demo``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import POSITIVE, given, override
from exporter.settings.flags import LISTEN_ADDRESS, LOG_LEVEL

if TYPE_CHECKING:
    from exporter.demo import Simulation
    from exporter.settings.model import Settings

_WITH_POINTS: Final = {"luxos": 0.12, "vnish": 0.08, "epic": 0.06, "braiins_rest": 0.06}
"""Weights of firmware that lists operating points: enough rigs of a small site to see what they would earn."""

_MOST_NAMED: Final = 5
"""Number of rigs to name for each planned fault."""


@click.command(
    epilog=f"""\b
Examples:
  hashmargin demo
  hashmargin demo --rigs 1000 --seed 7
  hashmargin demo --web.listen-address 0.0.0.0:9852 --log.level info

{EXIT_CODES}"""
)
@click.option("--rigs", type=click.IntRange(1, 10_000), default=120, show_default=True, help="Number of rigs.")
@click.option("--seed", type=int, default=21, show_default=True, help="The same seed gives the same site.")
@click.option(
    "--network", default="127.30.0.0/16", show_default=True, help="Loopback network in which the rigs get addresses."
)
@click.option(
    "--slot-seconds",
    type=POSITIVE,
    default=15.0,
    show_default=True,
    help="Seconds that one power price lasts. Real markets use 900.",
)
@click.option(
    "--price-wave",
    type=POSITIVE,
    default=300.0,
    show_default=True,
    help="Seconds in which the scripted power price goes from high to nearly zero and back.",
)
@override(LISTEN_ADDRESS._replace(text="Address and port to serve on.  [default: 127.0.0.1:9852]"))
@override(LOG_LEVEL._replace(text="Lowest level of events to log.  [default: warning]"))
def demo(rigs: int, seed: int, network: str, slot_seconds: float, price_wave: float, **flags: str | None) -> None:
    """Run the exporter with a simulated site.

    The simulated rigs speak the real protocols on loopback addresses. Ctrl-C stops everything.

    The power price is scripted, and the history and dwell of a verdict take a minute instead of days. Within five
    minutes a block of old rigs goes from mine to curtail and reassign, and back.
    """
    from exporter import demo
    from exporter.app import StartError
    from exporter.settings.load import ConfigError

    overrides = {"web.listen_address": "127.0.0.1:9852", "log.level": "warning"} | given(flags)
    arguments = [f"--rigs={rigs}", f"--seed={seed}", f"--network={network}"]
    arguments += [f"--slot-seconds={slot_seconds}", f"--price-wave={price_wave}"]
    arguments += [f"--weight={name}={weight}" for name, weight in _WITH_POINTS.items()]
    click.echo(f"Starting a simulated site of {rigs:,} rigs ...")
    try:
        demo.run(arguments, overrides, _announce)
    except (demo.DemoError, StartError) as error:
        raise CommandError(str(error)) from None
    except ConfigError as error:
        raise InputError(f"the demo cannot run with these options or environment variables\n{error}") from None
    click.echo("Stopped; nothing is left running.")


def _announce(simulation: Simulation, settings: Settings) -> None:
    address = settings.web.listen_address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 -- 127.0.0.1 is one of them
    if simulation.notice:
        click.echo(f"Note: {simulation.notice}")
    click.echo(f"""
{len(settings.rigs):,} rigs in {len(settings.fleet_blocks)} blocks run on loopback, and the exporter reads them.

  overview               http://{address}/
  for Prometheus         http://{address}/metrics
  simulate faults        {simulation.ready["control"]}/
  configuration          {simulation.config_file}
{_planned_faults(simulation.ready["planned_faults"])}
The first values appear within 15 seconds. Then watch container-1 at http://{address}/blocks: its old rigs lose money
while power is expensive. Ctrl-C stops everything.

Some rigs run at a lower operating point for a minute: hashmargin setpoints shows what another point would earn, and
hashmargin shed --kilowatts 10 which rigs to turn down. hashmargin schedule shows the next hours. The site has sold
reserve, and after three minutes a call caps container-2, which nobody follows: hashmargin obligations list.
""")


def _planned_faults(faults: Mapping[str, list[str]]) -> str:
    """List the rigs that are faulty on purpose, because the log will warn about some of them."""
    if not faults:
        return ""
    lines = []
    for words, rigs in faults.items():
        more = f" and {len(rigs) - _MOST_NAMED:,} more" if len(rigs) > _MOST_NAMED else ""
        lines.append(f"  {words:<38} {', '.join(rigs[:_MOST_NAMED])}{more}\n")
    return f"\nSome rigs are faulty on purpose. Expect warnings about them:\n\n{''.join(lines)}"
