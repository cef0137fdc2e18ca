import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs
from virtual_time import run, unix_clock

from exporter.model.failures import Failure, Reason
from exporter.model.readings import Reading
from exporter.polling.market import Market, SourceName, SourceRoom
from exporter.polling.sources import SourcePoller
from exporter.sources.contract import MemberState, SourceContext, SourceSettings
from exporter.telemetry import Telemetry


class Feed:
    """Gives one answer after the other, the last one for ever: a value, a reading, an exception; infinity hangs."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.asked: list[float] = []

    async def fetch(self) -> Reading[float]:
        self.asked.append(asyncio.get_running_loop().time())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Reading):
            return answer
        if answer == math.inf:
            await asyncio.sleep(math.inf)
        return Reading(answer, unix_clock())

    @property
    def pauses(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.asked)]


class Settings(SourceSettings):
    kind: str = "fake"


def make(feed: Feed, telemetry: Telemetry | None = None, **settings: float) -> SourcePoller[float]:
    return SourcePoller(
        "price", feed, Settings(**settings), telemetry or Telemetry(), clock=unix_clock, rng=random.Random(7)
    )


def value_of(poller: SourcePoller[float]) -> float | None:
    reading = poller.latest.fresh(unix_clock())
    return None if reading is None else reading.value


@asynccontextmanager
async def polling(poller: SourcePoller[float]) -> AsyncIterator[None]:
    task = asyncio.create_task(poller.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def sample(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, {"source": "price", **labels})


def test_it_asks_at_once_and_then_on_its_cadence() -> None:
    async def main() -> None:
        feed, telemetry = Feed(70_370.0), Telemetry()
        poller = make(feed, telemetry, interval=60)
        began = asyncio.get_running_loop().time()
        async with polling(poller):
            await poller.attempted.wait()
            assert asyncio.get_running_loop().time() == began
            assert value_of(poller) == 70_370.0
            await asyncio.sleep(3600)
        assert 57 <= min(feed.pauses) < max(feed.pauses) <= 63
        assert sample(telemetry, "mining_source_up") == 1
        assert sample(telemetry, "mining_source_requests_total") == len(feed.asked)
        assert sample(telemetry, "mining_source_last_success_timestamp_seconds") > 1_774_000_000

    run(main())


def test_a_source_that_is_down_is_asked_sooner_then_ever_later_up_to_its_cadence() -> None:
    async def main() -> None:
        feed = Feed(Failure(Reason.TIMEOUT, "hangs"))
        async with polling(make(feed, interval=600)):
            await asyncio.sleep(2 * 3600)
        assert 5 <= feed.pauses[0] <= 10
        assert 10 <= feed.pauses[1] <= 20
        assert all(300 <= pause <= 600 for pause in feed.pauses[6:])

    run(main())


@pytest.mark.parametrize(
    ("failure", "low", "high"),
    [
        (Failure(Reason.RATE_LIMITED, "429", retry_after=1234.0), 1234, 1234),
        (Failure(Reason.NOT_READY, "503", retry_after=200.0), 200, 200),
        (Failure(Reason.NOT_READY, "503", retry_after=0.0), 5, 10),
        (Failure(Reason.NOT_READY, "503", retry_after=1e9), 1800, 1800),
        (Failure(Reason.RATE_LIMITED, "429"), 60, 120),
    ],
)
def test_who_asks_for_a_pause_gets_it(failure: Failure, low: float, high: float) -> None:
    async def main() -> None:
        feed = Feed(failure, 1.0)
        async with polling(make(feed, interval=60, max_age=1800)):
            await asyncio.sleep(3601)
        assert low <= feed.pauses[0] <= high

    run(main())


def test_a_pause_is_never_longer_than_an_hour_unless_the_source_is_asked_more_rarely() -> None:
    settings = [Settings(interval=interval, max_age=86_400) for interval in (60, 7_200)]
    assert [each.longest_rest for each in settings] == [3_600, 14_400]


LIMITED = Failure(Reason.RATE_LIMITED, "429")


def test_a_limit_after_other_failures_waits_like_the_first_one() -> None:
    async def main() -> None:
        feed = Feed(*[Failure(Reason.TIMEOUT, "hangs")] * 8, LIMITED, 1.0)
        async with polling(make(feed, interval=60)):
            await asyncio.sleep(3_600)
        assert 60 <= feed.pauses[8] <= 120

    run(main())


def test_only_limits_in_a_row_lengthen_the_wait_up_to_the_age_of_the_value() -> None:
    async def main() -> None:
        feed = Feed(*[LIMITED] * 5, Failure(Reason.TIMEOUT, "hangs"), LIMITED, 1.0)
        async with polling(make(feed, interval=60, max_age=600)):
            await asyncio.sleep(2 * 3_600)
        for pause, longest in zip(feed.pauses, (120, 240, 480, 600, 600, 60, 120), strict=False):
            assert longest / 2 <= pause <= longest

    run(main())


def test_down_and_back_are_said_once_and_the_value_is_used_while_fresh() -> None:
    async def main() -> None:
        feed = Feed(1.0, *[Failure(Reason.REFUSED, "closed")] * 5, 2.0)
        telemetry = Telemetry()
        poller = make(feed, telemetry, interval=60, max_age=120)
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(100)
                assert sample(telemetry, "mining_source_up") == 0
                assert value_of(poller) == 1.0
                await asyncio.sleep(40)
                assert poller.latest.fresh(unix_clock()) is None
                await asyncio.sleep(600)
                assert value_of(poller) == 2.0
        assert [log["event"] for log in logs] == ["source is down", "source is back"]
        assert (logs[0]["source"], logs[0]["reason"], logs[0]["detail"]) == ("price", "refused", "closed")
        assert sample(telemetry, "mining_source_failures_total", reason="refused") == 5
        assert sample(telemetry, "mining_source_up") == 1

    run(main())


@pytest.mark.parametrize("age", [1000.0, -1000.0])
def test_an_answer_that_is_stale_already_is_a_failure_and_replaces_nothing(age: float) -> None:
    async def main() -> None:
        feed, telemetry = Feed(1.0, Reading(2.0, unix_clock() - age)), Telemetry()
        poller = make(feed, telemetry, interval=60, max_age=600)
        async with polling(poller):
            await asyncio.sleep(70)
            assert value_of(poller) == 1.0
        assert sample(telemetry, "mining_source_failures_total", reason="stale") >= 1
        assert sample(telemetry, "mining_source_up") == 0

    run(main())


def test_a_source_that_hangs_is_given_up_and_the_first_attempt_ends() -> None:
    async def main() -> None:
        feed, telemetry = Feed(math.inf, 1.0), Telemetry()
        poller = make(feed, telemetry)
        async with polling(poller):
            await asyncio.wait_for(poller.attempted.wait(), 61)
            await asyncio.sleep(11)
            assert poller.latest.fresh(unix_clock()) is not None
        assert sample(telemetry, "mining_source_failures_total", reason="timeout") == 1

    run(main())


def test_a_bug_in_a_source_costs_one_fetch_and_is_logged_with_its_traceback() -> None:
    async def main() -> None:
        feed, telemetry = Feed(KeyError("x"), KeyError("x"), 1.0), Telemetry()
        poller = make(feed, telemetry)
        with capture_logs() as logs:
            async with polling(poller):
                await asyncio.sleep(60)
        assert [log["event"] for log in logs] == ["unexpected error", "source is down", "source is back"]
        assert isinstance(logs[0]["exc_info"], KeyError)
        assert sample(telemetry, "mining_source_failures_total", reason="internal") == 2

    run(main())


def test_a_remembered_value_is_used_while_it_is_fresh() -> None:
    async def main() -> None:
        poller = make(Feed(Failure(Reason.UNREACHABLE, "no route")), max_age=600)
        poller.restore(Reading(1.5, unix_clock() - 500))
        async with polling(poller):
            await asyncio.sleep(50)
            assert value_of(poller) == 1.5
            await asyncio.sleep(100)
            assert poller.latest.fresh(unix_clock()) is None

    run(main())


class Dead(SourceSettings):
    """Settings of a source that never answers."""

    kind: str = "dead"
    url: str

    def build(self, context: SourceContext, remembered: object = None) -> Feed:  # noqa: ARG002 - all are built so
        return Feed(Failure(Reason.UNREACHABLE, "no route"))


def test_what_was_remembered_is_not_taken_for_the_value_of_other_settings() -> None:
    async def main() -> None:
        telemetry = Telemetry()
        tariffs: SourceRoom[float] = SourceRoom("tariff")
        day = SourceName("tariff", "day")
        remembered = {day: Reading(0.05, unix_clock() - 500)}
        async with asyncio.TaskGroup() as tasks:
            market = Market(tasks, SourceContext(None, telemetry=telemetry), telemetry, remembered, unix_clock)
            market.replace({day: Dead(url="http://a", max_age=3600)})
            assert market.fresh(tariffs, unix_clock())["day"].value == 0.05
            market.replace({day: Dead(url="http://b", max_age=3600)})
            assert market.fresh(tariffs, unix_clock()) == {}
            market.replace({})

    run(main())


class Panel(SourceSettings):
    """Settings of a group with a fine, a stray, a failing and an old member."""

    kind: str = "panel"

    def build(self, context: SourceContext, remembered: object = None) -> Feed:  # noqa: ARG002 - all are built so
        def member(**known: Any) -> MemberState:
            return MemberState(kind="coinbase", interval=60, max_age=600, **known)

        now = unix_clock()
        context.members.update(
            {
                "fine": member(observed_at=now),
                "stray": member(observed_at=now, left_out="+30.0% from the median"),
                "failing": member(
                    observed_at=now, failing_since=now - 5, failed_at=now, failure=Failure(Reason.AUTH, "who are you?")
                ),
                "old": member(observed_at=now - 601),
            }
        )
        return Feed(70_000.0)


def test_members_of_a_group_have_states_of_their_own() -> None:
    async def main() -> None:
        telemetry = Telemetry()
        async with asyncio.TaskGroup() as tasks:
            market = Market(tasks, SourceContext(None, telemetry=telemetry), telemetry, {}, unix_clock)
            market.replace({SourceName("bitcoin"): Panel()})
            await asyncio.sleep(1)
            group, fine, stray, failing, old = market.statuses(unix_clock())
            assert (group.name, group.usable, group.up) == ("bitcoin", True, True)
            assert (fine.usable, fine.up, fine.last_failure) == (True, True, None)
            assert (stray.usable, stray.up, stray.left_out) == (False, True, "+30.0% from the median")
            assert (failing.usable, failing.up) == (False, False)
            assert failing.last_failure is not None
            assert failing.last_failure.reason is Reason.AUTH
            assert (old.usable, old.up) == (False, True)
            market.replace({})

    run(main())


def test_the_state_of_a_source_and_the_age_of_its_value_are_two_facts() -> None:
    async def check() -> None:
        poller = make(Feed(70_370.0, Failure(Reason.TIMEOUT, "too late"), Failure(Reason.TIMEOUT, "again"), 70_400.0))
        assert (poller.up, poller.failing_since) == (None, None)
        async with polling(poller):
            await asyncio.sleep(1)
            assert (poller.up, poller.failing_since) == (True, None)
            await asyncio.sleep(65)
            assert poller.up is False
            began = poller.failing_since
            assert began is not None
            assert value_of(poller) == 70_370.0
            await asyncio.sleep(15)
            assert poller.up or poller.failing_since == began
            await asyncio.sleep(60)
            assert (poller.up, poller.failing_since, value_of(poller)) == (True, None, 70_400.0)

    run(check())


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_costs_no_value_and_a_new_one_is_requested_at_once(step: float) -> None:
    async def main() -> None:
        shift = 0.0
        telemetry, feed = Telemetry(), Feed(1.0, 2.0)
        poller = make(feed, telemetry, interval=600.0, max_age=900.0)
        poller._clock = lambda: unix_clock() + shift
        async with polling(poller):
            await asyncio.sleep(100)
            shift = step
            poller.shift(step)
            assert poller.latest.fresh(unix_clock() + step) is not None
            await asyncio.sleep(1)
        assert len(feed.asked) == 2

    run(main())
