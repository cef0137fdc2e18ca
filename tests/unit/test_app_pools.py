"""A running exporter finds a renamed worker by the pool's list, and is not hurt by a pool that fails."""

from pathlib import Path

from own_network import fresh_network
from whole_exporter import Exporter, one, values

from exporter.simulation.faults import Fault
from exporter.simulation.service import SourceFault
from exporter.simulation.site import SimulatedSite


async def test_a_renamed_worker_is_found_by_the_pool_and_a_pool_that_fails_says_nothing(tmp_path: Path) -> None:
    models = ["Antminer S21", "Antminer S19j Pro", "Whatsminer M50"]
    async with SimulatedSite(
        models=models, network=fresh_network(), port_offset=20_000, control_port=0, lowest_port=1024
    ) as site:
        exporter = Exporter(tmp_path, site.config())
        renamed, *others = [rig["name"] for rig in exporter.config["fleet"]["rigs"]]
        await site.set_fault(renamed, Fault.WORKER_RENAMED)
        account = exporter.config["pools"]["main"] | {"request_interval": "1ms", "interval": "1s", "max_age": "3s"}
        exporter.configure(pools={"main": account})
        async with exporter.running():
            samples = await exporter.until(
                lambda samples: len(values(samples, "mining_rig_pool_credited")) == len(models)
            )
            await site.set_source_fault("pool", SourceFault.ERROR)
            after = await exporter.until(lambda samples: not values(samples, "mining_rig_pool_credited"))
    assert values(samples, "mining_rig_pool_credited") == {renamed: 0, **dict.fromkeys(others, 1)}
    assert one(samples, "mining_pool_workers_unmatched", account="main") == 0
    assert one(samples, "mining_pool_workers", account="main") == len(others)
    assert one(after, "mining_source_up", source="pools:main") == 0
    assert len(values(after, "mining_rig_hashrate_hashes_per_second")) == len(models)
