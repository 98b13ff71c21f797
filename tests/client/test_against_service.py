"""The client and the command line against the service's own app, with the models that ship; no Ray."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from running_service import running

from ecgray.client import Client, ServiceError
from ecgray.commands import main
from ecgray.errors import ConfigError
from ecgray.leads import LEADS
from ecgray.models.classifier import EMBEDDED as CLASSIFIER
from ecgray.models.classifier import Classifier
from ecgray.models.generator import EMBEDDED as GENERATOR
from ecgray.service.backends import Backends
from ecgray.service.local import local_backends
from ecgray.service.settings import ServiceSettings, token_hash
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise
from ecgray.waveform.write import write_recording

QUERIES = ["atrial fibrillation", "left bundle branch block", "sinus rhythm"]


@pytest.fixture(scope="module")
def backends() -> Backends:
    return local_backends(CLASSIFIER, GENERATOR)


@pytest.fixture(scope="module")
def client(backends: Backends) -> Iterator[Client]:
    with running(backends) as address, Client(address, token="") as client:
        yield client


@pytest.fixture(scope="module")
def drawn(client: Client) -> np.ndarray:
    """An ECG to ask about."""
    return client.generate("sinus rhythm", heart_rate=70, steps=5, seed=3).counts[0]


@pytest.fixture(scope="module")
def record(drawn: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    write_recording(folder, "r", drawn, fs=500)
    return folder / "r.hea"


def probabilities(found) -> list[float]:
    return [one.probability for one in found.results]


def test_however_an_ecg_is_sent_the_answer_is_the_classifiers_own(client: Client, drawn: np.ndarray, record: Path):
    own = Classifier.load(CLASSIFIER).probabilities(drawn[None], QUERIES)[0]
    packed, array = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (record, record.with_suffix(".dat")):
            archive.write(path, path.name)
    np.save(array, drawn / 1000)
    table = ",".join(f"{lead} (mV)" for lead in LEADS) + "\n"
    table += "\n".join(",".join(f"{value / 1000:.3f}" for value in row) for row in drawn.T.tolist())
    order = list(reversed(range(12)))
    ways = [
        client.classify(drawn, QUERIES, fs=500, leads=LEADS),
        client.classify(drawn / 1000, QUERIES, fs=500, leads=LEADS),
        client.classify(drawn / 1e6, QUERIES, fs=500, unit="V", leads=LEADS),
        client.classify(drawn[order], QUERIES, fs=500, leads=[LEADS[place] for place in order]),
        client.classify_file(record, QUERIES),
        client.classify_file(record.with_suffix(""), QUERIES),
        client.classify_file(packed.getvalue(), QUERIES),
        client.classify_file(array.getvalue(), QUERIES, fs=500, unit="mV", leads=LEADS),
        client.classify_file(table.encode(), QUERIES, fs=500),
    ]
    for found in ways:
        assert [one.query for one in found.results] == QUERIES
        np.testing.assert_allclose(probabilities(found), own, atol=1e-4)
        assert found.request_id
        assert found.model.kind == "supreme-classifier"


def test_what_the_service_refuses_comes_back_as_its_code(client: Client, drawn: np.ndarray):
    saved = io.BytesIO()
    np.save(saved, drawn)
    for expected, ask in {
        "signal_flat": lambda: client.measure(drawn * 0, fs=500, leads=LEADS),
        "too_short": lambda: client.classify(drawn[:, :500], ["a"], fs=500, leads=LEADS),
        "leads_missing": lambda: client.classify(drawn[:3], ["a"], fs=500, leads=LEADS[:3]),
        "query_empty": lambda: client.classify(drawn, [" "], fs=500, leads=LEADS),
        "query_count": lambda: client.classify(drawn, [], fs=500, leads=LEADS),
        "format_mismatch": lambda: client.classify_file(b"\x93NUMPY", ["a"]),
        "param_missing": lambda: client.classify_file(saved.getvalue(), ["a"]),
        "format_unsupported": lambda: client.classify_file(b"\x1f\x8b", ["a"]),
        "param_out_of_range": lambda: client.generate("a", n=17),
    }.items():
        with pytest.raises(ServiceError) as caught:
            ask()
        assert (caught.value.code, caught.value.exit_status) == (expected, 2)


def test_options_arrive(client: Client, drawn: np.ndarray, record: Path):
    found = client.classify(drawn[:2], ["a"], fs=500, leads=["I", "II"], allow_missing_leads=True)
    assert found.input.leads_missing == LEADS[6:]
    assert found.input.leads_derived == LEADS[2:6]
    long = np.concatenate([drawn, drawn[:, :2500]], axis=1)
    assert client.classify(long, ["a"], fs=500, leads=LEADS, start_s=5).input.window_s == (5.0, 15.0)
    text = record.read_text().splitlines()
    parts = text[1].split()
    parts[6] = str(int(parts[6]) ^ 1)
    broken = record.with_name("b.hea")
    broken.write_text("\n".join([text[0], " ".join(parts), *text[2:]]) + "\n")
    with pytest.raises(ServiceError, match="checksum"):
        client.classify_file(broken, ["a"])
    assert "checksum_mismatch" in client.classify_file(broken, ["a"], strict=False).quality.flags


def test_every_other_answer_is_understood(client: Client, drawn: np.ndarray, record: Path):
    known = {"fs": 500, "leads": LEADS}
    np.testing.assert_array_equal(client.read(drawn, **known).counts, drawn)
    np.testing.assert_array_equal(client.read(record).counts, drawn)
    assert client.embed(drawn, **known).embedding.ndim == 1
    measured = client.measure(record)
    assert set(measured.reasons) == {name for name, value in measured.intervals.items() if value is None}
    found = client.explain(drawn, "sinus rhythm", **known)
    assert found.contributions.shape == (12, 100)
    assert found.contributions.sum() == pytest.approx(found.logit - found.baseline_logit, rel=0.1), (
        "but for the integral's steps"
    )
    assert client.plot(drawn, layout="12x1", gain_mm_mv=20, title="T & T", **known).startswith("<svg")
    assert "6x2" not in client.plot(record, layout="6x2", speed_mm_s=50)
    assert {model.name for model in client.models()} == {"classifier", "generator"}
    assert client.ready()
    assert client.version()["api"] == "v1"


def test_a_batch_answers_as_one_by_one(client: Client, drawn: np.ndarray):
    found = client.classify_batch([drawn, drawn * 0, -drawn], QUERIES, fs=500, leads=LEADS)
    assert [getattr(one, "code", None) for one in found] == [None, "signal_flat", None]
    for one, ecg in ((found[0], drawn), (found[2], -drawn)):
        alone = client.classify(ecg, QUERIES, fs=500, leads=LEADS)
        np.testing.assert_allclose(probabilities(one), probabilities(alone), atol=1e-5)


def test_drawing_with_and_without_progress_is_the_same(client: Client, tmp_path: Path):
    told = []
    asked = {"heart_rate": 100, "n": 2, "steps": 4, "seed": 9}
    with_progress = client.generate("atrial fibrillation", progress=lambda *step: told.append(step), **asked)
    np.testing.assert_array_equal(with_progress.counts, client.generate("atrial fibrillation", **asked).counts)
    assert told[-1] == (4, 4)
    assert with_progress.asked["heart_rate_bpm"] == 100
    header = with_progress.save_wfdb(tmp_path)[1]
    np.testing.assert_array_equal(read_recording(header.with_suffix("")).counts, with_progress.counts[1])


def test_who_hangs_up_stops_the_drawing(client: Client, backends: Backends):
    def stop(step: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.generate("sinus rhythm", steps=1000, seed=1, progress=stop)
    import time

    began = time.monotonic()
    while backends.writer.engine.loop.load:  # type: ignore[union-attr]
        assert time.monotonic() - began < 20
        time.sleep(0.05)


def test_a_token_opens_the_service(backends: Backends, drawn: np.ndarray):
    settings = ServiceSettings(token_sha256=token_hash("a-token-of-24-characters", host="0.0.0.0"))
    with running(backends, settings) as address:
        for token, code in (("", "token_missing"), ("wrong-token-of-some-length", "token_wrong")):
            with pytest.raises(ServiceError) as caught, Client(address, token=token) as other:
                other.models()
            assert (caught.value.code, caught.value.status) == (code, 401)
        with Client(address, token="a-token-of-24-characters") as other:
            assert other.models()


# --- the command line


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(args)
    said = capsys.readouterr()
    return caught.value.code, said.out, said.err  # type: ignore[return-value]


def test_classify_says_the_same_here_and_there(client: Client, record: Path, capsys: pytest.CaptureFixture[str]):
    asked = ["classify", str(record), "-q", QUERIES[0], "-q", QUERIES[1], "--json"]
    status, here, _ = run(capsys, *asked)
    there_status, there, _ = run(capsys, *asked, "--server", str(client._wire.address))
    assert status == there_status == 0
    local, remote = json.loads(here), json.loads(there)
    assert remote.pop("request_id")
    for one, other in zip(local.pop("results"), remote.pop("results"), strict=True):
        assert one == pytest.approx(other, abs=1e-5) if isinstance(one, float) else one["query"] == other["query"]
        assert one["logit"] == pytest.approx(other["logit"], abs=1e-4)
    assert local == remote


def test_generate_draws_the_same_here_and_there(client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked = ["generate", "sinus rhythm, 80 bpm", "--steps", "3", "--seed", "6", "-n", "2", "--format", "npy", "--json"]
    _, here, _ = run(capsys, *asked, "--out", str(tmp_path / "here"))
    status, there, _ = run(capsys, *asked, "--out", str(tmp_path / "there"), "--server", str(client._wire.address))
    assert status == 0
    (one,), (other,) = (list((tmp_path / name).iterdir()) for name in ("here", "there"))
    assert one.name == other.name
    assert np.abs(np.load(one).astype(int) - np.load(other)).max() <= 2
    local, remote = json.loads(here), json.loads(there)
    for each in (local, remote):
        each.pop("ecgs")
    assert local == remote


def test_doctor_asks_the_service(client: Client, capsys: pytest.CaptureFixture[str]):
    _, out, _ = run(capsys, "doctor", "--server", str(client._wire.address))
    (line,) = (line for line in out.splitlines() if " service " in line)
    assert line.startswith("ok")
    assert "is ready: classifier" in line


def test_a_wrong_question_is_one_sentence_and_exit_2(client: Client, record: Path, capsys: pytest.CaptureFixture[str]):
    server = str(client._wire.address)
    status, out, err = run(capsys, "classify", str(record), "-q", "\x07", "--server", server)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "ServiceError query_invalid:" in err
    status, out, err = run(capsys, "classify", str(record), "-q", "a", "--server", server, "--model", "x")
    assert (status, out, err.count("\n")) == (2, "", 1)


# --- real recordings


@pytest.mark.real
def test_real_records_are_answered_as_the_classifier_answers_them(client: Client, real_data: Path):
    classifier, seen = Classifier.load(CLASSIFIER), 0
    for header in sorted((real_data / "ptbxl").rglob("*_hr.hea"))[:8]:
        counts = standardise(read_recording(header.with_suffix(""))).counts
        own = classifier.probabilities(counts[None], QUERIES)[0]
        found = client.classify_file(header, QUERIES)
        np.testing.assert_allclose(probabilities(found), own, atol=1e-4)
        np.testing.assert_array_equal(client.read(header).counts, counts)
        seen += 1
    assert seen == 8


def test_nothing_at_all_is_refused_before_it_is_sent():
    with pytest.raises(ConfigError):
        Client("http://127.0.0.1:1", timeout_s=0)
