"""Shards: each rig in exactly one, a block never split, an even spread, and few moves on a resize."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sites import SITE, rig, site

from exporter.economics.site import price_site
from exporter.inventory.load import Names, load_inventory
from exporter.inventory.model import InventorySettings
from exporter.inventory.shards import Shards, ShardSettings, shard_of, spread
from exporter.model.fleet import Block, Rig

_KEYS = [f"container-{number}" for number in range(2_000)]


@pytest.mark.parametrize(("key", "total", "shard"), [("", 1, 0), ("container-1", 4, 0), ("container-2", 4, 2)])
def test_a_shard_is_stable_over_releases(key: str, total: int, shard: int) -> None:
    assert shard_of(key, total) == shard


@given(st.text(), st.integers(1, 500))
def test_a_key_belongs_to_one_shard(key: str, total: int) -> None:
    assert [ShardSettings(shard=shard, total_shards=total).serves(key) for shard in range(total)].count(True) == 1


@given(st.text(), st.integers(1, 500))
def test_a_new_shard_only_takes(key: str, total: int) -> None:
    assert shard_of(key, total + 1) in {shard_of(key, total), total}


def test_shards_are_balanced_and_a_resize_moves_the_fewest() -> None:
    counts = [sum(shard_of(key, 4) == shard for key in _KEYS) for shard in range(4)]
    assert min(counts) > 0.85 * len(_KEYS) / 4
    moved = sum(shard_of(key, 4) != shard_of(key, 5) for key in _KEYS)
    assert moved < 1.15 * len(_KEYS) / 5


def test_a_block_never_splits_and_rigs_without_one_spread() -> None:
    together = [Rig(name=f"a-{number}", address="127.0.0.1", block="container-1") for number in range(50)]
    alone = [Rig(name=f"b-{number}", address="127.0.0.1") for number in range(50)]
    shards = Shards([*together, *alone], ["container-1"], 3)
    assert {shards.of_rig(rig) for rig in together} == {shards.of_block("container-1")}
    assert {shards.of_rig(rig) for rig in alone} == {0, 1, 2}


@given(st.sets(st.text(), max_size=60), st.integers(1, 40))
def test_every_shard_gets_its_share_of_the_blocks(keys: set[str], total: int) -> None:
    counts = Counter(spread(keys, total).values())
    assert set(counts) <= set(range(total))
    sizes = [counts[shard] for shard in range(total)]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == len(keys)


@given(st.permutations([f"container-{number}" for number in range(12)]))
def test_the_order_of_the_blocks_does_not_matter(keys: list[str]) -> None:
    assert spread(keys, 4) == spread(sorted(keys), 4)


def test_twelve_blocks_fill_four_shards() -> None:
    assert Counter(spread([f"container-{number}" for number in range(1, 13)], 4).values()) == dict.fromkeys(range(4), 3)


@pytest.mark.parametrize(("blocks", "total"), [(12, 4), (40, 4), (200, 7), (60, 5)])
def test_a_new_block_or_shard_moves_few_blocks(blocks: int, total: int) -> None:
    names = _KEYS[:blocks]
    before = spread(names, total)

    def moved(after: Mapping[str, int]) -> int:
        return sum(before[name] != after[name] for name in names if name in after)

    assert moved(spread([*names, "new"], total)) <= 4
    assert moved(spread(names[1:], total)) <= 4
    assert moved(spread(names, total + 1)) <= 2 * blocks / (total + 1)


def test_a_range_never_splits_so_that_a_rig_may_move_in_it() -> None:
    ranges = InventorySettings.model_validate({"ranges": [{"cidr": f"10.{number}.0.0/27"} for number in range(40)]})
    rigs = load_inventory(ranges, Names(blocks={}, tariffs=(), schedules=())).rigs
    shards = Shards(rigs, (), 3)
    served = [{rig.address.rsplit(".", 1)[0] for rig in rigs if shards.of_rig(rig) == shard} for shard in range(3)]
    assert all(served)
    assert sum(map(len, served)) == 40


def test_blocks_are_worth_the_same_in_shards_as_in_one() -> None:
    names = [f"container-{number}" for number in range(40)]
    rigs = [rig(name=f"{block}-{at}", block=block, hashrate=(100 + at) * 1e12) for block in names for at in range(5)]
    blocks = [Block(name=name, capacity_watts=50_000.0) for name in names]
    whole = price_site(site(*rigs, blocks=tuple(blocks)), SITE)
    parts = []
    shards = Shards((each.rig for each in rigs), names, 4)
    for shard in range(4):
        mine = [each for each in rigs if shards.of_rig(each.rig) == shard]
        own = tuple(block for block in blocks if shards.of_block(block.name) == shard)
        parts += price_site(site(*mine, blocks=own), SITE).blocks
    assert sorted(parts, key=lambda block: block.name) == sorted(whole.blocks, key=lambda block: block.name)


def test_the_ordinal_comes_from_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "hashmargin-2")
    assert ShardSettings.model_validate({"shard": "ordinal", "total_shards": 4}).shard == 2
    with pytest.raises(ValidationError, match="numbered from 0 to 1"):
        ShardSettings.model_validate({"shard": "ordinal", "total_shards": 2})
    monkeypatch.setattr("socket.gethostname", lambda: "miner-host")
    with pytest.raises(ValidationError, match="no ordinal"):
        ShardSettings.model_validate({"shard": "ordinal"})
