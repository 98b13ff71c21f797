"""What the client sends, and what it makes of the answers."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from scripted_service import ABOUT, CLASSIFIED, answer, event, events, half, hang_up, refusal, reset, scripted
from scripted_service import wait_for_the_client_to_go as wait

from ecgray.client import Client, Overloaded, ServiceError, Unreachable
from ecgray.client.record import write_record
from ecgray.errors import ConfigError, EcgInputError
from ecgray.leads import LEADS
from ecgray.waveform.record import read_recording
from ecgray.waveform.write import write_recording

COUNTS = np.random.default_rng(0).integers(-900, 900, (12, 5000)).astype(np.int16)


def drawn(counts: np.ndarray, leads=LEADS, **ecg) -> dict:
    sent = {"encoding": "base64", "dtype": "int16", "shape": list(counts.shape), "fs": 500, "unit": "uV"}
    sent |= {"leads": list(leads), "data": base64.b64encode(counts.tobytes()).decode()} | ecg
    return ABOUT | {
        "synthetic": True,
        "seed": 7,
        "steps": 25,
        "sampler": "sde-dpm++",
        "guidance_scale": 1.5,
        "flags": [],
        "asked": {"age": None, "sex": "F", "heart_rate_bpm": 45.0},
        "ecgs": [{"index": 0, "ecg": sent, "measured": {"heart_rate_bpm": 46.0}, "identity_residual_uv": 0}],
    }


def test_importing_it_imports_nothing_heavy():
    check = (
        "import sys, time; began = time.process_time(); import ecgray.client; took = time.process_time() - began\n"
        "heavy = {'torch', 'ray', 'wfdb', 'scipy', 'pyarrow', 'tyro', 'jaxtyping', 'requests', 'httpx'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "others = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "print(took, sorted(name for name in others if not name.startswith('_')))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    took, _, others = done.stdout.partition(" ")
    assert float(took) < 0.5
    assert "ecgray" in others
    assert "numpy" in others


# --- what is sent


@pytest.mark.parametrize(
    ("ecg", "unit", "kind", "said"),
    [
        (COUNTS, None, "<i2", "uV"),
        (COUNTS.astype(np.int64), None, "<i2", "uV"),
        (COUNTS / 1000, None, "<f4", "mV"),
        (COUNTS.astype(">f8"), "uV", "<f4", "uV"),
        (COUNTS[:, ::-1], None, "<i2", "uV"),
    ],
)
def test_an_array_arrives_as_it_was(ecg, unit, kind, said):
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        found = client.classify(ecg, ["atrial fibrillation", "b"], fs=500, unit=unit, leads=LEADS, start_s=2.5)
    (body,) = script.bodies()
    assert script.asked[0][:2] == ("POST", "/v1/classify")
    assert body["queries"] == ["atrial fibrillation", "b"]
    assert body["options"] == {"start_s": 2.5}
    assert (body["ecg"]["unit"], body["ecg"]["fs"], body["ecg"]["leads"]) == (said, 500, list(LEADS))
    rows = np.frombuffer(base64.b64decode(body["ecg"]["data"]), kind).reshape(body["ecg"]["shape"])
    np.testing.assert_allclose(rows, ecg, rtol=1e-6)
    assert found.probability("atrial fibrillation") == 0.9
    assert (found.quality.ok, found.quality.flags, found.input.window_s) == (False, ("noise_high:V1",), (0.0, 10.0))
    assert (found.model.name, found.request_id, found.raw) == ("classifier", "r-1", CLASSIFIED)
    with pytest.raises(KeyError):
        found.probability("never asked")


@pytest.mark.parametrize(
    ("ecg", "options", "sentence"),
    [
        (COUNTS, {"fs": 500}, "has 12 rows and no names of leads; name each row"),
        (COUNTS, {"fs": 500, "leads": LEADS[:11]}, "has 12 rows and other names"),
        (COUNTS.T, {"fs": 500, "leads": LEADS}, "has 5000 rows"),
        (COUNTS, {"leads": LEADS}, "fs is missing"),
        (COUNTS[0], {"fs": 500, "leads": ["I"]}, r"an array of numbers \(lead, time\)"),
        (COUNTS > 0, {"fs": 500, "leads": LEADS}, "this is bool"),
        (COUNTS.astype(int) * 100, {"fs": 500, "leads": LEADS}, "do not fit into int16"),
        (COUNTS, {"fs": float("nan"), "leads": LEADS}, "no number"),
    ],
)
def test_nothing_is_guessed(ecg, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Client("http://127.0.0.1:1").classify(ecg, ["a"], **options)


def test_one_text_is_no_list_of_questions():
    with pytest.raises(ConfigError, match="list of texts"):
        Client("http://127.0.0.1:1").classify(COUNTS, "atrial fibrillation", fs=500, leads=LEADS)


def test_a_record_is_sent_with_the_files_that_it_names_and_no_other(tmp_path: Path):
    write_recording(tmp_path, "a", COUNTS, fs=500)
    (tmp_path / "a.txt").write_text("not asked for")
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        client.classify_file(tmp_path / "a.hea", ["q"], strict=False)
        client.classify_file(str(tmp_path / "a"), ["q"])
    for body in script.bodies():
        files = {file["name"]: base64.b64decode(file["data"]) for file in body["files"]}
        assert files == {name: (tmp_path / name).read_bytes() for name in ("a.hea", "a.dat")}
    assert script.bodies()[0]["options"] == {"strict": False}


@pytest.mark.parametrize("name", ["../secret.dat", "/etc/passwd", "..", "sub/x.dat"])
def test_a_header_makes_us_send_no_file_of_another_folder(tmp_path: Path, name: str):
    (tmp_path / "secret.dat").write_bytes(b"secret")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "x.dat").write_bytes(b"secret")
    (tmp_path / "in" / "a.hea").write_text(f"a 1 500 3\n{name} 16 1000/mV 16 0 0 0 0 I\n")
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        client.classify_file(tmp_path / "in" / "a.hea", ["q"])
    assert [file["name"] for file in script.bodies()[0]["files"]] == ["a.hea"]


def test_a_record_too_large_for_json_goes_as_a_zip(tmp_path: Path):
    write_recording(tmp_path, "long", np.tile(COUNTS, (1, 13)), fs=500)
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        client.classify_file(tmp_path / "long.hea", ["a b", "\u00fc"])
    method, path, headers, body = script.asked[0]
    assert (method, urlsplit(path).path) == ("POST", "/v1/classify/file")
    assert parse_qs(urlsplit(path).query) == {"q": ["a b", "\u00fc"]}
    assert headers["Content-Type"] == "application/octet-stream"
    with zipfile.ZipFile(io.BytesIO(body)) as packed:
        assert {name: packed.read(name) for name in packed.namelist()} == {
            name: (tmp_path / name).read_bytes() for name in ("long.hea", "long.dat")
        }


def test_any_other_file_goes_as_it_is(tmp_path: Path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    with scripted(answer(CLASSIFIED)) as script, Client(script.address) as client:
        client.classify_file(tmp_path / "a.npy", ["q"], fs=250, unit="mV", leads=["I", "II"], allow_missing_leads=True)
        client.classify_file(b"I,II\n", ["q"])
    (_, path, _, body), (_, other, _, text) = script.asked
    said = {"q": ["q"], "fs": ["250"], "unit": ["mV"], "leads": ["I,II"], "allow_missing_leads": ["true"]}
    assert (parse_qs(urlsplit(path).query), body) == (said, b"\x93NUMPY")
    assert (parse_qs(urlsplit(other).query), text) == ({"q": ["q"]}, b"I,II\n")


def test_what_no_address_holds_is_refused_before_it_is_sent():
    with pytest.raises(ConfigError, match=r"the questions fill 12\d,\d{3} letters"):
        Client("http://127.0.0.1:1").classify_file(b"zip", [f"{'x' * 500} {number}" for number in range(250)])


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    client = Client("http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="is no file"):
        client.classify_file(tmp_path / "none", ["q"])
    (tmp_path / "long.zip").write_bytes(b"x" * 11)
    monkeypatch.setattr("ecgray.client.record.MOST_BYTES", 10)
    with pytest.raises(EcgInputError, match="more than 10 bytes"):
        client.classify_file(tmp_path / "long.zip", ["q"])


def test_the_other_questions_about_one_ecg():
    embedded = ABOUT | {"embedding": [0.5, 1], "width": 2}
    measured = ABOUT | {"intervals": {"heart_rate_bpm": 71.9, "pr_ms": None}, "reasons": {"pr_ms": "no_p_wave"}}
    measured |= {"r_peaks_s": [0.5, 1.3]}
    explained = ABOUT | {"query": "a", "probability": 0.5, "logit": 0.0, "baseline_logit": -1.0, "step_s": 0.1}
    explained |= {"leads": list(LEADS), "contributions": np.full((12, 100), 1 / 1200).tolist()}

    read = ABOUT | {"ecg": drawn(COUNTS)["ecgs"][0]["ecg"]}

    def svg(handler):
        handler.say(200, "image/svg+xml", b"<svg/>")

    known = {"fs": 500, "leads": LEADS}
    with (
        scripted(answer(embedded), answer(measured), answer(explained), svg, answer(read)) as script,
        Client(script.address) as client,
    ):
        assert client.embed(COUNTS, **known).embedding.tolist() == [0.5, 1]
        found = client.measure(COUNTS, **known)
        assert (found.intervals["heart_rate_bpm"], found.reasons["pr_ms"], len(found.r_peaks_s)) == (
            71.9,
            "no_p_wave",
            2,
        )
        parts = client.explain(COUNTS, "a", **known)
        assert parts.contributions.sum() == pytest.approx(parts.logit - parts.baseline_logit)
        assert client.plot(COUNTS, layout="6x2", title="T", **known) == "<svg/>"
        np.testing.assert_array_equal(client.read(COUNTS, **known).counts, COUNTS)
    assert [path for _, path, _, _ in script.asked] == [
        "/v1/embed",
        "/v1/measure",
        "/v1/explain",
        "/v1/plot",
        "/v1/read",
    ]
    assert script.bodies()[2]["query"] == "a"
    how = {"layout": "6x2", "speed_mm_s": 25, "gain_mm_mv": 10, "title": "T"}
    assert {name: value for name, value in script.bodies()[3].items() if name != "ecg"} == how
    assert script.asked[3][2]["Accept"] == "image/svg+xml"


def test_a_batch_is_cut_into_bodies_that_the_service_takes():
    """70 ECGs: 64 and 6; the errors stand in their places."""

    def serve(handler):
        items = json.loads(handler.script.asked[-1][3])["items"]
        own = [{"index": n, **{k: CLASSIFIED[k] for k in ("results", "input", "quality")}} for n in range(len(items))]
        own[1] = {"index": 1, "error": {"code": "signal_flat", "status": 422, "detail": "Flat.", "request_id": "r"}}
        shared = {k: ABOUT[k] for k in ("request_id", "model", "notice")}
        answer(shared | {"count": len(items), "errors": 1, "items": own})(handler)

    with scripted(serve) as script, Client(script.address) as client:
        found = client.classify_batch([COUNTS] * 70, ["q"], fs=500, leads=LEADS)
    assert [len(body["items"]) for body in script.bodies()] == [64, 6]
    assert [number for number, one in enumerate(found) if isinstance(one, ServiceError)] == [1, 65]
    assert (found[1].code, found[1].status, str(found[1])) == ("signal_flat", 422, "Flat.")
    assert found[2].model.name == "classifier"


def test_long_ecgs_make_smaller_batches():
    with scripted(refusal(422, "stop")) as script, Client(script.address) as client:
        with pytest.raises(ServiceError):
            client.classify_batch([COUNTS.astype(np.float32).repeat(3, axis=1)] * 20, ["q"], fs=500, leads=LEADS)
        assert len(script.asked[0][3]) < 16_000_000
        assert len(script.bodies()[0]["items"]) == 15


# --- a text


def test_drawn_ecgs_come_in_our_order_whatever_theirs_is():
    order = LEADS[::-1]
    rows = COUNTS[[LEADS.index(lead) for lead in order]]
    with scripted(answer(drawn(rows, order))) as script, Client(script.address) as client:
        found = client.generate("sinus bradycardia", sex="F", heart_rate=45, n=1, steps=25, seed=7, guidance_scale=1.5)
    np.testing.assert_array_equal(found.counts, COUNTS[None])
    assert (found.seed, found.asked["heart_rate_bpm"], found.measured[0]["heart_rate_bpm"]) == (7, 45.0, 46.0)
    sent = {"prompt": "sinus bradycardia", "sex": "F", "heart_rate": 45, "n": 1, "steps": 25, "seed": 7}
    assert script.bodies() == [sent | {"guidance_scale": 1.5}]


def test_what_is_drawn_otherwise_than_promised_is_refused():
    wrong = answer(drawn(COUNTS, unit="mV"))
    with scripted(wrong) as script, pytest.raises(ServiceError, match="sent something else than twelve leads"):
        Client(script.address).generate("a")


def test_progress_is_told_step_by_step():
    steps = [event("progress", {"step": step, "of": 3}) for step in (1, 2, 3)]
    cut = b"".join([event("queued", {"request_id": "r-1"}), b": warm\n\n", *steps, event("result", drawn(COUNTS))])
    pieces = [cut[start : start + 1000] for start in range(0, len(cut), 1000)]  # events do not come chunk by chunk
    told = []
    with scripted(events(*pieces)) as script, Client(script.address) as client:
        found = client.generate("a", progress=lambda step, of: told.append((step, of)))
        assert script.asked[0][2]["Accept"] == "text/event-stream"
        assert client.generate("a", progress=lambda step, of: None).seed == 7  # and once more on the same client
    assert told == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(found.counts, COUNTS[None])


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_who_stops_in_the_middle_hangs_up(fault):
    def stop(step: int, of: int) -> None:
        raise fault

    with (
        scripted(events(event("progress", {"step": 1, "of": 9}), then=wait)) as script,
        Client(script.address) as client,
    ):
        with pytest.raises(fault):
            client.generate("a", progress=stop)
        assert script.hung_up.wait(5)


def test_an_error_among_the_events_is_raised():
    refused = {"code": "overloaded", "status": 429, "detail": "Too busy.", "request_id": "r-3"}
    with scripted(events(event("queued", {}), event("error", refused))) as script, Client(script.address) as client:
        with pytest.raises(Overloaded, match=r"^Too busy\.$"):
            client.generate("a", progress=lambda *_: None)
        assert len(script.asked) == 1


@pytest.mark.parametrize("end", [hang_up, reset])
def test_drawing_is_not_asked_again_once_something_came(end):
    with scripted(events(event("queued", {}), then=end)) as script, Client(script.address) as client:
        with pytest.raises(Unreachable):
            client.generate("a", progress=lambda *_: None)
        assert len(script.asked) == 1


def test_drawing_without_progress_is_not_asked_again_either():
    with scripted(half, answer(drawn(COUNTS))) as script, Client(script.address) as client:
        with pytest.raises(Unreachable):
            client.generate("a")
        assert len(script.asked) == 1


def test_drawing_is_asked_again_where_nothing_came():
    with scripted(hang_up, answer(drawn(COUNTS))) as script, Client(script.address) as client:
        assert client.generate("a").seed == 7
    with scripted(refusal(503, "not_ready", Retry_After="0"), events(event("result", drawn(COUNTS)))) as script:
        assert Client(script.address).generate("a", progress=lambda *_: None).seed == 7


def test_drawn_ecgs_are_written_as_synthetic_records(tmp_path: Path):
    with scripted(answer(drawn(COUNTS))) as script, Client(script.address) as client:
        (header,) = client.generate("a patient's secret").save_wfdb(tmp_path / "new" / "folder")
    found = read_recording(header.with_suffix(""))
    np.testing.assert_array_equal(found.counts, COUNTS)
    assert found.comments[0] == "synthetic"
    assert "secret" not in header.read_text()
    write_recording(tmp_path, header.stem, COUNTS, fs=500, comments=found.comments)
    for file in (header, header.with_suffix(".dat")):
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), "as ecgray itself writes it"


def test_a_record_without_comments_is_written_as_well(tmp_path: Path):
    write_record(tmp_path, "one", COUNTS[:2], fs=250.5, leads=["I", "V1"], comments=[])
    assert read_recording(tmp_path / "one").fs == 250.5


# --- the service itself


def test_models_version_and_readiness():
    models = {"models": [ABOUT["model"] | {"details": {"auc": 0.9}}], "notice": ""}
    with (
        scripted(answer(models), answer({"ecgray": "0.1.0", "api": "v1"}), answer({"ready": True})) as script,
        Client(script.address) as client,
    ):
        assert [model.name for model in client.models()] == ["classifier"]
        assert client.version()["api"] == "v1"
        assert client.ready()
    with scripted(refusal(503, "not_ready", Retry_After="60")) as script:
        assert not Client(script.address).ready()
    assert not Client(script.address, retries=0).ready()
