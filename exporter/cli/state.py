"""``hashmargin state``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import path_type, with_output
from exporter.cli.output import to_json

if TYPE_CHECKING:
    from exporter.tools.state_file import Contents

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def with_state_file(command: CommandT) -> CommandT:
    """Add the options that name the state file. The command receives its path as ``state``."""

    @click.option(
        "--config.file",
        "config_file",
        type=path_type(must_exist=False),
        envvar="HASHMARGIN_CONFIG_FILE",
        metavar="FILE",
        help="The site's YAML file, which names the state file.  [env: HASHMARGIN_CONFIG_FILE]",
    )
    @click.option(
        "--state.path",
        "state_path",
        type=path_type(must_exist=False),
        envvar="HASHMARGIN_STATE__PATH",
        metavar="FILE",
        help="The state file itself.  [env: HASHMARGIN_STATE__PATH]",
    )
    @wraps(command)
    def wrapped(config_file: Path | None, state_path: Path | None, **own: Any) -> Any:
        from exporter.tools.state_file import StateFileError

        try:
            return command(state=state_path or _configured(config_file), **own)
        except StateFileError as error:
            raise CommandError(str(error)) from None

    return wrapped  # type: ignore[return-value]


def _configured(config_file: Path | None) -> Path:
    from exporter.cli.options import load_file
    from exporter.model.fields import offline

    if config_file is None:
        raise InputError("name the state file with --state.path, or the site's YAML file with --config.file")
    with offline():
        path = load_file(config_file).state.path
    if path is None:
        raise InputError(f"{config_file} has no state.path: no state is kept")
    return path


@click.group(
    epilog=f"""\b
Examples:
  hashmargin state show --config.file site.yml
  hashmargin state backup --config.file site.yml /backup/prairie-1.sqlite
  hashmargin state restore --config.file site.yml /backup/prairie-1.sqlite

{EXIT_CODES}"""
)
def state() -> None:
    """Back up, restore and show the state file.

    It keeps what a restart must not lose: identities of rigs, energy counters, verdicts with their time, the history of
    margins, and the last market values.
    """


@state.command()
@with_state_file
@with_output
def show(state: Path, output: str) -> None:
    """Show what the state file keeps, and which version wrote it. The exporter may run."""
    from exporter.tools import state_file

    contents: Contents = state_file.show(state)
    if output == "json":
        click.echo(to_json(state_file.as_record(contents)))
    else:
        click.echo(state_file.as_text(contents, state_file.now()))


@state.command()
@with_state_file
@click.argument("target", type=path_type(must_exist=False))
def backup(state: Path, target: Path) -> None:
    """Copy the state file to TARGET. The exporter may run. An earlier backup at TARGET is replaced."""
    from exporter.tools import state_file

    state_file.backup(state, target)
    click.echo(f"{target}: {target.stat().st_size:,} bytes")


@state.command()
@with_state_file
@click.argument("source", type=path_type())
def restore(state: Path, source: Path) -> None:
    """Replace the state file by the backup SOURCE. Stop the exporter first. The former file is kept beside it."""
    from exporter.tools import state_file

    former = state_file.restore(source, state, state_file.now())
    click.echo(f"{state} restored from {source}" + (f"; the former file is {former}" if former else ""))
