"""Requests and answers: a connection a thread that is kept open, one more try where that is safe, events as they come.

What is tried again: a connection that the server had closed while it idled, always (nothing was received); a connection
that was lost, where a second answer costs nothing; 429, 502 and 503, after the time that the server asks for. What is
not: an answer that takes too long, and drawing ECGs once a part of the answer has come.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import weakref
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ecgray.client.address import Way, open_way, parse_address
from ecgray.client.failures import Overloaded, ServiceError, Unreachable
from ecgray.errors import ConfigError

PATIENCE_S = 10.0
"""A server that wants to be asked again later than that is not waited for."""
PAUSE_S = 0.2
"""Before another try where the server names no time."""
MOST_ANSWER_BYTES = 64 << 20
_AGAIN = (429, 502, 503)
_LOST = (ConnectionError, http.client.HTTPException)


@dataclass(frozen=True)
class Request:
    """What is sent."""

    method: str
    path: str
    body: bytes | None = None
    kind: str = "application/json"
    """Of the body."""
    accept: str = "application/json"
    once: bool = False
    """Not to be sent again once something of its answer has come."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    kind: str
    body: bytes
    retry_after_s: float | None


@dataclass
class _Tries:
    """How often a request may still be sent again."""

    left: int

    def spend(self) -> bool:
        """Whether there was one left."""
        self.left -= 1
        return self.left >= 0


class Wire:
    """Connections to one service."""

    def __init__(self, server: str, *, token: str | None, timeout_s: float, retries: int) -> None:
        if not timeout_s > 0 or retries < 0:
            raise ConfigError(f"timeout_s={timeout_s} must be above 0, and retries={retries} at least 0.")
        self.address = parse_address(server)
        self._timeout_s, self._retries = timeout_s, retries
        secret = os.environ.get("ECGRAY_TOKEN", "") if token is None else token
        if not (secret.isascii() and secret.isprintable()) or " " in secret:
            raise ConfigError("the token holds characters that no HTTP header may hold; copy it again.")
        self._token = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._own = threading.local()
        self._all: weakref.WeakSet[Way] = weakref.WeakSet()

    def close(self) -> None:
        """Close every connection; the next request opens one."""
        for way in list(self._all):
            way.connection.close()

    def ask(self, request: Request) -> Reply:
        """Send a request and read the whole answer; raises `ServiceError` for any but 200."""
        tries = _Tries(self._retries)
        try:
            while True:
                response = self._begin(request, tries)
                try:
                    reply = _whole(response)
                except _LOST:
                    if request.once or not tries.spend():
                        raise
                    self._drop()
                    time.sleep(PAUSE_S)
                else:
                    break
        except (*_LOST, OSError) as error:
            self._drop()
            raise self._lost(error) from None
        except BaseException:  # Ctrl-C: half an answer stands in the connection
            self._drop()
            raise
        return _refuse(reply)

    def events(self, request: Request) -> Generator[tuple[str, Any]]:
        """The server-sent events of an answer, as (event, data); closing the iterator closes the connection."""
        try:
            response = self._begin(request, _Tries(self._retries))
            if response.status != 200:
                _refuse(_whole(response))
            if response.headers.get_content_type() != "text/event-stream":
                yield "result", parse(_whole(response).body)
                return
            yield from _events(response)
        except (*_LOST, OSError) as error:
            raise self._lost(error) from None
        finally:
            self._drop()

    def _begin(self, request: Request, tries: _Tries) -> http.client.HTTPResponse:
        """The head of the answer, after as many tries as are left."""
        while True:
            try:
                response = self._send(request)
            except _LOST:
                self._drop()
                if not tries.spend():
                    raise
                time.sleep(PAUSE_S)
                continue
            wait_s = _retry_after_s(response)
            wait_s = PAUSE_S if wait_s is None else wait_s
            if response.status not in _AGAIN or wait_s > PATIENCE_S or not tries.spend():
                return response
            _whole(response)
            time.sleep(wait_s)

    def _send(self, request: Request) -> http.client.HTTPResponse:
        """The head of the answer. A connection that the server closed while it idled is opened anew."""
        way = self._way()
        idle = way.connection.sock is not None
        try:
            return _exchange(way, request, self._token)
        except (ConnectionError, http.client.BadStatusLine):  # RemoteDisconnected is both
            way.connection.close()
            if not idle:
                raise
        return _exchange(way, request, self._token)

    def _way(self) -> Way:
        way: Way | None = getattr(self._own, "way", None)
        if way is None:
            way = open_way(self.address, self._timeout_s)
            weakref.finalize(way, way.connection.close)  # when its thread ends
            self._own.way = way
            self._all.add(way)
        return way

    def _drop(self) -> None:
        self._way().connection.close()

    def _lost(self, error: Exception) -> ServiceError:
        """One sentence for what the system says."""
        reason = str(getattr(error, "verify_message", ""))
        if reason:
            return Unreachable(
                f"{self.address} shows a certificate that does not hold ({reason}); name its authority's file in "
                "SSL_CERT_FILE."
            )
        if isinstance(error, TimeoutError):
            return Unreachable(
                f"{self.address} did not answer within {self._timeout_s:g} s; is it busy? Give a longer timeout_s."
            )
        name = getattr(error, "strerror", None) or type(error).__name__
        return Unreachable(f"{self.address} cannot be reached ({name}); is the service running there?")


def parse(body: bytes) -> Any:
    """The JSON of an answer; raises `ServiceError` where it is none."""
    try:
        return json.loads(body)
    except ValueError:
        raise ServiceError(
            "answer_invalid", 200, "The answer is no JSON; is it ecgray's service that listens at this address?"
        ) from None


def problem(values: Mapping[str, Any], status: int, retry_after_s: float | None = None) -> ServiceError:
    """The error that a problem document (RFC 9457) describes."""
    code = str(values.get("code") or f"http_{status}")
    said = str(values.get("detail") or values.get("title") or f"The server answered {status} without saying why.")
    request_id, field = (str(values[name]) if values.get(name) else None for name in ("request_id", "field"))
    if status not in (429, 503):
        return ServiceError(code, status, said, request_id, field)
    return Overloaded(code, status, said, request_id, field, retry_after_s)


def _exchange(way: Way, request: Request, token: Mapping[str, str]) -> http.client.HTTPResponse:
    sent = {"Accept": request.accept, "User-Agent": "ecgray", **way.headers, **token}
    if request.body is not None:
        sent["Content-Type"] = request.kind
    connection = way.connection
    opened = connection.sock is not None
    try:
        connection.request(request.method, way.before + request.path, request.body, sent)
    except (BrokenPipeError, ConnectionResetError):
        if opened or connection.sock is None:
            raise
        # the server would not read on, and may have said why
    return connection.getresponse()


def _whole(response: http.client.HTTPResponse) -> Reply:
    """The answer to its end; raises IncompleteRead where that does not come."""
    too_long = response.length is not None and response.length > MOST_ANSWER_BYTES
    body = b"" if too_long else response.read(None if response.length is not None else MOST_ANSWER_BYTES + 1)
    if too_long or len(body) > MOST_ANSWER_BYTES:
        raise ServiceError("answer_invalid", response.status, f"The answer is longer than {MOST_ANSWER_BYTES} bytes.")
    return Reply(response.status, response.headers.get_content_type(), body, _retry_after_s(response))


def _retry_after_s(response: http.client.HTTPResponse) -> float | None:
    """What Retry-After says; None where it says nothing, or a date."""
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdigit() else None


def _refuse(reply: Reply) -> Reply:
    """The reply if it is good; else raises what it says."""
    if reply.status == 200:
        return reply
    try:
        said = json.loads(reply.body) if reply.kind.endswith("json") else {}
    except ValueError:
        said = {}
    raise problem(said if isinstance(said, dict) else {}, reply.status, reply.retry_after_s)


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Server-sent events: `event:` and `data:` lines, an empty line after each event; comments keep the line warm."""
    name, data = "message", list[bytes]()
    while line := response.readline(MOST_ANSWER_BYTES):
        text = line.rstrip(b"\r\n")
        if not text and data:
            yield name, parse(b"\n".join(data))
        if not text:
            name, data = "message", []
            continue
        label, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        if label == b"event":
            name = value.decode("utf-8", "replace")
        elif label == b"data":
            data.append(value)
