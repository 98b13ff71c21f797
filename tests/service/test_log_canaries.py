"""Words planted in everything that a client may send: none is ever in a log, in a meter, or in what a refusal says."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from asking import CANARY, asked, client_of, head, raw
from running_service import running
from stand_ins import QuickReader, RaisingReader, StandInWriter
from uploads import csv_bytes, edf_bytes, npy_bytes, packed, wfdb_files, zip_bytes

from ecgray.leads import LEADS
from ecgray.service.backends import Backends
from ecgray.service.settings import ServiceSettings

TOKEN = f"{CANARY}-0123456789"
EVENTS = {"accept": "text/event-stream"}


@pytest.fixture
def loud(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server below the app says all that it may, but for its list of requests, which jobs/serve.py leaves off."""
    plain = uvicorn.Config

    def config(app: Any, **settings: Any) -> uvicorn.Config:
        return plain(app, **settings | {"log_level": "debug", "log_config": None, "access_log": False})

    monkeypatch.setattr(uvicorn, "Config", config)


@pytest.fixture
def logged(loud: None, caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    names = ["", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "asyncio", "ecgray.service"]
    held = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).propagate = True
    yield caplog
    for name, (level, propagate) in held.items():
        logging.getLogger(name).setLevel(level)
        logging.getLogger(name).propagate = propagate


def requests_of(records: np.ndarray, files: dict[str, bytes]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and what else of some dozens of requests, good and bad, each with the canary somewhere."""
    ecg, mv = packed(records[0]), records[0] / 1000
    named = [{"name": f"{CANARY}.{name[2:]}", "data": base64.b64encode(held).decode()} for name, held in files.items()]
    raw_kind = {"headers": {"content-type": "application/octet-stream"}}
    yield "POST", "/v1/classify", {"json": asked(records[0], CANARY)}
    yield "POST", "/v1/classify", {"json": asked(records[0], f"{CANARY}\0")}
    yield "POST", "/v1/classify", {"json": {"ecg": ecg | {"leads": [CANARY, *LEADS[1:]]}, "queries": ["a"]}}
    yield "POST", "/v1/classify", {"json": {"ecg": ecg | {"unit": CANARY}, "queries": ["a"]}}
    yield "POST", "/v1/classify", {"json": {"ecg": ecg | {CANARY: CANARY}, "queries": ["a"]}}
    yield "POST", "/v1/classify", {"json": {"files": named, "queries": [CANARY]}}
    yield "POST", "/v1/classify", {"json": {CANARY: CANARY}}
    yield "POST", "/v1/classify", {"content": f'{{"{CANARY}": ', "headers": {"content-type": "application/json"}}
    yield "POST", "/v1/classify", {"content": CANARY, "headers": {"content-type": f"text/{CANARY}"}}
    yield "POST", "/v1/classify/batch", {"json": {"items": [{"ecg": ecg}, CANARY, {CANARY: 1}], "queries": [CANARY]}}
    yield "POST", "/v1/embed", {"json": {"ecg": ecg, "options": {CANARY: CANARY}}}
    yield "POST", "/v1/explain", {"json": {"ecg": ecg, "query": CANARY}}
    yield "POST", "/v1/plot", {"json": {"ecg": ecg, "title": CANARY, "layout": CANARY}}
    yield "POST", "/v1/generate", {"json": {"prompt": CANARY, "steps": 0}}
    yield "POST", "/v1/generate", {"json": {"prompt": CANARY}}
    yield "POST", "/v1/generate", {"json": {"prompt": f"{CANARY}\x1b"}, "headers": EVENTS}
    yield "POST", "/v1/generate", {"json": {"prompt": CANARY, "sampler": CANARY}}
    for number, content in enumerate(
        (
            zip_bytes({f"{CANARY}.hea": files["r.hea"], f"{CANARY}.dat": b"1"}),
            zip_bytes({f"../{CANARY}.hea": files["r.hea"]}),
            zip_bytes({"r.hea": files["r.hea"] + f"# {CANARY}\n".encode(), "r.dat": files["r.dat"]}),
            zip_bytes({"r.hea": files["r.hea"].replace(b"V6", CANARY.encode()), "r.dat": files["r.dat"]}),
            zip_bytes({"r.hea": files["r.hea"].replace(b"/mV", f"/{CANARY}".encode()), "r.dat": files["r.dat"]}),
            npy_bytes(np.zeros(3, [(CANARY, "<i2")])),
            csv_bytes(mv, names=[f"{CANARY}{lead}" for lead in LEADS]),
            csv_bytes(mv) + CANARY.encode(),
            edf_bytes(records[0], labels=[CANARY] * 12),
            CANARY.encode(),
        )
    ):
        yield "POST", f"/v1/classify/file?q={CANARY}&{CANARY}={number}", {"content": content, **raw_kind}
    for name in ("fs", "unit", "leads", "start_s", "strict"):
        yield "POST", f"/v1/measure/file?{name}={CANARY}", {"content": npy_bytes(records[0]), **raw_kind}
    for path in (
        f"/{CANARY}",
        f"/v1/samples/{CANARY}",
        f"/v1/models/{CANARY}/card",
        f"/page/{CANARY}",
        f"/v2/models/{CANARY}",
        f"/v2/models/classifier/versions/{CANARY}",
    ):
        yield "GET", f"{path}?{CANARY}={CANARY}", {"headers": {"x-request-id": CANARY, "user-agent": CANARY}}
    yield CANARY.upper(), "/v1/classify", {}
    text = {"name": "queries", "datatype": "BYTES", "shape": [1], "data": [CANARY]}
    yield "POST", "/v2/models/classifier/infer", {"json": {"inputs": [text, {"name": CANARY, "datatype": CANARY}]}}
    yield "POST", "/v2/models/classifier/infer", {"json": {"inputs": [text], CANARY: CANARY}}
    prompt = text | {"name": "prompt"}
    yield "POST", "/v2/models/generator/infer", {"json": {"inputs": [prompt], "parameters": CANARY}}
    yield "POST", "/v2/models/generator/infer", {"json": {"inputs": [prompt], "parameters": {CANARY: CANARY}}}
    yield "POST", "/v2/models/generator/infer", {"json": {"inputs": [prompt], "outputs": [{"name": CANARY}]}}
    yield "POST", f"/v2/models/classifier/versions/{CANARY}/infer", {"json": {"inputs": [text]}}


def spoken(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged, with what a handler would add of an exception."""
    shape = logging.Formatter("%(name)s %(levelname)s %(message)s")
    return "\n".join(shape.format(record) for record in said_here(caplog))


def said_here(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Without what the tests' own client says."""
    return [record for record in caplog.records if not record.name.startswith("http")]


@pytest.mark.parametrize("works", [True, False], ids=["working", "broken"])
def test_no_planted_word_comes_out(
    works: bool,
    records: np.ndarray,
    tmp_path,
    logged: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    error = RuntimeError(CANARY)
    backends = (
        Backends(QuickReader(), None, StandInWriter())
        if works
        else Backends(RaisingReader(error), None, StandInWriter(error))
    )
    settings = ServiceSettings(token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest())
    files, statuses = wfdb_files(records[0], tmp_path), []
    with running(backends, settings) as address, client_of(address) as client:
        for method, path, sent in requests_of(records, files):
            for authorization in (f"Bearer {TOKEN}", f"Bearer {TOKEN}!"):
                headers = sent.get("headers", {}) | {"authorization": authorization}
                try:
                    answer = client.request(method, path, **sent | {"headers": headers})
                except httpx.RemoteProtocolError:
                    continue
                statuses.append(answer.status_code)
                if answer.status_code >= 400:
                    assert CANARY.lower() not in answer.text.lower(), path
                assert CANARY.lower() not in str(answer.headers).lower()
        with client.stream("POST", "/v1/generate", json={"prompt": CANARY}, headers=EVENTS):
            pass  # gone
        raw(address, head(address, f"X-{CANARY}: {CANARY}\x01", path=f"/{CANARY}"), wait_s=2)
        raw(address, f"{CANARY} {CANARY}\r\n\r\n".encode(), wait_s=2)
        metrics = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
    said = spoken(logged)
    written = capfd.readouterr()
    for text in (said, metrics, written.out, written.err):
        assert CANARY.lower() not in text.lower()
        assert hashlib.sha256(TOKEN.encode()).hexdigest() not in text
    assert len(statuses) > 80
    assert {200, 401, 404, 415, 422} <= set(statuses) if works else 500 in statuses
    assert "/v1/samples/{name}" in said, "the log names routes"
    assert "ecgray_requests_total" in metrics


def test_a_client_that_goes_is_no_fault_of_ours(logged: pytest.LogCaptureFixture):
    """No stack trace, no error: it happens every day."""
    writer = StandInWriter(stays_s=0.2)
    with running(Backends(None, None, writer)) as address, client_of(address) as client:
        with client.stream("POST", "/v1/generate", json={"prompt": "a"}, headers=EVENTS) as answer:
            next(answer.iter_lines())
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/generate", json={"prompt": "a"}, timeout=0.1)
        client.post("/v1/generate", json={"prompt": "a"})
    assert writer.closed == 3
    assert [record.getMessage() for record in said_here(logged) if record.levelno >= logging.WARNING] == []
    assert " 499 " in spoken(logged)


def test_the_canary_would_be_seen(logged: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]):
    """Or the tests above would prove nothing."""
    logging.getLogger("uvicorn.error").debug("said %s", CANARY)
    logging.getLogger("ecgray.service").info(json.dumps({"said": CANARY}))
    assert spoken(logged).count(CANARY) == 2
    print(CANARY, file=sys.stderr)
    assert CANARY in capfd.readouterr().err
