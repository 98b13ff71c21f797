"""The Open Inference Protocol: the same answers as /v1, in JSON and in bytes, both ways."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from asking import CANARY, QUERIES, asked, client_of, refused
from running_service import running
from stand_ins import ChildService, QuickReader
from test_generating import close, drawn_alone

from ecgray.leads import LEADS
from ecgray.service.backends import Backends

LENGTH = "inference-header-content-length"
INFER = "/v2/models/classifier/infer"


def text(*queries: str, name: str = "queries") -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(queries)], "data": list(queries)}


def ecg(array: np.ndarray, kind: str = "INT16") -> dict[str, Any]:
    return {"name": "ecg", "datatype": kind, "shape": list(array.shape), "data": array.ravel().tolist()}


def in_bytes(body: dict[str, Any], *tensors: tuple[dict[str, Any], bytes]) -> tuple[bytes, dict[str, str]]:
    """A body whose tensors follow its JSON."""
    inputs = [{**tensor, "parameters": {"binary_data_size": len(content)}} for tensor, content in tensors]
    head = json.dumps(body | {"inputs": inputs}).encode()
    content = head + b"".join(content for _, content in tensors)
    return content, {LENGTH: str(len(head)), "content-type": "application/octet-stream"}


def packed_texts(*queries: str) -> bytes:
    return b"".join(len(query.encode()).to_bytes(4, "little") + query.encode() for query in queries)


def bare(tensor: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tensor.items() if name != "data"}


def opened(answer: httpx.Response) -> tuple[dict[str, Any], bytes]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    end = int(answer.headers[LENGTH])
    return json.loads(answer.content[:end]), answer.content[end:]


def test_the_server_and_its_models_tell_of_themselves(client: httpx.Client, backends: Backends):
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    for name, tensors in (("classifier", {"ecg", "queries"}), ("generator", {"prompt"})):
        found = client.get(f"/v2/models/{name}").json()
        assert {tensor["name"] for tensor in found["inputs"]} == tensors
        assert found["versions"] == [client.get("/v1/models").json()["models"][name == "generator"]["sha256"]]
        assert found["parameters"]["leads"] == list(LEADS)
        assert client.get(f"/v2/models/{name}/ready").json() == {"name": name, "ready": True}
        versioned = f"/v2/models/{name}/versions/{found['versions'][0]}"
        assert client.get(versioned).json() == found
        assert client.get(f"{versioned}/ready").json() == {"name": name, "ready": True}
        refused(client.get(f"/v2/models/{name}/versions/{CANARY}"), 404, "not_found")


def test_tensors_in_json_are_answered_as_v1_does(client: httpx.Client, records: np.ndarray):
    own = np.array(
        [
            [each["probability"] for each in client.post("/v1/classify", json=asked(counts)).json()["results"]]
            for counts in records[:2]
        ]
    )
    inputs = {
        "counts": ecg(records[:2]),
        "nested": ecg(records[:2]) | {"data": records[:2].tolist()},
        "mV": ecg(records[:2] / 1000, "FP32"),
    }
    for name, tensor in inputs.items():
        found = client.post(INFER, json={"id": "7", "inputs": [tensor, text(*QUERIES)]}).json()
        assert (found["model_name"], found["id"]) == ("classifier", "7"), name
        (output,) = found["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("probability", "FP32", [2, 3])
        np.testing.assert_allclose(np.reshape(output["data"], (2, 3)), own, atol=1e-5)
    body = {"inputs": [inputs["counts"], text("a")]}
    found = client.post(INFER, json=body).json()
    assert len(found["id"]) == 32
    assert "Research use only" in found["parameters"]["notice"]
    doubtful = client.post(INFER, json={"inputs": [inputs["counts"], text("no LBBB", "banana", "abnormal ecg", "AF")]})
    said = doubtful.json()["parameters"]
    assert json.loads(said["query_flags"]) == [["negation"], ["no_known_term"], ["term_not_learnt"], []]
    assert len(json.loads(said["quality_flags"])) == 2
    versioned = f"/v2/models/classifier/versions/{found['model_version']}/infer"
    assert client.post(versioned, json=body).json()["outputs"] == found["outputs"]
    refused(client.post(f"/v2/models/classifier/versions/{CANARY}/infer", json=body), 404, "not_found")


def test_tensors_in_bytes_are_answered_alike_both_ways(client: httpx.Client, records: np.ndarray):
    counts = records[:2]
    own = client.post(INFER, json={"inputs": [ecg(counts), text(*QUERIES)]}).json()["outputs"][0]["data"]
    queries = (bare(text(*QUERIES)), packed_texts(*QUERIES))
    ways = [
        (bare(ecg(counts)), counts.astype("<i2").tobytes()),
        (bare(ecg(counts, "FP32")), (counts / 1000).astype("<f4").tobytes()),
    ]
    for tensor in ways:
        for asks in (
            {"parameters": {"binary_data_output": True}},
            {"outputs": [{"name": "probability", "parameters": {"binary_data": True}}]},
            {"outputs": [{"name": "probability"}], "parameters": {"binary_data_output": True}},
        ):
            content, headers = in_bytes(asks, tensor, queries)
            found, tail = opened(client.post(INFER, content=content, headers=headers))
            assert found["outputs"][0]["parameters"] == {"binary_data_size": len(tail)}
            np.testing.assert_allclose(np.frombuffer(tail, "<f4"), own, atol=1e-5)
        plain = {"outputs": [{"name": "probability", "parameters": {"binary_data": False}}]}
        content, headers = in_bytes(plain | {"parameters": {"binary_data_output": True}}, queries, tensor)
        found = client.post(INFER, content=content, headers=headers).json()
        np.testing.assert_allclose(found["outputs"][0]["data"], own, atol=1e-5)
    head = json.dumps(
        {"inputs": [bare(ecg(counts)) | {"parameters": {"binary_data_size": counts.nbytes}}, text(*QUERIES)]}
    ).encode()
    headers = {LENGTH: str(len(head)), "content-type": "application/octet-stream"}
    mixed = client.post(INFER, content=head + counts.tobytes(), headers=headers).json()
    np.testing.assert_allclose(mixed["outputs"][0]["data"], own, atol=1e-5)


def test_texts_of_any_language_come_in_bytes(client: httpx.Client, records: np.ndarray):
    queries = ["\u5fc3\u623f\u98a4\u52a8", "caf\u00e9", "a" * 512]
    content, headers = in_bytes(
        {}, (bare(ecg(records[:1])), records[:1].tobytes()), (bare(text(*queries)), packed_texts(*queries))
    )
    found = client.post(INFER, content=content, headers=headers).json()["outputs"][0]["data"]
    own = client.post("/v1/classify", json=asked(records[0], *queries)).json()["results"]
    np.testing.assert_allclose(found, [each["probability"] for each in own], atol=1e-5)


def test_ecgs_are_drawn_as_by_v1(client: httpx.Client, backends: Backends):
    body = {
        "inputs": [text("atrial fibrillation", "atrial fibrillation", name="prompt")],
        "parameters": {"seed": 7, "steps": 3, "guidance_scale": 3},
    }
    order = {"prompt": "atrial fibrillation", "n": 2, "seed": 7, "steps": 3, "guidance_scale": 3.0}
    own = drawn_alone(backends, order)
    found = client.post("/v2/models/generator/infer", json=body).json()
    said = found["parameters"]
    assert (said["synthetic"], said["seed"], said["steps"], said["guidance_scale"]) == (True, 7, 3, 3.0)
    assert json.loads(said["flags"]) == [[], []]
    (output,) = found["outputs"]
    assert (output["datatype"], output["shape"]) == ("INT16", [2, 12, 5000])
    assert close(np.reshape(output["data"], output["shape"]), own)
    body["parameters"]["binary_data_output"] = True
    found, tail = opened(client.post("/v2/models/generator/infer", json=body))
    assert found["parameters"]["synthetic"] is True
    assert close(np.frombuffer(tail, "<i2").reshape(2, 12, 5000), own)


# --- refusals

ZEROS = np.zeros((1, 12, 5000), np.int16)
ONE = {"name": "ecg", "datatype": "INT16", "shape": [1, 12, 5000]}
BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no inputs": ({}, 422, "param_missing"),
    "an empty list": ({"inputs": []}, 422, "param_missing"),
    "a number as id": ({"inputs": [text("a"), ecg(ZEROS)], "id": 7}, 422, "param_invalid"),
    "a long id": ({"inputs": [text("a"), ecg(ZEROS)], "id": CANARY * 50}, 422, "param_invalid"),
    "inputs as text": ({"inputs": CANARY}, 422, "param_missing"),
    "nine inputs": ({"inputs": [text("a")] * 9}, 422, "param_missing"),
    "an input that is none": ({"inputs": [CANARY]}, 422, "param_missing"),
    "no name": ({"inputs": [{"datatype": "INT16"}]}, 422, "param_missing"),
    "no ecg": ({"inputs": [text(CANARY)]}, 422, "param_missing"),
    "no queries": ({"inputs": [ecg(ZEROS)]}, 422, "param_missing"),
    "an unknown datatype": ({"inputs": [text("a"), ONE | {"datatype": CANARY}]}, 415, "dtype_unsupported"),
    "a datatype that is none": ({"inputs": [text("a"), ONE | {"datatype": [CANARY]}]}, 415, "dtype_unsupported"),
    "texts for an ecg": ({"inputs": [text("a"), text("a", name="ecg")]}, 415, "dtype_unsupported"),
    "no data": ({"inputs": [text("a"), ONE]}, 422, "param_missing"),
    "no shape": ({"inputs": [text("a"), {"name": "ecg", "datatype": "INT16", "data": []}]}, 422, "shape_mismatch"),
    "a shape of 0": ({"inputs": [text("a"), ONE | {"shape": [0, 12, 5000], "data": []}]}, 422, "shape_mismatch"),
    "a shape of bools": ({"inputs": [text("a"), ONE | {"shape": [True], "data": [1]}]}, 422, "shape_mismatch"),
    "a vast shape": ({"inputs": [text("a"), ONE | {"shape": [10**7] * 3, "data": [1]}]}, 422, "shape_mismatch"),
    "too few": ({"inputs": [text("a"), ONE | {"data": [1] * 59_999}]}, 422, "shape_mismatch"),
    "ragged": ({"inputs": [text("a"), ONE | {"data": [[1], [1, 2]]}]}, 422, "shape_mismatch"),
    "text": ({"inputs": [text("a"), ONE | {"data": ["1"] * 60_000}]}, 422, "shape_mismatch"),
    "null": ({"inputs": [text("a"), ONE | {"data": [None] * 60_000}]}, 422, "shape_mismatch"),
    "bools": ({"inputs": [text("a"), ONE | {"data": [True] * 60_000}]}, 422, "shape_mismatch"),
    "objects": ({"inputs": [text("a"), ONE | {"shape": [3], "data": [{}] * 3}]}, 422, "shape_mismatch"),
    "fractions": ({"inputs": [text("a"), ONE | {"data": [0.5] * 60_000}]}, 422, "shape_mismatch"),
    "32768": ({"inputs": [text("a"), ONE | {"data": [32768] * 60_000}]}, 422, "shape_mismatch"),
    "beyond 64 bits": ({"inputs": [text("a"), ONE | {"data": [10**30] * 60_000}]}, 422, "shape_mismatch"),
    "beyond float32": (
        {"inputs": [text("a"), ONE | {"datatype": "FP32", "data": [1e300] * 60_000}]},
        422,
        "shape_mismatch",
    ),
    "flat": ({"inputs": [text("a"), ecg(ZEROS)]}, 422, "signal_flat"),
    "uV as mV": (
        {"inputs": [text("a"), ecg(ZEROS + 900 * np.sign(np.arange(5000) % 7 - 3), "FP32")]},
        422,
        "amplitude_implausible",
    ),
    "eleven leads": ({"inputs": [text("a"), ecg(ZEROS[:, :11])]}, 422, "shape_mismatch"),
    "two axes": ({"inputs": [text("a"), ecg(ZEROS[0])]}, 422, "shape_mismatch"),
    "numbers for queries": ({"inputs": [text("a") | {"data": [1]}, ecg(ZEROS)]}, 422, "shape_mismatch"),
    "fewer queries than told": ({"inputs": [text("a") | {"shape": [2]}, ecg(ZEROS)]}, 422, "shape_mismatch"),
    "an empty query": ({"inputs": [text(""), ecg(ZEROS)]}, 422, "query_empty"),
    "a control character": ({"inputs": [text(f"{CANARY}\0"), ecg(ZEROS)]}, 422, "query_invalid"),
    "257 queries": ({"inputs": [text(*"a" * 257), ecg(ZEROS)]}, 422, "query_count"),
    "parameters of an input as text": (
        {"inputs": [text("a") | {"parameters": CANARY}, ecg(ZEROS)]},
        422,
        "param_invalid",
    ),
    "an input twice": ({"inputs": [text("a"), text("b"), ecg(ZEROS)]}, 422, "param_invalid"),
    "an unknown input": ({"inputs": [text("a"), ecg(ZEROS), text("b", name=CANARY)]}, 422, "param_unknown"),
    "an unknown output": ({"inputs": [text("a"), ecg(ZEROS)], "outputs": [{"name": CANARY}]}, 422, "param_unknown"),
    "an output without a name": ({"inputs": [text("a"), ecg(ZEROS)], "outputs": [{}]}, 422, "param_missing"),
    "outputs as text": ({"inputs": [text("a"), ecg(ZEROS)], "outputs": CANARY}, 422, "param_invalid"),
    "an output that is none": ({"inputs": [text("a"), ecg(ZEROS)], "outputs": [CANARY]}, 422, "param_invalid"),
    "an output twice": (
        {"inputs": [text("a"), ecg(ZEROS)], "outputs": [{"name": "probability"}] * 2},
        422,
        "param_invalid",
    ),
    "bytes as text": (
        {"inputs": [text("a"), ecg(ZEROS)], "parameters": {"binary_data_output": CANARY}},
        422,
        "param_invalid",
    ),
    "an output's bytes as text": (
        {
            "inputs": [text("a"), ecg(ZEROS)],
            "outputs": [{"name": "probability", "parameters": {"binary_data": CANARY}}],
        },
        422,
        "param_invalid",
    ),
    "the generator's parameters": (
        {"inputs": [text("a"), ecg(ZEROS)], "parameters": {"seed": 1}},
        422,
        "param_unknown",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused(name: str, client: httpx.Client):
    body, status, code = BAD[name]
    refused(client.post(INFER, json=body), status, code)


PROMPT = text("a", name="prompt")
BAD_ORDERS: dict[str, tuple[dict[str, Any], str]] = {
    "17 prompts": ({"inputs": [text(*"a" * 17, name="prompt")]}, "param_out_of_range"),
    "an empty prompt": ({"inputs": [text(" ", name="prompt")]}, "param_out_of_range"),
    "2,001 letters": ({"inputs": [text("a" * 2001, name="prompt")]}, "param_out_of_range"),
    "parameters": ({"inputs": [PROMPT], "parameters": [CANARY]}, "param_invalid"),
    "a seed as text": ({"inputs": [PROMPT], "parameters": {"seed": CANARY}}, "param_invalid"),
    "a seed as bool": ({"inputs": [PROMPT], "parameters": {"seed": True}}, "param_invalid"),
    "seed -1": ({"inputs": [PROMPT], "parameters": {"seed": -1}}, "param_out_of_range"),
    "seed null": ({"inputs": [PROMPT], "parameters": {"seed": None}}, "param_invalid"),
    "steps 0": ({"inputs": [PROMPT], "parameters": {"steps": 0}}, "param_out_of_range"),
    "steps 1,001": ({"inputs": [PROMPT], "parameters": {"steps": 1001}}, "param_out_of_range"),
    "guidance 21": ({"inputs": [PROMPT], "parameters": {"guidance_scale": 21}}, "param_out_of_range"),
    "an unknown parameter": ({"inputs": [PROMPT], "parameters": {CANARY: 1}}, "param_unknown"),
    "guidance as text": ({"inputs": [PROMPT], "parameters": {"guidance_scale": CANARY}}, "param_invalid"),
}


@pytest.mark.parametrize("name", BAD_ORDERS)
def test_an_order_that_is_wrong_is_refused(name: str, client: httpx.Client):
    body, code = BAD_ORDERS[name]
    refused(client.post("/v2/models/generator/infer", json=body), 422, code)


def test_a_generators_body_is_no_longer_than_that_of_v1(client: httpx.Client):
    body = {"inputs": [PROMPT], "id": "a" * 2_000_000}
    refused(client.post("/v2/models/generator/infer", json=body), 413, "payload_too_large")


def test_a_model_that_is_replaced_while_it_is_asked_has_no_such_version(records: np.ndarray):
    """The stand-in's answers come from another model than its facts tell of."""
    body = {"inputs": [ecg(records[:1]), text("a")]}
    with running(Backends(QuickReader(), None, None)) as address, client_of(address) as client:
        assert client.post(INFER, json=body).status_code == 200
        refused(client.post("/v2/models/classifier/versions/0/infer", json=body), 404, "not_found")


def test_bytes_that_do_not_fit_are_refused(client: httpx.Client, child: ChildService):
    counts, queries = (bare(ecg(ZEROS)), ZEROS.tobytes()), (bare(text("a")), packed_texts("a"))
    content, headers = in_bytes({}, counts, queries)
    end = int(headers[LENGTH])
    for length, code, status in (
        ("-1", "json_invalid", 400),
        (CANARY, "json_invalid", 400),
        (str(len(content) + 1), "json_invalid", 400),
        ("9" * 30, "json_invalid", 400),
        (str(end - 1), "json_invalid", 400),
        (str(end + 1), "json_invalid", 400),
        ("0", "json_invalid", 400),
    ):
        refused(client.post(INFER, content=content, headers=headers | {LENGTH: length}), status, code)
    refused(client.post(INFER, content=content + b"x", headers=headers), 422, "shape_mismatch")
    refused(client.post(INFER, content=content[:-1], headers=headers), 422, "shape_mismatch")
    refused(
        client.post(INFER, content=content, headers=headers | {"content-type": "text/plain"}), 415, "media_unsupported"
    )
    for wrong in (packed_texts("a")[:-1], b"\xff\xff\xff\xffa", packed_texts("a", "b"), b"", b"\1\0\0\0\xff"):
        content, headers = in_bytes({}, counts, (bare(text("a")), wrong))
        refused(
            client.post(INFER, content=content, headers=headers),
            422,
            "query_invalid" if wrong[-1:] == b"\xff" else "shape_mismatch",
        )
    nan = np.full((1, 12, 5000), np.nan, "<f4")
    content, headers = in_bytes({}, (bare(ecg(ZEROS, "FP32")), nan.tobytes()), queries)
    refused(client.post(INFER, content=content, headers=headers), 422, "non_finite")


def test_four_million_empty_texts_cost_nothing(child: ChildService):
    tensor = {"name": "queries", "datatype": "BYTES", "shape": [3_900_000]}
    content, headers = in_bytes({}, (tensor, bytes(15_600_000)))
    with httpx.Client(base_url=child.address, trust_env=False, timeout=30) as client:
        child.forget()
        start, before = child.cpu_s(), child.resident_mb()
        refused(client.post(INFER, content=content, headers=headers), 422, "query_count")
        assert child.cpu_s() - start < 1
        assert child.resident_mb("VmHWM") - before < 256
