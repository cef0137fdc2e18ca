"""``hashmargin probe``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import (
    POSITIVE,
    complete_listed_rig,
    credentials,
    load_file,
    path_type,
    resolvable,
    with_login,
    with_output,
)
from exporter.cli.output import log_errors_only, to_json

if TYPE_CHECKING:
    from exporter.model.fleet import Rig


@click.command(
    epilog=f"""\b
Examples:
  hashmargin probe 10.1.0.17
  hashmargin probe a-01 --config.file site.yml      by name, with the login from the inventory
  hashmargin probe 10.1.0.17 --raw                  with the rig's raw answers, logins and workers removed

{EXIT_CODES}"""
)
@click.argument("rig", shell_complete=complete_listed_rig)
@click.option(
    "--config.file",
    "config_file",
    type=path_type(),
    metavar="FILE",
    help="The site's YAML file. The rig's address and login are taken from its inventory.",
)
@with_login
@click.option("--deadline", type=POSITIVE, default=5.0, show_default=True, help="Seconds that one read may take.")
@click.option("--raw", is_flag=True, help="Show the rig's raw answers too, with secrets removed.")
@with_output
def probe(
    rig: str,
    config_file: Path | None,
    username: str | None,
    password_file: Path | None,
    deadline: float,
    raw: bool,
    output: str,
) -> None:
    """Read one rig once and show the result.

    RIG is an address, or a name if --config.file is given. The output shows the rig's identity, its readings, and how
    long each request took.
    """
    import asyncio

    from exporter.model.failures import RIG_ADVICE
    from exporter.sources.rigs.contract import Target
    from exporter.sources.rigs.logins import Logins
    from exporter.tools import probe

    listed = None if config_file is None else _listed(rig, config_file)
    login = credentials(username, password_file)
    target = (
        Target(resolvable(rig), login)
        if listed is None
        else Target(listed.address, login or Logins(listed.logins, listed.address).current)
    )
    log_errors_only()
    probed = asyncio.run(probe.probe(target, deadline))
    click.echo(to_json(probe.as_record(probed, raw=raw)) if output == "json" else probe.as_text(probed, raw=raw))
    if listed is not None and (other := probe.stranger(probed, listed)):
        click.echo(f"hashmargin: {other} answers at {target.address}, not {listed.name}: has it moved?", err=True)
    if probed.failure is not None:
        raise CommandError(f"{rig} could not be read ({probed.failure.reason}): {probed.failure.advised(RIG_ADVICE)}")


def _listed(rig: str, config_file: Path) -> Rig:
    """Find a rig in the inventory by its name or address. Raises InputError."""
    from exporter.model.configuration_errors import unknown

    rigs = load_file(config_file).rigs
    for listed in rigs:
        if rig in (listed.name, listed.address):
            return listed
    message = unknown("rig", rig, [listed.name for listed in rigs if not listed.discovered])
    if any(listed.discovered for listed in rigs):
        message += "; for a rig found in a range give its address, the label `ip` of mining_rig_info"
    raise InputError(message)
