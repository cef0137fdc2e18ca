"""Several logins are tried in order, one wrong one per rig and 15 minutes, because rigs lock users out."""

import asyncio
from ipaddress import IPv4Network

import pytest
from rig_servers import serving
from set_clock import Clock
from test_rigs_web import ADDRESS, digest_rig

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.logins import RETRY_SECONDS, Logins, login_attempt, using
from exporter.sources.rigs.sessions import Sessions
from exporter.sources.rigs.web import DigestSession, log_in

LOGINS = tuple(Credentials("root", name, name=name) for name in ("first", "second", "third"))


def rejected() -> None:
    with pytest.raises(Failure), login_attempt():
        raise Failure(Reason.AUTH, "401")


def current(logins: Logins) -> str | None:
    return None if logins.current is None else logins.current.name


def test_the_next_login_is_tried_fifteen_minutes_after_a_rejected_one() -> None:
    clock = Clock()
    logins = Logins(LOGINS, "127.0.0.1", clock=clock)
    with using(logins):
        for expected in ("first", "second", "third", "first"):
            assert current(logins) == expected
            rejected()
            clock.now += RETRY_SECONDS - 1
            with pytest.raises(Failure, match="the next one is tried in 0 min"), login_attempt():
                pytest.fail("nothing is sent")
            clock.now += 1
        assert logins.rejected == ["first", "second", "third"]
        with login_attempt():
            pass
    assert (logins.accepted, logins.rejected, logins.waited) == ("second", [], None)


def test_a_login_that_was_accepted_before_is_tried_first_and_a_wait_goes_on() -> None:
    clock = Clock()
    logins = Logins(LOGINS, "127.0.0.1", accepted="third", waited=600.0, clock=clock)
    assert current(logins) == "third"
    with pytest.raises(Failure, match="in 5 min"):
        logins.check()
    clock.now += 300
    logins.check()


def test_a_clock_that_was_set_back_waits_no_longer_than_once() -> None:
    clock = Clock()
    logins = Logins(LOGINS, "127.0.0.1", waited=-3_600.0, clock=clock)
    clock.now += RETRY_SECONDS
    logins.check()


def test_the_factorys_login_is_limited_too() -> None:
    logins = Logins((), "127.0.0.1", clock=Clock())
    assert logins.current is None
    with using(logins):
        rejected()
        with pytest.raises(Failure), login_attempt():
            pytest.fail("nothing is sent")
    assert logins.rejected == [""]


def test_only_logins_that_may_go_to_the_address_are_offered() -> None:
    near = Credentials("root", "x", name="near", networks=(IPv4Network("127.60.0.0/24"),))
    assert Logins((near,), "127.60.0.5").current == near
    assert Logins((near,), "127.60.1.5").current is None
    assert Logins((near,), "rig.example").current is None


def test_other_failures_reject_no_login() -> None:
    logins = Logins(LOGINS, "127.0.0.1", clock=Clock())
    with using(logins), pytest.raises(Failure), login_attempt():
        raise Failure(Reason.TIMEOUT, "slow")
    assert (current(logins), logins.waited) == ("first", None)


def test_without_a_poller_nothing_is_limited() -> None:
    rejected()
    with login_attempt():
        pass


async def test_a_rig_gets_one_wrong_digest_login_and_then_the_next() -> None:
    clock = Clock()
    logins = Logins(LOGINS[:2], ADDRESS, clock=clock)
    handler, log = digest_rig("second", ', qop="auth"')

    async def visit() -> None:
        assert logins.current is not None
        with using(logins):
            await DigestSession(ADDRESS, logins.current).get_json("/a")

    async with serving(ADDRESS, 80, handler):
        for _ in range(3):
            with pytest.raises(Failure):
                await visit()
        assert log.count("wrong") == 1
        clock.now += RETRY_SECONDS
        await asyncio.gather(visit(), visit())
    assert (log.count("wrong"), log.count("in")) == (1, 2)
    assert logins.accepted == "second"


async def test_a_rig_gets_one_wrong_token_login() -> None:
    logins = Logins(LOGINS, ADDRESS, clock=Clock())
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def token(address: str, _: Credentials) -> str:
        return str(await log_in(address, "/login", {"password": "x"}))

    async def page(token: str) -> str:
        return token

    sessions = Sessions(token, LOGINS[0])
    async with serving(ADDRESS, 80, handle):
        for _ in range(3):
            with using(logins), pytest.raises(Failure) as failure:
                await sessions.ask(Target(ADDRESS, logins.current), page)
            assert failure.value.reason is Reason.AUTH
    assert len(requests) == 1
