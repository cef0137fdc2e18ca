"""Which shard of a site serves what: each block whole, and as few of them as can be move when shards are added."""

import re
import socket
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from exporter.model.fields import SettingsGroup
from exporter.model.fleet import UNASSIGNED, Rig

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_MASK: Final = 0xFFFFFFFFFFFFFFFF
_JUMP_MULTIPLIER: Final = 2_862_933_555_777_941_757


def _ordinal(value: object) -> object:
    """Read ``ordinal`` as the number that a Kubernetes StatefulSet gives the pod's host name."""
    if value != "ordinal":
        return value
    match = re.search(r"-(\d+)$", socket.gethostname())
    if match is None:
        raise ValueError(f"this host is named {socket.gethostname()!r}, which ends in no ordinal such as hashmargin-0")
    return int(match[1])


class ShardSettings(SettingsGroup):
    """Which part of the site this exporter serves."""

    shard: Annotated[int, BeforeValidator(_ordinal, json_schema_input_type=int | Literal["ordinal"])] = Field(
        0, ge=0, description="This exporter's number, from 0; `ordinal` takes it from a StatefulSet's host name."
    )
    total_shards: int = Field(1, ge=1, le=10_000, description="How many exporters share the site.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.shard >= self.total_shards:
            raise ValueError(
                f"there is no shard {self.shard}: {self.total_shards} are numbered from 0 to {self.total_shards - 1}"
            )
        return self

    def serves(self, key: str) -> bool:
        """Tell whether what is named ``key`` belongs to this shard."""
        return shard_of(key, self.total_shards) == self.shard

    def serves_rig(self, rig: Rig) -> bool:
        """Tell whether the rig belongs to this shard.

        It does with its whole block. One that stands in none does with the range in which it is found, where DHCP may
        move it; else alone.
        """
        return self.serves(rig.block if rig.block != UNASSIGNED else rig.searched_range or rig.name)


def shard_of(key: str, total: int) -> int:
    """Number the shard, from 0 to ``total`` - 1, that serves ``key``: FNV-1a of 64 bits, then a jump hash."""
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
