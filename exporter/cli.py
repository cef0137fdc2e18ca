"""The command line. Each command loads what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exporter import __version__

if TYPE_CHECKING:
    from exporter.settings.model import Settings

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

EXIT_CODES: Final = """\b
Exit codes:
  0  done, or stopped by Ctrl-C or SIGTERM
  1  it could not run: the message says why
  2  the command line or the configuration is wrong"""


class Refused(click.ClickException):
    """A command that cannot go on: one sentence for the operator, with the next step."""

    def show(self, file: Any = None) -> None:
        """Print the sentence alone: it needs no traceback and no usage."""
        click.echo(f"hashmargin: {self.format_message()}", file=file, err=file is None)


class Misconfigured(Refused):
    """The configuration is wrong."""

    exit_code = 2


def _file(*, must_exist: bool = True, folder: bool = False) -> click.Path:
    return click.Path(exists=must_exist, dir_okay=folder, file_okay=not folder, path_type=Path)


def with_settings(command: CommandT) -> CommandT:
    """Give a command the flags that settings are loaded with; it is called with ``load``, which loads them."""
    flags = (
        click.option(
            "--config.file",
            "config_file",
            type=_file(must_exist=False),
            envvar="HASHMARGIN_CONFIG_FILE",
            required=True,
            metavar="FILE",
            help="The site's YAML file.  [env: HASHMARGIN_CONFIG_FILE]",
        ),
        click.option(
            "--config.secrets-dir",
            "secrets_dir",
            type=_file(must_exist=False, folder=True),
            envvar="HASHMARGIN_SECRETS_DIR",
            metavar="DIRECTORY",
            help="Directory with a file per secret, named like the key: network__password.  "
            "[env: HASHMARGIN_SECRETS_DIR]",
        ),
        _override("--web.listen-address", "ADDRESS:PORT", "Where to serve, instead of what the file says."),
        _override("--log.level", "debug|info|warning|error", "The least severe events to log."),
        _override("--log.format", "logfmt|json", "How a line of the log is written."),
    )

    @wraps(command)
    def wrapped(config_file: Path, secrets_dir: Path | None, **options: Any) -> Any:
        overrides = {name.replace("__", "."): options.pop(name) for name in list(options) if "__" in name}
        given = {key: value for key, value in overrides.items() if value is not None}
        return command(partial(_load, config_file, secrets_dir, given), **options)

    for flag in reversed(flags):
        wrapped = flag(wrapped)
    return wrapped  # type: ignore[return-value]


def _override(flag: str, metavar: str, text: str) -> Callable[[CommandT], CommandT]:
    return click.option(flag, flag[2:].replace(".", "__").replace("-", "_"), metavar=metavar, help=text)


def _load(config_file: Path, secrets_dir: Path | None, overrides: dict[str, str]) -> Settings:
    from exporter.settings.load import ConfigError, load

    try:
        return load(config_file, overrides=overrides, environ=os.environ, secrets_dir=secrets_dir)
    except ConfigError as error:
        count = len(error.problems)
        hint = "mend it" if count == 1 else f"mend these {count:,}"
        raise Misconfigured(f"the configuration cannot be used: {hint}, then try again\n{error}") from None


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  hashmargin demo                                     see it run against a simulated site
  hashmargin check-config --config.file site.yml      would this configuration run, and what?
  hashmargin run --config.file site.yml               serve http://0.0.0.0:9852/metrics

{EXIT_CODES}

\b
Shell completion, for bash (zsh and fish likewise):
  eval "$(_HASHMARGIN_COMPLETE=bash_source hashmargin)"
""",
)
@click.version_option(__version__, prog_name="hashmargin")
def main() -> None:
    """What each bitcoin-mining rig earns right now, for Prometheus.

    hashmargin reads the rigs of one site (it never changes one), prices their work and their power, and says which
    would earn more as AI hosting.
    """


@main.command(
    epilog=f"""\b
Examples:
  hashmargin run --config.file /etc/hashmargin/site.yml
  hashmargin run --config.file site.yml --web.listen-address 127.0.0.1:9852 --log.level debug
  HASHMARGIN_POLLING__INTERVAL=60s hashmargin run --config.file site.yml

{EXIT_CODES}"""
)
@with_settings
def run(load: Callable[[], Settings]) -> None:
    """Read the site and serve its metrics until stopped."""
    settings = load()
    from exporter import app

    app.run_blocking(settings)


@main.command(
    "check-config",
    epilog=f"""\b
Examples:
  hashmargin check-config --config.file site.yml
  hashmargin check-config --config.file site.yml --output json | jq .rigs

{EXIT_CODES}""",
)
@with_settings
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="For people, or for a script.")
def check_config(load: Callable[[], Settings], output: str) -> None:
    """Say what a configuration would run, secrets masked, without running it."""
    from exporter.settings.describe import as_json, as_text

    settings = load()
    click.echo(as_json(settings) if output == "json" else as_text(settings))
