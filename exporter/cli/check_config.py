"""``hashmargin check-config``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from exporter.cli.errors import EXIT_CODES, CommandError, InputError
from exporter.cli.options import with_allow_shrink, with_output, with_settings
from exporter.cli.output import log_errors_only, to_json

if TYPE_CHECKING:
    from exporter.settings.model import Settings


@click.command(
    "check-config",
    epilog=f"""\b
Examples:
  hashmargin check-config --config.file site.yml
  hashmargin check-config --config.file site.yml --online
  hashmargin check-config --config.file site.yml --offline
  hashmargin check-config --config.file site.yml --upgrade
  hashmargin check-config --config.file site.yml --output json | jq .rigs

{EXIT_CODES}""",
)
@with_settings
@click.option(
    "--online", is_flag=True, help="Request every source once and show its value, its age and how long it took."
)
@click.option(
    "--offline",
    is_flag=True,
    help="Check without secrets and network, such as in CI: missing secrets are no error, and http_sd lists no rigs.",
)
@click.option(
    "--upgrade",
    is_flag=True,
    help="Show what to edit in a configuration of an older version: deprecated keys and changed defaults.",
)
@with_allow_shrink
@with_output
def check_config(
    load: Callable[[], Settings], online: bool, offline: bool, upgrade: bool, allow_shrink: bool, output: str
) -> None:
    """Check a configuration and show what it would run.

    Nothing is started. Secrets are masked.
    """
    from exporter.model.fields import offline as without_secrets
    from exporter.settings.describe import as_json, as_text

    if online and (offline or upgrade):
        raise click.UsageError("--online excludes --offline and --upgrade.")
    with without_secrets() if offline else nullcontext():
        settings = load()
        if not (allow_shrink or offline):
            _refuse_cut_inventory(settings)
        if upgrade:
            _show_upgrades(output)
        elif online:
            _check_online(settings, output)
        else:
            click.echo(as_json(settings) if output == "json" else as_text(settings))


def _show_upgrades(output: str) -> None:
    from exporter.settings.upgrade import upgrades

    found = list(upgrades(click.get_current_context().params["config_file"]))
    if output == "json":
        click.echo(to_json(found))
    else:
        click.echo("\n".join(found) or "nothing to edit")


def _refuse_cut_inventory(settings: Settings) -> None:
    """Raise InputError if the inventory lost too many rigs since the state file was written."""
    from exporter.inventory.shrink import shrinks
    from exporter.state import stored_list_sizes

    path = settings.state.path
    before = None if path is None or not path.is_file() else stored_list_sizes(path)
    cut = shrinks(before, settings.list_sizes, settings.fleet.max_shrink) if before is not None else []
    if cut:
        raise InputError(
            f"{'; '.join(map(str, cut))}, more than fleet.max_shrink allows: correct the list, or add --allow-shrink"
        )


def _check_online(settings: Settings, output: str) -> None:
    import asyncio

    from exporter.polling.unmatched import Inventory
    from exporter.settings.sources import sources
    from exporter.tools import online

    log_errors_only()
    named = {str(name): source for name, source in sources(settings).items()}
    checks = asyncio.run(online.check_all(named, Inventory(settings.rigs, settings.fleet_blocks)))
    click.echo(to_json(online.as_records(checks)) if output == "json" else online.as_text(checks))
    failed = [check.source for check in checks if check.failure is not None]
    if failed:
        raise CommandError(f"{len(failed)} of {len(checks)} sources gave no value: {', '.join(failed)}")
