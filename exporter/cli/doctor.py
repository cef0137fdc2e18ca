"""``hashmargin doctor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from exporter.cli.errors import EXIT_CODES, CommandError
from exporter.cli.options import with_output, with_settings
from exporter.cli.output import log_errors_only, to_json
from exporter.cli.server import Server, with_server

if TYPE_CHECKING:
    from exporter.settings.model import Settings

_COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command(
    epilog=f"""\b
Examples:
  hashmargin doctor --config.file /etc/hashmargin/site.yml
  hashmargin doctor --config.file site.yml --sample 100
  hashmargin doctor --config.file site.yml --output json

{EXIT_CODES}"""
)
@with_server
@with_settings
@click.option(
    "--sample",
    type=click.IntRange(min=0, max=1_000),
    default=10,
    show_default=True,
    help="Rigs to read once, spread over the inventory.",
)
@with_output
def doctor(load: Callable[[], Settings], server: Server, sample: int, output: str) -> None:
    """Show what is wrong with this installation, and what to do about it.

    Checks the configuration, the state file, every source, some rigs, and the running exporter. Run it on the host and
    as the user of the exporter. Nothing is changed. The exit code is 1 if a check failed.
    """
    import asyncio

    from exporter.tools import doctor

    settings = load()
    log_errors_only()
    findings = asyncio.run(doctor.check(settings, sample))
    findings += server.query(doctor.check_exporter)
    if output == "json":
        click.echo(to_json(doctor.as_records(findings)))
    else:
        for one in findings:
            click.echo(f"{click.style(f'{one.state:<8}', fg=_COLOURS[one.state])} {one.subject:<20} {one.text}")
    failed = sum(one.state == "failed" for one in findings)
    if failed:
        raise CommandError(f"{failed} of {len(findings)} checks failed")
