"""Whatever comes, the app answers soon, with 200 or with a problem document, and never with a fault of its own."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
import zipfile
from typing import Any

import httpx
import numpy as np
from asking import check_problem, records_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_ins import QuickReader, StandInWriter
from uploads import csv_bytes, edf_bytes, npy_bytes, packed, zip_bytes

from ecgray.leads import LEADS
from ecgray.service.app import build_app
from ecgray.service.backends import Backends
from ecgray.service.core import Service
from ecgray.service.settings import ServiceSettings

APP = build_app(Service(ServiceSettings(), Backends(QuickReader(), None, StandInWriter())))
FUZZ = settings(
    max_examples=400, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
COUNTS = records_of(1)[0][:, :1500]
GOOD = {
    "ecg": packed(COUNTS),
    "queries": ["atrial fibrillation"],
    "options": {"allow_missing_leads": True, "start_s": 0},
}
HEADER = "\n".join(["r 12 500 1500", *[f"r.dat 16 1000/mV 16 0 {lead}" for lead in LEADS]]).encode()
FILES = {"r.hea": HEADER, "r.dat": COUNTS.T.astype("<i2").tobytes()}
RAW = [
    zip_bytes(FILES),
    zip_bytes(FILES, method=zipfile.ZIP_DEFLATED),
    npy_bytes(COUNTS),
    csv_bytes(COUNTS / 1000, fs=500),
    edf_bytes(COUNTS),
]
PATHS = [
    "/v1/classify",
    "/v1/classify/batch",
    "/v1/embed",
    "/v1/explain",
    "/v1/plot",
    "/v1/read",
    "/v1/measure",
    "/v1/generate",
]
INFER = ["/v2/models/classifier/infer", "/v2/models/generator/infer"]


def _no_number(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def asked(
    path: str, content: bytes, headers: dict[str, str] | None = None, *, method: str = "POST", query: Any = None
) -> int:
    """The status; everything that holds of any answer is checked."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            given_ = {"content-type": "application/json"} | (headers or {})
            return await client.request(method, path, content=content, headers=given_, params=query)

    start = time.process_time()
    answer = asyncio.run(ask())
    assert time.process_time() - start < 2
    assert answer.status_code != 500, answer.text
    assert answer.status_code in {200, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 503, 504}
    if answer.status_code == 200:
        if answer.headers["content-type"] == "application/json":
            json.loads(answer.content, parse_constant=_no_number)
    else:
        check_problem(answer.headers, answer.content, answer.status_code)
    return answer.status_code


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        [10**400, -(2**63), 1e308, "I", "uV", "base64", "int16", "<script>", "../x", "\0", "A" * 3000, "AAAA", "===="]
    )
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


@st.composite
def changed(draw: st.DrawFn, *bodies: dict[str, Any]) -> dict[str, Any]:
    """A good body with one to three of its places replaced, removed, or given a neighbour."""
    body = json.loads(json.dumps(draw(st.sampled_from(bodies))))
    for _ in range(draw(st.integers(1, 3))):
        if not body:
            break
        *way, last = draw(st.sampled_from([place for place in places(body) if place]))
        held = body
        for key in way:
            held = held[key]
        match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
            case "remove":
                del held[last]
            case "add" if isinstance(held, dict):
                held[draw(st.text(max_size=6))] = draw(ANYTHING)
            case _:
                held[last] = draw(ANYTHING)
    return body


IN_FILES = {
    "files": [{"name": name, "data": base64.b64encode(held).decode()} for name, held in FILES.items()],
    "queries": ["a"],
}
ORDER = {
    "prompt": "sinus rhythm",
    "age": 40,
    "sex": "F",
    "heart_rate": 60,
    "n": 1,
    "steps": 3,
    "seed": 1,
    "format": "json",
}
BATCH = {"items": [GOOD, IN_FILES], "queries": ["a"]}


@FUZZ
@given(
    changed(GOOD, IN_FILES, ORDER, BATCH, GOOD | {"query": "a", "title": "b", "layout": "6x2"}), st.sampled_from(PATHS)
)
def test_bodies_of_json(body: dict[str, Any], path: str):
    asked(path, json.dumps(body).encode())


@FUZZ
@given(ANYTHING, st.sampled_from(PATHS + INFER))
def test_any_json(body: Any, path: str):
    asked(path, json.dumps(body).encode())


@FUZZ
@given(
    st.binary(max_size=200),
    st.sampled_from(PATHS + INFER),
    st.sampled_from(["application/json", "application/x-ndjson"]),
)
def test_any_bytes_for_json(content: bytes, path: str, kind: str):
    asked(path, content, {"content-type": kind})


QUERY = st.dictionaries(
    st.sampled_from(
        ["q", "fs", "unit", "leads", "strict", "start_s", "allow_missing_leads", "layout", "title", "speed_mm_s", "x"]
    ),
    st.sampled_from(
        ["", "500", "mV", "I,II", "true", "-1", "nan", "1e999", ",", "6x2", "25", "\u0665\u0660", "a" * 600]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=6,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file, cut, spliced, or with bytes changed."""
    content = bytearray(draw(st.sampled_from(RAW)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, min(len(content) - 1, 700))) if content else 0
        match draw(st.sampled_from(["poke", "poke", "cut", "insert", "number"])):
            case "poke" if content:
                content[place] = draw(st.integers(0, 255))
            case "cut":
                del content[place : place + draw(st.integers(1, len(content) or 1))]
            case "insert":
                content[place:place] = draw(
                    st.binary(max_size=8) | st.sampled_from([b"nan", b",", b"1e999", b"PK\x01\x02"])
                )
            case "number" if place + 4 <= len(content):
                struct.pack_into("<I", content, place, draw(st.sampled_from([0, 1, 2**16, 2**31, 2**32 - 1])))
    return bytes(content)


@FUZZ
@given(
    damaged() | st.binary(max_size=300),
    QUERY,
    st.sampled_from(["/v1/classify/file", "/v1/read/file", "/v1/plot/file", "/v1/explain/file"]),
)
def test_damaged_files(content: bytes, query: dict[str, str], path: str):
    known = {"q": "a", "fs": "500", "unit": "uV", "leads": ",".join(LEADS)} if len(query) % 2 else {}
    asked(path, content, {"content-type": "application/octet-stream"}, query=known | query)


NAMES = st.sampled_from(
    [
        "host",
        "origin",
        "authorization",
        "content-type",
        "content-length",
        "content-encoding",
        "accept",
        "sec-fetch-site",
        "inference-header-content-length",
        "x-request-id",
        "range",
        "expect",
        "cookie",
        "transfer-encoding",
    ]
)
LATIN = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
VALUES = LATIN | st.sampled_from(
    ["", "null", "http://[", "127.0.0.1", "Bearer", "gzip", "text/event-stream", "-1", "9" * 40, "application/json"]
)


@FUZZ
@given(
    st.dictionaries(NAMES, VALUES, max_size=5),
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "OPTIONS", "BREW"]),
    st.sampled_from(
        [
            *PATHS,
            *INFER,
            "/",
            "/docs",
            "/version",
            "/metrics",
            "/v1/samples/x",
            "/page/",
            "/v2",
            "/nowhere",
            "/v1/models/classifier/card",
        ]
    ),
)
def test_any_headers(headers: dict[str, str], method: str, path: str):
    coded = {name: value.encode("latin-1") for name, value in headers.items()}
    if method == "HEAD":
        return
    asked(path, json.dumps(GOOD).encode(), coded, method=method)  # type: ignore[arg-type]


TENSOR = {"name": "ecg", "datatype": "INT16", "shape": [1, 12, 5000], "parameters": {"binary_data_size": 120_000}}
TEXTS = {"name": "queries", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 10}}
SAID = {"name": "prompt", "datatype": "BYTES", "shape": [1], "data": ["a"]}
INFERRED = [
    {"id": "1", "inputs": [TENSOR, TEXTS], "outputs": [{"name": "probability", "parameters": {"binary_data": True}}]},
    {"inputs": [SAID], "parameters": {"seed": 1, "steps": 2, "guidance_scale": 1.5, "binary_data_output": True}},
    {
        "inputs": [
            {"name": "queries", "datatype": "BYTES", "shape": [1], "data": ["a"]},
            {"name": "ecg", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2], [3, 4]]},
        ]
    },
]


@FUZZ
@given(changed(*INFERRED), st.sampled_from(INFER), st.sampled_from([0, 1, -1, 10**9, None]))
def test_tensors(body: dict[str, Any], path: str, shift: int | None):
    head = json.dumps(body).encode()
    ecg = np.tile(COUNTS, 4)[:, :5000].astype("<i2").tobytes()
    tail = ecg + b"\1\0\0\0a" * 2
    if shift is None:
        asked(path, head)
    else:
        asked(
            path,
            head + tail,
            {"inference-header-content-length": str(len(head) + shift), "content-type": "application/octet-stream"},
        )


def test_what_is_not_changed_is_answered():
    """Or the tests above would only meet the first check."""
    for path in ("/v1/classify", "/v1/embed", "/v1/read"):
        body = GOOD if path == "/v1/classify" else {name: GOOD[name] for name in ("ecg", "options")}
        assert asked(path, json.dumps(body).encode()) == 200
    assert asked("/v1/classify", json.dumps(IN_FILES).encode()) == 200
    assert asked("/v1/classify/batch", json.dumps(BATCH).encode()) == 200
    assert asked("/v1/generate", json.dumps(ORDER).encode()) == 200
    known = {"q": "a", "fs": "500", "unit": "uV", "leads": ",".join(LEADS)}
    for content in RAW:
        said = known if content.startswith(b"\x93") else {"q": "a"}
        assert asked("/v1/classify/file", content, {"content-type": "application/octet-stream"}, query=said) == 200
    head = json.dumps(INFERRED[0]).encode()
    ecg = np.tile(COUNTS, 4)[:, :5000].astype("<i2").tobytes()
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    assert asked(INFER[0], head + ecg + b"\1\0\0\0a" * 2, headers) == 200
    assert asked(INFER[1], json.dumps(INFERRED[1]).encode()) == 200
