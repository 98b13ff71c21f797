"""Zero-shot: the answers are the classifier's own, the scores are right, and nothing is asked twice."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from ecgray.cluster.scoring import Answerer, Questions, zeroshot
from ecgray.errors import ArtifactError, ClusterError, ConfigError
from ecgray.models import Classifier
from ecgray.output import input_hash
from ecgray.parquet import read_table, write_tables
from ecgray.recipes.zeroshot import SPLITS, ZEROSHOT, ZeroshotConfig
from ecgray.supreme.config import SIZES
from ecgray.supreme.model import Supreme
from ecgray.supreme.preprocess import PreprocessConfig
from ecgray.tables import RECORDS, ecg_bytes, ecg_counts
from ecgray.text.encoders import load_text_encoder
from ecgray.text.tasks import TASKS, load_task, queries_of

WORDS = ["Normal", "AF", "RBBB", "PVC"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network whose weights are far from their start, so that its answers differ from record to record."""
    import torch

    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = Supreme(SIZES["debug"])
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    Classifier.from_parts(network, load_text_encoder("lexical"), PreprocessConfig()).save(folder / "m", card="# Test\n")
    return folder / "m"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """44 records of 22 patients in files of 16; every fifth is of split test; the last two say nothing of CPSC."""
    folder = tmp_path_factory.mktemp("records")
    random = np.random.default_rng(0)
    ecgs = [ecg_bytes(_waves(random)) for _ in range(44)]
    codes = [[f"cpsc:{WORDS[number % 4]}"] for number in range(42)] + [["scp:NORM"], None]
    columns = {
        "record_id": pa.array([f"x:{number}" for number in range(44)]),
        "subject_id": pa.array([f"x:p{number // 2}" for number in range(44)]),
        "split": pa.array(["test" if number % 5 == 0 else "train" for number in range(44)]),
        "codes": pa.array(codes, pa.list_(pa.string())),
        "ecg": pa.array(ecgs, RECORDS.field("ecg").type),
    }
    full = [columns.get(field.name, pa.nulls(44, field.type)) for field in RECORDS]
    write_tables(pa.table(full, schema=RECORDS), folder / "records", rows=16)
    return folder


def _waves(random: np.random.Generator) -> np.ndarray:
    """Twelve sines of a rate, height and phase of their own."""
    time_s = np.arange(5000) / 500
    rate, height, phase = (random.uniform(*ends, (12, 1)) for ends in ((0.5, 20), (100, 3000), (0, 6)))
    return (height * np.sin(6.283 * rate * time_s + phase)).astype(np.int16)


def _config(model: Path, records: Path, out: Path, **changes: object) -> ZeroshotConfig:
    base = {"model": model, "records": records, "queries": "cpsc2018", "out": out}
    small = {"cpus_per_worker": 0.5, "batch_size": 5, "resamples": 50}
    return dataclasses.replace(ZEROSHOT["debug"], **(base | small | changes))


def _answers(table: Path) -> np.ndarray:
    return read_table(table)["probability"].to_numpy().reshape(-1, 9)


def _directly(classifier: Classifier, records: Path) -> np.ndarray:
    ecgs = ecg_counts(read_table(records / "records")["ecg"])
    return classifier.probabilities(ecgs, queries_of(TASKS["cpsc2018"].classes))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_answers_are_those_of_the_classifier_and_scores_those_of_scikit_learn(
    model: Path, records: Path, tmp_path: Path
):
    config = _config(model, records, tmp_path / "out", workers=2)
    figures = zeroshot(config)
    ours, classifier = _answers(tmp_path / "out" / "answers"), Classifier.load(model)
    np.testing.assert_allclose(ours, _directly(classifier, records), atol=1e-6)
    assert np.ptp(ours, axis=0).min() > 1e-3, "the records differ"
    random = _directly(Classifier.random_like(classifier, 0), records)
    np.testing.assert_allclose(_answers(tmp_path / "out" / "random_answers"), random, atol=1e-6)

    truth = np.array(
        [[f"cpsc:{each.name}" == f"cpsc:{WORDS[n % 4]}" for each in TASKS["cpsc2018"].classes] for n in range(42)]
    )
    held = [label for label in range(9) if truth[:, label].any()]
    expected = [roc_auc_score(truth[:, label], ours[:42, label]) for label in held]
    assert figures["macro_auc"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert figures["macro_auc_low"] < figures["macro_auc"] < figures["macro_auc_high"]
    assert (figures["records"], figures["scored_records"], figures["patients"]) == (44, 42, 21)
    assert figures["not_scored"] == ["I-AVB", "LBBB", "PAC", "STD", "STE"]
    said = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [each["auc"] for each in said["classes"]] == pytest.approx(expected, abs=1e-12)
    assert [each["positives"] for each in said["classes"]] == [11, 11, 10, 10]
    assert said["preset"] == classifier.model.config.preset
    assert Path(figures["picture"]).read_text().startswith("<?xml")

    # A killed run: one file of answers is missing, one was half written. Only that one is answered again.
    (tmp_path / "out" / "figures.json").unlink()
    lost, kept = (tmp_path / "out" / "answers" / f"part-0000{number}.parquet" for number in (1, 0))
    half = lost.with_name(f".{lost.name}.123")
    lost.rename(half)
    before = kept.stat().st_mtime_ns
    assert zeroshot(config) == figures
    assert kept.stat().st_mtime_ns == before
    assert not half.exists()
    np.testing.assert_array_equal(_answers(tmp_path / "out" / "answers"), ours)
    assert zeroshot(config) == figures, "and a finished run is not touched"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_of_the_records_it_was_trained_on_only_test_is_asked(model: Path, records: Path, tmp_path: Path):
    classifier = Classifier.load(model)
    classifier.save(tmp_path / "own", card="# Test\n", details={"trained_on": input_hash(records / "records")})
    changes = {"random_encoder": False}
    own = zeroshot(_config(tmp_path / "own", records / "records", tmp_path / "of-own", **changes))
    other = zeroshot(_config(model, records, tmp_path / "of-others", **changes))
    assert (own["splits"], own["records"]) == (["test"], 9)
    assert (other["splits"], other["records"]) == (["train", "val", "test"], 44)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_questions_of_the_users_own_about_one_split(model: Path, records: Path, tmp_path: Path):
    queries = tmp_path / "mine.json"
    queries.write_text('{"AF": "atrial fibrillation", "odd": "an unheard of finding"}')
    out = tmp_path / "out"
    changes = {"queries": str(queries), "splits": ("test",), "random_encoder": False}
    figures = zeroshot(_config(model, records / "records", out, **changes))
    table = read_table(out / "answers").to_pylist()
    assert [row["record_id"] for row in table[::2]] == [f"x:{number}" for number in range(0, 44, 5)]
    assert {(row["query"], row["truth"]) for row in table} == {("AF", None), ("odd", None)}
    assert (figures["records"], figures["queries"]) == (9, 2)
    assert "macro_auc" not in figures
    assert not (out / "picture.svg").exists()
    queries.write_text('{"AF": "atrial fibrillation", "odd": "another one"}')
    with pytest.raises(ConfigError, match="another --out"):
        zeroshot(_config(model, records / "records", out, **changes))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_workers_that_do_not_fit_are_refused_at_once(model: Path, records: Path, tmp_path: Path):
    config = _config(model, records, tmp_path / "out", workers=3, cpus_per_worker=2)
    with pytest.raises(ClusterError, match="3 scoring workers of 2 CPUs"):
        zeroshot(config)


def test_one_answer_does_not_depend_on_the_batch(model: Path, records: Path, tmp_path: Path):
    part = records / "records" / "part-00000.parquet"
    for size in (1, 7, 64):
        config = dataclasses.replace(
            _config(model, records, tmp_path, splits=SPLITS), batch_size=size, random_encoder=False
        )
        answerer = Answerer(Questions(config, load_task("cpsc2018"), model, tmp_path / str(size)))
        assert answerer({"part": [str(part)]}) == {"rows": [16], "failed": [""]}
    answers = [_answers(tmp_path / str(size) / "answers") for size in (1, 7, 64)]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-6)
    np.testing.assert_allclose(answers[2], answers[0], atol=1e-6)


def test_broken_weights_are_said_not_scored(model: Path, records: Path, tmp_path: Path):
    import torch

    classifier = Classifier.load(model)
    with torch.no_grad():
        for weight in classifier.model.parameters():
            weight.fill_(3e38)  # finite, but nothing that they are multiplied with is
    classifier.save(tmp_path / "broken", card="# Broken\n")
    config = _config(tmp_path / "broken", records, tmp_path / "out", random_encoder=False, splits=SPLITS)
    answerer = Answerer(Questions(config, load_task("cpsc2018"), tmp_path / "broken", tmp_path / "out"))
    said = answerer({"part": [str(records / "records" / "part-00000.parquet")]})
    assert "no number" in said["failed"][0]
    assert not (tmp_path / "out" / "answers").exists()


def test_what_cannot_be_asked_is_refused_before_anything_starts(model: Path, records: Path, tmp_path: Path):
    with pytest.raises(ArtifactError, match="SHA256SUMS"):
        zeroshot(_config(tmp_path, records, tmp_path / "out"))
    classifier = Classifier.load(model)
    classifier.encoder.fingerprint = "0" * 12
    classifier.save(tmp_path / "other", card="# Trained with another text encoder\n")
    with pytest.raises(ArtifactError, match="text encoder"):
        zeroshot(_config(tmp_path / "other", records, tmp_path / "out"))
    with pytest.raises(ConfigError, match="neither a task nor a file"):
        zeroshot(_config(model, records, tmp_path / "out", queries="cpsc2019"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="no record takes part in demo: none has a code of demo"):
        zeroshot(_config(model, records, tmp_path / "out", queries="demo"))
    assert not (tmp_path / "out" / "answers").exists(), "said before anything is answered"
    with pytest.raises(ConfigError, match="no record of split val"):
        zeroshot(_config(model, records, tmp_path / "out", splits=("val",)))
    for changes in ({"splits": ("dev",)}, {"resamples": 3}, {"workers": 0}):
        with pytest.raises(ConfigError):
            _config(model, records, tmp_path / "out", **changes)
