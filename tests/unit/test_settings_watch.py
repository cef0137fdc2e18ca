"""Changed inventory files are noticed, and what a reload changes is reported."""

import asyncio
import os
from pathlib import Path

import pytest

from exporter.settings.load import load
from exporter.settings.model import Settings
from exporter.settings.watch import changes, stamps, watch

SITE = """\
site: prairie-1
tariffs: {ppa: {kind: fixed, usd_per_kilowatt_hour: 0.05}}
network: {kind: bitcoin_core, username: rpc, password: hunter2}
fleet: {csv: [rigs.csv], defaults: {password_file: rig-password}}
"""
ROWS = "name,address\na,127.60.0.5\nb,127.60.0.6\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site.yml").write_text(SITE, encoding="utf-8")
    (tmp_path / "rigs.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "rig-password").write_text("root", encoding="utf-8")
    return tmp_path


def loaded(folder: Path) -> Settings:
    return load(folder / "site.yml")


def test_every_file_of_the_inventory_is_known(folder: Path) -> None:
    assert loaded(folder).inventory_files == (folder / "rigs.csv", folder / "rig-password")


def test_a_stamp_changes_with_content_replacement_and_removal(folder: Path) -> None:
    file = folder / "rigs.csv"
    seen = [stamps([file])]
    file.write_text(ROWS + "c,127.60.0.7\n", encoding="utf-8")
    seen.append(stamps([file]))
    other = folder / "new.csv"
    other.write_text(ROWS, encoding="utf-8")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.rename(file)
    seen.append(stamps([file]))
    file.unlink()
    seen.append(stamps([file]))
    assert seen[-1] == {file: None}
    assert all(one != other for index, one in enumerate(seen) for other in seen[:index])


async def test_what_changes_while_a_change_is_read_is_reported_too(folder: Path) -> None:
    settings, looks, noticed = loaded(folder), asyncio.Semaphore(0), 0

    def running() -> Settings:
        looks.release()
        return settings

    async def changed() -> None:
        nonlocal noticed
        noticed += 1
        if noticed == 1:  # after the file was read, and before the reload is over
            (folder / "rigs.csv").write_text(ROWS + "c,127.60.0.7\n", encoding="utf-8")

    watching = asyncio.create_task(watch(running, changed, every=0.01))
    try:
        for _ in range(2):
            await looks.acquire()
        (folder / "rigs.csv").write_text(ROWS + "#\n", encoding="utf-8")
        async with asyncio.timeout(600):
            while noticed < 2:
                await looks.acquire()
        for _ in range(5):
            await looks.acquire()
    finally:
        watching.cancel()
    assert noticed == 2


async def test_what_changes_between_the_load_and_the_first_look_is_reported(folder: Path) -> None:
    settings, noticed = loaded(folder), asyncio.Event()
    (folder / "rigs.csv").write_text(ROWS + "c,127.60.0.7\n", encoding="utf-8")

    async def changed() -> None:
        noticed.set()

    watching = asyncio.create_task(watch(lambda: settings, changed, every=0.01))
    try:
        await asyncio.wait_for(noticed.wait(), 600)
    finally:
        watching.cancel()


async def test_a_changed_file_is_reported_once(folder: Path) -> None:
    settings, looks, noticed = loaded(folder), asyncio.Semaphore(0), 0

    def running() -> Settings:
        looks.release()  # a look begins, and so the one before it is over
        return settings

    async def changed() -> None:
        nonlocal noticed
        noticed += 1

    watching = asyncio.create_task(watch(running, changed, every=0.01))
    try:
        for text in (ROWS + "#\n", ROWS):
            for _ in range(2):
                await looks.acquire()
            (folder / "rigs.csv").write_text(text, encoding="utf-8")
            before = noticed
            while noticed == before:
                await looks.acquire()
            for _ in range(5):
                await looks.acquire()
    finally:
        watching.cancel()
    assert noticed == 2


def test_the_changes_of_a_reload_are_logged(folder: Path) -> None:
    before = loaded(folder)
    (folder / "rigs.csv").write_text("name,address\na,127.60.0.9\nc,127.60.0.7\n", encoding="utf-8")
    (folder / "site.yml").write_text(SITE.replace("0.05", "0.06") + "polling: {interval: 60s}\n", encoding="utf-8")
    assert changes(before, loaded(folder)) == {
        "rigs_added": "c",
        "rigs_removed": "b",
        "rigs_changed": "a",
        "keys": "polling.interval, tariffs.ppa.usd_per_kilowatt_hour",
    }
    assert changes(before, before) == {}


def test_a_new_range_is_a_changed_key_and_no_rigs_yet(folder: Path) -> None:
    before = loaded(folder)
    ranged = SITE.replace("fleet: {", "fleet: {ranges: [{cidr: 127.60.4.0/30}], ")
    (folder / "site.yml").write_text(ranged, encoding="utf-8")
    assert changes(before, loaded(folder)) == {"keys": "fleet.ranges"}


def test_many_changed_rigs_are_counted(folder: Path) -> None:
    before = loaded(folder)
    rows = "".join(f"n{number:02},127.60.1.{number}\n" for number in range(1, 14))
    (folder / "rigs.csv").write_text(ROWS + rows, encoding="utf-8")
    assert changes(before, loaded(folder))["rigs_added"].endswith("n10 and 3 more")
