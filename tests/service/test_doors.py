"""Who may ask: the bearer token, the names that the service goes by, and pages of other addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from asking import CANARY, asked, client_of, head, parsed, raw, refused
from running_service import running
from stand_ins import QuickReader, StandInWriter

from ecgray.service.backends import Backends
from ecgray.service.settings import ServiceSettings

TOKEN = f"{CANARY}-0123456789"
LOCKED = ServiceSettings(token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest())
CLOSED = ("/v1/models", "/v1/queries", "/v1/samples", "/v1/models/classifier/card", "/version", "/metrics")
CLOSED_V2 = ("/v2/models/classifier", "/v2/models/classifier/ready")
OPEN = ("/docs", "/openapi.json", "/v2", "/v2/health/live", "/v2/health/ready")


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    with running(Backends(QuickReader(), None, StandInWriter()), LOCKED) as address:
        yield address


@pytest.fixture(scope="module")
def unlocked() -> Iterator[str]:
    with running(Backends(QuickReader(), None, StandInWriter())) as address:
        yield address


# --- the token


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"),
        ("", "token_missing"),
        ("Bearer", "token_missing"),
        (f"Basic {TOKEN}", "token_missing"),
        (TOKEN, "token_missing"),
        (f"Bearer {TOKEN}x", "token_wrong"),
        (f"Bearer {TOKEN[:-1]}", "token_wrong"),
        (f"Bearer {TOKEN.upper()}", "token_wrong"),
        (f"Bearer {TOKEN} {TOKEN}", "token_wrong"),
        (f"Bearer {LOCKED.token_sha256}", "token_wrong"),
        (f"Bearer {CANARY * 400}", "token_wrong"),
        (b"Bearer \xff\xfe\xe4", "token_wrong"),
    ],
)
def test_without_the_token_nothing_is_answered(locked: str, header: str | bytes | None, code: str):
    with client_of(locked) as client:
        sent = {} if header is None else {"Authorization": header}
        for method, path in [("GET", path) for path in CLOSED + CLOSED_V2] + [
            ("POST", "/v1/classify"),
            ("POST", "/v1/generate"),
            ("POST", "/v2/models/classifier/infer"),
            ("DELETE", "/nowhere"),
        ]:
            answer = client.request(method, path, headers=sent)
            refused(answer, 401, code)
            assert answer.headers["www-authenticate"] == 'Bearer realm="ecgray"'


def test_with_the_token_all_is_answered_by_any_name(locked: str, records: np.ndarray):
    """A reverse proxy may call the service as it likes where a token is asked for."""
    for kind in ("Bearer", "bearer", "BEARER"):
        with client_of(locked, authorization=f"{kind} {TOKEN}", host="ecg.example:8000") as client:
            assert client.post("/v1/classify", json=asked(records[0])).status_code == 200
            assert {client.get(path).status_code for path in CLOSED + CLOSED_V2} == {200}


def test_what_holds_no_data_is_open(locked: str):
    with client_of(locked) as client:
        assert {client.get(path).status_code for path in OPEN} == {200}
        assert client.get("/page/no-such-file").status_code == 404


@pytest.mark.parametrize("host", ["x/docs?", "x/page/", "x/docs#", "x/v2?x=", "x\\docs?", "user@x/docs?", "/docs?", ""])
def test_a_host_that_holds_a_path_opens_no_door(locked: str, host: str):
    """The path that is asked for is the request line's, whatever the Host header says."""
    port = locked.rpartition(":")[2]
    said = raw(locked, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert parsed(said)[0] in (400, 401), said
    absolute = f"GET http://127.0.0.1:{port}/docs?/v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert b'"models"' not in raw(locked, absolute.encode())


@pytest.mark.parametrize(
    "path",
    ["/page/../v1/models", "/page/%2e%2e/v1/models", "//v1/models", "/v1/models/", "/v1//models", "/docs/../v1/models"],
)
def test_no_other_spelling_of_a_path_opens_a_door(locked: str, path: str):
    said = raw(locked, head(locked, method="GET", path=path))
    assert parsed(said)[0] in (401, 404), said
    assert b"location" not in said.lower()


def test_no_path_leads_elsewhere(unlocked: str):
    """A redirect would repeat the Host header."""
    with client_of(unlocked) as client:
        for path in ("/v1/models/", "/v1/classify/", "/docs/", "/v2/"):
            refused(client.get(path), 404, "not_found")


# --- without a token: this machine alone


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost:8000", "127.0.0.1", "[::1]", "[::1]:8000"])
def test_without_a_token_the_service_goes_by_its_own_names(unlocked: str, host: str):
    with client_of(unlocked, host=host) as client:
        assert client.get("/version").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        f"{CANARY}.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "evil.example:127.0.0.1",
        "127.0.0.2",
        "localhost:8000:8000",
        "::1",
        "0.0.0.0",
        "localhost/",
        "",
        ":80",
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused(unlocked: str, host: str):
    """What DNS rebinding needs."""
    with client_of(unlocked, host=host) as client:
        for path in ("/", "/version", "/docs", "/nowhere"):
            refused(client.get(path), 421, "host_unknown")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        f"http://{CANARY}.example",
        "http://127.0.0.1",
        "http://localhost:1",
        "http://[",
        "http://]:80",
        "",
        "file://",
        "://",
        "http://127.0.0.1:99999999999",
    ],
)
def test_a_page_of_another_address_is_refused(unlocked: str, locked: str, origin: str):
    with client_of(unlocked, origin=origin) as client:
        refused(client.get("/version"), 403, "origin_refused")
        refused(client.post("/v1/classify", json={}), 403, "origin_refused")
    with client_of(locked, origin=origin, authorization=f"Bearer {TOKEN}") as client:
        refused(client.post("/v1/classify", json={}), 403, "origin_refused")


def test_our_own_page_may_ask(unlocked: str):
    with client_of(unlocked, origin=unlocked) as client:
        assert client.get("/version").status_code == 200
        refused(client.post("/v1/classify", json={}), 422, "param_missing")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_page_is_refused(unlocked: str, site: str):
    with client_of(unlocked, **{"sec-fetch-site": site}) as client:
        refused(client.post("/v1/classify", json={}), 403, "origin_refused")
        assert client.get("/version").status_code == 200, "a link may lead here"


def test_no_answer_lets_another_page_read_it(unlocked: str):
    with client_of(unlocked) as client:
        for path in ("/version", "/docs", "/nowhere", "/v1/models"):
            headers = client.get(path).headers
            assert not [name for name in headers if name.startswith("access-control")]
            assert headers["x-frame-options"] == "DENY"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "default-src" in headers["content-security-policy"]


def test_a_web_socket_is_refused(unlocked: str):
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
    host = unlocked.removeprefix("http://")
    lines = [f"GET /v1/classify HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade", *upgrade, "", ""]
    assert parsed(raw(unlocked, "\r\n".join(lines).encode(), wait_s=3))[0] == 403


def test_a_hash_of_the_token_is_compared_in_one_time(monkeypatch: pytest.MonkeyPatch, locked: str):
    """By hmac.compare_digest, never by ==."""
    from ecgray.service import guard

    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr(guard.hmac, "compare_digest", compare)
    with client_of(locked, authorization=f"Bearer {TOKEN}") as client:
        refused(client.get("/version"), 401, "token_wrong")
    assert compared == [(LOCKED.token_sha256, LOCKED.token_sha256)]


def test_httpx_sends_what_it_is_told(unlocked: str):
    """Or the tests above would ask nothing."""
    assert httpx.Request("GET", unlocked, headers={"host": "evil.example"}).headers["host"] == "evil.example"
