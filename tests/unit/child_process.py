"""A child process that never outlives its test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def child(*command: str, **settings: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command with the settings of ``create_subprocess_exec``, and kill it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(*command, **settings)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
