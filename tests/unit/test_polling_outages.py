"""Rigs that stop answering together are one outage, named by what they share."""

import pytest
from structlog.testing import capture_logs

from exporter.model.failures import Reason
from exporter.model.fleet import Rig
from exporter.polling.outages import Outages
from exporter.telemetry import Telemetry

INTERVAL = 30.0


def rigs(count: int, network: str, **facts: str) -> list[Rig]:
    return [Rig(name=f"{network}.{host}", address=f"{network}.{host}", **facts) for host in range(1, count + 1)]


class Site:
    """Which rigs answer, and the outages that follow from it."""

    def __init__(self, *groups: list[Rig]) -> None:
        self.answering = {rig.name: rig for group in groups for rig in group}
        self.telemetry = Telemetry()
        self.outages = Outages(INTERVAL, self.telemetry, self.answering.values)
        self.at = 1000.0

    def lose(self, lost: list[Rig], seconds: float = INTERVAL) -> None:
        """Let rigs fail one after the other, as each is polled at its own moment."""
        for rig in lost:
            self.at += seconds / len(lost)
            if self.answering.pop(rig.name, None):
                self.outages.lost(rig, Reason.TIMEOUT, self.at)
            self.outages.tick(self.at)
        self.wait()

    def back(self, found: list[Rig]) -> None:
        for rig in found:
            self.answering[rig.name] = rig
            self.outages.back(rig.name)
        self.wait()

    def wait(self) -> None:
        self.at += INTERVAL
        self.outages.tick(self.at)

    @property
    def known(self) -> dict[tuple[str, str, str], float]:
        """The rigs of each outage, by block, rack and network."""
        (family,) = [each for each in self.telemetry.registry.collect() if each.name == "mining_outage_rigs"]
        return {(x.labels["block"], x.labels["rack"], x.labels["network"]): x.value for x in family.samples}


NORTH, EAST = rigs(200, "10.0.1", block="north"), rigs(200, "10.0.2", block="east")
SWITCH = rigs(50, "10.0.9", block="north")  # a switch of its own in the block
RACK = [*rigs(12, "10.1.1", block="east", rack="r1"), *rigs(12, "10.1.2", block="east", rack="r1")]
SPARE = rigs(100, "10.1.1", block="south")[12:] + rigs(100, "10.1.2", block="south")[12:]


@pytest.mark.parametrize(
    ("lost", "shared"),
    [
        (NORTH[:190] + SWITCH, ("north", "", "")),
        (SWITCH[:40], ("", "", "10.0.9.0/24")),
        (RACK, ("east", "r1", "")),
        ([*NORTH, *EAST, *SWITCH, *RACK, *SPARE[:150]], ("", "", "")),
        (NORTH[::3] + EAST[::3], ("", "", "")),
    ],
    ids=["feeder", "switch", "rack", "site", "a third of the site"],
)
def test_rigs_that_are_lost_together_are_one_outage_of_what_they_share(
    lost: list[Rig], shared: tuple[str, str, str]
) -> None:
    site = Site(NORTH, EAST, SWITCH, RACK, SPARE)
    with capture_logs() as logs:
        site.lose(lost)
        assert site.known == {shared: len(lost)}
        site.wait()
        assert all(site.outages.includes(rig.name) for rig in lost)
        site.back(lost[: len(lost) // 2])
        assert site.known == {shared: len(lost) - len(lost) // 2}
        site.back(lost)
    assert site.known == {}
    assert not any(site.outages.includes(rig.name) for rig in lost)
    assert [line["event"] for line in logs] == [
        "many rigs stopped answering at once",
        "rigs answer again that had stopped at once",
    ]
    assert logs[1]["rigs"] == logs[1]["of"] == len(lost)


def test_two_feeders_are_two_outages_and_a_third_fault_is_none() -> None:
    site = Site(NORTH, EAST, SPARE, rigs(1000, "far"))
    site.lose([rig for pair in zip(NORTH, EAST, strict=True) for rig in pair] + SPARE[:3])
    assert site.known == {("north", "", ""): 200, ("east", "", ""): 200}
    assert not site.outages.includes(SPARE[0].name)


@pytest.mark.parametrize("seconds", [INTERVAL, 40 * INTERVAL])
def test_few_rigs_and_rigs_that_fail_one_by_one_are_no_outage(seconds: float) -> None:
    site = Site(NORTH, EAST)
    site.lose(NORTH[:9] if seconds == INTERVAL else NORTH, seconds)
    assert site.known == {}


def test_rigs_that_answer_again_before_they_are_counted_are_no_outage() -> None:
    site = Site(NORTH)
    for rig in NORTH[:100]:
        site.outages.lost(rig, Reason.TIMEOUT, site.at)
        site.outages.back(rig.name)
    site.wait()
    assert site.known == {}


def test_an_outage_is_over_when_nine_of_ten_rigs_answer_and_the_others_have_faults_of_their_own() -> None:
    site = Site(NORTH)
    site.lose(NORTH)
    site.back(NORTH[:180])
    assert site.known == {}
    assert not site.outages.includes(NORTH[-1].name)


def test_rigs_at_host_names_and_ipv6_addresses_share_their_block_or_network() -> None:
    named = [Rig(name=f"n{i}", address=f"rig{i}.example", block="named") for i in range(20)]
    six = [Rig(name=f"s{i}", address=f"fd00:0:0:7::{i:x}") for i in range(20)]
    site = Site(named, six, NORTH)
    site.lose([*named, *six])
    assert site.known == {("named", "", ""): 20, ("", "", "fd00:0:0:7::/64"): 20}
