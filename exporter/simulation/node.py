"""A simulated Bitcoin Core node: a chain that starts from the market of 21 March 2026, and its JSON-RPC interface.

History begins with the epoch before the retarget at height 941,472 (2016 x 467), which lowered the difficulty by 7.76 %
to 133.79T; the node starts 1,000 blocks into the new epoch. Earlier blocks are pruned.
"""

import base64
import hashlib
import json
import math
from collections.abc import Callable
from http import HTTPStatus
from random import Random
from typing import Any, Final

from aiohttp import web

from exporter.model.units import HASHES_PER_DIFFICULTY, SATOSHIS_PER_BITCOIN
from exporter.simulation.service import Service

RETARGET_BLOCKS: Final = 2_016
RETARGET_SECONDS: Final = 1_209_600
EPOCH_HEIGHT: Final = 941_472
START_HEIGHT: Final = EPOCH_HEIGHT + 1_000
DIFFICULTY: Final = 133.79e12
DIFFICULTY_BEFORE: Final = 145.045e12
REWARD: Final = 3.1472
"""Mean of subsidy and fees in bitcoins per block: hashprice is $33.30 per PH/s and day with bitcoin at $70,370."""

_FIRST_HEIGHT: Final = EPOCH_HEIGHT - RETARGET_BLOCKS
_MEAN_INTERVAL: Final = 594.0  # s, in the epoch that runs: difficulty will rise by about one per cent
_HALVING_BLOCKS: Final = 210_000
_FIRST_SUBSIDY: Final = 5_000_000_000
_FEE_SPREAD: Final = 0.45  # sigma of the lognormal fees
_DIFFICULTY_ONE: Final = 0xFFFF << 208
_CORE_HASHES_PER_DIFFICULTY: Final = 2.0**48 / 0xFFFF
_MEDIAN_BLOCKS: Final = 11

USERNAME: Final = "hashmargin"
PASSWORD: Final = "simulated"  # noqa: S105 - of a node that exists on loopback only


class RpcError(Exception):
    """An error of the node, with Bitcoin Core's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def to_bits(target: int) -> int:
    """Return the compact form of a target: three digits to the base 256, the rest cut off."""
    size = (target.bit_length() + 7) // 8
    mantissa = target >> 8 * (size - 3)
    if mantissa & 0x800000:
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa


def to_target(bits: int) -> int:
    """Return the target of a compact form."""
    return (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)


def to_difficulty(bits: int) -> float:
    """Return the difficulty of a compact form."""
    return _DIFFICULTY_ONE / to_target(bits)


def retargeted(bits: int, seconds: float) -> int:
    """Return the compact target of the next epoch after one that took ``seconds`` from its first block to its last."""
    bounded = min(max(int(seconds), RETARGET_SECONDS // 4), RETARGET_SECONDS * 4)
    return to_bits(min(to_target(bits) * bounded // RETARGET_SECONDS, _DIFFICULTY_ONE))


def subsidy(height: int) -> int:
    """Return the subsidy of a block in satoshis."""
    return _FIRST_SUBSIDY >> (height // _HALVING_BLOCKS)


class Chain:
    """Blocks from ``_FIRST_HEIGHT`` on, found at random intervals by a network of constant hashrate as time goes on."""

    def __init__(self, seed: int, now: float) -> None:
        self._seed = seed
        self._random = Random(f"{seed} chain")
        self._times: list[int] = []
        self._bits: list[int] = []
        self._heights: dict[str, int] = {}
        self._hashrate = DIFFICULTY * HASHES_PER_DIFFICULTY / _MEAN_INTERVAL
        # The retarget says what the epoch before it lasted; it spans one interval less than it has blocks.
        before = self._intervals(RETARGET_BLOCKS - 1, RETARGET_SECONDS * DIFFICULTY_BEFORE / DIFFICULTY)
        since = self._intervals(START_HEIGHT - EPOCH_HEIGHT, (START_HEIGHT - EPOCH_HEIGHT) * _MEAN_INTERVAL)
        intervals = [0.0, *before, _MEAN_INTERVAL, *since]
        tip = now - self._random.uniform(0.1, 0.9) * _MEAN_INTERVAL
        found = tip - sum(intervals)
        for number, interval in enumerate(intervals):
            found += interval
            difficulty = DIFFICULTY_BEFORE if number < RETARGET_BLOCKS else DIFFICULTY
            self._append(found, to_bits(round(_DIFFICULTY_ONE / difficulty)))
        self._next_found = now + self._random.expovariate(1.0 / _MEAN_INTERVAL)

    @property
    def height(self) -> int:
        """Height of the tip."""
        return _FIRST_HEIGHT + len(self._times) - 1

    def advance(self, now: float) -> None:
        """Find the blocks that are due."""
        while self._next_found <= now:
            self._append(self._next_found, self.next_bits)
            hashes = to_difficulty(self.next_bits) * HASHES_PER_DIFFICULTY
            self._next_found += self._random.expovariate(self._hashrate / hashes)

    def mine(self, blocks: int, now: float) -> None:
        """Find that many blocks at once."""
        for _ in range(blocks):
            self._append(now, self.next_bits)

    def time(self, height: int) -> int:
        """Return the timestamp of a block."""
        return self._times[self._index(height)]

    def median_time(self, height: int) -> int:
        """Return the median timestamp of a block and the ten before it."""
        index = self._index(height)
        window = sorted(self._times[max(index - _MEDIAN_BLOCKS + 1, 0) : index + 1])
        return window[len(window) // 2]

    def bits(self, height: int) -> int:
        """Return the compact target of a block."""
        return self._bits[self._index(height)]

    @property
    def next_bits(self) -> int:
        """The compact target of the block after the tip."""
        if (self.height + 1) % RETARGET_BLOCKS:
            return self._bits[-1]
        return retargeted(self._bits[-1], self._times[-1] - self._times[-RETARGET_BLOCKS])

    def fees(self, height: int) -> int:
        """Return the fees of a block in satoshis."""
        mean = REWARD - subsidy(START_HEIGHT) / SATOSHIS_PER_BITCOIN
        location = math.log(mean) - _FEE_SPREAD**2 / 2.0
        return int(Random(f"{self._seed} fees {height}").lognormvariate(location, _FEE_SPREAD) * SATOSHIS_PER_BITCOIN)

    def transactions(self, height: int) -> int:
        """Return the number of transactions in a block."""
        return Random(f"{self._seed} transactions {height}").randrange(1_500, 4_500)

    def hash(self, height: int) -> str:
        """Return the hash of a block."""
        return "0" * 19 + hashlib.sha256(f"{self._seed} block {height}".encode()).hexdigest()[19:]

    def find(self, block_hash: str) -> int:
        """Return the height of a block. Raises RpcError where there is none of that hash."""
        try:
            return self._heights[block_hash]
        except KeyError:
            raise RpcError(-5, "Block not found") from None

    def chainwork(self, height: int) -> int:
        """Return the work from the first stored block up to a height, in hashes."""
        bits = self._bits[: self._index(height) + 1]
        return sum(count * (1 << 256) // (to_target(value) + 1) for value, count in _counts(bits).items())

    def network_hashrate(self, blocks: int, height: int) -> float:
        """Estimate the hashrate over the last blocks as Bitcoin Core does, in H/s."""
        first = max(height - blocks, _FIRST_HEIGHT)
        times = [self.time(number) for number in range(first, height + 1)]
        work = (
            sum(to_difficulty(self.bits(number)) for number in range(first + 1, height + 1))
            * _CORE_HASHES_PER_DIFFICULTY
        )
        return work / (max(times) - min(times)) if max(times) > min(times) else 0.0

    def _intervals(self, count: int, total: float) -> list[float]:
        """Draw random intervals with a given sum."""
        drawn = [self._random.expovariate(1.0) for _ in range(count)]
        factor = total / sum(drawn)
        return [interval * factor for interval in drawn]

    def _append(self, found: float, bits: int) -> None:
        self._times.append(max(int(found), self._times[-1] + 1) if self._times else int(found))
        self._bits.append(bits)
        self._heights[self.hash(self.height)] = self.height

    def _index(self, height: int) -> int:
        if height > self.height or height < 0:
            raise RpcError(-8, "Block height out of range")
        if height < _FIRST_HEIGHT:
            raise RpcError(-1, "Block not available (pruned data)")
        return height - _FIRST_HEIGHT


def _counts(values: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


class Node:
    """The JSON-RPC interface of a chain: HTTP with basic authentication, batches too."""

    def __init__(self, chain: Chain, clock: Callable[[], float], host: str, port: int) -> None:
        self.chain = chain
        self._clock = clock
        self._authorization = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        self.service = Service(
            "node", host, port, [web.post("/", self._handle), web.post("/wallet/{name}", self._handle)]
        )
        self._methods: dict[str, Callable[..., Any]] = {
            "getblockchaininfo": self._getblockchaininfo,
            "getblockcount": lambda: chain.height,
            "getbestblockhash": lambda: chain.hash(chain.height),
            "getblockhash": self._getblockhash,
            "getblockheader": self._getblockheader,
            "getblockstats": self._getblockstats,
            "getdifficulty": lambda: to_difficulty(chain.bits(chain.height)),
            "getmininginfo": self._getmininginfo,
            "getnetworkhashps": self._getnetworkhashps,
            "getnetworkinfo": self._getnetworkinfo,
        }

    async def _handle(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != self._authorization:
            return web.Response(status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="jsonrpc"'})
        self.chain.advance(self._clock())
        try:
            asked = json.loads(await request.read())
        except ValueError:
            error = {"code": -32700, "message": "Parse error"}
            return _json({"result": None, "error": error, "id": None}, HTTPStatus.INTERNAL_SERVER_ERROR)
        if isinstance(asked, list):
            return _json([self._call(one)[0] for one in asked], HTTPStatus.OK)
        return _json(*self._call(asked))

    def _call(self, asked: Any) -> tuple[dict[str, Any], HTTPStatus]:
        """Answer one request. JSON-RPC 2.0 returns errors with status 200, older versions with 404 and 500."""
        modern = isinstance(asked, dict) and asked.get("jsonrpc") == "2.0"
        envelope: dict[str, Any] = {"id": asked.get("id") if isinstance(asked, dict) else None}
        try:
            result = self._result(asked)
        except RpcError as error:
            document = {"code": error.code, "message": error.message}
            if modern:
                return {"jsonrpc": "2.0", "error": document} | envelope, HTTPStatus.OK
            status = HTTPStatus.NOT_FOUND if error.code == -32601 else HTTPStatus.INTERNAL_SERVER_ERROR  # noqa: PLR2004
            return {"result": None, "error": document} | envelope, status
        if modern:
            return {"jsonrpc": "2.0", "result": result} | envelope, HTTPStatus.OK
        return {"result": result, "error": None} | envelope, HTTPStatus.OK

    def _result(self, asked: Any) -> Any:
        if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
            raise RpcError(-32600, "Invalid Request object")
        method = self._methods.get(asked["method"])
        if method is None:
            raise RpcError(-32601, "Method not found")
        params = asked.get("params") or []
        try:
            return method(**params) if isinstance(params, dict) else method(*params)
        except (TypeError, ValueError, AttributeError) as error:
            raise RpcError(-1, f"{asked['method']}: wrong parameters") from error

    def _getblockchaininfo(self) -> dict[str, Any]:
        chain, height = self.chain, self.chain.height
        return {
            "chain": "main",
            "blocks": height,
            "headers": height,
            "bestblockhash": chain.hash(height),
            "bits": f"{chain.bits(height):08x}",
            "target": f"{to_target(chain.bits(height)):064x}",
            "difficulty": to_difficulty(chain.bits(height)),
            "time": chain.time(height),
            "mediantime": chain.median_time(height),
            "verificationprogress": 0.9999991,
            "initialblockdownload": False,
            "chainwork": f"{chain.chainwork(height):064x}",
            "size_on_disk": 3_221_225_472,
            "pruned": True,
            "pruneheight": _FIRST_HEIGHT,
            "automatic_pruning": True,
            "prune_target_size": 4_294_967_296,
            "warnings": [],
        }

    def _getblockhash(self, height: int) -> str:
        self.chain.time(height)
        return self.chain.hash(height)

    def _getblockheader(self, blockhash: str, verbose: bool = True) -> dict[str, Any]:
        if not verbose:
            raise RpcError(-1, "this node returns headers only with verbose = true")
        chain = self.chain
        height = chain.find(blockhash)
        header = {
            "hash": blockhash,
            "confirmations": chain.height - height + 1,
            "height": height,
            "version": 0x20000000,
            "versionHex": "20000000",
            "merkleroot": hashlib.sha256(blockhash.encode()).hexdigest(),
            "time": chain.time(height),
            "mediantime": chain.median_time(height),
            "nonce": height * 2_654_435_761 % 2**32,
            "bits": f"{chain.bits(height):08x}",
            "target": f"{to_target(chain.bits(height)):064x}",
            "difficulty": to_difficulty(chain.bits(height)),
            "chainwork": f"{chain.chainwork(height):064x}",
            "nTx": chain.transactions(height),
            "previousblockhash": chain.hash(height - 1),
        }
        return header | ({"nextblockhash": chain.hash(height + 1)} if height < chain.height else {})

    def _getblockstats(self, hash_or_height: int | str, stats: list[str] | None = None) -> dict[str, Any]:
        chain = self.chain
        height = chain.find(hash_or_height) if isinstance(hash_or_height, str) else hash_or_height
        time, fees, transactions = chain.time(height), chain.fees(height), chain.transactions(height)
        known = {
            "avgfee": fees // transactions,
            "avgfeerate": fees // 998_000,
            "avgtxsize": 1_560_000 // transactions,
            "blockhash": chain.hash(height),
            "height": height,
            "ins": transactions * 2,
            "maxfee": fees // 20,
            "mediantime": chain.median_time(height),
            "outs": transactions * 3,
            "subsidy": subsidy(height),
            "time": time,
            "total_size": 1_560_000,
            "total_weight": 3_993_000,
            "totalfee": fees,
            "txs": transactions,
            "utxo_increase": transactions,
        }
        if stats is None:
            return known
        for name in stats:
            if name not in known:
                raise RpcError(-8, f"Invalid selected statistic '{name}'")
        return {name: known[name] for name in stats}

    def _getmininginfo(self) -> dict[str, Any]:
        chain, height = self.chain, self.chain.height
        bits = chain.next_bits
        return {
            "blocks": height,
            "currentblockweight": 3_993_000,
            "currentblocktx": 3_000,
            "bits": f"{chain.bits(height):08x}",
            "difficulty": to_difficulty(chain.bits(height)),
            "target": f"{to_target(chain.bits(height)):064x}",
            "networkhashps": chain.network_hashrate(120, height),
            "pooledtx": 21_000,
            "blockmintxfee": 0.00000001,
            "chain": "main",
            "next": {
                "height": height + 1,
                "bits": f"{bits:08x}",
                "difficulty": to_difficulty(bits),
                "target": f"{to_target(bits):064x}",
            },
            "warnings": [],
        }

    def _getnetworkhashps(self, nblocks: int = 120, height: int = -1) -> float:
        tip = self.chain.height if height < 0 else height
        return self.chain.network_hashrate(tip % RETARGET_BLOCKS + 1 if nblocks <= 0 else nblocks, tip)

    def _getnetworkinfo(self) -> dict[str, Any]:
        return {
            "version": 300000,
            "subversion": "/Satoshi:30.0.0/",
            "protocolversion": 70016,
            "localservices": "0000000000000c08",
            "localrelay": True,
            "timeoffset": 0,
            "networkactive": True,
            "connections": 10,
            "connections_in": 0,
            "connections_out": 10,
            "relayfee": 0.000001,
            "incrementalfee": 0.000001,
            "localaddresses": [],
            "warnings": [],
        }


def _json(payload: Any, status: HTTPStatus) -> web.Response:
    return web.json_response(payload, status=status)
