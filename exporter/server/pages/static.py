"""Style sheet and icon, read once at the start, so that no request opens a file."""

from importlib.resources import files
from typing import Final

from aiohttp import hdrs, web

from exporter.server.context import ServerContext

_CONTENT_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def add_to(app: web.Application, _context: ServerContext) -> None:
    """Serve each file of the package's ``static`` folder under its name."""
    for file in (files("exporter.server") / "static").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in _CONTENT_TYPES:
            _serve(app, f"/static/{file.name}", file.read_bytes(), _CONTENT_TYPES[suffix])


def _serve(app: web.Application, path: str, body: bytes, content_type: str) -> None:
    async def respond(_request: web.Request) -> web.Response:
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers={hdrs.CACHE_CONTROL: "max-age=300"}
        )

    app.router.add_get(path, respond)
