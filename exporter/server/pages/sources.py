"""``/sources``: how fresh each source is, what went wrong last, and the rigs whose polls fail."""

import time
from typing import Final

from aiohttp import web

from exporter.server.context import ServerContext
from exporter.server.pages.template import page

_MOST_POLLS: Final = 100


def add_to(app: web.Application, face: ServerContext) -> None:
    """Serve ``/sources``."""

    async def sources(_request: web.Request) -> web.Response:
        return page(
            "sources.html",
            site=face.site,
            now=time.time(),
            sources=face.sources(),
            polls=face.failures.latest(_MOST_POLLS),
        )

    app.router.add_get("/sources", sources)
