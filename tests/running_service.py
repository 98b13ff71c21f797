"""The service's own app on a port of this machine, over models in this process: no Ray."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn

from ecgray.service.app import build_app
from ecgray.service.backends import Backends
from ecgray.service.core import Service
from ecgray.service.settings import ServiceSettings


@contextlib.contextmanager
def running(backends: Backends, settings: ServiceSettings | None = None) -> Iterator[str]:
    """Its address, while it runs."""
    app = build_app(Service(settings or ServiceSettings(), backends))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    began = time.monotonic()
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
