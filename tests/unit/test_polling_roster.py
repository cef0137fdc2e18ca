"""Rigs that are found in ranges, and rigs that DHCP moves: who is who, wherever it answers."""

import asyncio
import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from virtual_time import run, unix_clock

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials, Rig
from exporter.model.readings import RigIdentity, RigReading
from exporter.model.snapshot import RigSnapshot
from exporter.polling.ledger import RigMemory
from exporter.polling.rigs import RigPoller
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.contract import OtherRig, Target
from exporter.telemetry import Telemetry

SEARCH = 900.0
DAY = 86_400.0


def device(number: int, **changes: str) -> RigIdentity:
    facts = {"reader": "fake", "make": "Acme", "model": "A1", "mac": mac(number), "serial": f"SN{number}"}
    return RigIdentity(**(facts | changes))


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


class Lan:
    """Devices at addresses. A read detects a foreign MAC as far as ``checks_mac``."""

    def __init__(self, devices: dict[str, RigIdentity] | None = None, *, checks_mac: bool = True) -> None:
        self.devices = dict(devices or {})
        self.checks_mac = checks_mac
        self.asked: Counter[str] = Counter()
        self.reads: dict[str, list[float]] = defaultdict(list)
        self.lie: Failure | None = None
        self.answered = asyncio.Event()
        self.identifying = self.most_identifying = 0

    async def identify(self, target: Target) -> RigIdentity:
        self.asked[target.address] += 1
        self.identifying += 1
        self.most_identifying = max(self.most_identifying, self.identifying)
        try:
            await asyncio.sleep(0.1 if target.address in self.devices else 2.0)
        finally:
            self.identifying -= 1
        identity = self._at(target)
        self.answered.set()
        return identity

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:
        here = self._at(target)
        self.reads[target.address].append(asyncio.get_running_loop().time())
        if self.checks_mac and here.mac != identity.mac:
            raise OtherRig(here.mac)
        if self.lie is not None:
            raise self.lie
        return RigReading(hashrate=float(here.serial[2:] or 0), power=1000.0, mining=True)

    def _at(self, target: Target) -> RigIdentity:
        if target.address not in self.devices:
            raise Failure(Reason.UNREACHABLE, "nobody there")
        return self.devices[target.address]


def ranged(*addresses: str, **facts: str) -> list[Rig]:
    return [Rig(name=address, address=address, discovered=True, **facts) for address in addresses]


def make(rigs: Iterable[Rig], lan: Lan, telemetry: Telemetry | None = None, **options: object) -> RigPoller:
    options.setdefault("clock", unix_clock)
    return RigPoller(rigs, lan, PollingSettings(), telemetry or Telemetry(), rng=random.Random(7), **options)


@asynccontextmanager
async def polling(poller: RigPoller) -> AsyncIterator[None]:
    task = asyncio.create_task(poller.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def seen(poller: RigPoller) -> dict[str, RigSnapshot]:
    snapshots = poller.snapshots(unix_clock())
    named = {snapshot.rig.name: snapshot for snapshot in snapshots}
    assert len(named) == len(snapshots)
    return named


def whereabouts(poller: RigPoller) -> dict[str, tuple[str, bool | None]]:
    return {name: (snapshot.rig.address, snapshot.up) for name, snapshot in seen(poller).items()}


# --- rigs of a range --------------------------------------------------------------------------------------------------


def test_an_address_where_nothing_answers_is_no_rig() -> None:
    async def main() -> None:
        lan, telemetry = Lan(), Telemetry()
        poller = make(ranged("x", "y"), lan, telemetry)
        assert poller.first_round.is_set()
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(DAY)
        assert poller.snapshots(unix_clock()) == ()
        assert poller.memories(unix_clock()) == {}
        assert logs == []
        assert telemetry.registry.get_sample_value("mining_poll_failures_total", {"reason": "unreachable"}) is None
        assert telemetry.registry.get_sample_value("mining_poll_duration_seconds_count") == 0
        assert all(DAY / SEARCH <= times <= 3 * DAY / SEARCH for times in lan.asked.values())

    run(main())


@pytest.mark.parametrize(
    ("identity", "name"),
    [
        (device(1), mac(1)),
        (device(1, mac=""), "SN1"),
        (device(1, mac="", serial=""), "x"),
    ],
)
def test_a_found_rig_is_named_by_mac_else_serial_else_address(identity: RigIdentity, name: str) -> None:
    async def main() -> None:
        poller = make(ranged("x", "y", block="b1", customer="acme"), Lan({"x": identity}))
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(61)
                (found,) = poller.snapshots(unix_clock())
        assert (found.rig.name, found.rig.address, found.rig.block, found.rig.customer) == (name, "x", "b1", "acme")
        assert (found.up, found.identity) == (True, identity)
        assert [(log["event"], log["rig"]) for log in logs] == [("rig found", name)]

    run(main())


def test_a_found_rig_keeps_its_name_when_it_tells_more_of_itself() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1, mac="", serial="")}, checks_mac=False)
        poller = make(ranged("x", "y"), lan)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices = {"x": device(1)}
            await asyncio.sleep(DAY)
            assert whereabouts(poller) == {"x": ("x", True)}
            lan.devices = {"y": device(1)}
            await asyncio.sleep(2 * SEARCH)
            assert whereabouts(poller) == {"x": ("y", True)}

    run(main())


def test_a_rig_that_only_once_could_not_say_its_mac_is_not_named_by_its_address() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1, mac="", serial="")})
        poller = make(ranged("x"), lan)
        async with polling(poller):
            await asyncio.wait_for(lan.answered.wait(), 31)
            lan.devices["x"] = device(1)
            await asyncio.sleep(61)
            assert list(seen(poller)) == [mac(1)]

    run(main())


def test_a_found_rig_that_sleeps_stays_as_down_also_across_a_restart() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        rigs = ranged("w", "x", "y")
        poller = make(rigs, lan)
        async with polling(poller):
            await asyncio.sleep(91)
            energy = seen(poller)[mac(1)].energy
            lan.devices.clear()
            await asyncio.sleep(DAY / 4)
            assert whereabouts(poller) == {mac(1): ("x", False)}
        poller = make(rigs, lan, remembered=poller.memories(unix_clock()))
        assert not poller.first_round.is_set()
        async with polling(poller):
            await asyncio.sleep(31)
            assert whereabouts(poller) == {mac(1): ("x", False)}
            lan.devices["x"] = device(1)
            await asyncio.sleep(300)
            assert seen(poller)[mac(1)].energy >= energy > 0

    run(main())


def test_a_remembered_rig_is_read_at_once_after_a_restart() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        memory = RigMemory(identity=device(1), last_success=unix_clock(), address="x", discovered=True)
        poller = make(ranged("x"), lan, remembered={mac(1): memory})
        async with polling(poller):
            await asyncio.sleep(31)
            assert whereabouts(poller) == {mac(1): ("x", True)}
        assert not lan.asked

    run(main())


def test_a_rescan_forgets_no_sleeping_rig_but_one_whose_address_left_the_inventory() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1), "y": device(2)})
        poller = make(ranged("x", "y"), lan)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices.clear()
            await asyncio.sleep(61)
            poller.replace(ranged("x", "y", "z", block="b2"), {})
            assert {name: snapshot.rig.block for name, snapshot in seen(poller).items()} == {mac(1): "b2", mac(2): "b2"}
            poller.replace(ranged("y", "z"), {})
            assert list(seen(poller)) == [mac(2)]
            poller.replace([Rig(name="listed", address="y"), *ranged("x", "z")], {})
            assert list(seen(poller)) == ["listed", mac(1)]

    run(main())


def test_a_row_with_the_mac_of_a_found_rig_takes_its_place() -> None:
    async def main() -> None:
        poller = make(ranged("x", "y"), Lan({"x": device(1)}))
        async with polling(poller):
            await asyncio.sleep(61)
            poller.replace([Rig(name="a-01", address="y", mac=mac(1)), *ranged("x")], {})
            await asyncio.sleep(2 * SEARCH)
            assert whereabouts(poller) == {"a-01": ("x", True)}

    run(main())


def test_a_large_range_is_searched_a_few_at_a_time_and_holds_up_nobody() -> None:
    async def main() -> None:
        empty = ranged(*(f"e-{i}" for i in range(10_000)))
        rigs = [Rig(name=f"rig-{i}", address=f"rig-{i}") for i in range(100)]
        lan = Lan({rig.address: device(i) for i, rig in enumerate(rigs)})
        poller = make([*rigs, *empty], lan)
        async with polling(poller):
            await asyncio.wait_for(poller.first_round.wait(), 31)
            await asyncio.sleep(1800)
            assert len(seen(poller)) == 100
            assert lan.most_identifying <= 75
            assert lan.asked.keys() >= {rig.address for rig in empty}

    run(main())


# --- rigs that move ---------------------------------------------------------------------------------------------------

LISTED = Rig(name="a-01", address="x", mac=mac(1), block="b1")
BY_SERIAL = Rig(name="a-01", address="x", serial="SN1", block="b1")


@pytest.mark.parametrize("rig", [LISTED, BY_SERIAL, *ranged("x", block="b1")])
@pytest.mark.parametrize("checks_mac", [True, False])
def test_a_rig_goes_on_at_the_address_that_dhcp_gave_it(rig: Rig, checks_mac: bool) -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)}, checks_mac=checks_mac)
        rigs = [rig, *ranged("y", block="b1")]
        poller = make(rigs, lan)
        async with polling(poller):
            await asyncio.sleep(301)
            (before,) = poller.snapshots(unix_clock())
            lan.devices = {"y": device(1)}
            with capture_logs() as logs:
                await asyncio.sleep(2 * SEARCH)
            (after,) = poller.snapshots(unix_clock())
            assert after.rig == replace(before.rig, address="y")
            assert (after.up, after.identity) == (True, before.identity)
            assert after.energy > before.energy > 0
            assert [log["event"] for log in logs if "moved" in log["event"]] == ["rig has moved"]
            asked = lan.asked["x"], lan.asked["y"]
        poller = make(rigs, lan, remembered=poller.memories(unix_clock()))
        async with polling(poller):
            await asyncio.sleep(31)
            assert whereabouts(poller) == {before.rig.name: ("y", True)}
            poller.replace(rigs, {})
            assert whereabouts(poller) == {before.rig.name: ("y", True)}
        assert (lan.asked["x"] - asked[0], lan.asked["y"] - asked[1]) == (1, 0)

    run(main())


@pytest.mark.parametrize("rigs", [ranged("x", "y"), [LISTED, Rig(name="a-02", address="y", mac=mac(2))]])
@pytest.mark.parametrize("checks_mac", [True, False])
def test_rigs_that_swap_addresses_are_distinguished(rigs: list[Rig], checks_mac: bool) -> None:
    async def main() -> None:
        lan = Lan({"x": device(1), "y": device(2)}, checks_mac=checks_mac)
        poller = make(rigs, lan)
        async with polling(poller):
            await asyncio.sleep(61)
            names = sorted(seen(poller))
            lan.devices = {"x": device(2), "y": device(1)}
            await asyncio.sleep(DAY + SEARCH)
            assert whereabouts(poller) == {names[0]: ("y", True), names[1]: ("x", True)}
            assert [seen(poller)[name].reading.value.hashrate for name in names] == [1.0, 2.0]
        poller = make(rigs, lan, remembered=poller.memories(unix_clock()))
        async with polling(poller):
            await asyncio.sleep(31)
            assert whereabouts(poller) == {names[0]: ("y", True), names[1]: ("x", True)}

    run(main())


def test_a_site_whose_addresses_are_all_dealt_anew_is_sorted_out_in_a_minute_and_costs_others_nothing() -> None:
    async def main() -> None:
        moving = {f"m-{i}": replace(device(i), mac=f"02:00:00:01:{i // 256:02x}:{i % 256:02x}") for i in range(500)}
        staying = {f"s-{i}": device(i) for i in range(200)}
        lan, telemetry = Lan(moving | staying), Telemetry()
        poller = make(ranged(*lan.devices), lan, telemetry)

        def readings(of: Iterable[RigIdentity]) -> int:
            known = seen(poller)
            return sum(known[who.mac].up is True and known[who.mac].reading is not None for who in of)

        async with polling(poller):
            await asyncio.sleep(900)
            lan.asked.clear()
            lan.most_identifying = 0
            dealt = list(moving.values())
            random.Random(7).shuffle(dealt)
            lan.devices |= dict(zip(moving, dealt, strict=True))
            for _ in range(10):
                await asyncio.sleep(6.5)
                assert readings(staying.values()) == 200
            assert readings(dealt) == 500
            known = seen(poller)
            assert all(known[who.mac].rig.address == address for address, who in lan.devices.items())
        assert lan.most_identifying <= 75
        assert lan.asked.total() < 2 * 500

    run(main())


def test_an_address_that_changes_hands_costs_one_poll() -> None:
    async def main() -> None:
        lan, telemetry = Lan({"x": device(1)}), Telemetry()
        poller = make([Rig(name="a-01", address="x")], lan, telemetry)
        async with polling(poller):
            await asyncio.sleep(600)
            lan.asked.clear()
            lan.reads.clear()
            lan.devices["x"] = device(2)
            await asyncio.sleep(31)
            assert seen(poller)["a-01"].identity == device(2)
            assert seen(poller)["a-01"].reading.value.hashrate == 2.0
            refused, good = lan.reads["x"]
            assert good - refused < 1.5  # s: the scheduler looks up once a second, and who it is was asked
            await asyncio.sleep(600)
        assert lan.asked["x"] == 1
        value = telemetry.registry.get_sample_value
        assert value("mining_poll_failures_total", {"reason": "implausible"}) == 1
        assert value("mining_rig_identity_changes_total", {"change": "device"}) == 1

    run(main())


def test_what_another_device_said_is_not_shown_for_the_one_that_came() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make([Rig(name="a-01", address="x")], lan)
        async with polling(poller):
            await asyncio.sleep(600)
            lan.devices["x"] = device(2)
            lan.lie = Failure(Reason.TIMEOUT, "who it is was all that it said")
            await asyncio.sleep(31)
            assert (seen(poller)["a-01"].identity, seen(poller)["a-01"].reading) == (device(2), None)

    run(main())


def test_what_the_inventory_says_anew_of_an_address_is_tried_within_the_interval() -> None:
    async def main() -> None:
        lan = Lan()
        listed = Rig(name="a-01", address="x")
        poller = make([listed, *ranged("y")], lan)
        async with polling(poller):
            await asyncio.sleep(2 * 3600)
            lan.devices = {"x": device(1), "y": device(2)}
            anew = [replace(listed, logins=(Credentials("root", "right"),)), Rig(name="a-02", address="y")]
            poller.replace(anew, {})
            await asyncio.sleep(31)
            assert whereabouts(poller) == {"a-01": ("x", True), "a-02": ("y", True)}
            polls = {address: len(times) for address, times in lan.reads.items()}
            await asyncio.sleep(10 * 30)
            assert {len(times) - polls[address] for address, times in lan.reads.items()} == {10}

    run(main())


def test_a_rig_that_says_what_can_not_be_is_not_identified_at_once() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make([Rig(name="a-01", address="x")], lan)
        async with polling(poller):
            await asyncio.sleep(600)
            lan.asked.clear()
            lan.lie = Failure(Reason.IMPLAUSIBLE, "hashrate of 9e20 H/s where at most 2e15 is possible")
            await asyncio.sleep(59)
            assert seen(poller)["a-01"].up is False
            assert not lan.asked

    run(main())


def test_two_rigs_that_take_turns_at_one_address_are_not_identified_at_each_poll() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make([Rig(name="a-01", address="x")], lan)
        async with polling(poller):
            await asyncio.sleep(DAY / 24)
            lan.asked.clear()
            for number in range(120):
                lan.devices["x"] = device(1 + number % 2)
                await asyncio.sleep(30)
        assert lan.asked["x"] <= 120 * 30 / PollingSettings().max_backoff

    run(main())


def test_another_rig_at_a_found_rigs_address_is_a_rig_of_its_own() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make(ranged("x", "y"), lan)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices = {"x": device(2)}
            await asyncio.sleep(600)
            assert whereabouts(poller) == {mac(1): ("x", False), mac(2): ("x", True)}
            assert seen(poller)[mac(1)].reading is None
            lan.devices = {"x": device(2), "y": device(1)}
            await asyncio.sleep(2 * SEARCH)
            assert whereabouts(poller) == {mac(1): ("y", True), mac(2): ("x", True)}

    run(main())


def test_a_rig_whose_address_another_has_taken_stays_as_down_across_a_restart() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make(ranged("x", "y"), lan)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices = {"x": device(2)}
            await asyncio.sleep(600)
        poller = make(ranged("x", "y"), lan, remembered=poller.memories(unix_clock()))
        async with polling(poller):
            await asyncio.sleep(61)
            assert whereabouts(poller) == {mac(1): ("x", False), mac(2): ("x", True)}
            lan.devices["y"] = device(1)
            await asyncio.sleep(2 * SEARCH)
            assert whereabouts(poller) == {mac(1): ("y", True), mac(2): ("x", True)}

    run(main())


@pytest.mark.parametrize(("days", "left"), [(29, {mac(1), mac(2)}), (31, {mac(2)})])
def test_a_found_rig_is_forgotten_once_another_has_had_its_address_for_a_month(days: int, left: set[str]) -> None:
    async def main() -> None:
        lan, later = Lan({"x": device(1)}), 0.0
        poller = make(ranged("x"), lan, clock=lambda: unix_clock() + later)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices = {"x": device(2)}
            await asyncio.sleep(600)
            later = days * DAY
            await asyncio.sleep(61)
            assert set(seen(poller)) == {mac(1), mac(2)}
            poller.replace(ranged("x"), {})
            assert set(seen(poller)) == left

    run(main())


@pytest.mark.parametrize("rig", [LISTED, Rig(name="a-01", address="x", block="b1")])
def test_a_swapped_control_board_is_the_same_rig_of_the_inventory(rig: Rig) -> None:
    async def main() -> None:
        lan, telemetry = Lan({"x": device(1)}), Telemetry()
        poller = make([rig, *ranged("y")], lan, telemetry)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices = {"x": device(9)}
            await asyncio.sleep(600)
            assert whereabouts(poller) == {"a-01": ("x", True)}
            assert seen(poller)["a-01"].identity == device(9)
        assert telemetry.registry.get_sample_value("mining_rig_identity_changes_total", {"change": "device"}) == 1

    run(main())


def test_the_first_of_two_rigs_with_one_mac_is_kept_and_the_other_logged_once() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make(ranged("x", "y"), lan)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices["y"] = device(1)
            with capture_logs() as logs:
                await asyncio.sleep(DAY)
            assert whereabouts(poller) == {mac(1): ("x", True)}
            logged = [log for log in logs if log["event"] == "another address has the identity of this rig"]
            assert [(log["here"], log["there"]) for log in logged] == [("x", "y")]
            assert lan.asked["y"] <= 3 * DAY / SEARCH
            del lan.devices["x"]
            await asyncio.sleep(2 * SEARCH)
            assert whereabouts(poller) == {mac(1): ("y", True)}

    run(main())


def test_names_that_collide_are_evaded() -> None:
    async def main() -> None:
        lan = Lan({"p": device(7), "x": device(1), "y": device(2, serial="x"), "z": device(3, mac="", serial="")})
        rigs = [Rig(name=mac(1), address="p"), Rig(name=mac(2), address="q"), Rig(name="z", address="r")]
        poller = make([*rigs, *ranged("x", "y", "z")], lan)
        async with polling(poller):
            await asyncio.sleep(SEARCH)
            found = {snapshot.rig.address: name for name, snapshot in seen(poller).items()}
        assert found == {"p": mac(1), "q": mac(2), "r": "z", "x": "SN1", "y": "x"}

    run(main())


def test_what_is_no_rig_of_a_row_is_left_alone_after_its_rig_has_moved() -> None:
    async def main() -> None:
        lan = Lan({"x": device(1)})
        poller = make([LISTED, *ranged("y")], lan)
        async with polling(poller):
            await asyncio.sleep(61)
            lan.devices = {"x": device(2), "y": device(1)}
            await asyncio.sleep(2 * SEARCH)
            assert whereabouts(poller) == {"a-01": ("y", True)}
            assert seen(poller)["a-01"].reading.value.hashrate == 1.0

    run(main())
