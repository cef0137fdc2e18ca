import asyncio
import gc
import json
import socket
import threading
import time

import pytest
from descriptors import no_free_descriptors
from rig_servers import (
    NETWORK,
    Handler,
    cgminer,
    closing,
    dripping,
    flooding,
    hanging,
    resetting,
    saying,
    serving,
    unplugged,
)

from exporter.model.failures import Failure, Reason
from exporter.polling.guard import Guard
from exporter.sources import resolver
from exporter.sources.rigs import coerce, names, transport
from exporter.sources.rigs.transport import LengthPrefixed, exchange, rpc

ADDRESS = f"{NETWORK}.11"


async def asked(handler: Handler, port: int = 4028) -> dict[str, object]:
    async with serving(ADDRESS, port, handler):
        return dict(await rpc(ADDRESS, "summary"))


async def test_an_answer_that_ends_with_nul_is_complete_while_the_rig_stays_connected() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b'{"a":')
        await writer.drain()
        writer.write(b"1}\0")
        await hanging(reader, writer)

    assert await asked(handle) == {"a": 1}


async def test_an_answer_without_nul_ends_with_the_connection() -> None:
    assert await asked(saying(b'{"a":1}\n')) == {"a": 1}


async def test_one_text_in_a_wrong_encoding_does_not_lose_the_answer() -> None:
    assert await asked(saying(b'{"a":1,"b":"\xc4\xe3"}')) == {"a": 1, "b": "\ufffd\ufffd"}


@pytest.mark.parametrize(
    "answer",
    [
        b'{"b":' + b"1" * 5000 + b',"a":1}',
        b'{"a":1,"b":"\\\'20200917.22.REL\\\'"}',
        b'{"a":1,"b":"\\u00zz\\"}',
        b'{"a":1,"b":0}"}',
        b'\xef\xbb\xbf{"a":1,"b":0}',
        b'{"a":1,"b":NaN}\0\r\n',
    ],
    ids=[
        "a huge number",
        "an escape that is none",
        "half an escape",
        "more behind the end",
        "a byte order mark",
        "an end of line after the end",
    ],
)
async def test_a_slip_does_not_lose_the_answer(answer: bytes) -> None:
    received = await asked(saying(answer))
    assert received["a"] == 1
    assert coerce.counter(received["b"]) in (None, 0)


async def test_an_escape_that_is_none_loses_its_backslash_only() -> None:
    assert (await asked(saying(b'{"a":"\\\'x\\\' \\"y\\" \\u0041 \\\\"}')))["a"] == "'x' \"y\" A \\"


async def test_a_failure_says_where_the_json_ends() -> None:
    with pytest.raises(Failure, match=r"not JSON: expecting value at character 5"):
        await asked(saying(b'{"a":'))


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (closing, Reason.REFUSED),
        (resetting, Reason.REFUSED),
        (flooding, Reason.TOO_LARGE),
        (saying(b"\x89PNG\r\n"), Reason.GARBLED),
        (saying(b'{"STATUS":[{"STATUS":"S"'), Reason.GARBLED),
        (saying(b"[1,2]"), Reason.GARBLED),
        (saying(b"[" * 900_000), Reason.GARBLED),
        (saying("{}".encode("utf-16")), Reason.GARBLED),
    ],
    ids=["closes", "resets", "floods", "binary", "truncated", "array", "nested", "utf-16"],
)
async def test_every_way_to_fail_has_its_class(handler: Handler, reason: Reason) -> None:
    with pytest.raises(Failure) as failure:
        await asked(handler)
    assert failure.value.reason is reason


async def test_a_closed_port_is_refused() -> None:
    with pytest.raises(Failure) as failure:
        await rpc(f"{NETWORK}.12", "summary")
    assert failure.value.reason is Reason.REFUSED


async def test_an_unanswered_connection_attempt_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    async with serving(ADDRESS, 4028, cgminer({})):
        with pytest.raises(Failure) as failure:
            await full_backlog()
    assert failure.value.reason is Reason.UNREACHABLE


async def test_it_is_unreachable_too_where_a_busy_loop_lets_both_deadlines_pass_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.1)
    asyncio.get_running_loop().call_later(0.02, time.sleep, 0.3)
    with pytest.raises(Failure) as failure:
        await Guard().ask(full_backlog(), 0.15)
    assert failure.value.reason is Reason.UNREACHABLE


async def test_it_is_unreachable_too_where_the_deadline_of_the_read_comes_before_that_of_connecting() -> None:
    with pytest.raises(Failure) as failure:
        await Guard().ask(full_backlog(), 1.5)
    assert failure.value.reason is Reason.UNREACHABLE


async def full_backlog() -> None:
    """Connect where nobody accepts."""
    with unplugged(f"{NETWORK}.13", 0) as port:
        await exchange(f"{NETWORK}.13", port, b"", transport.UntilNul())


@pytest.mark.parametrize("handler", [hanging, dripping])
async def test_a_cancelled_exchange_leaves_no_socket(handler: Handler) -> None:
    async with serving(ADDRESS, 4028, handler) as connections:
        task = asyncio.create_task(rpc(ADDRESS, "summary"))
        while not connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(connections[0].wait_closed(), 600) if handler is hanging else None
        assert len(connections) == 1


async def test_a_poll_waits_for_a_socket_of_this_host() -> None:
    async with serving(ADDRESS, 4028, saying(b"{}\0")):
        poll = asyncio.create_task(exchange(ADDRESS, 4028, b"x", transport.UntilNul()))
        with no_free_descriptors():
            for _ in range(5):
                await asyncio.sleep(0)
            assert not poll.done()
        assert await poll == b"{}"


async def test_a_host_without_sockets_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_SOCKET_SECONDS", 0.0)
    with no_free_descriptors(), pytest.raises(Failure, match="this host ran out of sockets: EMFILE") as caught:
        await exchange(ADDRESS, 4028, b"x", transport.UntilNul())
    assert caught.value.reason is Reason.INTERNAL


async def test_length_prefixed_answers() -> None:
    body = json.dumps({"code": 0}).encode()
    async with serving(ADDRESS, 4433, saying(len(body).to_bytes(4, "little") + body)):
        assert await exchange(ADDRESS, 4433, b"x", LengthPrefixed()) == body


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x00\x00\x00\x08{", Reason.TOO_LARGE),
        (b"<html><body>", Reason.GARBLED),
        (b"\xff\xff\xff\x7f{", Reason.GARBLED),
        (b"\x09\0\0\0{", Reason.GARBLED),
        (b"\x09", Reason.GARBLED),
    ],
)
async def test_length_prefixed_lies(content: bytes, reason: Reason) -> None:
    async with serving(ADDRESS, 4433, saying(content)):
        with pytest.raises(Failure) as failure:
            await exchange(ADDRESS, 4433, b"x", LengthPrefixed())
    assert failure.value.reason is reason


async def test_a_host_name_is_an_address_too() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(b"{}\0")(reader, writer)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert await exchange("localhost", port, b"x", transport.UntilNul()) == b"{}"


async def test_a_name_that_nobody_knows_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Failure, match=r"the name rig-7 has no address") as caught:
        await exchange("rig-7", 4028, b"x", transport.UntilNul())
    assert caught.value.reason is Reason.UNREACHABLE


async def test_a_name_server_that_hangs_is_asked_once_for_each_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, unheard, answers = [], [], threading.Event()

    def hanging(name: str, *_: object, **__: object) -> object:
        asked.append(name)
        answers.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(resolver, "LOOKUP_SECONDS", 0.01)
    for _ in range(3):
        with pytest.raises(Failure, match="the name server does not answer for rig-7") as caught:
            await exchange("rig-7", 4028, b"x", transport.UntilNul())
        assert caught.value.reason is Reason.UNREACHABLE
    assert asked == ["rig-7"]
    answers.set()
    await asyncio.wait(names._resolver._lookups.values())
    gc.collect()
    assert not unheard
