"""Watts by a label of a Prometheus' series: of rigs, or of whole blocks."""

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from source_site import serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import MeterReading
from exporter.sources.contract import SourceContext
from exporter.sources.meters.prometheus import Settings


async def read(*series: tuple[dict[str, str], str], **settings: Any) -> MeterReading:
    async def prometheus(request: web.Request) -> web.Response:
        result = [{"metric": labels, "value": [1774094400, value]} for labels, value in series]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serve(prometheus) as server, aiohttp.ClientSession() as session:
        source = Settings(url=server, query="watts", **settings).build(SourceContext(session))
        value: MeterReading = (await source.fetch()).value
        return value


async def test_a_label_of_choice_names_the_rig() -> None:
    assert await read(({"outlet": "a-01"}, "3400"), rig_label="outlet") == MeterReading(rigs={"a-01": 3400.0})


async def test_a_blocks_meter_may_show_megawatts() -> None:
    reading = await read(({"container": "c1"}, "1.5e6"), ({"container": "c2"}, "NaN"), block_label="container")
    assert reading == MeterReading(blocks={"c1": 1.5e6})


async def test_what_no_rig_draws_costs_only_that_one_its_meter() -> None:
    reading = await read(({"rig": "a"}, "3400"), ({"rig": "rests"}, "-0.4"), ({"rig": "pdu"}, "60000"))
    assert reading == MeterReading(rigs={"a": 3400.0}, refused=("pdu", "rests"))


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        ([({"rig": "a"}, "1"), ({"rig": "a", "phase": "2"}, "1")], Reason.IMPLAUSIBLE),
        ([({"outlet": "a"}, "1")], Reason.GARBLED),
        ([({"rig": "a"}, "4e9")], Reason.IMPLAUSIBLE),
        ([({"rig": "a"}, "-1")], Reason.IMPLAUSIBLE),
        ([({"rig": "a"}, "NaN")], Reason.NOT_READY),
        ([], Reason.NOT_READY),
    ],
)
async def test_what_is_no_watts_by_rig_is_a_failure(series: list[tuple[dict[str, str], str]], reason: Reason) -> None:
    with pytest.raises(Failure) as caught:
        await read(*series)
    assert caught.value.reason is reason


async def test_a_total_meter_shows_the_site_or_its_blocks_and_no_rig() -> None:
    assert await read(({}, "1.2e6"), total_at="utility") == MeterReading(utilities={"": 1.2e6})
    blocks = await read(({"block": "north"}, "6e5"), ({"block": "south"}, "0"), block_label="block", total_at="feeder")
    assert blocks == MeterReading(feeders={"north": 6e5}, refused=("south",))


async def test_a_total_meter_of_the_site_is_one_series() -> None:
    with pytest.raises(Failure, match="returns 2 series, not one"):
        await read(({"phase": "1"}, "1"), ({"phase": "2"}, "1"), total_at="feeder")
    with pytest.raises(Failure, match="watts of the site -5 is outside 0 to 1e"):
        await read(({}, "-5"), total_at="feeder")


async def test_one_rig_with_two_series_costs_only_that_one_its_meter() -> None:
    reading = await read(({"rig": "a"}, "1"), ({"rig": "a", "phase": "2"}, "1"), ({"rig": "b"}, "3400"))
    assert reading == MeterReading(rigs={"b": 3400.0})
