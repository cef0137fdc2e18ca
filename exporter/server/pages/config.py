"""``/config``: the settings in use, secrets masked."""

from typing import Final

from aiohttp import web

from exporter.server.admission import in_worker
from exporter.server.context import ServerContext
from exporter.server.fleet import read_count
from exporter.server.pages.template import page

_LINES_PER_PAGE: Final = 2_000  # about 60 kB; a fleet of 10,000 rigs has 2 MB


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/config``."""

    async def config(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context, read_count(request, "page", 1))

    app.router.add_get("/config", config)


def _page(context: ServerContext, number: int) -> web.Response:
    lines = context.config().splitlines(keepends=True)
    pages = max(1, -(-len(lines) // _LINES_PER_PAGE))
    number = min(max(number, 1), pages)
    shown = "".join(lines[(number - 1) * _LINES_PER_PAGE : number * _LINES_PER_PAGE])
    return page("config.html", site=context.site, config=shown, number=number, pages=pages)
