"""``hashmargin top``."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from exporter.cli.errors import EXIT_CODES, CommandError
from exporter.cli.options import POSITIVE
from exporter.cli.server import Server, with_scheme, with_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.tools.top import Screen

_ENTER: Final = "\x1b[?1049h\x1b[?25l"  # the second screen of the terminal, without a cursor
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_NEXT_LINE: Final = "\x1b[K\r\n"
_REST: Final = "\x1b[J"  # clears what is left of an earlier screen
_TIMEOUT: Final = 10.0  # seconds
_PLAIN_SIZE: Final = (200, 1_000)


@click.command(
    epilog=f"""\b
Examples:
  hashmargin top
  hashmargin top --url miner-gw:9852 --alertmanager alertmanager:9093
  hashmargin top --count 1 > state.txt
  ssh -t miner-gw hashmargin top

{EXIT_CODES}"""
)
@with_server
@click.option("--alertmanager", metavar="URL", help="Show the alerts that this Alertmanager has firing.")
@click.option("--interval", type=POSITIVE, default=5.0, show_default=True, help="Seconds between two screens.")
@click.option(
    "--count", type=click.IntRange(min=1), help="Stop after this many screens. 1 if the output is no terminal."
)
@click.option("--rows", type=click.IntRange(1, 1_000), default=10, show_default=True, help="Rigs in each list.")
def top(server: Server, alertmanager: str | None, interval: float, count: int | None, rows: int) -> None:
    """Show the site live: firing alerts, rigs that are down, rigs that lose most.

    Ctrl-C stops it. If the exporter does not answer, the screen shows the reason instead of old values.
    """
    terminal = sys.stdout.isatty()
    shown, last = 0, count or (None if terminal else 1)
    server = server._replace(timeout=_TIMEOUT)
    with suppress(KeyboardInterrupt), _whole_screen() if terminal else nullcontext():
        while True:
            try:
                lines = _lines(server, alertmanager, rows, terminal=terminal)
            except CommandError as error:
                if not terminal:
                    raise
                lines = [f"{time.strftime('%H:%M:%S')}  {error.format_message()}"]
            _draw(lines, terminal=terminal)
            shown += 1
            if shown == last:
                return
            time.sleep(interval)


def _lines(server: Server, alertmanager: str | None, rows: int, *, terminal: bool) -> list[str]:
    from exporter.sources.alertmanager import alerts
    from exporter.tools import top

    screen: Screen = server.query(partial(top.query, rows=rows))
    if alertmanager is not None:
        firing = Server(with_scheme(alertmanager), timeout=_TIMEOUT).query(alerts)
        screen = replace(screen, alerts=firing)
    return top.as_text(screen, *(shutil.get_terminal_size() if terminal else _PLAIN_SIZE))


@contextmanager
def _whole_screen() -> Iterator[None]:
    """Use the second screen of the terminal, and return to the first at the end."""
    click.echo(_ENTER, nl=False)
    try:
        yield
    finally:
        click.echo(_LEAVE, nl=False)


def _draw(lines: list[str], *, terminal: bool) -> None:
    if terminal:
        click.echo(f"{_HOME}{_NEXT_LINE.join(lines)}{_REST}", nl=False)
    else:
        click.echo("\n".join(lines))
