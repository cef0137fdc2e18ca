"""Metered watts, asked from a Prometheus, come before what a rig reports; a rig without a meter keeps its own."""

import time
from pathlib import Path

from aiohttp import web
from own_network import fresh_network
from source_site import serve
from whole_exporter import Exporter, all_margins, one, values

from exporter.simulation.site import SimulatedSite

REASONS = ("unknown", "implausible", "disbelieved")


async def test_a_metered_rig_is_priced_by_its_meter_unless_that_is_implausible(tmp_path: Path) -> None:
    async def prometheus(request: web.Request) -> web.Response:
        shown = {metered: "5000", others[0]: "3.2", metered.upper(): "3000"}
        result = [{"metric": {"rig": rig}, "value": [time.time(), watts]} for rig, watts in shown.items()]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    models = ["Antminer S21", "Antminer S19j Pro", "Whatsminer M50"]
    async with (
        SimulatedSite(
            models=models, network=fresh_network(), port_offset=20_000, control_port=0, lowest_port=1024
        ) as site,
        serve(prometheus) as server,
    ):
        exporter = Exporter(tmp_path, site.config())
        metered, *others = [rig["name"] for rig in exporter.config["fleet"]["rigs"]]
        exporter.configure(meters={"pdus": {"kind": "prometheus", "url": server, "query": "outlet_watts"}})
        async with exporter.running():
            samples = await exporter.until(
                lambda samples: (
                    all_margins(samples)
                    and values(samples, "mining_rig_power_watts")[metered] == 5000
                    and one(samples, "mining_source_ignored", source="meters:pdus", reason="disbelieved") == 1
                )
            )
    ignored = {reason: one(samples, "mining_source_ignored", source="meters:pdus", reason=reason) for reason in REASONS}
    assert ignored == {"unknown": 1, "implausible": 0, "disbelieved": 1}
    sources = {
        dict(labels)["rig"]: dict(labels)["source"] for name, labels in samples if name == "mining_rig_power_source"
    }
    assert sources[metered] == "metered"
    assert all(sources[rig] != "metered" for rig in others)
