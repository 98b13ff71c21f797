"""What the service answers, with the models that ship: the same in every form, and the same as the models say alone."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
from asking import QUERIES, asked, logits, refused
from uploads import csv_bytes, edf_bytes, listed, npy_bytes, packed, wfdb_files, zip_bytes

from ecgray.leads import LEADS
from ecgray.service.backends import Backends
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.standard import resample

RAW = {"content-type": "application/octet-stream"}
TURNED = tuple(reversed(LEADS))


def own_logits(backends: Backends, counts: np.ndarray, *queries: str) -> np.ndarray:
    (found,) = backends.reader.engine.classifier.logits_each(counts[None], [list(queries or QUERIES)])
    return found


def in_files(files: dict[str, bytes]) -> dict[str, Any]:
    named = [{"name": name, "data": base64.b64encode(held).decode()} for name, held in files.items()]
    return {"files": named, "queries": QUERIES}


# --- classify


def test_every_form_of_an_ecg_gives_the_same_answer(
    client: httpx.Client, backends: Backends, records: np.ndarray, tmp_path: Path
):
    counts = records[0]
    mv, own = counts / 1000, own_logits(backends, counts)
    files = wfdb_files(counts, tmp_path)
    bodies = {
        "base64 int16 uV": asked(counts),
        "base64 float32 mV": {"ecg": packed(mv.astype("f4"), unit="mV"), "queries": QUERIES},
        "base64 float32 V": {"ecg": packed((mv / 1000).astype("f4"), unit="V"), "queries": QUERIES},
        "list mV": {"ecg": listed(mv.round(3)), "queries": QUERIES},
        "list uV": {"ecg": listed(counts, unit="uV"), "queries": QUERIES},
        "another order": {"ecg": packed(counts[::-1], leads=list(TURNED)), "queries": QUERIES},
        "eight leads": {
            "ecg": packed(counts[[0, 1, *range(6, 12)]], leads=["I", "II", *LEADS[6:]]),
            "queries": QUERIES,
        },
        "hea and dat": in_files(files),
        "a zip as a file": in_files({"a.zip": zip_bytes(files)}),
    }
    raw = {
        "zip": (zip_bytes(files), {}),
        "npy of counts": (npy_bytes(counts), {"fs": "500", "unit": "uV", "leads": ",".join(LEADS)}),
        "npy of mV, a column a lead": (npy_bytes(mv.T), {"fs": "500", "unit": "mV", "leads": ", ".join(LEADS)}),
        "npy in another order": (npy_bytes(counts[::-1]), {"fs": "500", "unit": "uV", "leads": ",".join(TURNED)}),
        "csv with time": (csv_bytes(mv, fs=500), {}),
        "csv": (csv_bytes(mv), {"fs": "500"}),
        "edf": (edf_bytes(counts), {}),
    }
    answers = {name: client.post("/v1/classify", json=body) for name, body in bodies.items()}
    for name, (content, said) in raw.items():
        query = [*said.items(), *(("q", query) for query in QUERIES)]
        answers[name] = client.post("/v1/classify/file", content=content, params=query, headers=RAW)
    for name, answer in answers.items():
        found = answer.json()
        assert [each["query"] for each in found["results"]] == QUERIES, name
        tolerance = 0.02 if name == "eight leads" else 1e-4  # the derived ones are rounded anew
        np.testing.assert_allclose(logits(answer), own, atol=tolerance, err_msg=name)
        assert (found["input"]["fs_hz"], found["input"]["duration_s"], found["input"]["window_s"]) == (500, 10, [0, 10])
        assert found["quality"]["ok"], (name, found["quality"])
        assert len({json.dumps(each["model"]) for each in (answers["zip"].json(), found)}) == 1
        assert found["notice"].startswith("Research use only")
    assert answers["eight leads"].json()["input"]["leads_derived"] == list(LEADS[2:6])


def test_another_sampling_rate_gives_nearly_the_same_answer(
    client: httpx.Client, backends: Backends, records: np.ndarray
):
    own = own_logits(backends, records[0])
    for fs in (250, 1000):
        mv = resample(records[0] / 1000, Fraction(fs, 500))
        answer = client.post(
            "/v1/classify", json={"ecg": packed(mv.astype("f4"), unit="mV", fs=fs), "queries": QUERIES}
        )
        np.testing.assert_allclose(logits(answer), own, atol=0.6)
        assert answer.json()["input"]["resampled"]


def test_probabilities_are_those_of_the_logits(client: httpx.Client, records: np.ndarray):
    for each in client.post("/v1/classify", json=asked(records[0])).json()["results"]:
        assert each["probability"] == pytest.approx(1 / (1 + np.exp(-each["logit"])))


def test_a_window_may_begin_later(client: httpx.Client, records: np.ndarray):
    long = np.concatenate([records[1], records[0]], axis=1)
    late = client.post("/v1/classify", json=asked(long, options={"start_s": 10}))
    np.testing.assert_allclose(logits(late), logits(client.post("/v1/classify", json=asked(records[0]))), atol=1e-5)
    assert late.json()["input"]["window_s"] == [10, 20]
    assert late.json()["input"]["duration_s"] == 20


def test_answers_come_in_the_order_of_the_questions_whatever_else_is_asked(
    client: httpx.Client, backends: Backends, records: np.ndarray
):
    for queries in (QUERIES[::-1], [QUERIES[1]], [QUERIES[0], "something else", QUERIES[0]]):
        found = client.post("/v1/classify", json=asked(records[0], *queries))
        assert [each["query"] for each in found.json()["results"]] == queries
        np.testing.assert_allclose(logits(found), own_logits(backends, records[0], *queries), atol=1e-4)


# --- batches


def test_a_batch_answers_as_one_by_one(client: httpx.Client, records: np.ndarray):
    """In JSON and in lines, each item with its own questions or with those of all."""
    own = [[*QUERIES], ["atrial flutter"], ["long qt interval", *QUERIES], *([[f"question {n}"] for n in range(5)])]
    items = [{"ecg": packed(each), "queries": queries} for each, queries in zip(records, own, strict=True)]
    singles = [logits(client.post("/v1/classify", json=item)) for item in items]
    lines = "\n".join(json.dumps(item) for item in items) + "\n"
    answers = [
        client.post("/v1/classify/batch", json={"items": items}),
        client.post("/v1/classify/batch", content=lines, headers={"content-type": "application/x-ndjson"}),
    ]
    for answer in answers:
        found = answer.json()
        assert (found["count"], found["errors"]) == (8, 0)
        assert [item["index"] for item in found["items"]] == list(range(8))
        for item, single, queries in zip(found["items"], singles, own, strict=True):
            assert [each["query"] for each in item["results"]] == queries
            np.testing.assert_allclose([each["logit"] for each in item["results"]], single, atol=1e-5)
    assert answers[0].json()["items"] == answers[1].json()["items"]


def test_questions_for_all_are_asked_of_all(client: httpx.Client, records: np.ndarray):
    items = [{"ecg": packed(each)} for each in records]
    found = client.post("/v1/classify/batch", json={"items": items, "queries": QUERIES}).json()
    for item, counts in zip(found["items"], records, strict=True):
        single = logits(client.post("/v1/classify", json=asked(counts)))
        np.testing.assert_allclose([each["logit"] for each in item["results"]], single, atol=1e-5)


def test_five_bad_of_sixty_four_cost_the_others_nothing(client: httpx.Client, records: np.ndarray):
    items = [{"ecg": packed(records[number % 8])} for number in range(64)]
    bad = {
        3: ({"ecg": packed(records[0] * 0)}, "signal_flat"),
        17: ({"ecg": packed(records[0], unit="mV")}, "amplitude_implausible"),
        18: ({}, "param_missing"),
        40: ({"ecg": packed(records[0][:, :500])}, "too_short"),
        63: ({"ecg": packed(records[0]), "queries": [""]}, "query_empty"),
    }
    for number, (item, _) in bad.items():
        items[number] = item
    answer = client.post("/v1/classify/batch", json={"items": items, "queries": QUERIES})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["count"], found["errors"]) == (64, 5)
    singles = [logits(client.post("/v1/classify", json=asked(each))) for each in records]
    for number, item in enumerate(found["items"]):
        assert item["index"] == number
        if number in bad:
            assert item["error"]["code"] == bad[number][1]
            assert set(item) == {"index", "error"}
        else:
            np.testing.assert_allclose([each["logit"] for each in item["results"]], singles[number % 8], atol=1e-5)
    only = client.post("/v1/classify/batch", json={"items": [{}], "queries": QUERIES})
    assert only.status_code == 200
    assert only.json()["model"] is None


def test_what_comes_at_once_is_answered_as_alone(client: httpx.Client, records: np.ndarray):
    """Many clients, different questions: one pass must not mix them up."""
    bodies = [asked(records[n % 8], *[f"question {n} {m}" for m in range(n % 5 + 1)]) for n in range(32)]
    alone = [logits(client.post("/v1/classify", json=body)) for body in bodies]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda body: logits(client.post("/v1/classify", json=body)), bodies))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


# --- embed, measure, explain, read, plot


def test_embeddings_are_the_models_own(client: httpx.Client, backends: Backends, records: np.ndarray):
    own = backends.reader.engine.classifier.embed(records[:1])[0]
    by_file = client.post("/v1/embed/file", content=edf_bytes(records[0]), headers=RAW)
    for answer in (client.post("/v1/embed", json={"ecg": packed(records[0])}), by_file):
        found = answer.json()
        assert found["width"] == len(found["embedding"]) == len(own)
        np.testing.assert_allclose(found["embedding"], own, atol=1e-5)


def test_measurements_are_the_delineators_own(client: httpx.Client, records: np.ndarray):
    for counts, own in zip(records[:3], WaveReader.load().measure(records[:3].astype("f4") / 1000), strict=True):
        found = client.post("/v1/measure", json={"ecg": packed(counts)}).json()
        assert set(found["intervals"]) == set(own.values)
        for name, value in own.values.items():
            assert found["intervals"][name] == (None if value is None else pytest.approx(value, abs=0.002))
            assert (found["intervals"][name] is None) == (name in found["reasons"])
        np.testing.assert_allclose(found["r_peaks_s"], own.r_peaks / 500, atol=0.001)


def test_what_leads_and_times_added_adds_up_to_the_answer(client: httpx.Client, records: np.ndarray):
    for counts in records[:3]:
        for query, flags in ((QUERIES[0], []), (f"no {QUERIES[1]}", ["negation"])):
            answer = client.post("/v1/explain", json={"ecg": packed(counts), "query": query})
            assert answer.json()["flags"] == flags
            found = answer.json()
            parts = np.array(found["contributions"])
            assert parts.shape == (12, 100)
            assert found["leads"] == list(LEADS)
            difference = found["logit"] - found["baseline_logit"]
            assert parts.sum() == pytest.approx(difference, rel=0.02, abs=0.02)
            assert [found["logit"]] == pytest.approx(
                logits(client.post("/v1/classify", json=asked(counts, query))), abs=1e-4
            )


def test_a_lead_that_is_flat_added_nothing(client: httpx.Client, records: np.ndarray):
    counts = records[0].copy()
    counts[8] = 0
    content = npy_bytes(counts)
    query = {"q": QUERIES[0], "fs": 500, "unit": "uV", "leads": ",".join(LEADS)}
    found = client.post("/v1/explain/file", content=content, params=query, headers=RAW).json()
    parts = np.abs(found["contributions"]).sum(axis=1)
    assert parts[8] < 1e-3 * parts.sum()
    assert "lead_flat:V3" in found["quality"]["flags"]
    assert not found["quality"]["ok"]


def test_reading_gives_the_counts_back(client: httpx.Client, records: np.ndarray):
    for answer in (
        client.post("/v1/read", json={"ecg": packed(records[2])}),
        client.post("/v1/read/file", content=edf_bytes(records[2]), headers=RAW),
    ):
        ecg = answer.json()["ecg"]
        held = np.frombuffer(base64.b64decode(ecg.pop("data")), "<i2").reshape(ecg["shape"])
        assert np.array_equal(held, records[2])
        again = client.post("/v1/read", json={"ecg": packed(held)}).json()["ecg"]
        assert {name: value for name, value in again.items() if name != "data"} == ecg


TITLES = ["ECG", "", "<script>alert(1)</script>", "\"&'<b>", "]]>", "\u5fc3\u7535\u56fe", "\U0001f494", "a\nb\tc"]
ODD_TITLES = ["a\0b", "a\x0bb", "\x1b[0m", "\ufffe", "\uffff"]


@pytest.mark.parametrize("title", TITLES)
def test_a_page_is_well_formed_and_harmless(client: httpx.Client, records: np.ndarray, title: str):
    for fields in ({}, {"layout": "6x2", "speed_mm_s": 50, "gain_mm_mv": 5}, {"layout": "12x1", "gain_mm_mv": 20}):
        answer = client.post("/v1/plot", json={"ecg": packed(records[0]), "title": title, **fields})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/svg+xml"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(answer.content).iter()}
        assert not names & {
            "script",
            "foreignObject",
            "a",
            "image",
            "use",
            "iframe",
            "object",
            "embed",
            "animate",
            "set",
        }
        assert b"<script" not in answer.content
        assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    query = {"title": title, "fs": 500, "speed_mm_s": 50, "gain_mm_mv": 20}
    by_file = client.post("/v1/plot/file", content=csv_bytes(records[0] / 1000), params=query, headers=RAW)
    assert by_file.status_code == 200
    ElementTree.fromstring(by_file.content)


@pytest.mark.parametrize("title", ODD_TITLES)
def test_a_title_that_no_page_can_hold_is_refused(client: httpx.Client, records: np.ndarray, title: str):
    answer = client.post("/v1/plot", json={"ecg": packed(records[0]), "title": title})
    refused(answer, 422, "param_invalid")


# --- about


def test_the_service_tells_what_it_is(client: httpx.Client, backends: Backends):
    models = client.get("/v1/models").json()["models"]
    assert [model["name"] for model in models] == ["classifier", "generator"]
    assert models[0]["sha256"] == backends.reader.engine.classifier.fingerprint
    assert {"kind", "version", "preset", "details"} <= set(models[1])
    for name in ("classifier", "generator"):
        answer = client.get(f"/v1/models/{name}/card")
        assert answer.headers["content-type"].startswith("text/markdown")
        assert answer.text.startswith("#") or answer.text.startswith("---")
    lists = client.get("/v1/queries").json()["lists"]
    assert all(each["queries"] and each["title"] for each in lists), "no list is empty"
    version = client.get("/version").json()
    assert version["api"] == "v1"
    metrics = client.get("/metrics").text
    assert 'ecgray_requests_total{method="GET",route="/version",status="200"}' in metrics
    for path in ("/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
    for path in ("/", "/docs", "/page/main.js", "/metrics", "/version", "/v2/health/ready", "/v1/models"):
        looked = client.head(path)
        assert (looked.status_code, looked.content) == (200, b"")
        assert looked.headers["content-type"] == client.get(path).headers["content-type"]
    docs = client.get("/docs").text
    assert "<script" not in docs
    assert "/v1/classify/batch" in docs


def test_every_sample_is_read_and_holds_what_it_says(client: httpx.Client):
    samples = client.get("/v1/samples").json()["samples"]
    assert len(samples) >= 6
    found = {}
    for sample in samples:
        answer = client.get(f"/v1/samples/{sample['name']}")
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            header = next(name for name in archive.namelist() if name.endswith(".hea"))
            assert b"synthetic" in archive.read(header)
        query = [("q", name) for name in ("atrial fibrillation", "normal ecg")]
        classified = client.post("/v1/classify/file", content=answer.content, params=query, headers=RAW)
        found[sample["name"]] = logits(classified)
        assert sample["truth"]
    assert found["atrial-fibrillation"][0] > found["normal-ecg"][0]
    assert found["normal-ecg"][1] > found["atrial-fibrillation"][1]
