"""``hashmargin run``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.errors import EXIT_CODES, CommandError
from exporter.cli.options import CommandT, with_settings

if TYPE_CHECKING:
    from exporter.settings.model import Settings


def _stopped_by_signals(command: CommandT) -> CommandT:
    """Exit with code 0 on SIGTERM and SIGINT, and ignore SIGHUP, until the event loop handles signals itself."""

    @wraps(command)
    def wrapped(**options: Any) -> Any:
        before = {number: signal.signal(number, _exit) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            return command(**options)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return wrapped  # type: ignore[return-value]


def _exit(_number: int, _frame: object) -> None:
    sys.exit(0)


@click.command(
    epilog=f"""\b
Examples:
  hashmargin run --config.file /etc/hashmargin/site.yml
  hashmargin run --config.file site.yml --web.listen-address 127.0.0.1:9852 --log.level debug
  HASHMARGIN_POLLING__INTERVAL=60s hashmargin run --config.file site.yml

{EXIT_CODES}"""
)
@_stopped_by_signals
@with_settings
def run(load: Callable[[], Settings]) -> None:
    """Read the site and serve its metrics until stopped.

    SIGHUP reloads the configuration.
    """
    from exporter import app

    try:
        app.run_blocking(load(), load)
    except app.StartError as error:
        raise CommandError(str(error)) from None
