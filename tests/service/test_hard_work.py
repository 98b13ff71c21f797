"""Small requests that could be much work: each was found to stop a service, and is refused or done in time now."""

from __future__ import annotations

import asyncio
import json
import random
import string
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from asking import asked
from stand_ins import QuickReader

from ecgray.errors import ArtifactError
from ecgray.models.generator import EMBEDDED
from ecgray.service import engines
from ecgray.service.backends import Backends
from ecgray.service.core import FACTS_S, Service
from ecgray.service.engines import GeneratorEngine
from ecgray.service.problems import Problem
from ecgray.service.settings import ServiceSettings
from ecgray.text.lexical import LexicalEncoder

RAW = {"Content-Type": "application/octet-stream"}


def timed(client: httpx.Client, path: str, **how: Any) -> tuple[httpx.Response, float]:
    """The answer, and the CPU seconds that it took: the service runs in this process."""
    start = time.process_time()
    found = client.post(path, **how)
    return found, time.process_time() - start


@pytest.mark.parametrize("name", ["I (" + " " * 60_000 + "x", "I" + "(" * 60_000, "(" * 30_000 + ")" * 30_000])
def test_names_of_columns_are_read_in_linear_time(client: httpx.Client, name: str):
    found, took = timed(client, "/v1/measure/file?fs=500&unit=mV", content=f"{name},II\n1,2\n".encode(), headers=RAW)
    assert 400 <= found.status_code < 500
    assert took < 1


def test_comments_are_passed_over_in_linear_time(client: httpx.Client):
    content = b"#\n" * 3_900_000 + b"I,II\n"
    found, took = timed(client, "/v1/measure/file?fs=500&unit=mV", content=content, headers=RAW)
    assert 400 <= found.status_code < 500
    assert took < 2


def test_texts_where_numbers_are_wanted_make_no_wide_array(client: httpx.Client):
    data = ["x" * 25_000] + [""] * 59_999
    tensor = {"name": "ecg", "datatype": "INT16", "shape": [1, 12, 5000], "data": data}
    queries = {"name": "queries", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    found, took = timed(client, "/v2/models/classifier/infer", json={"inputs": [tensor, queries]})
    assert (found.status_code, found.json()["code"]) == (422, "shape_mismatch")
    assert took < 1


@pytest.mark.parametrize("bad", [True, None, "1", [1]])
def test_what_is_no_number_is_none(client: httpx.Client, bad: Any):
    tensor = {"name": "ecg", "datatype": "FP32", "shape": [1, 12, 5000], "data": [0.5] * 59_999 + [bad]}
    queries = {"name": "queries", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    found, _ = timed(client, "/v2/models/classifier/infer", json={"inputs": [tensor, queries]})
    assert found.status_code == 422


def test_an_object_of_many_fields_is_refused_before_each_is_looked_at(client: httpx.Client):
    content = json.dumps({f"f{number}": number for number in range(100_000)}).encode()
    found, took = timed(client, "/v1/classify", content=content, headers={"Content-Type": "application/json"})
    assert (found.status_code, found.json()["code"]) == (400, "json_invalid")
    assert took < 1


def random_text(letters: int) -> str:
    return "".join(random.choice(string.ascii_lowercase) for _ in range(letters))


def test_questions_have_so_many_letters_together(client: httpx.Client, records: np.ndarray):
    body = asked(records[0]) | {"queries": [random_text(512) for _ in range(256)]}
    found, took = timed(client, "/v1/classify", json=body)
    assert (found.status_code, found.json()["code"]) == (422, "query_too_long")
    assert took < 1
    items = [asked(records[0]) | {"queries": [random_text(500) for _ in range(10)]} for _ in range(8)]
    found, _ = timed(client, "/v1/classify/batch", json={"items": items})
    assert (found.status_code, found.json()["code"]) == (422, "query_too_long")


def test_texts_are_encoded_in_parts_and_alike():
    encoder = LexicalEncoder()
    texts = [random_text(300) for _ in range(60)] + ["", "atrial fibrillation"]
    together = encoder.encode(texts)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([text]) for text in texts]), atol=1e-6)


class Counted(QuickReader):
    """Counts how often it is asked for its facts."""

    def __init__(self) -> None:
        self.asked = 0

    async def facts(self) -> dict[str, Any]:
        self.asked += 1
        if self.asked == 2:
            raise RuntimeError("gone")
        return await super().facts()


def test_anybody_may_ask_whether_it_is_ready_and_a_model_is_asked_every_other_second(monkeypatch: pytest.MonkeyPatch):
    reader = Counted()
    service = Service(ServiceSettings(), Backends(reader, None, None))
    clock = [100.0]
    monkeypatch.setattr("ecgray.service.core.time.monotonic", lambda: clock[0])

    async def story() -> None:
        for _ in range(50):
            assert (await service.facts("classifier"))["name"]
        assert reader.asked == 1
        clock[0] += FACTS_S
        for _ in range(50):
            with pytest.raises(Problem, match="not_ready"):
                await service.facts("classifier")
        assert reader.asked == 2
        clock[0] += FACTS_S
        assert (await service.facts("classifier"))["name"]

    asyncio.run(story())


def test_a_generator_that_cannot_be_loaded_leaves_model_and_stamp_as_they_were(monkeypatch: pytest.MonkeyPatch):
    engine = GeneratorEngine(EMBEDDED)
    try:
        before, stamp = engine.generator, engine.facts()["sha256"]

        def damaged(*_: object) -> None:
            raise ArtifactError("the card is missing; copy the folder again.")

        monkeypatch.setattr(engines, "_told", damaged)
        with pytest.raises(ArtifactError):
            engine.replace(Path(EMBEDDED))
        assert engine.generator is before
        assert engine.loop.generator is before
        assert engine.facts()["sha256"] == stamp
    finally:
        engine.loop.close()
