"""Every upload of RELIABILITY B5 that concerns files, sent to /v1/classify: the table's code and status, at once."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from asking import CANARY, client_of, refused
from bad_uploads import UPLOADS, Upload
from stand_ins import ChildService
from test_bad_uploads import SPOKEN

from ecgray.service.settings import ServiceSettings

LIMITS = ServiceSettings()
RAW = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def quick(child: ChildService) -> Iterator[httpx.Client]:
    with client_of(child.address) as client:
        for upload in (*(each for each in UPLOADS if each.flag == "resampled"), *UPLOADS[:4]):
            path, body, query = request_of(upload)
            client.post(path, content=body, params=query, headers=RAW if "file" in path else JSON)  # imports
        yield client


def request_of(upload: Upload) -> tuple[str, bytes, dict[str, Any]]:
    """Path, body and query parameters of one row."""
    sent, settings = upload.make(), upload.settings
    options = {"allow_missing_leads": upload.allow_missing_leads, "strict": settings.strict}
    if isinstance(sent, bytes):
        said = {"fs": settings.fs, "unit": settings.unit, "leads": settings.leads and ",".join(settings.leads)}
        given = {name: value for name, value in said.items() if value is not None}
        return (
            "/v1/classify/file",
            sent,
            {"q": CANARY, **{name: str(value) for name, value in (options | given).items()}},
        )
    body: dict[str, Any] = {"queries": [CANARY], "options": options}
    if sent and all(isinstance(content, bytes) for content in sent.values()):
        body["files"] = [{"name": name, "data": base64.b64encode(held).decode()} for name, held in sent.items()]
    else:
        body["ecg"] = sent
    return "/v1/classify", json.dumps(body).encode(), {}


def expected(upload: Upload, path: str, body: bytes, query: dict[str, Any]) -> tuple[int, str]:
    """The table's, but for what HTTP refuses before the reader sees it."""
    if len(body) > (LIMITS.json_bytes if path == "/v1/classify" else LIMITS.raw_bytes):
        return 413, "payload_too_large"
    if path == "/v1/classify" and (b"NaN" in body or b"Infinity" in body):
        return 400, "json_invalid"
    if upload.name == "62 nine files":
        return 422, "param_out_of_range"
    if "fs" in query and not math.isfinite(float(query["fs"])):
        return 422, "param_out_of_range"
    return upload.status, upload.code


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload.name)
def test_an_upload_gets_its_code_or_its_flag(upload: Upload, quick: httpx.Client, child: ChildService):
    path, body, query = request_of(upload)
    status, code = expected(upload, path, body, query)
    child.forget()
    cpu_s, resident = child.cpu_s(), child.resident_mb()
    answer = quick.post(path, content=body, params=query, headers=RAW if "file" in path else JSON)
    assert child.cpu_s() - cpu_s < 1
    assert child.resident_mb("VmHWM") - resident < 256
    if code:
        refused(answer, status, code)
    else:
        assert answer.status_code == 200, answer.text
        assert upload.flag in answer.json()["quality"]["flags"] if upload.flag else answer.json()["quality"]["ok"]


@pytest.mark.parametrize("name", SPOKEN)
def test_no_refusal_holds_a_word_of_the_upload(name: str, quick: httpx.Client):
    sent, settings = SPOKEN[name]
    upload = Upload(name=name, make=lambda: sent, settings=settings)
    path, body, query = request_of(upload)
    answer = quick.post(path, content=body, params=query, headers=RAW if "file" in path else JSON)
    refused(answer, answer.status_code, answer.json()["code"], held=CANARY[:8])
    assert 400 <= answer.status_code < 500


def test_a_word_for_what_a_file_says_by_itself_is_not_repeated(quick: httpx.Client):
    """A zip names its units; a parameter that names others is no unit and must not come back as one."""
    good = next(upload for upload in UPLOADS if upload.name == "- deflated")
    answer = quick.post("/v1/classify/file", content=good.make(), params={"q": "a", "unit": CANARY}, headers=RAW)
    refused(answer, 422, "units_unknown")
