"""The pages: one module here and one template each."""

from collections.abc import AsyncIterator

from aiohttp import web

from exporter.server.context import ServerContext
from exporter.server.pages import blocks, change, config, landing, rig, rigs, site_map, sources, static, wall
from exporter.server.pages.charts import RINGS
from exporter.server.rings import Rings


def add_pages(app: web.Application, context: ServerContext) -> None:
    """Serve every page, and keep what their charts show."""
    app[RINGS] = rings = Rings()

    async def keep(_app: web.Application) -> AsyncIterator[None]:
        context.latest.subscribe(rings.note)
        yield
        context.latest.unsubscribe(rings.note)

    app.cleanup_ctx.append(keep)
    for page in (landing, wall, site_map, rigs, rig, blocks, change, sources, config, static):
        page.add_to(app, context)
