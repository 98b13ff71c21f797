"""The command line: quick help, one sentence for a fault, recordings read and drawn; the shipped models at work."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scripted_service import ABOUT, CLASSIFIED, answer, refusal, scripted

from ecgray.commands import main
from ecgray.commands.classify import asked
from ecgray.leads import LEADS
from ecgray.waveform.record import read_recording
from ecgray.waveform.write import write_recording

TIME = np.arange(5000) / 500
BEATS = sum(np.exp(-(((TIME - beat) / 0.015) ** 2)) for beat in np.arange(0.5, 10, 0.8))
ECG = np.stack(
    [(size * BEATS).astype(np.int16) for size in (400, 900, 500, -650, -50, 700, -600, 500, 700, 900, 800, 700)]
)
"""Twelve leads with an R wave every 0.8 s."""


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("command")
    write_recording(folder, "r", ECG, fs=500)
    np.save(folder / "r.npy", ECG / 1000)
    return folder / "r.hea"


def run(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    said = capsys.readouterr()
    return caught.value.code, said.out, said.err  # type: ignore[return-value]


# --- the frame


@pytest.mark.parametrize("args", [[], ["classify"], ["generate"], ["plot"], ["doctor"]])
def test_help_comes_at_once(args: list[str]):
    """Without torch and Ray: a quarter of a second of CPU; the limit leaves room for a busy machine."""
    check = (
        "import sys; from ecgray.commands import main\n"
        f"try:\n    main({[*args, '--help']!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'ray', 'torch', 'wfdb', 'scipy', 'fastapi', 'pyarrow', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "usage: ecgray" in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


def test_the_script_is_installed_and_is_this_command():
    done = subprocess.run([Path(sys.executable).with_name("ecgray"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "{classify,generate,plot,doctor}" in done.stdout


def test_the_module_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "ecgray.commands", "nonsense"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["classify", "RECORD"], "nothing is asked"),
        (["classify", "-q", "a"], "no recording is named"),
        (["classify", "none.zip", "-q", "a"], "none.zip cannot be read (No such file or directory)"),
        (["classify", "none", "-q", "a"], "none cannot be read"),
        (["classify", "none.hea", "-q", "a"], "EcgInputError header_missing: There is no header"),
        (["classify", "RECORD", "-q", " "], "has 1 letters"),
        (["classify", "RECORD", "--queries", "no-such-task"], "is neither a task nor a file"),
        (["classify", "RECORD", "-q", "a", "--model", "/nowhere"], "there is no folder /nowhere"),
        (["classify", "RECORD", "-q", "a", "--start-s", "30"], "ServiceError param_out_of_range"),
        (["classify", "RECORD", "-q", "a", "--start-s", "-1"], "start_s=-1 must lie"),
        (["classify", "ARRAY", "-q", "a"], "ServiceError param_missing: The parameter fs is missing"),
        (["classify", "RECORD", "-q", "a", "--server", "not-an-address"], "must begin with http://"),
        (["generate", ""], "a prompt is empty"),
        (["generate", "a", "-n", "0"], "n=0 must lie between"),
        (["generate", "a", "--heart-rate", "1000"], "heart_rate=1000 bpm must lie"),
        (["generate", "a", "--steps", "0"], "steps=0 must lie"),
        (["generate", "a", "--seed", "-1"], "seed=-1 must lie"),
        (["generate", "a", "--model", "/nowhere"], "there is no folder /nowhere"),
        (["generate", "a", "--model", "x", "--server", "y"], "give one of the two"),
        (["plot", "RECORD", "-o", "x.pdf"], "x.pdf is neither an .svg nor a .png"),
        (["plot", "RECORD", "-o", "/nowhere/x.svg"], "/nowhere/x.svg cannot be written"),
    ],
)
def test_a_fault_is_one_sentence_and_exit_2(
    args: list[str], sentence: str, record: Path, capsys: pytest.CaptureFixture[str]
):
    places = {"RECORD": str(record), "ARRAY": str(record.with_suffix(".npy"))}
    status, out, err = run(capsys, *(places.get(arg, arg) for arg in args))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert sentence in err


def test_nobody_there_is_exit_1(record: Path, capsys: pytest.CaptureFixture[str]):
    status, _, err = run(capsys, "classify", record, "-q", "a", "--server", "http://127.0.0.1:1")
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("Unreachable: http://127.0.0.1:1 cannot be reached")


def test_an_interruption_is_exit_130(record: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ecgray.commands.classify._here", interrupt)
    assert run(capsys, "classify", record, "-q", "a") == (130, "", "interrupted.\n")


def test_a_reader_that_has_seen_enough_is_no_fault(record: Path):
    """As `ecgray ... | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ecgray.commands", "plot", str(record), "-o", str(record.with_suffix(".svg"))]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


# --- classify


def test_questions_come_from_words_and_lists_each_once(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("sinus rhythm\n\n long  qt \n")
    assert asked(["long qt", "sinus rhythm"], str(tmp_path / "mine.txt")) == ["long qt", "sinus rhythm"]
    assert len(asked([], "ptbxl-super")) == 5


def test_the_likeliest_stands_on_top_and_quality_above_all(record: Path, capsys: pytest.CaptureFixture[str]):
    two = [{"query": query, "probability": p, "logit": 0.0} for query, p in (("less", 0.25), ("more\x1b[2J", 0.75))]
    with scripted(answer(CLASSIFIED | {"results": two})) as script:
        status, out, _ = run(capsys, "classify", record, "-q", "less", "-q", "more", "--server", script.address)
    lines = out.splitlines()
    assert status == 0
    assert "LOOK AT THE RECORDING FIRST: noise_high:V1" in lines[1]
    assert lines[2].endswith("10 s at 500 Hz in uV; seconds 0 to 10; leads I, II; derived III")
    assert lines[3] == "    0.7500  ###############.....  more?[2J", "no control character reaches the terminal"
    assert lines[4] == "    0.2500  #####...............  less"
    assert "\x1b" not in out
    assert "Research use only." in lines[-1]


def test_one_bad_recording_of_several_has_its_error_in_its_place(record: Path, capsys: pytest.CaptureFixture[str]):
    with scripted(answer(CLASSIFIED), refusal(422, "signal_flat"), answer(CLASSIFIED)) as script:
        files = [record, record.with_suffix(".npy"), record]
        status, out, err = run(capsys, "classify", *files, "-q", "a", "--server", script.address, "--json")
    said = json.loads(out)
    assert (status, err, said["count"], said["errors"]) == (2, "", 3, 1)
    assert [item["file"] for item in said["items"]] == [str(file) for file in files]
    assert said["items"][1]["error"] == {"code": "signal_flat", "detail": "It is signal_flat."}
    assert said["items"][2]["results"] == CLASSIFIED["results"]
    assert said["model"] == ABOUT["model"]


def test_a_fault_of_the_service_ends_the_command(record: Path, capsys: pytest.CaptureFixture[str]):
    with scripted(refusal(500, "internal")) as script:
        status, out, err = run(capsys, "classify", record, record, "-q", "a", "--server", script.address)
    assert (status, out, err) == (1, "", "ServiceError internal: It is internal.\n")


def test_every_kind_of_file_is_read_here_alike(record: Path, capsys: pytest.CaptureFixture[str]):
    npy = ["--fs", "500", "--unit", "mV", "--leads", ",".join(LEADS)]
    found = []
    for args in ([record], [record.with_suffix("")], [record.with_suffix(".npy"), *npy]):
        status, out, _ = run(capsys, "classify", *args, "-q", "atrial fibrillation", "-q", "sinus rhythm", "--json")
        assert status == 0
        found.append(json.loads(out))
    for one in found[1:]:
        assert one["results"] == found[0]["results"]
    assert set(found[0]) == {"file", "results", "input", "quality", "model", "notice"}
    status, out, _ = run(capsys, "classify", record, record.with_suffix(""), "-q", "sinus rhythm")
    assert (status, out.count("sinus rhythm")) == (0, 2)


# --- generate and plot


def test_generate_writes_records_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    args = ["generate", "sinus rhythm of Mrs Secret, 80 bpm", "-n", "2", "--steps", "3", "--seed", "5"]
    status, out, _ = run(capsys, *args, "--out", tmp_path / "new" / "drawn")
    headers = sorted((tmp_path / "new" / "drawn").glob("*.hea"))
    assert (status, len(headers), len(list((tmp_path / "new" / "drawn").glob("*.svg")))) == (0, 2, 2)
    found = read_recording(headers[1].with_suffix(""))
    assert found.comments[0] == "synthetic"
    assert "Secret" not in headers[0].read_text() + headers[0].name
    assert found.counts.shape == (12, 5000)
    assert "80 bpm" in out.splitlines()[1]
    assert "seed 5" in out
    assert "SYNTHETIC" in out
    assert "SYNTHETIC" in headers[0].with_suffix(".svg").read_text()


def test_plot_draws_in_millimetres(record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "x.svg"
    status, said, _ = run(
        capsys, "plot", record, "-o", out, "--layout", "12x1", "--gain", "5", "--speed", "50", "--json"
    )
    svg = out.read_text()
    assert (status, json.loads(said)["output"]) == (0, str(out))
    assert "50 mm/s, 5 mm/mV" in svg
    assert svg.count(">V6</text>") == 1
    assert ">r</text>" in svg, "the recording's name is the title"


def test_a_png_needs_a_program(record: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    status, _, err = run(capsys, "plot", record, "-o", tmp_path / "x.png")
    assert (status, "write .svg, or install librsvg2-bin" in err) == (2, True)
