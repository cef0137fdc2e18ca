"""What a read does not ask each time: what changes seldom, and what the rig's build does not know."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from set_clock import Clock

from exporter.model.failures import Failure, Reason
from exporter.sources.rigs.seldom import LACKING_SECONDS, Lacking, Seldom
from exporter.sources.rigs.transport import NoSuchPage

WHERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"
UNKNOWN = {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}]}
FLAT = {"STATUS": "E", "Code": 14, "Msg": "invalid cmd"}
NO_PAGE = NoSuchPage(Reason.GARBLED, "it answered HTTP 404")
KNOWN = {"STATUS": [{"STATUS": "S", "Code": 14}]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("exporter.sources.rigs.seldom.time", SimpleNamespace(monotonic=clock))
    return clock


class Rig:
    """Answers each question with the same, and counts the questions."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, *_question: str) -> Any:
        self.asked += 1
        if isinstance(self.answer, Failure):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [UNKNOWN, FLAT, NO_PAGE])
async def test_what_a_build_does_not_know_is_asked_every_five_minutes(answer: Any, clock: Clock) -> None:
    lacking, rig = Lacking(), Rig(answer)
    for passed, asked in ((0.0, 1), (1.0, 1), (LACKING_SECONDS, 2), (1.0, 2)):
        clock.now += passed
        assert await lacking.ask(WHERE, "question", rig) == {}
        assert rig.asked == asked
    rig.answer = KNOWN
    clock.now += LACKING_SECONDS
    assert [await lacking.ask(WHERE, "question", rig) for _ in range(2)] == [KNOWN, KNOWN]


@pytest.mark.parametrize(
    "other",
    [
        lambda lacking, rig: lacking.ask(ELSEWHERE, "question", rig),
        lambda lacking, rig: lacking.ask(WHERE, "another", rig),
        lambda lacking, rig: (lacking.forget(WHERE), lacking.ask(WHERE, "question", rig))[1],
    ],
    ids=["of another rig", "another one", "after an identification"],
)
async def test_the_rest_is_asked(other: Callable[[Lacking, Rig], Any], clock: Clock) -> None:
    lacking, rig = Lacking(), Rig(UNKNOWN)
    await lacking.ask(WHERE, "question", rig)
    rig.answer = KNOWN
    assert await other(lacking, rig) == KNOWN


@pytest.mark.parametrize("reason", [Reason.TIMEOUT, Reason.GARBLED, Reason.AUTH])
async def test_a_failure_is_raised_and_does_not_say_that_it_is_lacking(reason: Reason, clock: Clock) -> None:
    lacking, rig = Lacking(), Rig(Failure(reason, "it failed"))
    for _ in range(2):
        with pytest.raises(Failure):
            await lacking.ask(WHERE, "question", rig)
    assert rig.asked == 2


async def test_what_changes_seldom_is_asked_when_it_is_old_or_may_have_changed(clock: Clock) -> None:
    seldom, rig = Seldom[str](60.0), Rig("value")
    for passed, key, asked in ((0.0, "a", 1), (59.0, "a", 1), (0.0, "b", 2), (59.0, "b", 2), (1.0, "b", 3)):
        clock.now += passed
        assert await seldom.ask(WHERE, key, rig) == "value"
        assert rig.asked == asked
    seldom.forget(WHERE)
    assert await seldom.ask(WHERE, "b", rig) == "value"
    assert rig.asked == 4


async def test_what_is_unknown_is_asked_again(clock: Clock) -> None:
    seldom, rig = Seldom[str](60.0), Rig(None)
    assert [await seldom.ask(WHERE, "a", rig) for _ in range(2)] == [None, None]
    assert rig.asked == 2
