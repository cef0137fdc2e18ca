"""Assigns rigs to shards: blocks are never split, they are spread evenly, and a new shard moves few of them."""

import re
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from exporter.model.fields import SettingsGroup
from exporter.model.fleet import UNASSIGNED, Rig

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_MASK: Final = 0xFFFFFFFFFFFFFFFF
_JUMP_MULTIPLIER: Final = 2_862_933_555_777_941_757


def _ordinal(value: object) -> object:
    """Read ``ordinal`` as the number at the end of the host name of a Kubernetes StatefulSet's pod."""
    if value != "ordinal":
        return value
    match = re.search(r"-(\d+)$", socket.gethostname())
    if match is None:
        raise ValueError(f"this host is named {socket.gethostname()!r}, which ends in no ordinal such as hashmargin-0")
    return int(match[1])


class ShardSettings(SettingsGroup):
    """The part of the site that this exporter serves."""

    shard: Annotated[int, BeforeValidator(_ordinal, json_schema_input_type=int | Literal["ordinal"])] = Field(
        0, ge=0, description="Number of this exporter, from 0. `ordinal` takes it from a StatefulSet's host name."
    )
    total_shards: int = Field(1, ge=1, le=10_000, description="Number of exporters that share the site.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.shard >= self.total_shards:
            raise ValueError(
                f"there is no shard {self.shard}: {self.total_shards} are numbered from 0 to {self.total_shards - 1}"
            )
        return self

    def serves(self, key: str) -> bool:
        """Return whether this shard serves ``key``, the name of a single rig or GPU endpoint."""
        return shard_of(key, self.total_shards) == self.shard


class Shards:
    """The shard of every rig and block of a site. All shards of a site calculate the same from its inventory.

    A rig belongs to the shard of its block. A rig without a block belongs to the shard of its address range, in which
    DHCP may move it, else to a shard of its own.

    Args:
        rigs: All rigs and addresses of the site.
        blocks: Names of all blocks of the site.
        total: Number of shards.
    """

    def __init__(self, rigs: Iterable[Rig], blocks: Iterable[str], total: int) -> None:
        keys = {*blocks, *filter(None, map(_group, rigs))}
        self._total = total
        self._spread = spread(keys, total)

    def of_block(self, block: str) -> int:
        """Return the shard of a block."""
        return self._spread[block]

    def of_rig(self, rig: Rig) -> int:
        """Return the shard of a rig."""
        group = _group(rig)
        return self._spread[group] if group else shard_of(rig.name, self._total)


def _group(rig: Rig) -> str:
    """Return the block or range whose rigs one shard serves together. Empty for a single rig."""
    return rig.block if rig.block != UNASSIGNED else rig.searched_range


def spread(keys: Iterable[str], total: int) -> Mapping[str, int]:
    """Spread keys evenly over shards: none gets more than its share, rounded up, and none is empty if there are enough.

    Rendezvous hashing with bounded loads: each key goes to its preferred shard that is not full. The order of the keys
    does not matter, and a new key or shard moves few of them.
    """
    ordered = sorted(keys, key=lambda key: (_score(key), key))
    most = -(-len(ordered) // total)
    full = len(ordered) - (most - 1) * total
    """How many shards get ``most`` keys; the others get one fewer."""
    loads: Counter[int] = Counter()
    shards: dict[str, int] = {}
    for key in ordered:
        open_shards = [shard for shard in range(total) if loads[shard] < most - 1 or (loads[shard] < most and full > 0)]
        _, shard = max((_score(f"{shard}/{key}"), shard) for shard in open_shards)
        loads[shard] += 1
        full -= loads[shard] == most
        shards[key] = shard
    return shards


def _score(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def shard_of(key: str, total: int) -> int:
    """Return the shard, from 0 to ``total`` - 1, of ``key``: its FNV-1a hash of 64 bits, then a jump hash."""
    return _jump(_fnv1a(key.encode()), total)


def _fnv1a(text: bytes) -> int:
    value = _FNV_OFFSET
    for byte in text:
        value = ((value ^ byte) * _FNV_PRIME) & _MASK
    return value


def _jump(key: int, buckets: int) -> int:
    """Jump consistent hash (Lamping and Veach, 2014, https://arxiv.org/abs/1406.2294)."""
    bucket, following = 0, 0
    while following < buckets:
        bucket = following
        key = (key * _JUMP_MULTIPLIER + 1) & _MASK
        following = int((bucket + 1) * (2.0**31 / ((key >> 33) + 1)))
    return bucket
