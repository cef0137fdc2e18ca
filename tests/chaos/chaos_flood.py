"""Sixty clients that request without a pause until they are killed: ``chaos_flood.py URL PATHS SEED LOGIN``.

``PATHS`` has commas. With ``LOGIN`` 1, each request guesses a password. It is a process of its own, so that it does not
delay the scrapes that are measured beside it.
"""

import asyncio
import random
import sys
from contextlib import suppress

import aiohttp

_CLIENTS = 60


async def _client(
    session: aiohttp.ClientSession, url: str, paths: list[str], chance: random.Random, *, login: bool
) -> None:
    while True:
        headers = {"Authorization": aiohttp.encode_basic_auth("noc", str(chance.random()))} if login else {}
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(url + chance.choice(paths), headers=headers) as answer:
                await answer.read()


async def _flood(url: str, paths: list[str], chance: random.Random, *, login: bool) -> None:
    connector = aiohttp.TCPConnector(limit=0, local_addr=("127.0.0.9", 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        print("begun", flush=True)
        await asyncio.gather(*(_client(session, url, paths, chance, login=login) for _ in range(_CLIENTS)))


if __name__ == "__main__":
    asyncio.run(_flood(sys.argv[1], sys.argv[2].split(","), random.Random(int(sys.argv[3])), login=sys.argv[4] == "1"))
