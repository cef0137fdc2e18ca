"""OpenADR 3.0 and 3.1 against a VTN over real sockets: logins, paging, changed and cancelled events, priorities."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from math import inf
from typing import Any

import aiohttp
import pytest
import toadr3
from hypothesis import given
from hypothesis import strategies as st
from own_network import OWN
from simulation_clients import Clock
from vtn import CLIENT_ID, CLIENT_SECRET, Vtn, event, program

from exporter.model.failures import Failure, Reason
from exporter.model.obligations import Obligation, ObligationKind
from exporter.simulation.service import SourceFault
from exporter.sources.contract import SourceContext
from exporter.sources.obligations.openadr import Settings, by_priority
from exporter.sources.openadr import duration
from exporter.sources.tariffs.openadr import Settings as PriceSettings

NOW = datetime(2026, 11, 29, 21, tzinfo=UTC).timestamp()
HOUR = 3_600.0
LIMIT = "IMPORT_CAPACITY_LIMIT"


class Site:
    """A VEN that reads from a VTN."""

    def __init__(self, vtn: Vtn, session: aiohttp.ClientSession, clock: Clock, version: str) -> None:
        self.vtn = vtn
        self.clock = clock
        self._session = session
        self._version = version
        self.source: Any = None
        self.context: Any = None
        self.settle()

    def settle(self, **settings: Any) -> None:
        """Start anew with other settings."""
        login = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        given = {"url": self.vtn.url, "version": self._version, "timeout": 2.0} | login | settings
        self.context = SourceContext(self._session, clock=self.clock, timer=self.clock).named("obligations:utility")
        self.source = Settings.model_validate(given).build(self.context)

    async def owed(self) -> list[Obligation]:
        """What it owes."""
        return list((await self.source.fetch()).value)

    async def failure(self) -> Failure:
        """Why it cannot be read."""
        with pytest.raises(Failure) as caught:
            await self.source.fetch()
        return caught.value


@asynccontextmanager
async def reading(version: str = "3.1", **options: Any) -> AsyncIterator[Site]:
    clock = Clock(NOW)
    vtn = Vtn(clock, f"{OWN}.2.1", 0, version=version, **options)
    vtn.programs = [program()]
    await vtn.service.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Site(vtn, session, clock, version)
    finally:
        await vtn.service.stop()


@pytest.fixture(params=["3.0", "3.1"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with reading(request.param) as made:
        yield made


async def test_an_event_is_a_cap_from_its_start_to_its_end(site: Site) -> None:
    site.vtn.events = [event("e-7", NOW + HOUR, "PT1H", (LIMIT, 4000.0), (LIMIT, 2000.0), priority=0)]
    first, second = await site.owed()
    assert (first.kind, first.start, first.end, first.cap) == (ObligationKind.CAP, NOW + HOUR, NOW + 2 * HOUR, 4e6)
    assert (second.start, second.end, second.cap) == (NOW + 2 * HOUR, NOW + 3 * HOUR, 2e6)
    assert (first.event, first.program, first.reason, first.priority) == ("e-7", "prairie-ers", "e-7", 0)


async def test_a_second_client_reads_the_same_events() -> None:
    async with reading("3.0") as site:
        site.vtn.events = [event(f"e-{number}", NOW, "PT1H", (LIMIT, number)) for number in range(7)]
        owed = {each.event: each.cap for each in await site.owed()}
        oauth = toadr3.OAuthConfig(
            token_url=f"{site.vtn.url}/auth/token",
            grant_type="client_credentials",
            claims={"scope": "read_all"},
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
        )
        async with toadr3.ToadrClient(vtn_url=site.vtn.url, oauth_config=oauth) as client:
            events = await client.get_events()
    assert owed == {each.id: each.intervals[0].payloads[0].values[0] * 1000.0 for each in events}


async def test_nothing_is_owed_without_events(site: Site) -> None:
    assert await site.owed() == []


async def test_a_deleted_event_is_cancelled_and_a_changed_one_counts_at_once(site: Site) -> None:
    site.vtn.events = [event("a", NOW, "PT1H", (LIMIT, 4000)), event("b", NOW, "PT1H", (LIMIT, 3000))]
    assert {each.event for each in await site.owed()} == {"a", "b"}
    site.vtn.events = [event("b", NOW, "PT2H", (LIMIT, 1000))]
    (changed,) = await site.owed()
    assert (changed.event, changed.cap, changed.end) == ("b", 1e6, NOW + 2 * HOUR)


async def test_all_pages_are_read(site: Site) -> None:
    site.vtn.events = [event(f"e-{number}", NOW, "PT1H", (LIMIT, 4000)) for number in range(130)]
    assert len(await site.owed()) == 130


async def test_a_server_that_ignores_skip_is_found_out(site: Site) -> None:
    site.vtn.events = [event(f"e-{number}", NOW, "PT1H", (LIMIT, 4000)) for number in range(50)]
    site.vtn.ignores_skip = True
    assert (await site.failure()).reason is Reason.GARBLED


async def test_a_token_is_reused_renewed_when_it_expires_and_when_it_is_refused(site: Site) -> None:
    await site.owed()
    await site.owed()
    assert site.vtn.tokens_issued == 1
    site.clock.now += 3_500.0
    await site.owed()
    assert site.vtn.tokens_issued == 2
    site.vtn.revoke_tokens()
    await site.owed()
    assert site.vtn.tokens_issued == 3


async def test_a_wrong_secret_is_an_auth_failure_without_the_secret(site: Site) -> None:
    site.settle(client_secret="wrong-secret")
    failure = await site.failure()
    assert failure.reason is Reason.AUTH
    assert "wrong-secret" not in str(failure)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (SourceFault.DOWN, {Reason.REFUSED, Reason.UNREACHABLE}),  # the latter on a connection that was open
        (SourceFault.HANG, {Reason.TIMEOUT}),
        (SourceFault.GARBAGE, {Reason.GARBLED}),
        (SourceFault.ERROR, {Reason.SERVER_ERROR}),
    ],
)
async def test_a_server_that_fails_is_a_failure_and_never_no_obligation(
    site: Site, fault: SourceFault, reason: set[Reason]
) -> None:
    site.vtn.events = [event("a", NOW, "PT1H", (LIMIT, 4000))]
    assert await site.owed()
    if fault is SourceFault.HANG:
        site.settle(timeout=0.3)
    await site.vtn.service.set_fault(fault)
    assert (await site.failure()).reason in reason
    await site.vtn.service.set_fault(None)
    site.settle()
    assert await site.owed()


async def test_only_the_named_programs_count_and_a_missing_one_is_named() -> None:
    async with reading() as site:
        site.vtn.programs = [program(), program("other", "p-2")]
        site.vtn.events = [
            event("mine", NOW, "PT1H", (LIMIT, 1)),
            event("theirs", NOW, "PT1H", (LIMIT, 2), programID="p-2"),
        ]
        site.settle(programs=["prairie-ers"])
        assert [each.event for each in await site.owed()] == ["mine"]
        site.settle(programs=["p-2"])
        assert [each.event for each in await site.owed()] == ["theirs"]
        site.settle(programs=["praire-ers"])
        failure = await site.failure()
    assert (failure.reason, failure.detail) == (
        Reason.NOT_READY,
        "the VTN has no program praire-ers: it has other, prairie-ers",
    )


@pytest.mark.parametrize(
    ("version", "targets"), [("3.0", [{"type": "GROUP", "values": ["north", "me"]}]), ("3.1", ["north", "me"])]
)
async def test_events_for_other_targets_are_not_ours(version: str, targets: Any) -> None:
    async with reading(version) as site:
        site.vtn.events = [
            event("me", NOW, "PT1H", (LIMIT, 1), targets=targets),
            event("all", NOW, "PT1H", (LIMIT, 1)),
        ]
        site.settle(targets=["me"])
        assert {each.event for each in await site.owed()} == {"me", "all"}
        site.settle(targets=["another"])
        assert {each.event for each in await site.owed()} == {"all"}


@pytest.mark.parametrize(
    ("payload", "value", "settings", "expected"),
    [
        ("SIMPLE", 2, {"levels": {2: 4000}}, {"level": 2, "cap": 4e6, "kind": ObligationKind.CALL}),
        ("DISPATCH_SETPOINT", 1500.5, {}, {"cap": 1_500_500.0, "kind": ObligationKind.CALL}),
        ("DISPATCH_SETPOINT_RELATIVE", 500, {"relative": "decrease"}, {"reduction": 5e5}),
        ("DISPATCH_SETPOINT_RELATIVE", -500, {"relative": "change"}, {"reduction": 5e5}),
        ("DISPATCH_SETPOINT_RELATIVE", 500, {"relative": "change"}, {"reduction": 0.0}),
        ("x-shed", 700, {"payload_types": {"x-shed": "reduction"}}, {"reduction": 7e5}),
        ("x-keep", 700, {"payload_types": {"x-keep": "floor"}}, {"floor": 7e5}),
        ("ALERT_GRID_EMERGENCY", "save power", {}, {"reason": "ALERT_GRID_EMERGENCY save power", "cap": None}),
    ],
)
async def test_each_payload_type_means_what_was_agreed(
    site: Site, payload: str, value: Any, settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    site.settle(**settings)
    site.vtn.events = [event("e", NOW, "PT1H", (payload, value))]
    (owed,) = await site.owed()
    assert {name: getattr(owed, name) for name in expected} == expected
    assert not owed.unclear


@pytest.mark.parametrize(
    "payload", ["DISPATCH_INSTRUCTION", "CONTROL_SETPOINT", "x-shed", "DISPATCH_SETPOINT_RELATIVE"]
)
async def test_what_was_not_agreed_on_is_not_used_and_noted(site: Site, payload: str) -> None:
    site.vtn.events = [event("e", NOW, "PT1H", (payload, 1))]
    assert await site.owed() == []
    assert payload in site.context.discards.notes["payload"]


async def test_prices_are_no_obligations(site: Site) -> None:
    site.vtn.events = [event("e", NOW, "PT1H", ("PRICE", 0.17))]
    assert await site.owed() == []
    assert not site.context.discards.notes


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"intervalPeriod": {"start": "2026-11-29T21:00:00Z", "duration": "P1M"}}, "duration 'P1M'"),
        ({"intervals": [{"payloads": [{"type": LIMIT, "values": ["lots"]}]}]}, "not a number"),
        ({"intervals": [{"payloads": [{"type": LIMIT, "values": []}]}]}, "too few entries"),
        ({"intervals": [{"payloads": [{"type": LIMIT, "values": [-1]}]}]}, "below 0"),
        ({"intervals": [{"payloads": [{"type": "SIMPLE", "values": [7]}]}]}, "level 7"),
        ({"intervals": [{"payloads": [{"type": "SIMPLE", "values": [1]}]}]}, "level 1 is not in `levels`"),
        ({"payloadDescriptors": [{"payloadType": LIMIT, "units": "CELSIUS"}]}, "unit 'CELSIUS'"),
        ({"intervalPeriod": None}, "it has no start"),
        ({"priority": "high"}, "not a number"),
    ],
)
async def test_an_event_that_cannot_be_read_is_unclear_and_hides_no_other(
    site: Site, changes: dict[str, Any], why: str
) -> None:
    site.vtn.events = [event("bad", NOW, "PT1H", (LIMIT, 1)) | changes, event("good", NOW, "PT1H", (LIMIT, 2))]
    owed = {each.event: each for each in await site.owed()}
    assert owed["good"].cap == 2000.0
    assert why in owed["bad"].unclear
    assert owed["bad"].holds(NOW)
    assert owed["bad"].cap is None


async def test_an_interval_without_its_own_period_follows_the_one_before(site: Site) -> None:
    changed = event("e", NOW, "PT15M", (LIMIT, 1), (LIMIT, 2), (LIMIT, 3))
    changed["intervals"][1]["intervalPeriod"] = {"start": "2026-11-29T22:00:00Z", "duration": "PT30M"}
    site.vtn.events = [changed]
    assert [(each.start - NOW, (each.end or inf) - NOW) for each in await site.owed()] == [
        (0, 900),
        (3600, 5400),
        (5400, 6300),
    ]


@pytest.mark.parametrize("length", [None, "PT0S", "P9999Y"])
async def test_an_interval_without_an_end_lasts_until_the_next_or_for_ever(site: Site, length: str | None) -> None:
    changed = event("e", NOW, "PT1H", (LIMIT, 1), (LIMIT, 2))
    changed["intervalPeriod"]["duration"] = length
    changed["intervals"][1]["intervalPeriod"] = {"start": "2026-11-29T22:00:00Z"}
    site.vtn.events = [changed]
    assert [(each.start - NOW, each.end) for each in await site.owed()] == [(0, NOW + HOUR), (3600, None)]


@pytest.mark.parametrize("start", ["0000-01-01", "0001-01-01T00:00:00Z"])
async def test_the_years_0_and_1_mean_at_once(site: Site, start: str) -> None:
    created = datetime.fromtimestamp(NOW - 60, UTC).isoformat()
    site.vtn.events = [event("e", start, "PT1H", (LIMIT, 1), modificationDateTime=created)]
    assert [(each.start, each.end) for each in await site.owed()] == [(NOW - 60, NOW - 60 + HOUR)]


async def test_an_event_that_repeats_since_a_year_holds_now() -> None:
    async with reading("3.0") as site:
        begun = NOW - 365 * 24 * HOUR
        site.vtn.events = [event("e", begun, "PT30M", (LIMIT, 1), (LIMIT, 2), duration="P400D")]
        first, second = (await site.owed())[:2]
    assert [(each.start, each.cap) for each in (first, second)] == [(NOW, 1_000.0), (NOW + HOUR / 2, 2_000.0)]


async def test_a_vtn_with_too_many_intervals_is_refused() -> None:
    async with reading("3.1") as site:
        site.vtn.events = [event(f"e-{number}", NOW, "PT1S", (LIMIT, 1), duration="PT4H") for number in range(3)]
        failure = await site.failure()
    assert (failure.reason, failure.detail) == (Reason.TOO_LARGE, "its events have more than 10,000 intervals")


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([None, 0, 1, 2])), min_size=1, max_size=8),
    st.floats(0, 9),
)
def test_at_any_time_the_best_priority_is_left(given_as: list[tuple[int, int, int | None]], at: float) -> None:
    owed = [
        Obligation(kind=ObligationKind.CAP, start=start, end=end, priority=priority, event=str(number))
        for number, (start, end, priority) in enumerate(given_as)
    ]
    held = [each for each in owed if each.holds(at)]
    best = min((inf if each.priority is None else each.priority for each in held), default=inf)
    expected = sorted(each.event for each in held if (inf if each.priority is None else each.priority) == best)
    assert sorted(each.event for each in by_priority(owed) if each.holds(at)) == expected


async def test_an_event_with_a_duration_repeats_its_intervals() -> None:
    async with reading() as site:
        site.vtn.events = [event("e", NOW, "PT1H", (LIMIT, 1), (LIMIT, 2), duration="PT5H")]
        owed = await site.owed()
    assert [(each.start - NOW) / HOUR for each in owed] == [0, 1, 2, 3, 4]
    assert [each.cap for each in owed] == [1e3, 2e3, 1e3, 2e3, 1e3]


async def test_a_random_start_is_the_time_in_which_it_may_begin(site: Site) -> None:
    changed = event("e", NOW, "PT1H", (LIMIT, 1))
    changed["intervalPeriod"]["randomizeStart"] = "PT10M"
    site.vtn.events = [changed]
    (owed,) = await site.owed()
    assert (owed.start, owed.end, owed.randomize) == (NOW, NOW + HOUR + 600, 600)


async def test_the_lower_priority_number_wins_while_both_last(site: Site) -> None:
    site.vtn.events = [
        event("weak", NOW, "PT3H", (LIMIT, 1000), priority=5),
        event("strong", NOW + HOUR, "PT1H", (LIMIT, 9000), priority=0),
        event("last", NOW, "PT1H", (LIMIT, 500)),
    ]
    assert sorted((each.event, (each.start - NOW) / HOUR, each.cap) for each in await site.owed()) == [
        ("strong", 1, 9e6),
        ("weak", 0, 1e6),
        ("weak", 2, 1e6),
    ]


async def test_level_0_of_a_better_priority_ends_a_call(site: Site) -> None:
    site.settle(levels={1: 4000})
    site.vtn.events = [
        event("call", NOW, "PT2H", ("SIMPLE", 1), priority=5),
        event("normal", NOW + HOUR, "PT2H", ("SIMPLE", 0), priority=1),
    ]
    (owed,) = await site.owed()
    assert (owed.event, owed.start, owed.end) == ("call", NOW, NOW + HOUR)


async def test_rights_to_draw_power_add_up(site: Site) -> None:
    site.vtn.events = [
        event("base", NOW, "PT4H", ("IMPORT_CAPACITY_SUBSCRIPTION", 3000)),
        event("more", NOW + HOUR, "PT1H", ("IMPORT_CAPACITY_RESERVATION", 500)),
    ]
    owed = await site.owed()
    assert [((each.start - NOW) / HOUR, each.cap) for each in owed] == [(0, 3e6), (1, 3.5e6), (2, 3e6)]
    assert owed[-1].end == NOW + 4 * HOUR


async def test_megawatts_are_understood_and_no_amount_beyond_any_site(site: Site) -> None:
    site.vtn.events = [event("e", NOW, "PT1H", (LIMIT, 4), payloadDescriptors=[{"payloadType": LIMIT, "units": "MW"}])]
    assert [each.cap for each in await site.owed()] == [4e6]
    site.vtn.events = [event("e", NOW, "PT1H", (LIMIT, 1e12))]
    assert (await site.failure()).reason is Reason.IMPLAUSIBLE


async def test_a_call_over_the_change_of_clocks_lasts_its_hours(site: Site) -> None:
    start = datetime(2026, 11, 1, 5, tzinfo=UTC).timestamp()  # midnight in Chicago, of a day with 25 hours
    site.clock.now = start
    site.vtn.events = [event("e", "2026-11-01T00:00:00-05:00", "PT4H", (LIMIT, 1))]
    (owed,) = await site.owed()
    assert (owed.start, (owed.end or 0) - owed.start) == (start, 4 * HOUR)


async def test_an_answer_that_is_no_list_is_a_failure() -> None:
    async with reading() as site:
        site.vtn.lies = {"error": "no such tenant"}
        assert "no such tenant" in (await site.failure()).detail
        site.vtn.lies = {"events": []}
        assert "without a list" in (await site.failure()).detail


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, inf),
        ("", inf),
        ("PT0S", inf),
        ("P9999Y", inf),
        ("PT15M", 900),
        ("P1DT2H3M4.5S", 93_784.5),
        ("P2W", 1_209_600),
    ],
)
def test_durations_are_read(text: str | None, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["P1M", "P1Y", "PT", "P", "-PT1H", "1h", "PT1H30"])
def test_durations_that_depend_on_the_calendar_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not like PT1H30M"):
        duration(text)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"client_id": "a"}, "belong together"),
        ({"client_secret": "a"}, "belong together"),
        ({"client_id": "a", "client_secret": "b", "client_secret_file": "c"}, "not both"),
    ],
)
def test_half_a_login_is_refused(settings: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Settings.model_validate({"url": "https://vtn.example.com"} | settings)


# --- prices ----------------------------------------------------------------------------------------------------------


def priced(site: Site, **settings: Any) -> Any:
    """The same VTN as a tariff."""
    login = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    given = {"url": site.vtn.url, "timeout": 2.0} | login | settings
    return PriceSettings.model_validate(given).build(site.context)


def price_program(**descriptor: str) -> dict[str, Any]:
    return program() | {
        "payloadDescriptors": [{"payloadType": "PRICE", "units": "KWH", "currency": "USD"} | descriptor]
    }


async def test_price_events_are_a_tariff_and_no_obligation() -> None:
    async with reading() as site:
        site.vtn.programs = [price_program()]
        site.vtn.events = [
            event("e-1", NOW, "PT1H", ("PRICE", 0.04), ("PRICE", 0.17)),
            event("e-2", NOW, "PT1H", ("EXPORT_PRICE", 0.02)),
        ]
        slots = (await priced(site).fetch()).value
        assert [(slot.start - NOW, slot.end - NOW, slot.price) for slot in slots] == [
            (0.0, HOUR, 0.04),
            (HOUR, 2 * HOUR, 0.17),
        ]
        (sale,) = (await priced(site, payload_type="EXPORT_PRICE").fetch()).value
        assert sale.price == 0.02
        assert await site.owed() == []


async def test_a_price_without_an_end_lasts_as_far_as_tariffs_look_ahead() -> None:
    async with reading() as site:
        site.vtn.programs = [price_program(units="MWH")]
        site.vtn.events = [event("e-1", NOW - HOUR, "PT0S", ("PRICE", 40.0))]
        (slot,) = (await priced(site).fetch()).value
        assert (slot.end - NOW, slot.price) == (48 * HOUR, 0.04)


async def test_prices_in_another_currency_are_refused_and_what_cannot_be_read_is_left_out() -> None:
    async with reading() as site:
        site.vtn.programs = [price_program(currency="EUR")]
        site.vtn.events = [event("e-1", NOW, "PT1H", ("PRICE", 0.04))]
        with pytest.raises(Failure, match="prices in EUR: set `currency` and `fx`"):
            await priced(site).fetch()
        site.vtn.programs = [price_program(units="KW")]
        with pytest.raises(Failure, match="no PRICE events that are readable"):
            await priced(site).fetch()
        site.vtn.programs = [price_program()]
        site.vtn.events.append(event("e-2", NOW, "P1M", ("PRICE", 0.5)))
        (slot,) = (await priced(site).fetch()).value  # the event that cannot be read hides no other
        assert slot.price == 0.04
