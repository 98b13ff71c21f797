"""An HTTP server inside a replica: what a request would pass through Serve's proxy for, without the proxy.

Through the proxy a request of 160 kB costs 8 ms of two cores before any of our code runs, and half a millisecond here.
Serve has a switch for that of its own (direct ingress), whose replica cannot listen again on the port that another has
just left. Here several replicas of one machine share a port, and one that was killed is replaced on it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

URL_BYTES = 16_000
HEAD_BYTES = 64_000
HEAD_S = 20.0
"""Seconds in which a request's line and headers must have arrived."""
CONNECTIONS = 2_000
"""Connections and requests at a time; beyond it 503."""


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP without its trust: it would take a URL and headers of any length, and wait for them for ever."""

    _head = 0
    _in_head = True
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for a request, and not for long."""
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before a body."""
        if self._in_head:
            if self._head > HEAD_BYTES:
                self.transport.close()
                return
            self._head += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A further request of the same connection, too."""
        if not self._in_head:
            self._begin()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the URL: they are joined one by one, which takes quadratic time."""
        if len(self.url) + len(url) > URL_BYTES:
            raise ValueError("the URL is too long")
        super().on_url(url)

    def on_headers_complete(self) -> None:
        """A body may come now, which the app counts."""
        self._end()
        super().on_headers_complete()

    def _begin(self) -> None:
        self._head, self._in_head = 0, True
        self._late = self.loop.call_later(HEAD_S, self._close_late)

    def _end(self) -> None:
        self._in_head = False
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the replica's own."""
        yield


class Listener:
    """Serves an ASGI app on an address until `close`."""

    def __init__(self, app: Any, *, host: str, port: int, drain_s: float) -> None:
        config = uvicorn.Config(
            app,
            http=LimitedProtocol,
            limit_concurrency=CONNECTIONS,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, int(drain_s)),
        )
        self._drain_s = drain_s
        self._server = _Server(config)
        self._serving = asyncio.get_running_loop().create_task(self._server.serve([shared_socket(host, port)]))

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return not self._serving.done()

    async def close(self) -> None:
        """Take no more, and wait for what is under way."""
        self._server.should_exit = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._serving, self._drain_s + 5)


def shared_socket(host: str, port: int) -> socket.socket:
    """A socket that other replicas of this machine may listen on too."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found
