"""Which alerts silence which: a real Alertmanager with our routes gets alerts, and a webhook the notifications."""

from collections.abc import Iterator

import pytest
from harness import SITE, Pages, alertmanager, ask, wait_for, webhook

pytestmark = pytest.mark.e2e

ENERGY = {"team": "energy", "severity": "critical"}
HARDWARE = {"team": "hardware", "severity": "warning"}
NOC = {"team": "noc", "severity": "critical"}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pages]]:
    with webhook() as (receiver, pages), alertmanager(tmp_path_factory.mktemp("alertmanager"), receiver) as url:
        yield url, pages


def on(name: str, team: dict[str, str], **labels: str) -> dict[str, str]:
    return {"alertname": name, **team, **labels}


@pytest.mark.parametrize(
    ("alerts", "expected"),
    [
        pytest.param(
            [
                on("MiningSiteUnreachable", NOC),
                on("MiningBlockUnreachable", NOC, block="a"),
                on("MiningRigsDown", NOC),
                on("MiningRigDown", HARDWARE, block="a", rig="a-1"),
            ],
            {"MiningSiteUnreachable"},
            id="a site that is out",
        ),
        pytest.param(
            [
                on("MiningBlockUnreachable", NOC, block="a"),
                on("MiningBlockVoltageSag", {**NOC, "severity": "warning"}, block="a"),
                on("MiningBlockNearThermalLimit", HARDWARE, block="b"),
                on("MiningRigDown", HARDWARE, block="a", rig="a-1"),
                on("MiningRigFanFailed", HARDWARE, block="b", rig="b-1"),
            ],
            {"MiningBlockUnreachable", "MiningBlockNearThermalLimit", "MiningRigFanFailed"},
            id="a block that is out",
        ),
        pytest.param(
            [
                on("MiningRigsDown", NOC),
                on("MiningRigNotMining", HARDWARE, block="a", rig="a-1"),
                on("MiningRigPoolDead", HARDWARE, block="a", rig="a-2"),
            ],
            {"MiningRigsDown", "MiningRigPoolDead"},
            id="many rigs",
        ),
        pytest.param(
            [
                on("MiningRigsLostTogether", NOC, block="a", rack="r1"),
                on("MiningRigDown", HARDWARE, block="a", rig="a-1"),
                on("MiningRigDown", HARDWARE, block="b", rig="b-1"),
                on("MiningRigFanFailed", HARDWARE, block="a", rig="a-2"),
            ],
            {"MiningRigsLostTogether", "MiningRigDown", "MiningRigFanFailed"},
            id="a rack",
        ),
        pytest.param(
            [
                on("MiningRigsLostTogether", NOC, network="10.0.9.0/24"),
                on("MiningRigDown", HARDWARE, block="a", rig="a-1"),
                on("MiningRigsDown", NOC),
            ],
            {"MiningRigsLostTogether"},
            id="a switch",
        ),
        pytest.param(
            [
                on("MiningRigsPoolDead", NOC),
                on("MiningRigsWorkerWrong", NOC),
                on("MiningRigsPoolUncredited", NOC),
                on("MiningBlockOverheating", NOC, block="a"),
                on("MiningSiteLoginsRefused", HARDWARE),
                on("MiningRigPoolDead", HARDWARE, block="a", rig="a-1"),
                on("MiningRigNotMining", HARDWARE, block="a", rig="a-1"),
                on("MiningRigWorkerWrong", HARDWARE, block="a", rig="a-2"),
                on("MiningRigOverheating", HARDWARE, block="a", rig="a-3"),
                on("MiningBlockNearThermalLimit", HARDWARE, block="a"),
                on("MiningRigOverheating", HARDWARE, block="b", rig="b-3"),
                on("MiningRigsLoginRefused", {**HARDWARE, "severity": "info"}),
            ],
            {
                "MiningRigsPoolDead",
                "MiningRigsWorkerWrong",
                "MiningBlockOverheating",
                "MiningSiteLoginsRefused",
                "MiningRigOverheating b",
            },
            id="faults of many rigs",
        ),
        pytest.param(
            [
                on("MiningPowerPriceStale", ENERGY),
                on("MiningSourceFailing", {**ENERGY, "severity": "warning"}, source="power"),
            ],
            {"MiningPowerPriceStale"},
            id="a price that is missing",
        ),
        pytest.param(
            [
                on("MiningExporterDown", NOC, instance="shard-1"),
                on("MiningShardMissing", NOC),
                on("MiningStateNotKept", {**NOC, "severity": "warning"}, instance="shard-1"),
                on("MiningExporterSlow", {**NOC, "severity": "warning"}, instance="shard-0"),
                on("MiningBlockAvoidableLoss", ENERGY, block="b"),
                on("MiningBlockUnreachable", NOC, block="c"),
            ],
            {"MiningExporterDown", "MiningExporterSlow", "MiningBlockAvoidableLoss", "MiningBlockUnreachable"},
            id="a shard that is down, beside others that are not",
        ),
        pytest.param(
            [
                on("MiningBlockAvoidableLoss", ENERGY, block="a"),
                on("MiningSiteAvoidableLoss", ENERGY),
                on("MiningRigAvoidableLoss", {"team": "energy", "severity": "info"}, block="a", rig="a-1"),
            ],
            {"MiningBlockAvoidableLoss"},
            id="a block that loses",
        ),
        pytest.param(
            [
                on("MiningRigDown", HARDWARE, block="a", rig="a-1"),
                on("MiningRigPowerUnexpected", HARDWARE, block="a", rig="a-1"),
            ],
            {"MiningRigDown"},
            id="a rig that is down",
        ),
    ],
)
def test_what_follows_from_an_outage_is_not_notified(
    manager: tuple[str, Pages], request: pytest.FixtureRequest, alerts: list[dict[str, str]], expected: set[str]
) -> None:
    url, pages = manager
    site = f"{SITE} {request.node.callspec.id}"
    ask(f"{url}/api/v2/alerts", [{"labels": {**labels, "site": site}} for labels in alerts])
    # In a group of its own, of those that wait longest, and under no rule: once it is there, so is what came with it.
    ask(f"{url}/api/v2/alerts", [{"labels": {**on("MiningSourcesDisagree", HARDWARE), "site": f"{site}, after"}}])
    names = {name.split()[0] for name in expected}

    def delivered() -> list[tuple[str, str]]:
        return [
            (labels["alertname"], labels.get("block", ""))
            for _, notification in list(pages.notifications)
            for alert in notification["alerts"]
            if (labels := alert["labels"])["site"] == site
        ]

    wait_for("what is news", lambda: names <= {name for name, _ in delivered()})
    wait_for(
        "what comes after it",
        lambda: [
            each
            for each in pages.alerts("MiningSourcesDisagree", "firing")
            if each[1]["labels"]["site"] == f"{site}, after"
        ],
    )
    assert {name for name, _ in delivered()} == names
    for name in expected:
        if " " in name:
            assert {block for each, block in delivered() if each == name.split()[0]} == {name.split()[1]}
