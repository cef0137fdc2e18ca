"""Options that several commands share, and the values they are converted to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial, wraps
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from exporter.cli.errors import CommandError, InputError
from exporter.file_stamp import why_unreadable
from exporter.settings.flags import FLAGS, Flag

if TYPE_CHECKING:
    from exporter.model.fleet import Credentials
    from exporter.settings.model import Settings

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def path_type(*, must_exist: bool = True, folder: bool = False) -> click.Path:
    """Type of an option that names a file, or a directory if ``folder``."""
    return _Path(exists=must_exist, dir_okay=folder, file_okay=not folder, path_type=Path)


class _Path(click.Path):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Name the user that may not read the file, which in a container nobody knows by heart."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if Path(os.fsdecode(value)).exists() and not os.access(value, os.R_OK):
                self.fail(f"{os.fsdecode(value)} {why_unreadable(PermissionError())}.", param, ctx)
            raise


class Number(click.FloatRange):
    """Type of an option that is a finite number in a range."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reject infinity and "not a number", which :class:`click.FloatRange` accepts."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Power(Number):
    """Type of an option in ``unit``, kW or MW. A text with a unit of its own, such as ``500kW``, is understood."""

    name = "power, such as 5MW or 500kW"
    _POWER: Final = re.compile(r"(.+?)\s*(kW|MW|GW)", re.IGNORECASE)
    _KILOWATTS: Final = {"kw": 1.0, "mw": 1e3, "gw": 1e6}

    def __init__(self, unit: str, **bounds: Any) -> None:
        super().__init__(**bounds)
        self._kilowatts = self._KILOWATTS[unit.casefold()]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a number with or without a unit."""
        match = self._POWER.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            return super().convert(value, param, ctx)
        kilowatts = self._KILOWATTS[match[2].casefold()]
        return super().convert(match[1], param, ctx) * kilowatts / self._kilowatts


POSITIVE: Final = Number(min=0, min_open=True)


def with_settings(command: CommandT) -> CommandT:
    """Add the options from which settings are loaded. The command receives ``load``, a function that loads them."""
    options = (
        click.option(
            "--config.file",
            "config_file",
            type=path_type(must_exist=False),
            envvar="HASHMARGIN_CONFIG_FILE",
            required=True,
            metavar="FILE",
            help="The site's YAML file.  [env: HASHMARGIN_CONFIG_FILE]",
        ),
        click.option(
            "--config.secrets-dir",
            "secrets_dir",
            type=path_type(must_exist=False, folder=True),
            envvar="HASHMARGIN_SECRETS_DIR",
            metavar="DIRECTORY",
            help="Directory with one file per secret, named after its key, such as network__password.  "
            "[env: HASHMARGIN_SECRETS_DIR]",
        ),
        *map(override, FLAGS),
    )

    @wraps(command)
    def wrapped(config_file: Path, secrets_dir: Path | None, **own: Any) -> Any:
        from exporter.settings.load import ConfigError, load

        flags = {name: own.pop(name) for name in list(own) if "__" in name}
        load_settings = partial(load, config_file, overrides=given(flags), environ=os.environ, secrets_dir=secrets_dir)
        try:
            return command(load_settings, **own)
        except ConfigError as error:
            count = len(error.errors)
            errors = "this error" if count == 1 else f"these {count:,} errors"
            raise InputError(f"the configuration is invalid: correct {errors}, then try again\n{error}") from None

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def load_file(config_file: Path) -> Settings:
    """Load the settings of a command that uses no option of :func:`with_settings`. Raises InputError."""
    from exporter.settings.load import ConfigError, load

    try:
        return load(config_file, environ=os.environ)
    except ConfigError as error:
        raise InputError(f"the configuration is invalid\n{error}") from None


def complete_listed_rig(context: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a rig from the inventory of ``--config.file``. Without a valid one, complete none."""
    config_file = context.params.get("config_file")
    if config_file is None:
        return []
    with suppress(InputError):
        return [rig.name for rig in load_file(config_file).rigs if rig.name.startswith(incomplete)]
    return []


def override(flag: Flag) -> Callable[[CommandT], CommandT]:
    """Make an option that overrides one setting of the YAML file."""
    kind = click.Path(resolve_path=True) if flag.metavar == "FILE" else None  # relative to the working directory
    return click.option(flag.name, flag.key.replace(".", "__"), type=kind, metavar=flag.metavar, help=flag.text)


def given(flags: Mapping[str, str | None]) -> dict[str, str]:
    """Map the options of :func:`override` that the operator gave to their keys."""
    return {name.replace("__", "."): value for name, value in flags.items() if value is not None}


def with_output(command: CommandT) -> CommandT:
    """Add ``--output text|json``."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Output format: text for people, json for scripts.",
    )(command)


def with_picture(command: CommandT) -> CommandT:
    """Add ``--picture``. Draw within :func:`drawing`."""
    return click.option(
        "--picture",
        type=path_type(must_exist=False),
        metavar="FILE",
        help="Also draw it, as .svg or .png. Needs matplotlib.",
    )(command)


@contextmanager
def drawing(picture: Path | None) -> Iterator[None]:
    """Check a ``--picture`` before anything is asked. Raises UsageError, and CommandError if it can't be written."""
    from exporter.tools import plots

    if picture is not None and picture.suffix not in {".svg", ".png"}:
        raise click.UsageError("--picture needs a name that ends in .svg or .png")
    if picture is not None and not plots.installed():
        raise CommandError("--picture needs matplotlib: run pip install 'hashmargin[backtest]'")
    try:
        yield
    except OSError as error:
        raise CommandError(f"cannot write {picture} ({error.strerror}): give another --picture") from None


def with_allow_shrink(command: CommandT) -> CommandT:
    """Add ``--allow-shrink``."""
    return click.option(
        "--allow-shrink",
        is_flag=True,
        help="Accept an inventory that lost more rigs since the last run than fleet.max_shrink allows.",
    )(command)


def with_login(command: CommandT) -> CommandT:
    """Add the options with the login of rigs."""
    username = click.option("--username", metavar="NAME", help="User name for the rigs' web interface.")
    password = click.option("--password-file", type=path_type(), metavar="FILE", help="File with the user's password.")
    return username(password(command))


def credentials(username: str | None, password_file: Path | None) -> Credentials | None:
    """Make the login of the options of :func:`with_login`, or None if neither was given. Raises InputError."""
    from exporter.model.fleet import Credentials

    if username is None and password_file is None:
        return None
    try:
        return Credentials(username or "", password_file.read_text("utf-8").strip() if password_file else "")
    except UnicodeDecodeError:
        raise InputError(f"{password_file} is not UTF-8 text: save it as UTF-8") from None


def resolvable(text: str) -> str:
    """Check that an IP address or host name is valid and can be resolved. Raises InputError."""
    import socket

    from exporter.inventory.model import host

    try:
        address = host(text)
    except ValueError as error:
        raise InputError(str(error)) from None
    try:
        socket.getaddrinfo(address, None)
    except OSError:
        raise InputError(
            f"{text!r} cannot be resolved to an address: if it is the name of a rig, add --config.file"
        ) from None
    return address
