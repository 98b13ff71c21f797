"""How the tests ask: bodies, clients, raw requests, and what every refusal must look like."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import httpx
import numpy as np
from uploads import packed

from ecgray.demo.people import draw_people
from ecgray.demo.strip import draw_ecgs

CANARY = "Zylinderkopfdichtung"
"""What no answer of a refusal, no log and no meter may hold."""
QUERIES = ["atrial fibrillation", "left bundle branch block", "sinus rhythm"]
_FIELDS = {"type", "title", "status", "code", "detail", "request_id"}


def client_of(address: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers=headers, timeout=60, trust_env=False)


def records_of(count: int) -> np.ndarray:
    people = [next_ for next_, _ in zip(draw_people(3 * count, seed=5), range(count), strict=False)]
    return draw_ecgs([person.drawing for person in people])


def asked(counts: np.ndarray, *queries: str, **fields: Any) -> dict[str, Any]:
    """A body of /v1/classify."""
    return {"ecg": packed(counts), "queries": list(queries or QUERIES)} | fields


def logits(answer: httpx.Response) -> list[float]:
    assert answer.status_code == 200, answer.text
    return [one["logit"] for one in answer.json()["results"]]


def refused(answer: httpx.Response, status: int, code: str, *, held: str = CANARY) -> dict[str, Any]:
    """The problem document; it must be whole, and hold nothing of the request."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    check_problem(answer.headers, answer.content, status)
    assert held.lower() not in answer.text.lower()
    assert not [name for name, value in answer.headers.items() if held.lower() in (name + value).lower()]
    return answer.json()


def check_problem(headers: Any, content: bytes, status: int) -> dict[str, Any]:
    found = json.loads(content)
    assert headers["content-type"] == "application/problem+json"
    assert _FIELDS <= set(found) <= {*_FIELDS, "field"}
    assert found["status"] == status
    assert found["type"] == f"urn:ecgray:problem:{found['code']}"
    assert re.fullmatch(r"[0-9a-f]{32}", found["request_id"])
    assert headers["x-request-id"] == found["request_id"]
    assert re.fullmatch(r"[A-Za-z0-9][^\n]*[.?]", found["detail"])
    assert "Traceback" not in found["detail"]
    assert ".py" not in found["detail"]
    assert (status in (429, 503)) == ("retry-after" in headers)
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    return found


def host_of(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("http://").partition(":")
    return host, int(port)


def raw(address: str, *pieces: bytes, wait_s: float = 10) -> bytes:
    """All that the service says to these bytes, sent one after the other."""
    with socket.create_connection(host_of(address), wait_s) as connection:
        said = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            connection.settimeout(wait_s)
            while more := connection.recv(65536):
                said += more
        except (BrokenPipeError, ConnectionResetError):  # it answered and closed before all was sent
            connection.settimeout(0.2)
            try:
                while more := connection.recv(65536):
                    said += more
            except OSError:
                pass
        return said


def head(address: str, *lines: str, method: str = "POST", path: str = "/v1/classify", version: str = "1.1") -> bytes:
    host, port = host_of(address)
    first = f"{method} {path} HTTP/{version}"
    return "\r\n".join([first, f"Host: {host}:{port}", "Connection: close", *lines, "", ""]).encode("latin-1")


def parsed(said: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content of a raw answer."""
    top, _, content = said.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, content
