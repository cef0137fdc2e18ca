"""Rigs of an address range, and what is meant to be off, in the running exporter."""

import re
from pathlib import Path

from own_network import fresh_network
from whole_exporter import Exporter, ended, values

from exporter.simulation.site import SimulatedSite

MODELS = ["Whatsminer M50", "Whatsminer M60"]
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")


def small_site() -> SimulatedSite:
    return SimulatedSite(models=MODELS, network=fresh_network(), port_offset=20_000, control_port=0, lowest_port=1024)


async def test_rigs_found_in_a_range_stay_while_they_sleep(tmp_path: Path) -> None:
    async with small_site() as site:
        config = site.config()
        addresses = [rig["address"] for rig in config["fleet"]["rigs"]]
        parts = {address.rsplit(".", 1)[0] for address in addresses}
        ranges = [{"cidr": f"{part}.0/24", "block": "found"} for part in parts]
        exporter = Exporter(tmp_path, config | {"fleet": {"ranges": ranges}, "blocks": {"found": {}}})
        async with exporter.running() as process:
            samples = await exporter.until(lambda samples: len(values(samples, "mining_rig_margin_usd_per_day")) == 2)
            names = set(values(samples, "mining_rig_up"))
            assert all(MAC.fullmatch(name) for name in names)
            assert {dict(labels)["ip"] for name, labels in samples if name == "mining_rig_info"} == set(addresses)
            assert "rig is down" not in await ended(process)
    async with exporter.running():
        samples = await exporter.until(lambda samples: values(samples, "mining_rig_up") == dict.fromkeys(names, 0.0))
        assert set(values(samples, "mining_rig_inventory_info")) == names


async def test_a_rig_under_maintenance_is_not_expected_to_mine(tmp_path: Path) -> None:
    async with small_site() as site:
        exporter = Exporter(tmp_path, site.config())
        first, second = [rig["name"] for rig in exporter.config["fleet"]["rigs"]]
        file = tmp_path / "maintenance.csv"
        file.write_text(f"rig,from,until,reason\n{first},,,new fans\n")
        source = {"kind": "maintenance", "path": "maintenance.csv", "interval": "1s"}
        exporter.configure(expected_off={"maintenance": source})
        async with exporter.running():
            expected = {first: 0.0, second: 1.0}
            await exporter.until(lambda samples: values(samples, "mining_rig_expected_mining") == expected)
            file.write_text("rig,from,until,reason\n")
            expected = {first: 1.0, second: 1.0}
            await exporter.until(lambda samples: values(samples, "mining_rig_expected_mining") == expected)
