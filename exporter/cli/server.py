"""Options and requests of the commands that query a running exporter or a Prometheus server."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from exporter.cli.errors import CommandError, InputError
from exporter.cli.options import CommandT, path_type
from exporter.cli.output import log_errors_only

if TYPE_CHECKING:
    from exporter.sources.http import Endpoint

ResultT = TypeVar("ResultT")

_TIMEOUT: Final = 60.0
"""Seconds. An answer about a large fleet may take long."""
_COMPLETION_TIMEOUT: Final = 3.0  # seconds that a shell waits
_DEFAULT_URL: Final = "http://127.0.0.1:9852"
_HOST_AND_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^/:\s]+):\d+(/.*)?")


class Server(NamedTuple):
    """URL and login of a running exporter or a Prometheus server."""

    url: str
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout: float = _TIMEOUT

    def query(self, request: Callable[[Endpoint], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """Run ``request`` and return its result. Raises CommandError if it fails, InputError for invalid options."""
        import asyncio

        import aiohttp
        from pydantic import ValidationError

        from exporter.model.configuration_errors import sentence
        from exporter.model.failures import SERVER_ADVICE, Failure
        from exporter.sources.http import Endpoint, HttpSettings
        from exporter.tools.sites import UnknownSiteError

        async def in_session(settings: HttpSettings) -> ResultT:
            async with aiohttp.ClientSession() as session:
                return await request(Endpoint(settings, session))

        log_errors_only()
        try:
            return asyncio.run(in_session(HttpSettings(**self._asdict())))
        except ValidationError as error:
            raise InputError("; ".join(map(sentence, error.errors()))) from None
        except UnknownSiteError as error:
            raise InputError(str(error)) from None
        except Failure as failure:
            reason = f"{failure.reason}: {failure.detail}"
            raise CommandError(f"{self.url} gave no answer ({reason}): {failure.advised(SERVER_ADVICE)}") from None


def with_scheme(url: str) -> str:
    """Write ``host:port`` as a URL. Anything else is returned unchanged."""
    return f"http://{url}" if _HOST_AND_PORT.fullmatch(url) else url


def complete_rig(context: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a rig from the running exporter that the command line names. Without one, complete none."""
    from exporter.tools import fleet

    given = context.params
    server = Server(
        with_scheme(given.get("url") or _DEFAULT_URL),
        given.get("username"),
        given.get("password_file"),
        given.get("ca_file"),
        _COMPLETION_TIMEOUT,
    )
    with suppress(CommandError):
        return server.query(partial(fleet.names, prefix=incomplete))
    return []


def with_server(command: CommandT) -> CommandT:
    """Add the options that name a running exporter and its login. The command receives ``server``."""
    options = (
        click.option(
            "--url",
            default=_DEFAULT_URL,
            envvar="HASHMARGIN_URL",
            show_default=True,
            metavar="URL",
            help="URL of the running exporter, or HOST:PORT.  [env: HASHMARGIN_URL]",
        ),
        click.option("--username", metavar="NAME", help="User name, if the server requires a login."),
        click.option("--password-file", type=path_type(), metavar="FILE", help="File with the user's password."),
        click.option("--ca-file", type=path_type(), metavar="FILE", help="CA certificates (PEM) to trust for https."),
    )

    @wraps(command)
    def wrapped(url: str, username: str | None, password_file: Path | None, ca_file: Path | None, **own: Any) -> Any:
        return command(server=Server(with_scheme(url), username, password_file, ca_file), **own)

    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]
