"""``hashmargin maintenance``: edits the maintenance file that the exporter reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import CommandT, complete_listed_rig, load_file, path_type, with_output
from exporter.cli.output import to_json

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from exporter.settings.model import Settings
    from exporter.sources.expected_off.maintenance import Settings as Maintenance

_EXAMPLES = f"""\b
Examples:
  hashmargin maintenance add c1-001 c1-002 --for 4h --reason "fan swap" --config.file site.yml
  hashmargin maintenance add --block c1 --from 2027-03-01T08:00 --until 2027-03-01T16:00 --config.file site.yml
  hashmargin maintenance end c1-001 --config.file site.yml
  hashmargin maintenance list --config.file site.yml

{EXIT_CODES}"""


@click.group(epilog=_EXAMPLES)
def maintenance() -> None:
    """Announce planned downtime of rigs and blocks.

    Edits the file of the source `kind: maintenance` in `expected_off`. A running exporter reads it again within its
    interval. Rigs under maintenance raise no alert.
    """


def _with_file(command: CommandT) -> CommandT:
    """Add the options that name the file. The command receives ``settings`` and ``file``."""
    config = click.option(
        "--config.file",
        "config_file",
        type=path_type(),
        envvar="HASHMARGIN_CONFIG_FILE",
        required=True,
        metavar="FILE",
        help="The site's YAML file, which names the maintenance file.  [env: HASHMARGIN_CONFIG_FILE]",
    )
    source = click.option("--source", metavar="NAME", help="The source in `expected_off`, if several have a file.")

    @wraps(command)
    def wrapped(config_file: Path, source: str | None, **own: Any) -> Any:
        from exporter.tools.maintenance import MaintenanceError

        settings = load_file(config_file)
        try:
            return command(settings=settings, file=_file(settings, source), **own)
        except MaintenanceError as error:
            raise CommandError(str(error)) from None

    return config(source(wrapped))  # type: ignore[return-value]


def _with_names(command: CommandT) -> CommandT:
    """Add the rigs and blocks. The command receives ``rigs`` and ``blocks``, at least one of them not empty."""
    rigs_argument = click.argument("rigs", nargs=-1, metavar="[RIG]...", shell_complete=complete_listed_rig)
    block = click.option("--block", "blocks", multiple=True, metavar="NAME", help="A whole block; may be repeated.")

    @wraps(command)
    def wrapped(settings: Settings, rigs: tuple[str, ...], blocks: tuple[str, ...], **own: Any) -> Any:
        from exporter.model.configuration_errors import unknown

        if not rigs and not blocks:
            raise click.UsageError("name at least one rig, or a block with --block")
        listed = {rig.name for rig in settings.rigs}
        searched = any(rig.discovered for rig in settings.rigs)  # their names are known only to the exporter
        for what, names, known in (
            ("rig", () if searched else rigs, listed),
            ("block", blocks, {block.name for block in settings.fleet_blocks}),
        ):
            for name in names:
                if name not in known:
                    raise InputError(unknown(what, name, known))
        return command(rigs=rigs, blocks=blocks, **own)

    return rigs_argument(block(wrapped))  # type: ignore[return-value]


def _file(settings: Settings, source: str | None) -> Maintenance:
    """Find the maintenance source. Raises InputError."""
    from exporter.model.configuration_errors import unknown
    from exporter.sources.expected_off.maintenance import Settings as Maintenance

    files = {name: one for name, one in settings.expected_off.items() if isinstance(one, Maintenance)}
    if not files:
        raise InputError(
            "no maintenance file is configured: add `expected_off: {maintenance: {kind: maintenance, path: "
            "maintenance.csv}}` to the site's YAML file"
        )
    if source is None and len(files) > 1:
        raise InputError(f"there are several maintenance files: choose one with --source {' or '.join(files)}")
    name = next(iter(files)) if source is None else source
    if name not in files:
        raise InputError(unknown("source", name, files))
    return files[name]


@maintenance.command(epilog=_EXAMPLES)
@_with_file
@_with_names
@click.option("--from", "begin", metavar="TIME", help="When it begins, such as 2027-03-01T08:00.  [default: now]")
@click.option("--until", metavar="TIME", help="When it ends. Without --until and --for, it lasts until `end`.")
@click.option("--for", "lasting", metavar="DURATION", help="How long it lasts, such as 4h, instead of --until.")
@click.option("--reason", default="", metavar="TEXT", help="For people.")
def add(
    file: Maintenance,
    rigs: tuple[str, ...],
    blocks: tuple[str, ...],
    begin: str | None,
    until: str | None,
    lasting: str | None,
    reason: str,
) -> None:
    """Add planned downtime of rigs, or of blocks with --block.

    Times without an offset are in the time zone of the source.
    """
    from exporter.sources.expected_off.maintenance import Outage
    from exporter.tools import maintenance as tool

    if until is not None and lasting is not None:
        raise click.UsageError("give --until or --for, not both")
    zone = file.timezone
    start = datetime.now(UTC).replace(microsecond=0) if begin is None else _time(begin, zone, "--from")
    stop = None if until is None else _time(until, zone, "--until")
    if lasting is not None:
        stop = start + timedelta(seconds=_duration(lasting))
    if stop is not None and stop <= start:
        raise click.UsageError("it would end before it begins")
    named = [*({"rig": rig} for rig in rigs), *({"block": block} for block in blocks)]
    added = [Outage.model_validate({**name, "from": start, "until": stop, "reason": reason}) for name in named]
    tool.add(file.path, added, zone)
    click.echo(f"Added {len(added)} to {file.path}.", err=True)


@maintenance.command(epilog=_EXAMPLES)
@_with_file
@_with_names
def end(file: Maintenance, rigs: tuple[str, ...], blocks: tuple[str, ...]) -> None:
    """End the downtime of rigs, or of blocks with --block, that is in force now.

    The entries stay in the file with the current time as their end.
    """
    from exporter.tools import maintenance as tool

    count = tool.end(file.path, rigs, blocks, file.timezone, datetime.now(UTC))
    if not count:
        raise CommandError(
            f"nothing of these is under maintenance now: see `hashmargin maintenance list` for {file.path}"
        )
    click.echo(f"Ended {count} in {file.path}.", err=True)


@maintenance.command("list", epilog=_EXAMPLES)
@_with_file
@with_output
def list_entries(settings: Settings, file: Maintenance, output: str) -> None:  # noqa: ARG001 -- as the others
    """List the entries of the maintenance file, and which are in force now."""
    from exporter.tools import maintenance as tool

    listing = tool.entries(file.path, file.timezone, datetime.now(UTC))
    click.echo(
        to_json(tool.as_records(listing, file.timezone)) if output == "json" else tool.as_text(listing, file.timezone)
    )
    for error in listing.errors:
        click.echo(f"hashmargin: left out: {error}", err=True)


def _time(text: str, zone: ZoneInfo, option: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: {text!r} is not a time such as 2027-03-01T08:00") from None
    return (time if time.tzinfo is not None else time.replace(tzinfo=zone)).astimezone(UTC)


def _duration(text: str) -> float:
    from pydantic import TypeAdapter, ValidationError

    from exporter.model.configuration_errors import sentence
    from exporter.model.fields import Duration

    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        raise click.UsageError(f"--for: {sentence(error.errors()[0])}") from None
