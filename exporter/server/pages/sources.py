"""``/sources``: age and last failure of each source, and the last failed polls of rigs."""

import time
from typing import Final

from aiohttp import web

from exporter.server.context import ServerContext
from exporter.server.pages.template import page

_LONGEST_LIST: Final = 100


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/sources``."""

    async def sources(_request: web.Request) -> web.Response:
        return page(
            "sources.html",
            site=context.site,
            now=time.time(),
            sources=context.sources(),
            polls=context.failures.latest(_LONGEST_LIST),
        )

    app.router.add_get("/sources", sources)
