"""When the service itself is at its limit or broken: full gates, slow, missing and raising models."""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from asking import CANARY, asked, client_of, refused
from running_service import running
from stand_ins import QuickReader, RaisingReader, SlowReader, StandInWriter
from uploads import packed

from ecgray.errors import ConfigError
from ecgray.service.backends import Backends
from ecgray.service.settings import ServiceSettings

EVENTS = {"accept": "text/event-stream"}


def waited_for(condition, seconds: float = 5) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)


def inside(client: httpx.Client) -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith("ecgray_inside{")]
    return {name.partition('"')[2].partition('"')[0]: float(value) for name, _, value in found}


# --- full


def test_a_full_gate_refuses_at_once_and_opens_again(records: np.ndarray):
    reader = SlowReader()
    body = asked(records[0])
    with (
        running(Backends(reader, None, None), ServiceSettings(reading=2)) as address,
        client_of(address) as client,
        concurrent.futures.ThreadPoolExecutor(2) as threads,
    ):
        held = [threads.submit(client.post, "/v1/classify", json=body) for _ in range(2)]
        waited_for(lambda: reader.asked == 2)
        assert inside(client)["reading"] == 2
        for path, sent in (("/v1/classify", body), ("/v1/classify/batch", {"items": [body]}), ("/v1/read", {})):
            start = time.monotonic()
            answer = client.post(path, json=sent)
            refused(answer, 429, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
            assert time.monotonic() - start < 0.25
        csv = {"content-type": "text/csv"}
        refused(client.post("/v1/classify/file?q=a", content=b"x" * 7_000_000, headers=csv), 429, "overloaded")
        refused(client.post("/v2/models/classifier/infer", json={}), 429, "overloaded")
        refused(client.post("/v2/models/classifier/versions/1/infer", json={}), 429, "overloaded")
        assert client.get("/v2/health/live").status_code == 200
        reader.free.set()
        assert [each.result().status_code for each in held] == [200, 200]
        assert client.post("/v1/classify", json=body).status_code == 200
        assert inside(client) == {"reading": 0, "writing": 0, "bodies": 0, "explaining": 0}


def test_a_batch_wider_than_the_gate_goes_alone(records: np.ndarray):
    item = {"ecg": packed(records[0])}
    with (
        running(Backends(QuickReader(), None, None), ServiceSettings(reading=2)) as address,
        client_of(address) as client,
    ):
        answer = client.post("/v1/classify/batch", json={"items": [item] * 3, "queries": ["a"]})
        assert answer.json()["errors"] == 0
        assert inside(client)["reading"] == 0


def test_a_full_writer_refuses_before_the_first_event():
    writer = StandInWriter(stays_s=0.3)
    with (
        running(Backends(None, None, writer), ServiceSettings(writing=2)) as address,
        client_of(address) as client,
        concurrent.futures.ThreadPoolExecutor(2) as threads,
    ):
        held = [threads.submit(client.post, "/v1/generate", json={"prompt": "a"}) for _ in range(2)]
        waited_for(lambda: inside(client)["writing"] == 2)
        for headers in ({}, EVENTS):
            refused(client.post("/v1/generate", json={"prompt": CANARY}, headers=headers), 429, "overloaded")
        assert [each.result().status_code for each in held] == [200, 200]
        assert inside(client)["writing"] == 0


# --- slow


def test_what_takes_too_long_is_given_up(records: np.ndarray):
    reader = SlowReader(3)
    with (
        running(Backends(reader, None, None), ServiceSettings(answer_s=0.3)) as address,
        client_of(address) as client,
    ):
        start = time.monotonic()
        for path, body in (
            ("/v1/classify", asked(records[0])),
            ("/v1/embed", {"ecg": packed(records[0])}),
            ("/v1/classify/batch", {"items": [asked(records[0])]}),
        ):
            refused(client.post(path, json=body), 504, "timeout")
        assert time.monotonic() - start < 2.5
        assert reader.given_up == 3, "nobody goes on for an answer that nobody waits for"
        assert inside(client)["reading"] == 0


def test_a_drawing_that_takes_too_long_is_given_up():
    writer = StandInWriter(stays_s=1)
    with (
        running(Backends(None, None, writer), ServiceSettings(generate_s=0.3)) as address,
        client_of(address) as client,
    ):
        refused(client.post("/v1/generate", json={"prompt": CANARY}), 504, "timeout")
        said = client.post("/v1/generate", json={"prompt": CANARY}, headers=EVENTS).text
        assert said.count("event: error") == 1
        assert '"code": "timeout"' in said
        assert writer.closed == 2
        infer = {"inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": [CANARY]}]}
        refused(client.post("/v2/models/generator/infer", json=infer), 504, "timeout")
        assert inside(client)["writing"] == 0


# --- broken


class Text(Exception):
    """An error whose text says what the request said."""


FAULTS = [Text(CANARY), ValueError(f"bad value {CANARY}"), KeyError(CANARY), RuntimeError(CANARY), OSError(2, CANARY)]


@pytest.fixture(params=FAULTS, ids=lambda error: type(error).__name__)
def broken(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    backends = Backends(RaisingReader(request.param), None, StandInWriter(request.param))
    with running(backends) as address, client_of(address) as client:
        yield client


def test_what_goes_wrong_inside_is_told_to_nobody(
    broken: httpx.Client, records: np.ndarray, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level(logging.DEBUG)
    answers = [broken.post("/v1/classify", json=asked(records[0], CANARY))]
    answers.append(broken.post("/v1/explain", json={"ecg": packed(records[0]), "query": CANARY}))
    answers.append(broken.post("/v1/classify/batch", json={"items": [asked(records[0], CANARY)]}))
    answers.append(broken.post("/v1/generate", json={"prompt": CANARY}))
    for answer in answers:
        found = refused(answer, 500, "internal")
        assert [record for record in caplog.records if found["request_id"] in record.getMessage()]
    said = broken.post("/v1/generate", json={"prompt": CANARY}, headers=EVENTS)
    assert said.text.count("event: error") == 1
    assert '"code": "internal"' in said.text
    for path in ("/v1/models", "/v1/models/classifier/card", "/v2/health/ready", "/v2/models/classifier/ready"):
        answer = broken.get(path)
        refused(answer, 503, "not_ready")
        assert int(answer.headers["retry-after"]) >= 1
    assert broken.get("/v2/health/live").status_code == 200
    assert inside(broken) == {"reading": 0, "writing": 0, "bodies": 0, "explaining": 0}
    written = capfd.readouterr()
    logged = "\n".join(f"{record.getMessage()} {record.exc_info} {record.exc_text}" for record in caplog.records)
    for text in (logged, written.out, written.err, said.text, broken.get("/metrics").text):
        assert CANARY not in text
    assert "Text" in logged or "Error" in logged, "its kind is told"


def test_a_model_that_was_not_started_is_not_there(records: np.ndarray):
    with running(Backends(None, None, None)) as address, client_of(address) as client:
        for path in ("/v1/classify", "/v1/embed", "/v1/measure"):
            refused(
                client.post(path, json=asked(records[0]) if path == "/v1/classify" else {"ecg": packed(records[0])}),
                404,
                "not_found",
            )
        refused(client.post("/v1/generate", json={"prompt": CANARY}), 404, "not_found")
        assert client.get("/v1/models").json()["models"] == []


def test_what_a_model_cannot_read_or_draw_is_the_clients_fault(records: np.ndarray):
    error = ConfigError(CANARY)
    with (
        running(Backends(RaisingReader(error), None, StandInWriter(error))) as address,
        client_of(address) as client,
    ):
        refused(client.post("/v1/classify", json=asked(records[0])), 422, "query_invalid")
        refused(client.post("/v1/generate", json={"prompt": CANARY}), 422, "param_out_of_range")
        infer = {"inputs": [{"name": "prompt", "datatype": "BYTES", "shape": [1], "data": [CANARY]}]}
        refused(client.post("/v2/models/generator/infer", json=infer), 503, "not_ready")
