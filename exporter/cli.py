"""The command line. Each command loads what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exporter import __version__

if TYPE_CHECKING:
    from exporter.demo import Simulation
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
        _override("--web.config.file", "FILE", "TLS and logins, in exporter-toolkit's format.", key="web.config_file"),
        click.option(
            "--web.enable-lifecycle",
            "web__enable_lifecycle",
            flag_value="true",
            help="Let POST /-/reload read the configuration anew, as SIGHUP does.",
        ),
        _override("--shard", "N|ordinal", "Which shard of the site this is, from 0.", key="sharding.shard"),
        _override("--total-shards", "N", "How many shards share the site.", key="sharding.total_shards"),
        _override("--log.level", "debug|info|warning|error", "The least severe events to log."),
        _override("--log.format", "logfmt|json", "How a line of the log is written."),
    )

    @wraps(command)
    def wrapped(config_file: Path, secrets_dir: Path | None, **options: Any) -> Any:
        from exporter.settings.load import ConfigError, load

        flags = {name: options.pop(name) for name in list(options) if "__" in name}
        load_them = partial(load, config_file, overrides=_given(flags), environ=os.environ, secrets_dir=secrets_dir)
        try:
            return command(load_them, **options)
        except ConfigError as error:
            count = len(error.problems)
            hint = "mend it" if count == 1 else f"mend these {count:,}"
            raise Misconfigured(f"the configuration cannot be used: {hint}, then try again\n{error}") from None

    for flag in reversed(flags):
        wrapped = flag(wrapped)
    return wrapped  # type: ignore[return-value]


def _override(flag: str, metavar: str, text: str, *, key: str = "") -> Callable[[CommandT], CommandT]:
    """Make a flag that replaces the setting ``key``: the one of the same name unless told."""
    return click.option(flag, (key or flag[2:].replace("-", "_")).replace(".", "__"), metavar=metavar, help=text)


def _given(flags: Mapping[str, str | None]) -> dict[str, str]:
    return {name.replace("__", "."): value for name, value in flags.items() if value is not None}


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
    from exporter import app

    try:
        app.run_blocking(load(), load)
    except app.StartError as error:
        raise Refused(str(error)) from None


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


@main.command(
    epilog=f"""\b
Examples:
  hashmargin demo
  hashmargin demo --rigs 1000 --seed 7
  hashmargin demo --web.listen-address 0.0.0.0:9852 --log.level info

{EXIT_CODES}"""
)
@click.option("--rigs", type=click.IntRange(1, 10_000), default=120, show_default=True, help="How many rigs.")
@click.option("--seed", type=int, default=21, show_default=True, help="The same seed gives the same site.")
@click.option("--network", default="127.30.0.0/16", show_default=True, help="Loopback network that it lives in.")
@click.option(
    "--slot-seconds",
    type=float,
    default=60.0,
    show_default=True,
    help="How long a power price lasts; 900 in real life.",
)
@_override("--web.listen-address", "ADDRESS:PORT", "Where to serve.  [default: 127.0.0.1:9852]")
@_override("--log.level", "debug|info|warning|error", "The least severe events to log.  [default: warning]")
def demo(rigs: int, seed: int, network: str, slot_seconds: float, **flags: str | None) -> None:
    """See it run: a simulated site with real protocols, and the exporter against it, until Ctrl-C."""
    from exporter import demo
    from exporter.app import StartError
    from exporter.settings.load import ConfigError

    overrides = {"web.listen_address": "127.0.0.1:9852", "log.level": "warning"} | _given(flags)
    arguments = [f"--rigs={rigs}", f"--seed={seed}", f"--network={network}", f"--slot-seconds={slot_seconds}"]
    click.echo(f"Starting a simulated site of {rigs:,} rigs ...")
    try:
        demo.run(arguments, overrides, _tell_demo)
    except (demo.DemoError, StartError) as error:
        raise Refused(str(error)) from None
    except ConfigError as error:
        raise Misconfigured(f"the demo cannot run with these flags or variables\n{error}") from None
    click.echo("Stopped; nothing is left running.")


def _tell_demo(simulation: Simulation, settings: Settings) -> None:
    address = settings.web.listen_address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 -- any address: ours is one
    if simulation.notice:
        click.echo(f"Note: {simulation.notice}")
    click.echo(f"""
{len(settings.rigs):,} rigs in {len(settings.fleet_blocks)} blocks run on loopback, and the exporter reads them.

  the site at a glance   http://{address}/
  for Prometheus         http://{address}/metrics
  break something        {simulation.ready["control"]}/
  its configuration      {simulation.config_file}

The first values show within half a minute. Ctrl-C ends everything.
""")


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Only the simulated site of the demo, for tests of your own.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run only the simulated site; it explains its flags itself."""
    from exporter.simulation.__main__ import main as run_simulation

    sys.exit(run_simulation(arguments))
