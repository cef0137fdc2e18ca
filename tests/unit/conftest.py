"""For all unit tests: what one does to the process's logging, no other sees; and the smallest simulated site."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog
import uvloop
from own_network import fresh_network

from exporter.simulation.site import SimulatedSite


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Test the server on the loop that it runs on, whose transports are not those of asyncio."""
    is_server = item.path.name.startswith("test_server")
    return {"loop": uvloop.Loop if is_server else asyncio.new_event_loop}


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
