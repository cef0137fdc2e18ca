"""``hashmargin run``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from exporter.cli.errors import EXIT_CODES, CommandError
from exporter.cli.options import with_allow_shrink, with_settings
from exporter.signals import held

if TYPE_CHECKING:
    from exporter.settings.model import Settings


@click.command(
    epilog=f"""\b
Examples:
  hashmargin run --config.file /etc/hashmargin/site.yml
  hashmargin run --config.file site.yml --web.listen-address 127.0.0.1:9852 --log.level debug
  HASHMARGIN_POLLING__INTERVAL=60s hashmargin run --config.file site.yml

{EXIT_CODES}"""
)
@held()
@with_settings
@with_allow_shrink
def run(load: Callable[[], Settings], allow_shrink: bool) -> None:
    """Read the site and serve its metrics until stopped.

    SIGHUP reloads the configuration. Several in quick succession, or during the start, cause one reload.
    """
    from exporter import app

    try:
        app.run_blocking(load(), load, allow_shrink=allow_shrink)
    except app.StartError as error:
        raise CommandError(str(error)) from None
