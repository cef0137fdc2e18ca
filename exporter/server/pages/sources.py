"""``/sources``: age and last failure of each source, and the last failed polls of rigs."""

import time
from typing import Final

from aiohttp import web

from exporter.server.admission import in_worker
from exporter.server.context import ServerContext
from exporter.server.pages.template import page

_LONGEST_LIST: Final = 100


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/sources``."""

    async def sources(request: web.Request) -> web.Response:
        statuses, polls = context.sources(), context.failures.latest(_LONGEST_LIST)  # the pollers run in this thread
        return await in_worker(
            request, page, "sources.html", site=context.site, now=time.time(), sources=statuses, polls=polls
        )

    app.router.add_get("/sources", sources)
