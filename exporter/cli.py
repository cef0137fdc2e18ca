"""The command line. Each command loads what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial, wraps
from itertools import chain, count
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from exporter import __version__
from exporter.settings.flags import FLAGS, LISTEN_ADDRESS, LOG_LEVEL, Flag

if TYPE_CHECKING:
    from exporter.demo import Simulation
    from exporter.model.fleet import Credentials, Rig
    from exporter.settings.model import Settings
    from exporter.sources.http import Endpoint
    from exporter.tools import backtest as backtest_tool
    from exporter.tools.history import Row

CommandT = TypeVar("CommandT", bound=Callable[..., Any])
AnswerT = TypeVar("AnswerT")

_PATIENCE_SECONDS: Final = 60.0
"""How long a running exporter or a Prometheus may take to tell of a large fleet."""

_MOST_NAMED: Final = 5
"""Of many rigs with the same planned fault, how many the demo names."""

_VERDICT_COLOURS: Final = {"mine": "green", "curtail": "yellow", "reassign": "magenta", "repair": "red"}

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


class _Number(click.FloatRange):
    """A number in a range, and neither infinite nor "not a number"."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See :class:`click.FloatRange`."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


_POSITIVE: Final = _Number(min=0, min_open=True)


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
        *map(_override, FLAGS),
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


def _stopped_by_signals(command: CommandT) -> CommandT:
    """Let a signal stop a command that only starts as it does later; a reload that comes so early has no need."""

    @wraps(command)
    def wrapped(**options: Any) -> Any:
        before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            return command(**options)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return wrapped  # type: ignore[return-value]


def _stop(_number: int, _frame: object) -> None:
    sys.exit(0)


def _override(flag: Flag) -> Callable[[CommandT], CommandT]:
    """Make a flag that replaces the setting of its key."""
    kind = click.Path(resolve_path=True) if flag.metavar == "FILE" else None  # from here, not from the YAML file
    return click.option(flag.name, flag.key.replace(".", "__"), type=kind, metavar=flag.metavar, help=flag.text)


def _output(command: CommandT) -> CommandT:
    return click.option(
        "--output", type=click.Choice(["text", "json"]), default="text", help="For people or a script."
    )(command)


class _Server(NamedTuple):
    """A running exporter, or a Prometheus, and how to log in there."""

    url: str
    username: str | None
    password_file: Path | None
    ca_file: Path | None

    def ask(self, question: Callable[[Endpoint], Coroutine[Any, Any, AnswerT]]) -> AnswerT:
        """Ask it; what goes wrong ends the command with a sentence."""
        import asyncio

        import aiohttp
        from pydantic import ValidationError

        from exporter.model.configuration_errors import sentence
        from exporter.model.failures import SERVER_ADVICE, Failure
        from exporter.sources.http import Endpoint, HttpSettings

        async def asked(settings: HttpSettings) -> AnswerT:
            async with aiohttp.ClientSession() as session:
                return await question(Endpoint(settings, session))

        _log_errors_only()
        try:
            return asyncio.run(asked(HttpSettings(timeout=_PATIENCE_SECONDS, **self._asdict())))
        except ValidationError as error:
            raise Misconfigured("; ".join(map(sentence, error.errors()))) from None
        except Failure as failure:
            reason = f"{failure.reason}: {failure.detail}"
            raise Refused(f"{self.url} gave no answer ({reason}): {SERVER_ADVICE[failure.reason]}") from None


def _asks_exporter(command: CommandT) -> CommandT:
    """Give a command the flags that say which running exporter it asks; it is called with ``server``."""
    flags = (
        click.option(
            "--url",
            default="http://127.0.0.1:9852",
            envvar="HASHMARGIN_URL",
            show_default=True,
            metavar="URL",
            help="Where the exporter runs.  [env: HASHMARGIN_URL]",
        ),
        click.option("--username", metavar="NAME", help="User, where the server wants a login."),
        click.option("--password-file", type=_file(), metavar="FILE", help="File with that user's password."),
        click.option("--ca-file", type=_file(), metavar="FILE", help="Certificates (PEM) to trust, for https."),
    )

    @wraps(command)
    def wrapped(url: str, username: str | None, password_file: Path | None, ca_file: Path | None, **own: Any) -> Any:
        return command(server=_Server(url, username, password_file, ca_file), **own)

    for flag in reversed(flags):
        wrapped = flag(wrapped)
    return wrapped  # type: ignore[return-value]


def _login(command: CommandT) -> CommandT:
    username = click.option("--username", metavar="NAME", help="User of the rigs' web interface.")
    password = click.option("--password-file", type=_file(), metavar="FILE", help="File with that user's password.")
    return username(password(command))


def _credentials(username: str | None, password_file: Path | None) -> Credentials | None:
    from exporter.model.fleet import Credentials

    if username is None and password_file is None:
        return None
    try:
        return Credentials(username or "", password_file.read_text("utf-8").strip() if password_file else "")
    except UnicodeDecodeError:
        raise Misconfigured(f"{password_file} is not UTF-8 text: save it as UTF-8") from None


def _listed(rig: str, config_file: Path) -> Rig:
    """Find a rig in the inventory, by name or address."""
    from exporter.model.configuration_errors import unknown
    from exporter.settings.load import ConfigError, load

    try:
        rigs = load(config_file, environ=os.environ).rigs
    except ConfigError as error:
        raise Misconfigured(f"the configuration cannot be used\n{error}") from None
    for listed in rigs:
        if rig in (listed.name, listed.address):
            return listed
    nobody = unknown("rig", rig, [listed.name for listed in rigs if not listed.discovered])
    found = "; one that was found in a range is asked by its address, the ip in mining_rig_info"
    raise Misconfigured(nobody + (found if any(listed.discovered for listed in rigs) else ""))


def _address(text: str) -> str:
    """Check an address, or host name, that was given without an inventory."""
    import socket

    from exporter.inventory.model import host

    try:
        address = host(text)
    except ValueError as error:
        raise Misconfigured(str(error)) from None
    try:
        socket.getaddrinfo(address, None)
    except OSError:
        raise Misconfigured(f"no address is known for {text!r}: is it a rig's name, then give --config.file") from None
    return address


def _addresses(ranges: Sequence[str], exclude: Sequence[str]) -> list[str]:
    from pydantic import ValidationError

    from exporter.inventory.listed import InventoryError
    from exporter.inventory.load import Names, load_inventory
    from exporter.inventory.model import InventorySettings
    from exporter.model.configuration_errors import sentence

    listed = [{"cidr": text, "exclude": exclude} for text in ranges]
    try:
        rigs = load_inventory(
            InventorySettings.model_validate({"ranges": listed}), Names(blocks={}, tariffs=(), schedules=())
        )
    except ValidationError as error:
        raise Misconfigured("; ".join(map(sentence, error.errors()))) from None
    except InventoryError as error:
        raise Misconfigured(str(error)) from None
    return [rig.address for rig in rigs]


def _append(path: Path, lines: str) -> None:
    if not lines:
        return
    text = path.read_bytes()
    with path.open("a", encoding="utf-8") as file:
        file.write(lines if text.endswith(b"\n") else f"\n{lines}")


def _log_errors_only() -> None:
    """What a command finds out is its output; the log is for what is wrong with itself."""
    from exporter.logs import LogSettings, configure

    configure(LogSettings(level="error"))


def _json(value: object) -> str:
    from exporter.tools.tables import as_json

    return as_json(value)


def _given(flags: Mapping[str, str | None]) -> dict[str, str]:
    return {name.replace("__", "."): value for name, value in flags.items() if value is not None}


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"""\b
Examples:
  hashmargin demo                                     see it run against a simulated site
  hashmargin scan 10.0.0.0/20 > rigs.csv              which rigs are there?
  hashmargin check-config --config.file site.yml      would this configuration run, and what?
  hashmargin run --config.file site.yml               serve http://0.0.0.0:9852/metrics
  hashmargin probe 10.1.0.17                          why does this rig not show up?
  hashmargin explain c1-001                           why does this rig have its verdict?
  hashmargin plan --megawatts 5                       which blocks would free so much power for AI?
  hashmargin backtest --sample                        what would following the verdicts have earned?

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
@_stopped_by_signals
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
  hashmargin check-config --config.file site.yml --online
  hashmargin check-config --config.file site.yml --output json | jq .rigs

{EXIT_CODES}""",
)
@with_settings
@click.option("--online", is_flag=True, help="Ask every source once instead: its value, its age, the time it took.")
@_output
def check_config(load: Callable[[], Settings], online: bool, output: str) -> None:
    """Say what a configuration would run.

    Nothing is started; secrets are masked.
    """
    from exporter.settings.describe import as_json, as_text

    settings = load()
    if online:
        _check_online(settings, output)
    else:
        click.echo(as_json(settings) if output == "json" else as_text(settings))


def _check_online(settings: Settings, output: str) -> None:
    import asyncio

    from exporter.app import sources
    from exporter.tools import online

    _log_errors_only()
    asked = asyncio.run(online.ask_all(sources(settings)))
    click.echo(_json(online.as_records(asked)) if output == "json" else online.as_text(asked))
    failed = [one.source for one in asked if one.failure is not None]
    if failed:
        raise Refused(f"{len(failed)} of {len(asked)} sources gave no value: {', '.join(failed)}")


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
    type=_POSITIVE,
    default=15.0,
    show_default=True,
    help="How long a power price lasts; 900 in real life.",
)
@click.option(
    "--price-wave",
    type=_POSITIVE,
    default=300.0,
    show_default=True,
    help="Seconds in which the scripted power price goes from dear to nearly free and back.",
)
@_override(LISTEN_ADDRESS._replace(text="Where to serve.  [default: 127.0.0.1:9852]"))
@_override(LOG_LEVEL._replace(text="The least severe events to log.  [default: warning]"))
def demo(rigs: int, seed: int, network: str, slot_seconds: float, price_wave: float, **flags: str | None) -> None:
    """See it run against a simulated site.

    The rigs speak the real protocols on loopback addresses. Ctrl-C ends everything.

    The power price is scripted, and what takes days at a real site (the history and the dwell of a verdict) takes a
    minute: within five minutes a block of old rigs goes from mine to curtail and reassign, and back.
    """
    from exporter import demo
    from exporter.app import StartError
    from exporter.settings.load import ConfigError

    overrides = {"web.listen_address": "127.0.0.1:9852", "log.level": "warning"} | _given(flags)
    arguments = [f"--rigs={rigs}", f"--seed={seed}", f"--network={network}"]
    arguments += [f"--slot-seconds={slot_seconds}", f"--price-wave={price_wave}"]
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
{_planned_faults(simulation.ready["planned_faults"])}
The first values show within 15 seconds; then watch container-1, whose old rigs are not worth their power while it is
dear: http://{address}/blocks. Ctrl-C ends everything.
""")


def _planned_faults(faults: Mapping[str, list[str]]) -> str:
    """Say which rigs are faulty on purpose: the log soon warns of some of them."""
    if not faults:
        return ""
    lines = []
    for words, rigs in faults.items():
        more = f" and {len(rigs) - _MOST_NAMED:,} more" if len(rigs) > _MOST_NAMED else ""
        lines.append(f"  {words:<38} {', '.join(rigs[:_MOST_NAMED])}{more}\n")
    return f"\nSome rigs are faulty on purpose. Expect warnings about them:\n\n{''.join(lines)}"


@main.command(
    epilog=f"""\b
Examples:
  hashmargin scan 10.0.0.0/20 > rigs.csv            then: fleet: {{csv: [rigs.csv]}}
  hashmargin scan 10.0.0.0/20 --update rigs.csv     adds what is new, and forgets no rig that sleeps
  hashmargin scan 10.1.0.0/24 10.2.0.0/24 --exclude 10.1.0.1 --output json

\b
The CSV lists what is a rig; JSON lists all that answered, with the reason where it is none we know. A rig that sleeps
is in neither.

{EXIT_CODES}"""
)
@click.argument("ranges", nargs=-1, required=True, metavar="RANGE...")
@click.option("--exclude", multiple=True, metavar="RANGE", help="An address or range to leave alone; may be repeated.")
@_login
@click.option("--output", type=click.Choice(["csv", "json"]), default="csv", help="An inventory file, or for a script.")
@click.option(
    "--update",
    type=click.Path(exists=True, dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Add the rigs that this inventory file lacks to its end, in place of writing one.",
)
def scan(
    ranges: tuple[str, ...],
    exclude: tuple[str, ...],
    username: str | None,
    password_file: Path | None,
    output: str,
    update: Path | None,
) -> None:
    """Find the rigs in address ranges.

    What is found is written to standard output, as an inventory file.
    """
    import asyncio

    from exporter.inventory.csv_files import csv_file
    from exporter.inventory.listed import InventoryError
    from exporter.model.failures import Failure
    from exporter.tools import scan

    addresses = _addresses(ranges, exclude)
    try:
        known = None if update is None else csv_file(update)
    except InventoryError as error:
        raise Misconfigured(str(error)) from None
    _log_errors_only()
    with click.progressbar(
        length=len(addresses), label="Scanning", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        found = asyncio.run(scan.scan(addresses, _credentials(username, password_file), bar.update))
    if update is not None and known is not None:
        news = scan.rescan(known, found)
        _append(update, news.lines)
        for sentence in news.told:
            click.echo(f"{sentence}: mend its line", err=True)
        click.echo(f"{news.added:,} rigs added to {update}", err=True)
    if output == "json" or update is None:
        click.echo(_json(scan.as_records(found)) if output == "json" else scan.as_csv(found).rstrip())
    rigs = sum(not isinstance(one.who, Failure) for one in found)
    others = len(found) - rigs
    click.echo(f"{rigs:,} rigs in {len(addresses):,} addresses; no rig, but answering: {others:,}", err=True)


@main.command(
    epilog=f"""\b
Examples:
  hashmargin probe 10.1.0.17
  hashmargin probe a-01 --config.file site.yml      by its name, with the login from the inventory
  hashmargin probe 10.1.0.17 --raw                  with what it answered, logins and workers removed

{EXIT_CODES}"""
)
@click.argument("rig")
@click.option(
    "--config.file",
    "config_file",
    type=_file(),
    metavar="FILE",
    help="The site's YAML file: gives the rig's address and login.",
)
@_login
@click.option("--deadline", type=_POSITIVE, default=5.0, show_default=True, help="Seconds that one read may take.")
@click.option("--raw", is_flag=True, help="Show the rig's own answers too, secrets removed.")
@_output
def probe(
    rig: str,
    config_file: Path | None,
    username: str | None,
    password_file: Path | None,
    deadline: float,
    raw: bool,
    output: str,
) -> None:
    """Read one rig once and show it all.

    RIG is an address, or with --config.file a name. Shown are who it is, what it says, what that means, and how long
    each question took.
    """
    import asyncio

    from exporter.model.failures import RIG_ADVICE
    from exporter.sources.rigs.contract import Target
    from exporter.tools import probe

    listed = None if config_file is None else _listed(rig, config_file)
    own = _credentials(username, password_file)
    target = Target(_address(rig), own) if listed is None else Target(listed.address, own or listed.credentials)
    _log_errors_only()
    probed = asyncio.run(probe.probe(target, deadline))
    click.echo(_json(probe.as_record(probed, raw=raw)) if output == "json" else probe.as_text(probed, raw=raw))
    if listed is not None and (who := probe.stranger(probed, listed)):
        click.echo(f"hashmargin: {who} answers at {target.address}, not {listed.name}: has it moved?", err=True)
    if probed.failure is not None:
        raise Refused(f"{rig} could not be read ({probed.failure.reason}): {RIG_ADVICE[probed.failure.reason]}")


@main.command(
    epilog=f"""\b
Examples:
  hashmargin capture 10.1.0.17
  hashmargin capture 10.1.0.17 --folder /tmp --username root --password-file rig-password

{EXIT_CODES}"""
)
@click.argument("address")
@click.option("--folder", type=_file(folder=True), default=Path(), help="Where the file is written.  [default: here]")
@_login
def capture(address: str, folder: Path, username: str | None, password_file: Path | None) -> None:
    """Record what a rig answers, to send to us.

    Where we cannot read a rig yet, this is what we need. Only questions that change nothing are asked. Logins, workers,
    wallets, addresses and serial numbers are removed; look through the file before you send it.
    """
    import asyncio

    from exporter.model.failures import RIG_ADVICE, Failure, Reason
    from exporter.sources.rigs.contract import Target
    from exporter.tools import capture

    target = Target(_address(address), _credentials(username, password_file))
    _log_errors_only()
    try:
        with click.progressbar(
            length=capture.questions(), label="Asking", file=sys.stderr, hidden=not sys.stderr.isatty()
        ) as bar:
            name, record = asyncio.run(capture.capture(target, partial(bar.update, 1)))
        path = _unused(folder / name)
        path.write_text(_json(record) + "\n", encoding="utf-8")
    except Failure as failure:
        unknown = failure.reason is Reason.UNSUPPORTED  # a capture is what is asked for then
        advice = (
            "it answers no question that we know: tell us make and model" if unknown else RIG_ADVICE[failure.reason]
        )
        raise Refused(f"{address} could not be captured ({failure.reason}): {advice}") from None
    except OSError as error:
        raise Refused(f"{folder} cannot be written to ({error.strerror}): give another --folder") from None
    click.echo(f"Written to {path}: look through it, then attach it to an issue.")


def _unused(path: Path) -> Path:
    """Number a file where there is one of its name: the capture of another rig of the same model stays."""
    names = chain([path], (path.with_stem(f"{path.stem}_{number}") for number in count(2)))
    return next(name for name in names if not name.exists())


@main.command(
    epilog=f"""\b
Examples:
  hashmargin plan --megawatts 5
  hashmargin plan --megawatts 0.5 --url https://miner-gw:9852 --ca-file ca.pem --username desk --password-file pw
  hashmargin plan --megawatts 5 --prometheus http://prometheus:9090 --site prairie-1 --moving-cost 120
  hashmargin plan --megawatts 5 --output csv > blocks.csv

{EXIT_CODES}"""
)
@click.option("--megawatts", type=_POSITIVE, required=True, help="How much power is wanted.")
@_asks_exporter
@click.option("--prometheus", metavar="URL", help="Ask this Prometheus instead, which scrapes every shard.")
@click.option("--site", metavar="NAME", help="With --prometheus: the blocks of this site only (target label `site`).")
@click.option(
    "--moving-cost",
    type=_Number(min=0),
    metavar="USD",
    help="What moving a rig costs, where its block has no moving_cost_usd_per_rig.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "csv", "json", "markdown"]),
    default="text",
    help="For people, a spreadsheet, a script or a document.",
)
def plan(
    server: _Server, megawatts: float, prometheus: str | None, site: str | None, moving_cost: float | None, output: str
) -> None:
    """Say which blocks to convert to free power.

    Chosen are whole blocks that free at least so much and lose the least mining margin: the exact answer, beside that
    of the simple rule. Where not all of them free enough, the answer is the most that is possible. Two figures: the
    blocks converted in place, and a swap, in which good rigs leave them for the places of the fleet's worst.
    """
    from exporter.tools import plan

    if site is not None and prometheus is None:
        raise click.UsageError("--site belongs to --prometheus: an exporter serves one site")

    async def question(endpoint: Endpoint) -> plan.Fleet:
        return await (plan.ask_exporter(endpoint) if prometheus is None else plan.ask_shards(endpoint, site))

    fleet = (server if prometheus is None else server._replace(url=prometheus)).ask(question)
    found = plan.plan(fleet, megawatts * 1_000.0, moving_cost=moving_cost)
    match output:
        case "json":
            click.echo(_json(plan.as_record(found)))
        case "csv":
            click.echo(plan.as_csv(found), nl=False)
        case "markdown":
            click.echo(plan.as_markdown(found))
        case _:
            colour = "green" if found.allocation.feasible else "yellow"
            click.echo(f"{click.style(plan.headline(found), fg=colour, bold=True)}\n\n{plan.as_text(found)}")


@main.command(
    epilog=f"""\b
Examples:
  hashmargin explain c1-001
  hashmargin explain c1-001 --url http://miner-gw:9852 --output json

{EXIT_CODES}"""
)
@click.argument("rig")
@_asks_exporter
@_output
def explain(server: _Server, rig: str, output: str) -> None:
    """Say why a rig has its verdict.

    A running exporter is asked. Shown are every input with its value, source and age, the sum line by line, power,
    mining and AI on one axis, and at which prices the verdict would change.
    """
    from exporter.tools import explain

    try:
        told = server.ask(partial(explain.ask, rig=rig))
    except explain.NoSuchRigError as error:
        raise Misconfigured(str(error)) from None
    if output == "json":
        click.echo(_json(told))
    else:
        colour = _VERDICT_COLOURS.get(told["rig"]["verdict"])
        click.echo(f"{rig}: {click.style(explain.verdict(told), fg=colour, bold=True)}\n{explain.as_text(told)}")


@main.command(
    epilog=f"""\b
Examples:
  hashmargin backtest --sample
  hashmargin backtest --sample --config.file site.yml --folder report
  hashmargin backtest --history prices.csv --config.file site.yml
  hashmargin backtest --prometheus http://prometheus:9090 --days 90 --tariff spot --config.file site.yml

\b
A history file has a line per change of the market, with the columns time, power_price (USD/kWh) and hashprice
(USD/PH/day), or in its place bitcoin (USD), difficulty and reward (BTC per block).

{EXIT_CODES}"""
)
@click.option("--sample", is_flag=True, help="The history that ships with us: published points, the rest generated.")
@click.option("--history", type=_file(), metavar="FILE", help="A CSV file with the market's past.")
@click.option("--prometheus", metavar="URL", help="Read the past from the Prometheus that scrapes the exporter.")
@click.option("--days", type=_Number(1, 3_650), default=90.0, show_default=True, help="So much of it.")
@click.option("--tariff", metavar="NAME", help="With --prometheus: the power price of this tariff.")
@click.option("--site", metavar="NAME", help="With --prometheus: of this site only (target label `site`).")
@click.option(
    "--config.file", "config_file", type=_file(), metavar="FILE", help="The site's YAML file: its fleet and its terms."
)
@click.option(
    "--folder",
    type=_file(must_exist=False, folder=True),
    default=Path("backtest"),
    show_default=True,
    help="Where report.md, its plots and history.csv are written.",
)
@click.option("--no-plots", is_flag=True, help="Write the report without plots, which need matplotlib.")
@_output
def backtest(
    sample: bool, history: Path | None, prometheus: str | None, config_file: Path | None, **options: Any
) -> None:
    """Say what following the verdicts would have earned.

    The fleet of a configuration (or a made-up one, with --sample alone) goes through the market's past with the same
    decision code that runs, and the report sets what the verdicts earn against always mining, always curtailing
    right, and perfect foresight.
    """
    from exporter.tools import backtest, plots

    if sum((sample, history is not None, prometheus is not None)) != 1:
        raise click.UsageError("give one of --sample, --history and --prometheus")
    if config_file is None and not sample:
        raise click.UsageError("--config.file is needed: it says which rigs mined, and on which terms")
    drawn, folder = not options["no_plots"], options["folder"]
    if drawn and not plots.installed():
        raise Refused("the plots need matplotlib: pip install 'hashmargin[backtest]', or give --no-plots")
    fleet = backtest.sample_fleet() if config_file is None else _configured_fleet(config_file)
    rows = _history(history, prometheus, options)
    result = backtest.replay(rows, fleet)
    try:
        report = backtest.write(rows, fleet, result, folder, drawn=drawn)
    except OSError as error:
        raise Refused(f"{folder} cannot be written to ({error.strerror}): give another --folder") from None
    if options["output"] == "json":
        click.echo(_json(backtest.as_record(rows, result)))
    else:
        if any(row.generated for row in rows):
            click.secho("Part of this history is generated, not observed: the report says which.", fg="yellow")
        click.echo(f"{backtest.money(result)}\n\nWritten to {report}")


def _history(file: Path | None, prometheus: str | None, options: Mapping[str, Any]) -> list[Row]:
    """The market's past: of the file, else of Prometheus, else the sample."""
    import time

    from exporter.tools import history

    if prometheus is not None:
        which = {name: options[name] for name in ("tariff", "site", "days")}
        end = float(int(time.time()))
        rows = _Server(prometheus, None, None, None).ask(partial(history.ask_history, end=end, **which))
    else:
        try:
            rows = history.sample() if file is None else history.read_csv(file)
        except history.HistoryError as error:
            raise Misconfigured(str(error)) from None
    if len(rows) < 2:  # noqa: PLR2004 -- see the message
        raise Misconfigured("a history needs two points at least: the last one only says when it ends")
    return rows


def _configured_fleet(config_file: Path) -> backtest_tool.Fleet:
    from exporter.settings.load import ConfigError, load
    from exporter.tools.backtest import fleet_of

    try:
        settings = load(config_file, environ=os.environ)
    except ConfigError as error:
        raise Misconfigured(f"the configuration cannot be used\n{error}") from None
    fleet = fleet_of(settings.site, settings.rigs, settings.fleet_blocks, settings.terms, settings.decision)
    if not fleet.groups:
        raise Misconfigured(f"{config_file}: no rig has rated_terahash and rated_watts, so there is nothing to replay")
    return fleet


@main.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Run only the simulated site of the demo.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Run only the simulated site; it explains its flags itself."""
    from exporter.simulation.__main__ import main as run_simulation

    sys.exit(run_simulation(arguments))
