"""For all unit tests: what one does to the process's logging, no other sees; and the smallest simulated site."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import structlog
import uvloop
from own_network import fresh_network

from exporter.simulation.site import SimulatedSite

HIGHER_PORTS = any(Path(folder).name == "any_user" for folder in sys.path)
"""Whether higher ports stand for those below 1024, of which uvloop knows nothing: it makes its own sockets."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Test on the loop that the exporter runs on, whose transports are not those of asyncio."""
    on_asyncio = HIGHER_PORTS and not item.path.name.startswith("test_server")
    return {"loop": asyncio.new_event_loop if on_asyncio else uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
async def site() -> AsyncIterator[SimulatedSite]:
    """Three rigs on a network of their own, none of them below port 1024."""
    async with SimulatedSite(
        models=["Antminer S21", "Antminer S19j Pro", "Whatsminer M50"],
        network=fresh_network(),
        port_offset=20_000,
        control_port=0,
        lowest_port=1024,
    ) as started:
        yield started
