"""Four exporters share a site of 20,000 rigs: nothing is lost or doubled, and a dead one is missed."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from harness import (
    BIN,
    HOST,
    Program,
    Prometheus,
    ask,
    free_port,
    own_network,
    program,
    prometheus,
    simulated_site,
    wait_for,
)

pytestmark = pytest.mark.e2e

RIGS = 20_000
SHARDS = 4
TIMEOUT = 1_200.0  # seconds: two cores have much to do until every rig was read

MONEY = ("revenue", "power_cost", "margin")


@dataclass
class Sharded:
    """The site in its shards, the figures of one exporter for all of it, and the Prometheus that scrapes the shards."""

    truth: dict[str, str]
    """The block of each rig, as the simulation has it."""
    shards: list[contextlib.ExitStack]
    whole: dict[str, float]
    prometheus: Prometheus

    def rigs(self) -> dict[str, set[str]]:
        """The rigs that each shard reports."""
        found: dict[str, set[str]] = {}
        for labels, _ in self.prometheus.query(
            "mining_rig_inventory_info * on (instance) group_left (shard) mining_exporter_shard_info"
        ):
            found.setdefault(labels["shard"], set()).add(labels["rig"])
        return found

    def all_rigs(self) -> dict[str, set[str]]:
        """The same, of a moment when every shard has been scraped."""

        def found() -> dict[str, set[str]] | None:
            rigs = self.rigs()
            return rigs if sum(map(len, rigs.values())) == RIGS else None

        return wait_for("the rigs of every shard", found)

    def totals(self) -> dict[str, float]:
        """The site's money by the rules."""
        sums = {name: self.prometheus.value(f"site:mining_{name}_usd_per_day:sum") for name in MONEY}
        return {name: value for name, value in sums.items() if value is not None}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sharded]:
    """Start everything in a network of its own: so large a simulation takes its ports on every address."""
    folder = tmp_path_factory.mktemp("shards")
    with contextlib.ExitStack() as parts:
        parts.enter_context(own_network())
        control, config = parts.enter_context(simulated_site(folder, "127.83.0.0/16", "--rigs", str(RIGS)))
        ask(f"{control}/power", {"usd_per_megawatt_hour": 55})
        calm(config)
        truth = {name: rig["block"] for name, rig in ask(f"{control}/")["rigs"].items()}
        for block in set(truth.values()):
            ask(f"{control}/faults", {"block": block, "fault": None})  # so that all rigs are priced in the end
        with started(folder, config, "whole") as one:
            whole = wait_for("the whole site to be priced", lambda: priced(one), TIMEOUT)
        shards = [parts.enter_context(contextlib.ExitStack()) for _ in range(SHARDS)]
        running = []
        for number, shard in enumerate(shards):
            name = f"shard-{number}"
            shutil.copy(folder / "whole.sqlite", folder / f"{name}.sqlite")  # it has been found out who the rigs are
            flags = ("--shard", str(number), "--total-shards", str(SHARDS))
            running.append(shard.enter_context(started(folder, config, name, *flags)))
        for each, url in running:
            wait_for(f"the first round of {each.name}", lambda each=each, url=url: each.get(f"{url}/-/ready"), TIMEOUT)
        watcher = parts.enter_context(prometheus(folder, [url for _, url in running], interval=10))
        site = Sharded(truth, shards, whole, watcher)
        wait_for("every shard's rigs", lambda: watcher.value("count(mining_rig_up)") == RIGS)
        wait_for("site totals", lambda: len(site.totals()) == len(MONEY))
        yield site


def priced(running: tuple[Program, str]) -> dict[str, float]:
    """What the whole site's blocks come to, once its rigs are priced, but for one in a thousand that was too busy."""
    whole, url = running
    whole.get(f"{url}/-/ready")
    published = whole.get(f"{url}/metrics")

    def total(name: str) -> float:
        return sum(map(float, re.findall(rf"^mining_block_{name}\{{.*}} (\S+)$", published, re.MULTILINE)))

    assert total("rigs_priced") > 0.999 * RIGS
    return {name: total(f"{name}_usd_per_day") for name in MONEY} | {"rigs_priced": total("rigs_priced")}


def calm(config: Path) -> None:
    """Poll and price seldom, in a market that stands still, with long deadlines, and leave out what is not needed."""
    document = yaml.load(config.read_text(encoding="utf-8"), yaml.CSafeLoader)
    document |= {
        "polling": {"interval": "60s", "deadline": "30s"},
        "evaluation_interval": "30s",
        "network": {"kind": "fixed", "height": 942_472, "difficulty": 133.79e12, "block_fees": 0.0222},
        "bitcoin": {"kind": "fixed", "usd": 70_370},
        "exposition": {"groups": dict.fromkeys(("board", "fan", "pool", "fault", "temperature"), False)},
    }
    document["tariffs"]["time-of-use"]["periods"] = [{"price": 0.05}]
    config.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def started(folder: Path, config: Path, name: str, *flags: str) -> Iterator[tuple[Program, str]]:
    address = f"{HOST}:{free_port()}"
    command = (BIN / "hashmargin", "run", "--config.file", config, "--web.listen-address", address, *flags)
    with program(name, *command, folder=folder, env={"HASHMARGIN_STATE__PATH": f"{folder / name}.sqlite"}) as running:
        yield running, f"http://{address}"


def test_each_rig_is_in_one_shard_and_no_block_is_split(sharded: Sharded) -> None:
    found = sharded.all_rigs()
    assert set(found) == {str(number) for number in range(SHARDS)}
    assert set.union(*found.values()) == set(sharded.truth)
    blocks = [{sharded.truth[rig] for rig in rigs} for rigs in found.values()]
    assert sum(map(len, blocks)) == len(set(sharded.truth.values()))


def test_balance_can_be_queried(sharded: Sharded) -> None:
    query = "sum by (shard) (sum by (instance) (mining_rigs) * on (instance) group_right mining_exporter_shard_info)"
    expected = {shard: len(rigs) for shard, rigs in sharded.all_rigs().items()}
    wait_for("it", lambda: sharded.prometheus.by("shard", query) == expected)
    assert min(expected.values()) > 0.7 * RIGS / SHARDS


def test_totals_are_those_of_one_exporter_for_the_whole_site(sharded: Sharded) -> None:
    def compare() -> bool:
        rigs_priced = sharded.prometheus.value("site:mining_rigs_priced:sum")
        assert rigs_priced == pytest.approx(sharded.whole["rigs_priced"], rel=0.002)
        # They read the rigs at other moments, and rigs flutter.
        money = {name: sharded.whole[name] for name in MONEY}
        assert sharded.totals() == pytest.approx(money, abs=0.003 * money["revenue"])
        return True

    wait_for("the same totals", compare)


def test_a_dead_shards_rigs_are_missing_and_not_zero(sharded: Sharded) -> None:
    watcher = sharded.prometheus
    wait_for("no shard to be missed since the start", lambda: not watcher.firing("MiningShardMissing"))
    lost = sharded.all_rigs()["2"]

    def of_all_rigs() -> dict[str, float] | None:
        found = watcher.by("rig", "mining_rig_revenue_usd_per_day and on (rig) mining_rig_margin_usd_per_day")
        return found if len(found) > 0.999 * RIGS else None

    by_rig = wait_for("the revenue of all rigs", of_all_rigs)
    kept = sum(value for rig, value in by_rig.items() if rig not in lost)
    assert 0.1 * sum(by_rig.values()) < kept < 0.9 * sum(by_rig.values())

    sharded.shards[2].close()

    wait_for("the alert", lambda: watcher.firing("MiningShardMissing"))
    wait_for("the totals without it", lambda: watcher.value("site:mining_rigs:count") == RIGS - len(lost))
    wait_for("as many rigs", lambda: watcher.value("count(mining_rig_up)") == RIGS - len(lost))
    assert not lost & set(watcher.by("rig", "{__name__=~'mining_rig_(up|hashrate_hashes_per_second)'}"))
    wait_for("few rigs to be down", lambda: (watcher.value("site:mining_rig_down:count") or 0) < 0.1 * len(lost))
    wait_for("what the others earn", lambda: sharded.totals().get("revenue") == pytest.approx(kept, rel=0.003))
    wait_for("the alert of its exporter", lambda: len(watcher.firing("MiningExporterDown")) == 1)
    for name in ("MiningBlockUnreachable", "MiningRigsDown"):  # which a busy machine may have caused before
        wait_for(f"no {name}", lambda name=name: not watcher.firing(name))
