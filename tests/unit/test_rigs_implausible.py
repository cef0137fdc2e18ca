"""Values that no rig can have are dropped, and counted by their kind."""

import asyncio
from collections.abc import Callable

import pytest

from exporter.model.failures import Failure
from exporter.sources.rigs import coerce
from exporter.sources.rigs.implausible import noting

NOW = 1_774_130_400.0


@pytest.mark.parametrize(
    ("read", "kinds"),
    [
        (lambda: coerce.watts(4e9), {"power"}),
        (lambda: coerce.watts("-1"), {"power"}),
        (lambda: coerce.celsius(300), {"temperature"}),
        (lambda: coerce.celsius("nan"), {"temperature"}),
        (lambda: coerce.rpm(float("inf")), {"fan_speed"}),
        (lambda: coerce.hashrate(-1, "TH/s"), {"hashrate"}),
        (lambda: coerce.hashrate(1e9, "TH/s"), {"hashrate"}),
        (lambda: coerce.seconds(1e18), {"uptime"}),
        (lambda: coerce.counter(-5), {"counter"}),
        (lambda: coerce.count(1e9), {"count"}),
        (lambda: coerce.share_time(31_279, NOW), {"share_time"}),  # in 1970
        (lambda: coerce.share_time(NOW + 86_400, NOW), {"share_time"}),
        (lambda: coerce.share_time("-1:00:00", NOW), {"share_time"}),
        (lambda: coerce.share_time("999999:00:00", NOW), {"share_time"}),  # before bitcoin
        (lambda: coerce.share_time(0, NOW), set()),
        (lambda: coerce.share_time("a:b", NOW), set()),
        (lambda: coerce.watts(3500), set()),
        (lambda: coerce.watts("n/a"), set()),
        (lambda: coerce.watts(None), set()),
        (lambda: coerce.celsius(0), set()),
    ],
)
def test_a_forbidden_value_is_none_and_noted(read: Callable[[], object], kinds: set[str]) -> None:
    with noting() as noted:
        read()
    assert noted == kinds
    if kinds:
        assert read() is None


def test_a_mandatory_hashrate_that_can_not_be_is_noted_though_it_fails() -> None:
    with noting() as noted, pytest.raises(Failure):
        coerce.realised(400.0, "TH/s", 100e12)
    assert noted == {"hashrate"}


async def test_rigs_read_at_once_do_not_mix() -> None:
    async def poll(read: Callable[[], object]) -> set[str]:
        with noting() as noted:
            await asyncio.sleep(0)
            read()
            await asyncio.gather(asyncio.sleep(0))
        return noted

    polls = (poll(lambda: coerce.watts(4e9)), poll(lambda: coerce.celsius(300)), poll(lambda: coerce.rpm(5000)))
    assert await asyncio.gather(*polls) == [{"power"}, {"temperature"}, set()]
