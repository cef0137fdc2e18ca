"""A call of a VTN reaches the metrics of a running exporter: which rigs should be off, why, and what is unknown.

The power that was bought day ahead is read from a file while it runs.
"""

import json
import time
from pathlib import Path

from own_network import OWN, fresh_network
from vtn import CLIENT_ID, CLIENT_SECRET, Vtn, event, program
from whole_exporter import Exporter, Samples, all_margins, one, values

from exporter.simulation.service import SourceFault
from exporter.simulation.site import SimulatedSite

POSITION_COST = "mining_site_day_ahead_cost_usd_per_day"


def expected(samples: Samples) -> set[float]:
    return set(values(samples, "mining_rig_expected_mining").values())


def off(samples: Samples) -> set[str]:
    return {dict(labels)["kind"] for name, labels in samples if name == "mining_rig_expected_off_info"}


async def test_a_call_turns_rigs_off_until_it_is_cancelled_and_a_dead_server_is_not_its_end(tmp_path: Path) -> None:
    vtn = Vtn(time.time, f"{OWN}.2.1", 0)
    vtn.programs = [program()]
    await vtn.service.start()
    source = {
        "kind": "openadr",
        "url": vtn.url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "interval": "1s",
        "max_age": "3s",
        "timeout": "1s",
    }
    models = ["Antminer S21", "Antminer S19j Pro", "Whatsminer M50"]
    try:
        async with SimulatedSite(
            models=models, network=fresh_network(), port_offset=20_000, control_port=0, lowest_port=1024
        ) as site:
            exporter = Exporter(tmp_path, site.config())
            bought = tmp_path / "positions.csv"
            bought.write_text("start,end,kilowatts\n2020-01-01,2100-01-01,5000\n")
            exporter.configure(
                obligations={"utility": source},
                compliance={"interval": "1m"},
                tariffs=exporter.config["tariffs"] | {"fixed": {"kind": "fixed", "usd_per_kilowatt_hour": 0.04}},
                settlement={
                    "day_ahead_tariff": "fixed",
                    "real_time_tariff": "fixed",
                    "by_date": {"kind": "schedule", "path": str(bought), "interval": "1s", "max_age": "3s"},
                },
            )
            async with exporter.running() as process:
                await exporter.until(lambda samples: all_margins(samples) and expected(samples) == {1.0})
                await exporter.until(lambda samples: one(samples, POSITION_COST) == 4_800)
                bought.write_text("start,end,kilowatts\n2020-01-01,2100-01-01,10000\n")
                await exporter.until(lambda samples: one(samples, POSITION_COST) == 9_600)
                bought.unlink()
                await exporter.until(lambda samples: one(samples, POSITION_COST) is None)
                vtn.events = [event("e-7", time.time() - 1, "PT1H", ("IMPORT_CAPACITY_LIMIT", 0))]
                called = await exporter.until(lambda samples: expected(samples) == {0.0})
                assert off(called) == {"cap"}
                labels = {"source": "utility", "event": "e-7", "kind": "cap"}
                assert one(called, "mining_obligation_cap_watts", **labels) == 0
                await exporter.until(
                    lambda samples: (one(samples, "mining_obligation_projected_watts", **labels) or 0) > 1000
                )
                await vtn.service.set_fault(SourceFault.DOWN)
                failing = await exporter.until(
                    lambda samples: one(samples, "mining_source_up", source="obligations:utility") == 0
                )
                assert expected(failing) == {0.0}  # its last state holds
                await vtn.service.set_fault(None)
                vtn.events = []
                await exporter.until(lambda samples: expected(samples) == {1.0} and not off(samples))
                status, text = await exporter.ask("GET", "/api/v1/obligations")
                answer = json.loads(text)
                assert (status, answer["known"], answer["obligations"]) == (200, {"utility": True}, [])
                assert {each["event"] for each in answer["deliveries"]} == {"e-7"}
                process.terminate()
                await process.wait()
            await vtn.service.stop()
            exporter.configure(obligations={"utility": source | {"interval": "2s"}})  # other settings: nothing is kept
            async with exporter.running():
                unknown = await exporter.until(
                    lambda samples: one(samples, "mining_obligations_known", source="utility") == 0
                )
                assert expected(unknown) == set()
                _, text = await exporter.ask("GET", "/api/v1/obligations")
                assert {each["event"] for each in json.loads(text)["deliveries"]} == {
                    "e-7"
                }  # the state file keeps them
    finally:
        await vtn.service.stop()
