"""The story of a run is read from the tables that the stages write, by the writers of those stages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from ecgray.answers import results, write_answers
from ecgray.demo.chapters import Step
from ecgray.demo.rebuilt import VaeRun
from ecgray.demo.report import report_html
from ecgray.demo.story import READINGS, Run, draw_example, read_answers, read_story
from ecgray.demo.written import WritingRun
from ecgray.metrics.board import make_board
from ecgray.models import Classifier
from ecgray.output import write_json
from ecgray.parquet import write_tables
from ecgray.recipes.demo import SHOWN, UNSEEN
from ecgray.sediff.config import SIZES as VAE_SIZES
from ecgray.sediff.folder import save_vae
from ecgray.sediff.vae import Vae
from ecgray.supreme.config import SIZES
from ecgray.supreme.model import Supreme
from ecgray.supreme.preprocess import PreprocessConfig
from ecgray.tables import GENERATED, INTERVALS, QUARANTINE, RECORDS, ecg_bytes
from ecgray.text.encoders import load_text_encoder
from ecgray.text.tasks import TASKS
from ecgray.training.journal import Journal

RECORD_COUNT = 24
TASK_FOLDERS = {"seen": "demo-seen", "unseen": "demo-unseen"}
RNG = np.random.default_rng(7)
ECGS = RNG.integers(-900, 900, (RECORD_COUNT, 12, 5000)).astype(np.int16)


def codes(number: int) -> list[str]:
    classes = TASKS["demo"].classes
    return [f"demo:{classes[(number * 5 + step) % len(classes)].name}" for step in (0, 11)]


def rows() -> list[dict[str, object]]:
    return [
        {
            "record_id": f"mimic-iv-ecg:{100 - number}",
            "subject_id": f"mimic-iv-ecg:p{number // 2}",
            "split": "test",
            "sex": "F" if number % 2 else "M",
            "age": 50.0 + number,
            "report": f"report <{number}>",
            "codes": codes(number),
            "ecg": ecg_bytes(ECGS[number]),
        }
        for number in range(RECORD_COUNT)
    ]


def ask(folder: Path, task_name: str) -> np.ndarray:
    """Write answers and results as the scoring stage does; returns the probabilities."""
    task = TASKS[task_name]
    probability = np.random.default_rng(len(task.classes)).random((RECORD_COUNT, len(task.classes)), np.float32)
    who = pa.Table.from_pylist(rows(), RECORDS)
    for part, start in enumerate(range(0, RECORD_COUNT, 10)):
        write_answers(
            who.slice(start, 10), task, probability[start : start + 10], folder / "answers" / f"part-{part}.parquet"
        )
    truth = np.array([task.truth(codes(number)) for number in range(RECORD_COUNT)])
    patients = np.array([row["subject_id"] for row in rows()])
    board = make_board(
        [(one.name, one.query) for one in task.classes],
        truth,
        model=probability,
        random=1 - probability,
        patients=patients,
        resamples=50,
    )
    write_json(folder / "results.json", results(board))
    return probability


def write_asked(out: Path) -> None:
    """What the generator's stages leave: two prompts, three ECGs, one of them without a measured rate."""
    asked = [("sinus rhythm", 70.0, ["x"]), ("sinus rhythm", 70.0, ["x"]), ("normal ecg", None, [])]
    ids = [f"synthetic:{number}" for number in range(3)]
    generated = [
        {"record_id": name, "prompt": prompt, "heart_rate_bpm": bpm, "flags": odd}
        for name, (prompt, bpm, odd) in zip(ids, asked, strict=True)
    ]
    write_tables(pa.Table.from_pylist(generated, GENERATED), out / "written" / "generated")
    drawn = [{"record_id": name, "ecg": ecg_bytes(np.zeros((12, 5000), np.int16))} for name in ids]
    write_tables(pa.Table.from_pylist(drawn, RECORDS), out / "written" / "records")
    measured = [{"record_id": name, "heart_rate_bpm": bpm} for name, bpm in zip(ids, (73.0, None, 60.0), strict=True)]
    write_tables(pa.Table.from_pylist(measured, INTERVALS), out / "written-intervals" / "intervals")
    (out / "generator").mkdir()
    write_json(out / "generator" / "figures.json", {"steps": 300, "records": 400})
    drew = {"records_per_s": 0.5, "sampler": "dpm++", "steps": 25, "guidance_scale": 1.5}
    write_json(out / "written" / "figures.json", drew)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("demo")
    write_tables(pa.Table.from_pylist(rows(), RECORDS), out / "ingest" / "records", rows=10)
    bad = {"record_id": "x", "subject_id": "x", "source": "m", "path": "files/x", "code": "c", "message": "Why."}
    write_tables(pa.Table.from_pylist([bad], QUARANTINE), out / "ingest" / "quarantine")
    for name in TASK_FOLDERS.values():
        ask(out / name, name)
    torch.manual_seed(0)
    model = Classifier.from_parts(Supreme(SIZES["debug"]), load_text_encoder("lexical"), PreprocessConfig())
    model.save(out / "pretrain" / "model", card="# A model\n")
    write_json(out / "pretrain" / "figures.json", {"records": 17})
    journal = Journal(out / "pretrain", after=0)
    for step in range(1, 61):
        journal.write(
            {"step": step, "loss": 1 / step} | ({"val_macro_auc": 0.5 + step / 200} if step % 30 == 0 else {})
        )
    journal.close()
    save_vae(out / "vae" / "model", Vae(VAE_SIZES["debug"]), card="# A model\n", details={})
    errors = {"mae_mv": 0.1, "correlation": 0.5, "heart_rate_error_bpm": 1.0, "qt_error_ms": 9.0}
    write_json(out / "vae" / "figures.json", {"steps": 3, "records": 8} | errors)
    write_asked(out)
    first = min((out / "ingest" / "records").glob("*.parquet"))
    return Run(
        vae=VaeRun(records=first, vae=out / "vae", real=None),
        writing=WritingRun(generator=out / "generator", written=out / "written", intervals=out / "written-intervals"),
        ingest=out / "ingest",
        pretrain=out / "pretrain",
        seen=out / "demo-seen",
        unseen=out / "demo-unseen",
        shown_terms=SHOWN,
        steps=(Step(meaning="m", command="c", seconds=1.0, outcome="o"),),
        seconds=100.0,
        machine="2 CPU cores",
        settings="{}",
    )


def test_answers_come_back_as_they_were_given(run: Run):
    answers = read_answers(run.seen / "answers")
    assert answers.record_ids == tuple(row["record_id"] for row in rows())
    assert answers.queries == tuple(one.name for one in TASKS["demo-seen"].classes)
    expected = np.random.default_rng(len(answers.queries)).random((RECORD_COUNT, len(answers.queries)), np.float32)
    np.testing.assert_array_equal(answers.probability, expected)
    for number in range(RECORD_COUNT):
        assert answers.truth[number].tolist() == [f"demo:{query}" in codes(number) for query in answers.queries]


def test_what_was_written_is_shown_once_a_prompt(run: Run):
    writing = read_story(run).written
    assert [(one.prompt, one.asked_bpm, one.measured_bpm) for one in writing.shown] == [
        ("sinus rhythm", 70.0, 73.0),
        ("normal ecg", None, 60.0),
    ]
    assert (writing.asked, writing.measured, writing.error_bpm, writing.seconds_each) == (2, 1, 3.0, 2.0)
    assert "synthetic" in writing.shown[0].svg.lower()


def test_the_figures_are_those_of_the_results(run: Run):
    story = read_story(run)
    results_seen = json.loads((run.seen / "results.json").read_text())
    assert story.seen.macro == results_seen["macro"]["model"]["auc"]
    assert story.seen.random_macro == pytest.approx(1 - story.seen.macro)
    assert {score.name: score.positives for score in story.seen.scores} == {
        one["name"]: one["positives"] for one in results_seen["classes"]
    }
    assert set(story.unseen.not_scored) | {score.name for score in story.unseen.scores} == set(UNSEEN)
    assert (story.records, story.patients, story.split_records) == (RECORD_COUNT, RECORD_COUNT // 2, {"test": 24})
    assert story.train_records == 17
    assert story.parameters == sum(weight.numel() for weight in Supreme(SIZES["debug"]).parameters())


def test_an_ecg_is_shown_with_all_that_is_true_and_the_likeliest_answers(run: Run):
    for shown in read_story(run).shown:
        number = int(shown.report[8:-1])
        assert f">mimic-iv-ecg:{100 - number}<" in shown.svg
        assert {f"demo:{truth}" for truth in shown.truths} == set(codes(number))
        assert len(shown.readings) == READINGS
        assert sorted(shown.readings, key=lambda one: -one.probability) == list(shown.readings)
        assert [reading.unseen for reading in shown.readings] == [one.query in UNSEEN for one in shown.readings]
        left_out = {
            query: probability[number, column]
            for task, probability in ((name, ask(run.seen / "again", name)) for name in TASK_FOLDERS.values())
            for column, query in enumerate(one.name for one in TASKS[task].classes)
            if query not in {reading.query for reading in shown.readings}
        }
        wrong = [reading.probability for reading in shown.readings if not reading.truth]
        assert min(wrong) >= max(left_out.values())


def test_records_are_shown_whatever_their_score(run: Run):
    """The first by its id that carries the term, and none twice."""
    shown = [int(one.report[8:-1]) for one in read_story(run).shown]
    assert len(shown) == len(set(shown))
    carriers = {term: [n for n in range(RECORD_COUNT) if f"demo:{term}" in codes(n)] for term in SHOWN}
    firsts = [min(carriers[term], key=lambda n: f"mimic-iv-ecg:{100 - n}") for term in SHOWN if carriers[term]]
    assert shown[0] == firsts[0]
    assert set(shown) >= set(firsts)


def test_a_term_that_nobody_carries_is_passed_over(run: Run):
    assert read_story(dataclasses.replace(run, shown_terms=("no such term",))).shown == ()
    assert "SYNTHETIC" in draw_example(run, "no such term")


def test_the_journal_becomes_two_curves(run: Run):
    loss, score = read_story(run).curves
    assert [step for step, _ in loss.points] == [20, 40, 60]
    assert loss.points[0][1] == pytest.approx(np.mean([1 / step for step in range(1, 21)]))
    assert score.points == ((30, 0.65), (60, 0.8))


def test_the_page_is_written(run: Run):
    html = report_html(read_story(run))
    assert "report &lt;" in html
    assert "files/x" in html
    assert len(html) < 2_000_000
