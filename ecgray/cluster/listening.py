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
            http="httptools",
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
