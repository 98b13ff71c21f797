"""The outer wall of the app: who may come in, what every answer carries, and what must not get out by a log.

An exception's text may hold what a request held; so what goes wrong inside is logged by its kind and the request's
number alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecgray.service.core import unversioned
from ecgray.service.gate import Gate
from ecgray.service.meters import Meters
from ecgray.service.problems import Problem, internal, not_ready, problem_response
from ecgray.service.settings import ServiceSettings

LOG = logging.getLogger("ecgray.service")
OPEN = ("/", "/docs", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready")
"""What anybody may ask: no data and no model stands behind it."""
OPEN_BELOW = "/page/"

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
_NOTHING = b"default-src 'none'; frame-ancestors 'none'; sandbox"


def log_requests() -> None:
    """Write a line for each request to this process's stderr: number, route, status, time."""
    if not LOG.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        LOG.addHandler(handler)
        LOG.setLevel(logging.INFO)
        LOG.propagate = False


class Guard:
    """ASGI middleware around the whole app."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServiceSettings,
        meters: Meters,
        gate_of: Callable[[str], Gate | None] = lambda _: None,
    ) -> None:
        self.app, self.settings, self.meters, self.gate_of = app, settings, meters, gate_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            else:  # a web socket: there is none
                await send({"type": "websocket.close", "code": 1008})
            return
        request_id = uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0
        asked = scope["method"]
        if asked == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _dressed(message.get("headers", ()), request_id)
            await send(message)

        try:
            self._admit(Request(scope))
            await self.app(scope, receive, answered)
        except ClientDisconnect:
            status = status or 499
        except asyncio.CancelledError:  # the service ends, and its patience is over
            if not status:
                await problem_response(not_ready("service"), request_id)(scope, receive, answered)
            raise
        except Exception as error:
            problem = error if isinstance(error, Problem) else internal()
            self.meters.refused.labels(problem.code).inc()
            if not isinstance(error, Problem):
                LOG.error("request %s failed: %s", request_id, type(error).__name__)
            if not status:
                await problem_response(problem, request_id)(scope, receive, answered)
        finally:
            took = time.perf_counter() - started
            known = unversioned(scope["path"]) if self.gate_of(scope["path"]) else "unknown"
            route: str = getattr(scope.get("route"), "path", known)
            self.meters.answered(route, asked, status, took)
            LOG.info("%s %s %d %.1f ms %s", _method(asked), route, status, took * 1000, request_id)

    def _admit(self, request: Request) -> None:
        """Raise `Problem` where the request may not ask."""
        path = request.scope["path"]  # never the URL's: that is made with the Host header
        if self.settings.asks_for_token():
            if path not in OPEN and not path.startswith(OPEN_BELOW):
                self._check_token(request.headers.get("authorization", ""))
        else:
            _check_host(request, self.settings.hosts)
        _check_origin(request)
        gate = self.gate_of(path) if request.method == "POST" else None
        if gate is not None:
            gate.refuse_where_full()  # before a body is read, a route found, a model asked: that is what keeps it quick

    def _check_token(self, header: str) -> None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise Problem(401, "token_missing", "This needs a bearer token: Authorization: Bearer TOKEN.")
        if not hmac.compare_digest(hashlib.sha256(token.strip().encode()).hexdigest(), self.settings.token_sha256):
            raise Problem(401, "token_wrong", "The bearer token is not the one of this service.")


def _check_host(request: Request, hosts: Iterable[str]) -> None:
    """Without a token only this machine may ask, and no page of another name that was made to resolve to it."""
    host = request.headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
    if name.lower() not in hosts:
        raise Problem(421, "host_unknown", "The service does not go by this name; call it by 127.0.0.1 or localhost.")


def _check_origin(request: Request) -> None:
    """A browser says whose page asks: only our own may."""
    origin = request.headers.get("origin")
    if origin is not None and _netloc(origin) != request.headers.get("host", "").lower():
        raise Problem(403, "origin_refused", "A page of another address may not ask this service.")
    if request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and request.method != "GET":
        raise Problem(403, "origin_refused", "A page of another address may not ask this service.")


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _dressed(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """The answer's headers and those that every answer has."""
    own = list(headers)
    named = {name.lower() for name, _ in own}
    own += [pair for pair in _HEADERS if pair[0] not in named]
    if b"content-security-policy" not in named:
        own.append((b"content-security-policy", _NOTHING))
    if b"cache-control" not in named:
        own.append((b"cache-control", b"no-store"))
    own.append((b"x-request-id", request_id.encode()))
    return own


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


def _method(name: str) -> str:
    """A method that is known; what else a client may call one is not repeated."""
    return name if name in _METHODS else "OTHER"
