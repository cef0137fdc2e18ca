"""Bitcoin Core over JSON-RPC: exact difficulty and height, and fees from the last 144 blocks."""

import time
from collections.abc import Sequence
from math import isclose
from typing import Any, Final, Literal, Self

from pydantic import Field, model_validator

from exporter.economics.hashprice import difficulty_from_bits
from exporter.model.failures import Failure, Reason
from exporter.model.fields import ConfigPath, Duration, is_offline
from exporter.model.readings import NetworkState, Reading
from exporter.model.units import bitcoins
from exporter.sources.contract import SourceContext, integer, number, translating
from exporter.sources.http import HttpSettings, HttpSource, basic, read_secret
from exporter.sources.network import EPOCH_BLOCKS, FEE_BLOCKS, NetworkSettings, epoch_start

_BLOCKS_PER_BATCH: Final = 12  # a small computer takes a third of a second for each
_FEE_SECONDS: Final = 4.0  # a slow node delivers the rest of its blocks at the next fetches
_WARMING_UP: Final = -28
_METHOD_NOT_FOUND: Final = -32601
_SAME: Final = 1e-3


class Settings(HttpSettings, NetworkSettings):
    """One node. The login is its cookie file, or a user name and password."""

    kind: Literal["bitcoin_core"] = "bitcoin_core"
    url: str = Field(default="http://127.0.0.1:8332", description="RPC address of the node.")
    cookie_file: ConfigPath | None = Field(
        default=None, description="Cookie file of the node (.cookie), read at each request."
    )
    max_tip_age: Duration = Field(
        default=6 * 3600.0, description="A node whose last block is older has lost the network and has no value."
    )

    @model_validator(mode="after")
    def _has_login(self) -> Self:
        if (self.cookie_file is None) == (self.username is None) and not is_offline():
            raise ValueError("give either cookie_file, or username and password (or password_file)")
        return self

    def connect(self, context: SourceContext) -> "_BitcoinCore":
        """Create the source."""
        return _BitcoinCore(self, context)


class _BitcoinCore(HttpSource[Settings]):
    def __init__(self, settings: Settings, context: SourceContext) -> None:
        super().__init__(settings, context)
        self._blocks: dict[int, tuple[int, float] | None] = {}  # height: (fees in satoshi, time), None where pruned
        self._epoch: tuple[int, float] | None = None  # (height, time) of the epoch's first block

    async def fetch(self) -> Reading[NetworkState]:
        """Request the tip, and the recent blocks that are not known yet."""
        with translating():
            mining, chain = (_result(answer) for answer in await self._call(("getmininginfo",), ("getblockchaininfo",)))
            self._check_chain(chain)
            _check_difficulty(mining, chain)
            height = integer(mining["blocks"])
            await self._learn_blocks(height)
            fees, interval = self._recent(height)
            state = NetworkState(
                height=height,
                difficulty=number(mining["difficulty"]),
                block_fees=fees,
                epoch_start_time=await self._epoch_time(epoch_start(height)),
                tip_time=_optional_number(chain.get("time")),
                next_difficulty=_next_difficulty(mining),
                hashrate=_optional_number(mining.get("networkhashps")),
                block_interval=interval,
            )
        return Reading(state, self._clock())

    def _check_chain(self, chain: dict[str, Any]) -> None:
        if chain["chain"] != "main":
            raise Failure(Reason.WRONG_CHAIN, f"the node is on chain {chain['chain']!r:.20}")
        if chain["initialblockdownload"] is not False:
            raise Failure(Reason.NOT_READY, "the node is still downloading blocks")
        tip_time = _optional_number(chain.get("time"))  # absent before Core 23
        if tip_time is not None and self._clock() - tip_time > self._settings.max_tip_age:
            hours = (self._clock() - tip_time) / 3600
            raise Failure(Reason.STALE, f"the node's last block is {hours:.0f} hours old")

    async def _learn_blocks(self, tip: int) -> None:
        """Request the statistics of recent blocks, newest first, each once, within a bounded time."""
        wanted = range(tip, max(tip - FEE_BLOCKS, -1), -1)
        self._blocks = {height: block for height, block in self._blocks.items() if height in wanted}
        missing = [height for height in wanted if height not in self._blocks]
        started = time.monotonic()
        while missing and time.monotonic() - started < _FEE_SECONDS:
            batch, missing = missing[:_BLOCKS_PER_BATCH], missing[_BLOCKS_PER_BATCH:]
            calls = [("getblockstats", height, ["totalfee", "time"]) for height in batch]
            for height, answer in zip(batch, await self._call(*calls), strict=True):
                self._blocks[height] = _block(answer)

    def _recent(self, tip: int) -> tuple[float | None, float | None]:
        """Return mean fees (bitcoins per block) and interval (s) of the last 144 blocks; None until all are known."""
        blocks = [block for block in self._blocks.values() if block is not None]
        if len(blocks) < min(FEE_BLOCKS, tip + 1):
            return None, None
        times = [seconds for _, seconds in blocks]
        span = max(times) - min(times)
        interval = span / (len(times) - 1) if span > 0 else None
        return bitcoins(sum(fees for fees, _ in blocks)) / len(blocks), interval

    async def _epoch_time(self, height: int) -> float | None:
        """Return the time of the epoch's first block, requested once per epoch. Pruned nodes have its header too."""
        if self._epoch is None or self._epoch[0] != height:
            block_hash = _result((await self._call(("getblockhash", height)))[0])
            header = _result((await self._call(("getblockheader", block_hash)))[0])
            self._epoch = (height, number(header["time"]))
        return self._epoch[1]

    async def _call(self, *calls: Sequence[Any]) -> list[dict[str, Any]]:
        """Send one batch. Returns the answers in the order of ``calls``, each with ``result`` or ``error``."""
        payload = [
            {"jsonrpc": "1.0", "id": index, "method": method, "params": params}
            for index, (method, *params) in enumerate(calls)
        ]
        cookie = self._settings.cookie_file
        login = basic(*read_secret(cookie).split(":", 1)) if cookie is not None else None
        answer = await self._endpoint.ask("POST", payload=payload, headers=login)
        if answer.status in (401, 403) or not answer.body.lstrip().startswith((b"[", b"{")):
            answer.check()
        answers = answer.json()
        if isinstance(answers, dict):
            _result(answers)
            raise Failure(Reason.GARBLED, "the node answered one object to a batch")
        by_id = {entry["id"]: entry for entry in answers}
        return [by_id[index] for index in range(len(calls))]


def _check_difficulty(mining: dict[str, Any], chain: dict[str, Any]) -> None:
    """Raise a Failure if the difficulty contradicts ``bits`` or the other call of the same batch."""
    difficulty = number(mining["difficulty"])
    if isinstance(mining.get("bits"), str):
        exact = difficulty_from_bits(int(mining["bits"], 16))
        if not isclose(difficulty, exact, rel_tol=_SAME):
            raise Failure(Reason.IMPLAUSIBLE, f"difficulty {difficulty:g}, but bits {mining['bits']} mean {exact:g}")
    other = _optional_number(chain.get("difficulty"))
    same_tip = chain.get("blocks") == mining["blocks"]  # a block may come in between
    if other is not None and same_tip and not isclose(difficulty, other, rel_tol=_SAME):
        detail = f"difficulty {difficulty:g} in getmininginfo, but {other:g} in getblockchaininfo"
        raise Failure(Reason.IMPLAUSIBLE, detail)


def _result(answer: dict[str, Any]) -> Any:
    """Return the result of an answer. Raises the Failure for its error."""
    error = answer.get("error")
    if error is None:
        return answer["result"]
    code = error["code"]
    reason = {_WARMING_UP: Reason.NOT_READY, _METHOD_NOT_FOUND: Reason.UNSUPPORTED}.get(code, Reason.GARBLED)
    advice = "try the call with bitcoin-cli; a proxy for nodes must let it through" if reason is Reason.GARBLED else ""
    raise Failure(reason, f"the node answered error {code}: {error.get('message')!s:.80}", advice=advice)


def _block(answer: dict[str, Any]) -> tuple[int, float] | None:
    """Return fees and time of one block; None for a block that a pruned node no longer has."""
    error = answer.get("error")
    if error is not None and "pruned" in str(error["message"]):
        return None
    stats = _result(answer)
    return integer(stats["totalfee"]), number(stats["time"])


def _next_difficulty(mining: dict[str, Any]) -> float | None:
    """Return the difficulty after the retarget, which Core 29 and later know at the epoch's last block."""
    following = mining.get("next")
    if following is None or integer(following["height"]) % EPOCH_BLOCKS != 0:
        return None
    return number(following["difficulty"])


def _optional_number(value: object) -> float | None:
    return None if value is None else number(value)
