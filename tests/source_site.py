"""Real HTTP servers on the loopback that answer what a source's fixture says, or nonsense."""

import itertools
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from own_network import OWN

FIXTURES = Path(__file__).parent / "fixtures" / "sources"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOSTS = [f"{OWN}.{block}.{host}" for block in range(3, 7) for host in range(1, 250)]
_hosts = itertools.cycle(HOSTS)


@asynccontextmanager
async def serve(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Answer every request with ``handler`` while the context lasts; gives the server's base URL."""
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, next(_hosts), 0, ssl_context=tls)
    await site.start()
    try:
        yield site.name if tls is None else site.name.replace("http:", "https:")
    finally:
        await runner.cleanup()


def load_case(room: str, kind: str) -> dict[str, Any]:
    """Read a source's fixture: settings, the answers of its server, the time, and what it must say then."""
    case: dict[str, Any] = yaml.safe_load((FIXTURES / room / f"{kind}.yml").read_text())
    return case


def placed(value: Any, server: str) -> Any:
    """Fill a server's address into a fixture's settings."""
    if isinstance(value, str):
        return value.replace("{server}", server)
    if isinstance(value, dict):
        return {name: placed(item, server) for name, item in value.items()}
    if isinstance(value, list):
        return [placed(item, server) for item in value]
    return value


def instant(value: str | float | datetime) -> float:
    """Unix seconds of a fixture's time."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=value.tzinfo or UTC).timestamp() if isinstance(value, datetime) else float(value)


def answers(case: dict[str, Any]) -> Handler:
    """Answer as the fixture says: per path (and ``if``, a text in query or body), or per JSON-RPC method."""

    async def handle(request: web.Request) -> web.Response:
        body = await request.text()
        if "rpc" in case:
            return web.json_response([_rpc(case["rpc"], call) for call in json.loads(body)])
        for answer in case["answers"]:
            if answer["path"] == request.path and answer.get("if", "") in request.query_string + body:
                return web.Response(
                    status=answer.get("status", 200),
                    body=answer["body"].replace("{host}", request.host).encode(),
                    headers={"Content-Type": answer.get("type", "application/json")} | answer.get("headers", {}),
                )
        return web.Response(status=404)

    return handle


def _rpc(results: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    result = results.get(call["method"])
    error = None if result is not None else {"code": -32601, "message": "Method not found"}
    return {"result": result, "error": error, "id": call["id"]}
