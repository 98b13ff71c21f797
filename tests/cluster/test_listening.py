"""The HTTP server of a replica: a port shared, left and taken again at once, and what is under way finished."""

from __future__ import annotations

import asyncio
import http.client
import socket
from typing import Any

import pytest

from ecgray.cluster.listening import Listener, shared_socket


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def app(name: str, wait_s: float = 0.0) -> Any:
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(wait_s)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": name.encode()})

    return answer


def ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


async def up(listener: Listener) -> None:
    while not listener._server.started:
        await asyncio.sleep(0.01)


def test_a_port_is_taken_again_at_once_after_connections_and_shared_meanwhile():
    async def run() -> None:
        port = free_port()
        first = Listener(app("one"), host="127.0.0.1", port=port, drain_s=2)
        await up(first)
        assert await asyncio.to_thread(ask, port) == "one"
        second = Listener(app("two"), host="127.0.0.1", port=port, drain_s=2)
        await up(second)
        heard = {await asyncio.to_thread(ask, port) for _ in range(60)}
        assert heard == {"one", "two"}
        await first.close()
        assert {await asyncio.to_thread(ask, port) for _ in range(20)} == {"two"}
        await second.close()
        assert not first.alive
        assert not second.alive
        third = Listener(app("six"), host="127.0.0.1", port=port, drain_s=2)
        await up(third)
        assert await asyncio.to_thread(ask, port) == "six"
        await third.close()

    asyncio.run(run())


def test_closing_finishes_what_is_under_way_and_takes_no_more():
    async def run() -> None:
        port = free_port()
        listener = Listener(app("end", wait_s=0.5), host="127.0.0.1", port=port, drain_s=5)
        await up(listener)
        under_way = asyncio.create_task(asyncio.to_thread(ask, port))
        await asyncio.sleep(0.2)
        closing = asyncio.create_task(listener.close())
        await asyncio.sleep(0.2)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(ask, port)
        assert await under_way == "end"
        await closing

    asyncio.run(run())


def test_another_program_does_not_share_the_port():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            shared_socket("127.0.0.1", other.getsockname()[1])


def is_closed(port: int, *pieces: bytes, wait_s: float = 3.0) -> bool:
    """Whether the connection is closed on who sends this, in so long."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait_s) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
            while connection.recv(65_536):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET /", *[b"x" * 10_000] * 300],
        [b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"X-%d: y\r\n" % number * 500 for number in range(300)]],
        [b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: ", *[b"y" * 10_000] * 300],
    ],
    ids=["URL", "headers", "one header"],
)
def test_a_head_without_end_is_cut_off_soon(pieces: list[bytes]):
    async def run() -> None:
        port = free_port()
        listener = Listener(app("end"), host="127.0.0.1", port=port, drain_s=1)
        await up(listener)
        assert await asyncio.to_thread(is_closed, port, *pieces)
        assert await asyncio.to_thread(ask, port) == "end"
        await listener.close()

    asyncio.run(run())


def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ecgray.cluster.listening.HEAD_S", 0.5)

    async def run() -> None:
        port = free_port()
        listener = Listener(app("end"), host="127.0.0.1", port=port, drain_s=1)
        await up(listener)
        loop = asyncio.get_running_loop()
        for pieces in ([b""], [b"GET / HTTP/1.1\r\n"], [b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n"]):
            began = loop.time()
            assert await asyncio.to_thread(is_closed, port, *pieces, wait_s=5.0)
            assert loop.time() - began < 3
        await listener.close()

    asyncio.run(run())


def test_a_body_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ecgray.cluster.listening.HEAD_S", 0.3)

    async def run() -> None:
        port = free_port()
        listener = Listener(app("end", wait_s=0.8), host="127.0.0.1", port=port, drain_s=2)
        await up(listener)
        assert await asyncio.to_thread(ask, port) == "end"
        await listener.close()

    asyncio.run(run())
