"""The whole exporter as a process of its own: a changed configuration takes effect, or is refused."""

import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from whole_exporter import Exporter, all_margins, ended, one, read_within, values

from exporter.simulation.site import SimulatedSite


async def test_a_reload_takes_effect_and_loses_nothing(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    rigs = exporter.config["fleet"]["rigs"]
    exporter.config["tariff"] = "ppa"
    exporter.config["blocks"] = {block: {"capacity_kilowatts": 20} for block in exporter.config["blocks"]}
    exporter.config["polling"] = {"interval": "5s", "deadline": "5s"}  # what is lost stays so for a while
    async with exporter.running() as process:
        before = await exporter.until(all_margins)
        assert one(before, "mining_power_price_usd_per_kilowatt_hour", tariff="ppa") == 0.05
        assert "usd_per_kilowatt_hour: 0.05\n" in (await exporter.ask("GET", "/config"))[1]
        exporter.configure(tariffs={"ppa": {"kind": "fixed", "usd_per_kilowatt_hour": 0.07}}, fleet={"rigs": rigs[:2]})
        assert await exporter.ask("POST", "/-/reload") == (200, "Reloaded.\n")
        after = await exporter.until(
            lambda samples: one(samples, "mining_power_price_usd_per_kilowatt_hour", tariff="ppa") == 0.07
        )
        assert "usd_per_kilowatt_hour: 0.07\n" in (await exporter.ask("GET", "/config"))[1]
        kept = {rig["name"] for rig in rigs[:2]}
        assert kept >= set(values(after, "mining_rig_margin_usd_per_day")) >= kept & read_within(12, after)
        polls = "mining_poll_duration_seconds_count"
        assert (one(after, polls) or 0) >= (one(before, polls) or 0) > 0

        exporter.configure(tariffs={"ppa": {"kind": "fixt"}})
        status, refusal = await exporter.ask("POST", "/-/reload")
        assert status == 500
        assert "did you mean 'fixed'?" in refusal
        process.send_signal(signal.SIGHUP)
        refused = await exporter.until(lambda samples: one(samples, "mining_config_last_reload_successful") == 0)
        assert one(refused, "mining_power_price_usd_per_kilowatt_hour", tariff="ppa") == 0.07
        assert set(values(refused, "mining_rig_last_success_timestamp_seconds")) == kept
        await ended(process)


async def test_a_recorder_of_the_history_that_a_reload_names_is_read(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["tariff"] = "ppa"
    hours = tmp_path / "hours.csv"
    block = next(iter(exporter.config["blocks"]))
    start = time.time() // 3600 * 3600 - 48 * 3600
    times = [datetime.fromtimestamp(start + 3600 * hour, UTC).isoformat() for hour in range(48)]
    rows = [f"{at},{block},ppa,100,5,40,0.05" for at in times]
    columns = "time,block,tariff,kilowatts,petahashes,hashprice,power_price"
    hours.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    known = "mining_block_verdict_evidence_seconds"
    async with exporter.running() as process:
        before = await exporter.until(lambda samples: one(samples, known, block=block) is not None)
        assert (one(before, known, block=block) or 0.0) < 3_600
        exporter.configure(decision={"backfill": {"kind": "file", "path": str(hours)}})
        assert await exporter.ask("POST", "/-/reload") == (200, "Reloaded.\n")
        await exporter.until(lambda samples: (one(samples, known, block=block) or 0.0) >= 47 * 3_600)
        assert "Traceback" not in await ended(process)


async def test_an_inventory_that_lost_most_rigs_is_refused_until_it_is_allowed(
    site: SimulatedSite, tmp_path: Path
) -> None:
    exporter = Exporter(tmp_path, site.config())
    rigs = exporter.config["fleet"]["rigs"]
    refused = "mining_inventory_shrink_refused"
    async with exporter.running() as process:
        await exporter.until(all_margins)
        exporter.configure(fleet={"rigs": rigs[:1]})
        status, text = await exporter.ask("POST", "/-/reload")
        assert status == 500
        assert "fleet.rigs lists 1 rigs instead of 3" in text
        samples = await exporter.until(lambda samples: one(samples, refused) == 1)
        assert len(values(samples, "mining_rig_up")) == 3
        errors = await ended(process)
        assert "inventory lost too many rigs" in errors
    async with exporter.running() as process:
        _, errors = await process.communicate()
        assert process.returncode == 1
        assert b"--allow-shrink" in errors
    async with exporter.running(flags=["--allow-shrink"]) as process:
        await exporter.until(lambda samples: len(values(samples, "mining_rig_margin_usd_per_day")) == 1)
        exporter.configure(fleet={"rigs": []})
        assert (await exporter.ask("POST", "/-/reload"))[0] == 500
        assert (await exporter.ask("POST", "/-/reload?allow_shrink=1")) == (200, "Reloaded.\n")
        await exporter.until(lambda samples: one(samples, refused) == 0 and not values(samples, "mining_rig_up"))
        await ended(process)


async def test_reloading_over_http_is_disabled_by_default(site: SimulatedSite, tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, site.config())
    exporter.config["web"] = {"listen_address": exporter.address}
    async with exporter.running() as process:
        await exporter.until(bool)
        status, text = await exporter.ask("POST", "/-/reload")
        assert status == 403
        assert "SIGHUP" in text
        await ended(process)
