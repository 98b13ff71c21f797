"""What comes over the wire and is no proper request: lengths that lie, bodies without end, pieces, forms, old HTTP."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from asking import CANARY, asked, check_problem, client_of, head, host_of, parsed, raw, refused
from running_service import running
from stand_ins import ChildService, QuickReader, StandInWriter

from ecgray.service.backends import Backends
from ecgray.service.settings import ServiceSettings

JSON = "Content-Type: application/json"
RAW = "Content-Type: application/octet-stream"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def hasty() -> Iterator[str]:
    """Waits half a second for a body."""
    with running(Backends(QuickReader(), None, StandInWriter()), ServiceSettings(body_s=0.5)) as address:
        yield address


def refused_raw(said: bytes, status: int, code: str) -> None:
    found, headers, content = parsed(said)
    assert found == status, said[:500]
    assert check_problem(headers, content, status)["code"] == code
    assert CANARY.lower().encode() not in said.lower()


def body(records: np.ndarray) -> bytes:
    return json.dumps(asked(records[0])).encode()


# --- how much


@pytest.mark.parametrize("length", ["2000001", "200000000", "99999999999999999999", "9" * 400])
def test_a_length_that_is_too_large_is_refused_before_the_body(child: ChildService, length: str):
    said = raw(child.address, head(child.address, JSON, f"Content-Length: {length}"), b"{}", wait_s=3)
    if said.startswith(b"HTTP/1.1 400") and len(length) > 15:
        return  # the server below the app: no such number
    refused_raw(said, 413, "payload_too_large")


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1 1", "+5", "five", ""])
def test_a_length_that_is_no_number_is_refused(child: ChildService, length: str):
    said = raw(child.address, head(child.address, JSON, f"Content-Length: {length}"), b"{}", wait_s=3)
    assert 400 <= parsed(said)[0] < 500


def test_two_lengths_or_a_length_and_chunks_are_no_request(child: ChildService):
    """What request smuggling needs."""
    for lines in (
        ("Content-Length: 2", "Content-Length: 50"),
        ("Content-Length: 50", CHUNKED),
        (CHUNKED, "Content-Length: 2"),
        ("Transfer-Encoding: chunked, identity",),
    ):
        said = raw(child.address, head(child.address, JSON, *lines), b"{}", wait_s=2)
        assert said == b"" or 400 <= parsed(said)[0] < 500, said


def test_a_body_shorter_than_its_length_is_waited_for_and_given_up(hasty: str):
    start = time.monotonic()
    refused_raw(raw(hasty, head(hasty, JSON, "Content-Length: 1000"), b'{"ecg"'), 408, "timeout")
    assert time.monotonic() - start < 5


def test_a_body_that_trickles_is_given_up(hasty: str):
    """Slowloris: a byte at a time keeps no place for longer than body_s."""
    with socket.create_connection(host_of(hasty), 10) as connection:
        connection.sendall(head(hasty, JSON, "Content-Length: 100000"))
        said, start = b"", time.monotonic()
        connection.settimeout(0.05)
        while not said and time.monotonic() - start < 5:
            try:
                connection.sendall(b" ")
                said = connection.recv(65536)
            except TimeoutError:
                continue
        assert time.monotonic() - start < 2.5
    refused_raw(said, 408, "timeout")


def test_chunks_without_end_are_refused_at_the_limit(child: ChildService):
    """200 MB in chunks, to each route: no more is read than is taken."""
    piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    for path, kind in (("/v1/classify", JSON), ("/v1/classify/file?q=a", RAW), ("/v1/generate", JSON)):
        child.forget()
        before, start = child.resident_mb(), time.monotonic()
        said = raw(child.address, head(child.address, kind, CHUNKED, path=path), *[piece] * 200)
        if said:  # else the connection was closed under what was still being sent
            refused_raw(said, 413, "payload_too_large")
        assert time.monotonic() - start < 5
        assert child.resident_mb("VmHWM") - before < 64


def test_a_body_of_one_byte_chunks_is_a_body(child: ChildService):
    content = json.dumps({"queries": [CANARY], "ecg": "x" * 65_000}).encode()
    pieces = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in content) + b"0\r\n\r\n"
    start = child.cpu_s()
    refused_raw(raw(child.address, head(child.address, JSON, CHUNKED) + pieces), 422, "param_invalid")
    assert child.cpu_s() - start < 1


def test_no_body_is_no_json(child: ChildService):
    for method in (("Content-Length: 0",), ()):
        refused_raw(raw(child.address, head(child.address, JSON, *method)), 400, "json_invalid")


def test_a_client_that_goes_while_it_sends_leaves_nothing(child: ChildService):
    for _ in range(20):
        with socket.create_connection(host_of(child.address), 5) as connection:
            connection.sendall(head(child.address, JSON, "Content-Length: 1000") + b"{")
    time.sleep(0.3)
    with client_of(child.address) as client:
        inside = [line for line in client.get("/metrics").text.splitlines() if line.startswith("ecgray_inside{")]
    assert {line.split()[1] for line in inside} == {"0.0"}


# --- of what kind


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "GZIP", CANARY])
def test_a_packed_body_is_not_unpacked(child: ChildService, records: np.ndarray, encoding: str):
    bomb = gzip.compress(bytes(50 << 20))
    with client_of(child.address, **{"content-encoding": encoding}) as client:
        for path, kind in (("/v1/classify", "application/json"), ("/v1/classify/file", "application/zip")):
            refused(client.post(path, content=bomb, headers={"content-type": kind}), 415, "media_unsupported")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data; boundary=x", CANARY, "application/jsonp", "*/*"]
)
def test_a_body_that_is_not_said_to_be_json_is_refused(child: ChildService, records: np.ndarray, kind: str):
    with client_of(child.address) as client:
        for path in ("/v1/classify", "/v1/classify/batch", "/v1/generate", "/v1/plot", "/v2/models/classifier/infer"):
            answer = client.post(path, content=body(records), headers={"content-type": kind})
            refused(answer, 415, "media_unsupported")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON ;x"])
def test_json_may_be_spelled_as_it_is(child: ChildService, records: np.ndarray, kind: str):
    with client_of(child.address) as client:
        answer = client.post("/v1/classify", content=body(records), headers={"content-type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_form_is_no_recording(child: ChildService, kind: str):
    """What a page of another address may send without being asked first."""
    with client_of(child.address) as client:
        for path in ("/v1/classify/file", "/v1/embed/file", "/v1/plot/file", "/v1/read/file"):
            answer = client.post(path, content=b"PK\3\4", headers={"content-type": kind})
            refused(answer, 415, "media_unsupported")


def test_a_wrong_method_is_told_the_right_ones(child: ChildService):
    with client_of(child.address) as client:
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            answer = client.request(method, "/v1/classify")
            refused(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == "POST"
        for path in ("/v1/models", "/version", "/metrics", "/v2/health/ready", "/docs", "/openapi.json"):
            answer = client.post(path, json={})
            refused(answer, 405, "method_not_allowed")
            assert "GET" in answer.headers["allow"].split(", ")
        assert client.head("/v1/classify").status_code == 405
    said = raw(child.address, head(child.address, method=CANARY.upper()))
    assert 400 <= parsed(said)[0] < 500
    assert CANARY.upper().encode() not in said


def test_an_unknown_path_is_not_repeated(child: ChildService):
    with client_of(child.address) as client:
        for path in (
            f"/{CANARY}",
            f"/v1/samples/{CANARY}",
            f"/v1/models/{CANARY}/card",
            f"/v2/models/{CANARY}",
            f"/page/{CANARY}",
            f"/page/../{CANARY}",
            "/page/%2e%2e/app.py",
            "/page//etc/passwd",
            "/%00",
        ):
            refused(client.get(path), 404, "not_found")
        refused(client.post(f"/v2/models/{CANARY}/infer", json={}), 404, "not_found")


def test_old_http_is_answered(child: ChildService, records: np.ndarray):
    content = body(records)
    said = raw(child.address, head(child.address, JSON, f"Content-Length: {len(content)}", version="1.0") + content)
    assert parsed(said)[0] == 200
    assert b'"results"' in said


def test_what_is_no_http_is_refused(child: ChildService):
    for text in (
        b"\0\1\2\3\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(60),
        b"POST /v1/classify HTTP/9.9\r\n\r\n",
    ):
        said = raw(child.address, text, wait_s=2)
        assert said == b"" or 400 <= parsed(said)[0] < 506, said


def test_absurd_headers_change_nothing(child: ChildService, records: np.ndarray):
    content = body(records)
    many = [f"X-{number}: {CANARY}" for number in range(90)]
    odd = [
        "Accept: */*, text/nothing;q=9",
        "Range: bytes=0-1",
        "Expect: nothing",
        "TE: x",
        "Cookie: a=b; c",
        "X-Request-Id: 1",
        f"Traceparent: {CANARY}",
        "X-Forwarded-For: ../../etc",
        "X-HTTP-Method-Override: DELETE",
        "Forwarded: for=x",
    ]
    said = raw(child.address, head(child.address, JSON, f"Content-Length: {len(content)}", *many, *odd) + content)
    assert parsed(said)[0] == 200
    assert CANARY.encode() not in said
    long = raw(
        child.address, head(child.address, JSON, "Content-Length: 2", f"X-Long: {'x' * 20_000}") + b"{}", wait_s=3
    )
    assert 400 <= parsed(long)[0] < 500


def test_nothing_of_a_query_string_is_repeated(child: ChildService):
    with client_of(child.address) as client:
        wrong = {"fs": CANARY, "start_s": CANARY, "strict": CANARY, "allow_missing_leads": CANARY, "unit": CANARY}
        wrong |= {"speed_mm_s": CANARY, "gain_mm_mv": CANARY}
        for name, value in wrong.items():
            path, q = ("/v1/plot/file", {}) if "_mm_" in name else ("/v1/classify/file", {"q": "a"})
            answer = client.post(path, params={**q, name: value}, content=b"x", headers={"content-type": "text/csv"})
            refused(answer, 422, "units_unknown" if name == "unit" else "param_invalid")
        for name, value in {"fs": "nan", "start_s": "-1", "layout": CANARY, "title": CANARY * 9}.items():
            path = "/v1/plot/file" if name in ("layout", "title") else "/v1/classify/file"
            answer = client.post(path, params={name: value}, content=b"x", headers={"content-type": "text/csv"})
            refused(answer, 422, "param_out_of_range")
        answer = client.post("/v1/embed/file", params={CANARY: "1"}, content=b"x", headers={"content-type": "text/csv"})
        refused(answer, 422, "param_unknown")
