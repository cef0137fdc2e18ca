"""``hashmargin simulate``."""

from __future__ import annotations

import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Run only the simulated site of the demo.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run only the simulated site. Its own parser handles every option, ``--help`` included."""
    from exporter.simulation.__main__ import main as run_simulation

    sys.exit(run_simulation(arguments))
