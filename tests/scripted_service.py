"""A small HTTP server that answers as it is told, for what happens on the wire."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Handler"], None]


@dataclass
class Script:
    """What the server answers, one after the other (the last one for ever), and what it was asked."""

    answers: list[Answer]
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)
    """Set where a client closed its connection while an answer was on its way."""
    address: str = ""

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, _, _, body in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def setup(self) -> None:
        super().setup()
        self.script.connections += 1

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.script.asked.append((self.command, self.path, dict(self.headers), body))
        answers = self.script.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    do_GET = do_POST = _serve

    def log_message(self, *_: Any) -> None:
        pass

    def say(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def answer(values: Any, status: int = 200, **headers: str) -> Answer:
    kind = "application/json" if status == 200 else "application/problem+json"
    return lambda handler: handler.say(status, kind, json.dumps(values).encode(), **headers)


def refusal(status: int, code: str, **headers: str) -> Answer:
    values = {"type": f"urn:ecgray:problem:{code}", "status": status, "code": code, "detail": f"It is {code}."}
    return answer(values | {"request_id": "r-9"}, status, **headers)


def hang_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


def reset(handler: Handler) -> None:
    """Break the connection: the client reads ECONNRESET."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def half(handler: Handler) -> None:
    """Promise a long answer and break off."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"half')
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def events(*pieces: bytes, then: Callable[[Handler], None] = lambda _: None) -> Answer:
    """Server-sent events, chunk by chunk."""

    def serve(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            handler.wfile.flush()
        then(handler)
        with contextlib.suppress(OSError):
            handler.wfile.write(b"0\r\n\r\n")

    return serve


def wait_for_the_client_to_go(handler: Handler) -> None:
    """Keep the line warm until nobody listens any more."""
    for _ in range(200):
        try:
            handler.wfile.write(b"7\r\n: warm\n\r\n")
            handler.wfile.flush()
        except OSError:
            handler.script.hung_up.set()
            handler.close_connection = True
            return
        handler.script.hung_up.wait(0.02)


def event(name: str, values: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(values)}\n\n".encode()


@contextlib.contextmanager
def scripted(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Script]:
    script = Script(list(answers))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"script": script}))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    script.address = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


ABOUT = {
    "request_id": "r-1",
    "model": {"name": "classifier", "kind": "k", "version": "0.1", "sha256": "ab" * 32, "preset": "ours"},
    "input": {
        "fs_hz": 500,
        "duration_s": 10.0,
        "unit": "uV",
        "leads_found": ["I", "II"],
        "leads_derived": ["III"],
        "leads_missing": [],
        "window_s": [0.0, 10.0],
        "resampled": False,
        "padded": False,
    },
    "quality": {"ok": False, "flags": ["noise_high:V1"]},
    "notice": "Research use only.",
}
CLASSIFIED = ABOUT | {"results": [{"query": "atrial fibrillation", "probability": 0.9, "logit": 2.2}]}
