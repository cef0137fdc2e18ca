"""The pages: one module here and one template each."""

from aiohttp import web

from exporter.server.context import ServerContext
from exporter.server.pages import blocks, config, landing, rig, rigs, sources, static


def add_pages(app: web.Application, context: ServerContext) -> None:
    """Serve every page."""
    for page in (landing, rigs, rig, blocks, sources, config, static):
        page.add_to(app, context)
