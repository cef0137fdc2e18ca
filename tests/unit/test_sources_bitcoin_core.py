"""The node: each block is asked for once, and no value comes from a node that does not know the main chain's tip."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError
from source_site import serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import NetworkState
from exporter.sources.contract import Source, SourceContext
from exporter.sources.network.bitcoin_core import Settings

TIP_TIME = 1_774_000_000
WARMING_UP = {"code": -28, "message": "Loading block index..."}


class Node:
    """A node whose block at a height has ``height`` satoshis of fees, found ten minutes after the one before."""

    def __init__(self) -> None:
        self.height = 942_471
        self.chain: dict[str, Any] = {"chain": "main", "initialblockdownload": False, "time": TIP_TIME}
        self.pruned_below = 0
        self.error: dict[str, Any] | None = None
        self.next: dict[str, Any] | None = None
        self.asked: list[str] = []
        self.logins: list[str] = []

    @property
    def epoch_start(self) -> int:
        return TIP_TIME - self.height % 2016 * 600

    async def handle(self, request: web.Request) -> web.Response:
        self.logins.append(request.headers["Authorization"])
        if self.error is not None:
            return web.json_response({"result": None, "error": self.error, "id": None}, status=500)
        return web.json_response([self._answer(call) for call in reversed(json.loads(await request.text()))])

    def _answer(self, call: dict[str, Any]) -> dict[str, Any]:
        method, params = call["method"], call["params"]
        self.asked.append(" ".join([method, *(str(param) for param in params[:1])]))
        result: Any
        match method:
            case "getmininginfo":
                result = {"blocks": self.height, "difficulty": 1.5e14} | ({"next": self.next} if self.next else {})
            case "getblockchaininfo":
                result = self.chain
            case "getblockhash":
                result = f"hash of {params[0]}"
            case "getblockheader":
                result = {"time": self.epoch_start}
            case _:
                if params[0] < self.pruned_below:
                    error = {"code": -1, "message": "Block not available (pruned data)"}
                    return {"result": None, "error": error, "id": call["id"]}
                result = {"totalfee": params[0], "time": TIP_TIME - (self.height - params[0]) * 600}
        return {"result": result, "error": None, "id": call["id"]}


@pytest.fixture
async def node() -> Node:
    return Node()


@pytest.fixture
async def context() -> AsyncIterator[SourceContext]:
    async with aiohttp.ClientSession() as session:
        yield SourceContext(session, clock=lambda: TIP_TIME + 60.0)


@pytest.fixture
async def source(node: Node, context: SourceContext) -> AsyncIterator[Source[NetworkState]]:
    async with serve(node.handle) as server:
        yield Settings(url=server, username="rpc", password="secret").build(context)


async def failure_of(source: Source[NetworkState]) -> Failure:
    with pytest.raises(Failure) as caught:
        await source.fetch()
    return caught.value


async def test_a_node_tells_the_tip_and_the_fees_behind_it(source: Source[NetworkState], node: Node) -> None:
    state = (await source.fetch()).value
    assert state.height == 942_471
    assert state.difficulty == 1.5e14
    assert state.block_fees == pytest.approx((942_471 - 143 / 2) / 1e8)
    assert state.block_interval == pytest.approx(600)
    assert state.epoch_start_time == node.epoch_start
    assert state.tip_time == TIP_TIME
    assert "getblockhash 941472" in node.asked


async def test_each_block_is_asked_for_once(source: Source[NetworkState], node: Node) -> None:
    await source.fetch()
    assert sum(call.startswith("getblockstats") for call in node.asked) == 144
    node.asked.clear()
    node.height += 1
    state = (await source.fetch()).value
    assert node.asked == ["getblockchaininfo", "getmininginfo", "getblockstats 942472"]
    assert state.block_fees == pytest.approx((942_472 - 143 / 2) / 1e8)


async def test_a_new_epoch_has_a_new_beginning(source: Source[NetworkState], node: Node) -> None:
    await source.fetch()
    node.height = 943_488
    await source.fetch()
    assert "getblockhash 943488" in node.asked


async def test_a_pruned_node_has_no_fees_but_all_the_rest(source: Source[NetworkState], node: Node) -> None:
    node.pruned_below = 942_400
    state = (await source.fetch()).value
    assert state.block_fees is None
    assert state.difficulty == 1.5e14


async def test_a_passing_error_about_a_block_is_asked_again(
    source: Source[NetworkState], node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = node._answer
    broken = {"result": None, "error": {"code": -32603, "message": "Can't read undo data from disk"}}
    monkeypatch.setattr(
        node, "_answer", lambda call: honest(call) | (broken if call["method"] == "getblockstats" else {})
    )
    assert (await failure_of(source)).reason is Reason.GARBLED
    monkeypatch.setattr(node, "_answer", honest)
    assert (await source.fetch()).value.block_fees is not None


async def test_the_next_difficulty_is_reported_at_the_last_block_only(source: Source[NetworkState], node: Node) -> None:
    node.next = {"height": 942_472, "difficulty": 1.5e14}
    assert (await source.fetch()).value.next_difficulty is None
    node.height = 943_487
    node.next = {"height": 943_488, "difficulty": 1.6e14}
    assert (await source.fetch()).value.next_difficulty == 1.6e14


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ({"chain": "test"}, Reason.WRONG_CHAIN),
        ({"chain": "signet"}, Reason.WRONG_CHAIN),
        ({"initialblockdownload": True}, Reason.NOT_READY),
        ({"time": TIP_TIME - 7 * 3600}, Reason.STALE),
    ],
)
async def test_a_node_beside_the_main_chain_has_no_value(
    source: Source[NetworkState], node: Node, chain: dict[str, Any], reason: Reason
) -> None:
    node.chain |= chain
    assert (await failure_of(source)).reason is reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (WARMING_UP, Reason.NOT_READY),
        ({"code": -32601, "message": "Method not found"}, Reason.UNSUPPORTED),
        ({"code": -1, "message": "?"}, Reason.GARBLED),
    ],
)
async def test_an_rpc_error_is_classified(
    source: Source[NetworkState], node: Node, error: dict[str, Any], reason: Reason
) -> None:
    node.error = error
    assert (await failure_of(source)).reason is reason


async def test_the_cookie_is_read_again_when_the_node_restarts(
    node: Node, context: SourceContext, tmp_path: Path
) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:first")
    async with serve(node.handle) as server:
        source = Settings(url=server, cookie_file=cookie).build(context)
        await source.fetch()
        cookie.write_text("__cookie__:second")
        await source.fetch()
        cookie.unlink()
        assert (await failure_of(source)).reason is Reason.AUTH
    assert set(node.logins) == {aiohttp.encode_basic_auth("__cookie__", word) for word in ("first", "second")}


async def test_a_difficulty_that_no_retarget_reaches_is_refused(
    source: Source[NetworkState], node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    await source.fetch()
    honest = node._answer
    monkeypatch.setattr(
        node,
        "_answer",
        lambda call: honest(call) | ({"result": {"blocks": 942_471, "difficulty": 1.5e12}} if call["id"] == 0 else {}),
    )
    assert (await failure_of(source)).reason is Reason.IMPLAUSIBLE


@pytest.mark.parametrize("login", [{}, {"cookie_file": "/c", "username": "u", "password": "p"}])
def test_one_login_is_needed(login: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either cookie_file"):
        Settings.model_validate(login)
