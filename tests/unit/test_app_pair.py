"""Two exporters of one site as processes of their own: one is active, the other stands by."""

import signal
from contextlib import AsyncExitStack
from pathlib import Path

from whole_exporter import Exporter, all_margins, ended, one, values

from exporter.simulation.site import SimulatedSite


def pair(tmp_path: Path, site: SimulatedSite) -> list[Exporter]:
    """Two exporters of the same site, with one state file and one lease."""
    shared = tmp_path / "shared"
    shared.mkdir()
    exporters = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exporter = Exporter(tmp_path / name, site.config())
        exporter.configure(
            state={"path": str(shared / "state.sqlite")}, lease={"path": str(shared / "lease"), "takeover": "8s"}
        )
        exporters.append(exporter)
    return exporters


async def test_of_two_exporters_one_reads_the_site_and_the_other_takes_over(
    site: SimulatedSite, tmp_path: Path
) -> None:
    first, second = pair(tmp_path, site)
    energies = "mining_rig_energy_joules_total"
    async with first.running() as active:
        await first.until(all_margins)
        async with second.running() as standby:
            alone = await second.until(lambda samples: one(samples, "mining_exporter_active") == 0)
            assert not [name for name, _ in alone if name.startswith(("mining_rig_", "mining_block_"))]
            assert await second.ask("GET", "/-/ready") == (200, "Standing by.\n")
            assert (await second.ask("GET", "/-/healthy"))[0] == 200
            status, text = await second.ask("GET", "/api/v1/rigs")
            assert (status, f"{first.address} is active" in text) == (503, True)
            before = await first.until(lambda samples: sum(values(samples, energies).values()) > 0)
            assert one(before, "mining_exporter_active") == 1
            active.kill()
            await active.wait()
            after = await second.until(all_margins)
            assert one(after, "mining_exporter_active") == 1
            assert all(values(after, energies)[rig] >= joules for rig, joules in values(before, energies).items())

            async with first.running() as again:  # what was active stands by when it is back
                await first.until(lambda samples: one(samples, "mining_exporter_active") == 0)
                await ended(standby)
                await first.until(all_margins)
                assert "Traceback" not in await ended(again)


async def test_who_loses_the_lease_stops_to_serve_the_site_and_stands_by(site: SimulatedSite, tmp_path: Path) -> None:
    first, second = pair(tmp_path, site)
    async with AsyncExitStack() as stack, first.running() as paused:
        await first.until(all_margins)
        await stack.enter_async_context(second.running())
        await second.until(lambda samples: one(samples, "mining_exporter_active") == 0)
        paused.send_signal(signal.SIGSTOP)
        await second.until(all_margins)
        paused.send_signal(signal.SIGCONT)
        await first.until(lambda samples: one(samples, "mining_exporter_active") == 0)
        await second.until(lambda samples: all_margins(samples) and one(samples, "mining_exporter_active") == 1)
