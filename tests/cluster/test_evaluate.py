"""Scorer and evaluation as jobs, on drawn tables: learnt, killed, run again; every set gets a row."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from drawn_tables import draw_tables
from generated_tables import write_generated

from ecgray.alignment.step import Embedded, contrastive_loss
from ecgray.cluster import scorer as scorer_module
from ecgray.cluster.evaluate import evaluate
from ecgray.cluster.evaluation_case import _panel
from ecgray.cluster.evaluation_plan import (
    _how,
    _task,
    compared_sets,
    open_reference,
    read_generated,
    reference_of,
    train_sets,
    write_reference,
)
from ecgray.cluster.evaluation_worker import SCORED, EvaluationPlan, Evaluator, TrainingParts, read_scored, small_ecgs
from ecgray.cluster.record_texts import RecordTexts, with_text
from ecgray.cluster.scorer import gather, train_scorer
from ecgray.errors import ConfigError
from ecgray.metrics.generation import MEASURES
from ecgray.parquet import parquet_files, read_table, write_table
from ecgray.recipes.evaluate import EVALUATE, EvaluateConfig
from ecgray.recipes.train_scorer import TRAIN_SCORER, TrainScorerConfig
from ecgray.sediff.config import SIZES
from ecgray.sediff.folder import save_vae
from ecgray.sediff.vae import Vae
from ecgray.tables import COUNTS_PER_MV, ecg_counts
from ecgray.text.terms import narrowest
from ecgray.training.journal import read_journal

RECORDS, STEPS = 60, 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn records and labels, a generator's set like the held-out ones, one of free prompts, and a VAE."""
    out = tmp_path_factory.mktemp("evaluate")
    draw_tables(out, records=RECORDS)
    real = read_table(out / "records").to_pydict()
    held = [row for row in range(RECORDS) if real["split"][row] == "val"]
    texts = dict(zip(*read_table(out / "labels", ["record_id", "terms"]).to_pydict().values(), strict=True))
    like = [real["record_id"][row] for row in held]
    prompts = [", ".join(texts[name]) for name in like]
    counts = np.array([np.frombuffer(real["ecg"][row], "<i2").reshape(12, 5000) for row in held])
    write_generated(out / "good", np.roll(counts, 100, axis=-1), like=like, prompts=prompts, rates=[70.0] * len(held))
    free = [None] * len(held)
    write_generated(out / "free", counts[::-1], like=free, prompts=["tall pulses"] * len(held), rates=free)
    torch.manual_seed(0)
    save_vae(out / "vae", Vae(SIZES["debug"]), card="A VAE of random weights.", details={})
    return out


def scorer_config(place: Path, out: Path, **changes: object) -> TrainScorerConfig:
    calm = dataclasses.replace(TRAIN_SCORER["debug"].model, dropout=0.0)
    settings = {"steps": STEPS, "checkpoint_every": 3, "workers": 1, "model": calm} | changes
    return dataclasses.replace(
        TRAIN_SCORER["debug"], records=place / "records", labels=place / "labels", out=out, **settings
    )


@pytest.fixture(scope="module")
def one_worker(place: Path, ray_session: None) -> Path:
    """OUT of a scorer that one worker trained."""
    train_scorer(scorer_config(place, place / "scorer"))
    return place / "scorer"


@pytest.mark.ray
def test_every_set_is_scored(place: Path, one_worker: Path, tmp_path: Path) -> None:
    figures = json.loads((one_worker / "figures.json").read_text())
    assert figures["steps"] == STEPS
    assert 2 <= figures["held_out"] <= 12, "those with a term"
    card = (one_worker / "model" / "README.md").read_text()
    assert f"top1_chance: {figures['top1_chance']}" in card
    config = dataclasses.replace(
        EVALUATE["debug"],
        generated=(place / "good", place / "free"),
        records=place / "records",
        labels=place / "labels",
        scorer=one_worker,
        vae=place / "vae",
        out=tmp_path / "scores",
    )
    said = evaluate(config)
    assert evaluate(config) == said
    trivial = ["flat line", "shuffled real", "simulator only", "VAE reconstruction", "real against real"]
    assert list(said["sets"]) == ["good", "free", *trivial]
    assert said["planted_found"] is not None  # these pulses are too much alike for more; see test_memorisation
    with (tmp_path / "scores" / "results.csv").open() as file:
        rows = {(row["set"], row["measure"]): row for row in csv.DictReader(file)}
    assert float(rows["good", "mae_mv_aligned"]["value"]) < 1e-6
    assert {measure for name, measure in rows if name == "good"} == {measure.name for measure in MEASURES}
    assert rows["free", "mae_mv"]["value"] == ""
    assert rows["flat line", "mae_mv"]["records"] == "12"
    held = json.loads((tmp_path / "scores" / "results.json").read_text())
    assert held["real"] == {"records": 12, "patients": 6, "splits": {"val": 12}}
    assert set(held["memorisation"]) >= {"planted", "held-out patients", "good", "free"}
    case = (tmp_path / "scores" / "case.svg").read_text()
    assert case.count(">SYNTHETIC<") == 3
    assert "Recorded" in case
    assert not (tmp_path / "scores" / "work").exists()


@pytest.mark.ray
def test_two_workers_learn_what_one_does(place: Path, one_worker: Path, tmp_path: Path) -> None:
    """Everybody's pairs are compared by each worker: the negatives do not depend on how many there are."""
    train_scorer(scorer_config(place, tmp_path / "two", workers=2))
    one, two = (read_journal(out) for out in (one_worker, tmp_path / "two"))
    assert [row["loss"] for row in one] == pytest.approx([row["loss"] for row in two], rel=1e-3)
    assert [row["grad_norm"] for row in one] == pytest.approx([row["grad_norm"] for row in two], rel=1e-2)


def test_a_rank_without_a_pair_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gathered loss is that of all pairs; its gradient reaches every weight, if only as 0."""
    generator = torch.Generator().manual_seed(0)
    whole = [torch.randn(3, 4, generator=generator) for _ in range(2)]
    others = {0: whole[0], 1: whole[1], 2: torch.arange(3)}
    calls = iter((0, 1, 2))

    def all_gather(parts: list[torch.Tensor], mine: torch.Tensor) -> None:
        parts[0].copy_(others[next(calls)])

    monkeypatch.setattr(scorer_module.distributed, "all_gather", all_gather)
    own = [torch.randn(1, 4, requires_grad=True) for _ in range(2)]
    scale = torch.tensor(3.0, requires_grad=True)
    mine = Embedded(own[0], own[1], torch.tensor([9]), scale)
    loss = contrastive_loss(gather(mine, [3, 0], rank=1))
    loss.backward()
    golden = contrastive_loss(Embedded(whole[0], whole[1], torch.arange(3), torch.tensor(3.0)))
    torch.testing.assert_close(loss.detach(), golden)
    assert (own[0].grad == 0).all()
    assert scale.grad is not None


def test_texts_follow_the_records(place: Path) -> None:
    texts = RecordTexts.read(place / "records", place / "labels")
    selection, own = with_text(place / "records", texts, split="train")
    terms = dict(zip(*read_table(place / "labels", ["record_id", "terms"]).to_pydict().values(), strict=True))
    assert own.to_pylist() == [", ".join(narrowest(terms[name])) for name in selection.record_ids.to_pylist()]
    assert "" not in own.to_pylist()
    assert len(selection.group) == len(selection.record_ids) == len(own)
    assert len(RecordTexts.read(place / "records", None).distinct()) == 0


def test_a_text_says_a_finding_and_not_what_follows_from_it(place: Path, tmp_path: Path) -> None:
    labels = read_table(place / "labels")
    said = [["bundle branch block", "conduction disturbance", "left bundle branch block"]] * len(labels)
    at = labels.schema.get_field_index("terms")
    labels = labels.set_column(at, labels.schema.field(at), pa.array(said, labels.schema.field(at).type))
    write_table(labels, tmp_path / "labels" / "part-00000.parquet")
    assert RecordTexts.read(place / "records", tmp_path / "labels").distinct().to_pylist() == [
        "left bundle branch block"
    ]


def test_records_without_a_text_are_refused(place: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(scorer_config(place, tmp_path / "none"), labels=None)
    with pytest.raises(ConfigError, match="0 training and 0 held-out records with a report"):
        train_scorer(config)
    assert not (tmp_path / "none").exists()


def evaluation(place: Path, **changes: object) -> EvaluateConfig:
    settings = {"generated": (place / "good",), "records": place / "records", "scorer": place, "out": place} | changes
    return dataclasses.replace(EVALUATE["debug"], **settings)


def test_a_set_that_is_like_nobody_known_is_refused(place: Path, tmp_path: Path) -> None:
    draw_tables(tmp_path, records=10, first=500)
    config = evaluation(place, records=tmp_path / "records")
    with pytest.raises(ConfigError, match="12 of 12 recordings that ECGs were generated like are not in"):
        reference_of(config, [read_generated(place / "good")])


def test_labels_of_other_records_are_refused(place: Path, tmp_path: Path) -> None:
    draw_tables(tmp_path, records=10, first=500)
    with pytest.raises(ConfigError, match=f"none of 12 records stands in {tmp_path}"):
        reference_of(evaluation(place, labels=tmp_path / "labels"), [read_generated(place / "good")])


def test_ecgs_and_what_was_asked_must_belong_together(place: Path, tmp_path: Path) -> None:
    counts = ecg_counts(pq.read_table(next((place / "good" / "records").glob("*.parquet")))["ecg"])
    free = [None, None]
    write_generated(tmp_path / "odd", counts[:2], like=free, prompts=["a", "b"], rates=free)
    part = tmp_path / "odd" / "records" / "part-00000.parquet"
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(ConfigError, match="1 ECGs and 2 rows"):
        read_generated(tmp_path / "odd")


def test_a_row_says_the_preset_of_the_model_behind_it(place: Path, tmp_path: Path) -> None:
    (tmp_path / "generator" / "model").mkdir(parents=True)
    (tmp_path / "generator" / "model" / "config.json").write_text('{"preset": "ours, but for steps"}')
    settings = {"settings": {"model": str(tmp_path / "generator")}}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    table = read_generated(place / "good")
    assert _how(table, tmp_path) == "preset ours, but for steps, ddim, 25 steps, 3 guidance"
    assert _how(table, place / "good") == "ddim, 25 steps, 3 guidance"


def test_free_prompts_alone_are_held_against_held_out_records(place: Path) -> None:
    reference = reference_of(evaluation(place, generated=(place / "free",)), [read_generated(place / "free")])
    assert len(reference.record_ids) == 12
    assert set(reference.splits) == {"val"}
    assert np.isnan(reference.asked_bpm).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resamples": 3}, "at least 20"),
        ({"names": ("a", "b")}, "give one for each"),
        ({"train_records": -2}, "must be -1"),
        ({"k": 0}, "k=0 must be at least 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(place: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        evaluation(place, **changes)


def bare_worker(place: Path, *, batch_size: int) -> Evaluator:
    """A worker without its networks."""
    worker = Evaluator.__new__(Evaluator)
    worker.plan = EvaluationPlan(
        reference=place,
        scored=place,
        scorer=place,
        vae=None,
        measures_real=False,
        batch_size=batch_size,
        threads=1,
        device="cpu",
        seed=3,
    )
    return worker


def ecgs_of(task: pa.Table, place: Path, *, batch_size: int) -> np.ndarray:
    """The ECGs of a task as a worker looks at them, in the task's order."""
    found = list(bare_worker(place, batch_size=batch_size)._ecgs(task["kind"][0].as_py(), task))
    rows = np.concatenate([own for own, _ in found])
    assert sorted(rows) == list(range(len(task)))
    return np.concatenate([counts for _, counts in found])[np.argsort(rows)]


def test_a_simulated_strip_is_the_same_in_any_batch_and_in_the_picture(place: Path) -> None:
    config = dataclasses.replace(evaluation(place, labels=place / "labels"), seed=3)
    asked = [read_generated(place / "good")]
    reference = reference_of(config, asked)
    one = next(each for each in compared_sets(config, reference, asked)[0] if each.kind == "simulator")
    task = _task(one, np.arange(4, 7), reference)
    strips = ecgs_of(task, place, batch_size=2)
    assert (ecgs_of(task, place, batch_size=3) == strips).all()
    shown = _panel(one, 5, config, np.zeros((0, 12, 5000), np.int16), reference)
    assert shown is not None
    assert (np.rint(COUNTS_PER_MV * np.asarray(shown.ecg)) == strips[1]).all()


def test_planted_copies_are_the_same_in_any_batch(place: Path) -> None:
    config = evaluation(place, planted=12)
    one = next(each for each in train_sets(config) if each.kind == "planted")
    task = _task(one, np.arange(12), reference_of(config, []))
    found = [ecgs_of(task, place, batch_size=size) for size in (1, 5, 64)]
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    assert (ecgs_of(task.slice(7, 2), place, batch_size=64) == found[0][7:9]).all(), "nor of the piece of work"


def destroy(file: Path, group: int) -> None:
    """Make the ECGs of one row group unreadable."""
    column = pq.read_metadata(file).row_group(group).column(pq.read_schema(file).get_field_index("ecg"))
    with file.open("r+b") as opened:
        opened.seek(column.data_page_offset)
        opened.write(b"\xff" * 64)


def test_only_row_groups_with_a_chosen_record_are_read(tmp_path: Path) -> None:
    """A destroyed one that holds none of them goes unnoticed."""
    draw_tables(tmp_path, records=96, rows=64)
    whole = read_table(tmp_path / "records", ["record_id", "ecg"])
    chosen = [1, 3, 40, 41, 70]  # of row groups 0 and 2 of the first file, 0 of the second
    files = parquet_files(tmp_path / "records")
    for file, group in ((0, 1), (0, 3), (1, 1)):
        destroy(files[file], group)
        with pytest.raises(OSError, match="page header"):
            pq.ParquetFile(files[file]).read_row_group(group, columns=["ecg"])
    config = evaluation(tmp_path)
    ids = whole["record_id"].take(pa.array(chosen)).combine_chunks()
    reference = dataclasses.replace(reference_of(config, []), record_ids=ids)
    write_reference(config, reference, tmp_path / "reference.i2")
    assert (open_reference(tmp_path / "reference.i2") == ecg_counts(whole["ecg"].take(pa.array(chosen)))).all()
    training = next(each for each in train_sets(config) if each.kind == "train")
    rows = np.flatnonzero(np.isin(training.record_ids, ids.slice(0, 4).to_pylist()))
    own = np.array(chosen)[np.isin(ids.to_pylist(), np.array(training.record_ids)[rows])]
    counts = ecgs_of(_task(training, rows, reference), tmp_path, batch_size=3)
    assert (counts == ecg_counts(whole["ecg"].take(pa.array(own)))).all()


def test_training_records_come_some_files_at_a_time_in_their_order(tmp_path: Path) -> None:
    random, count = np.random.default_rng(0), 30
    small = random.integers(-900, 900, (count, 12, 1000)).astype("<i2")
    vectors = random.normal(size=(count, 8)).astype(np.float32)
    columns = {
        "number": pa.array(np.arange(count)),
        "embedding": pa.array(list(vectors), SCORED.field("embedding").type),
        "small": pa.array([one.tobytes() for one in small], SCORED.field("small").type),
    }
    table = pa.table([columns.get(each.name, pa.nulls(count, each.type)) for each in SCORED], schema=SCORED)
    for piece in range(10):
        write_table(table.slice(3 * piece, 3).take(pa.array([2, 0, 1])), tmp_path / f"set07-{piece:05d}.parquet")
    parts = TrainingParts.of(tmp_path, 7, width=8)
    assert [len(part.small) for part in parts] == [12, 12, 6]
    assert (np.concatenate([part.small for part in parts]) == small).all()
    assert (np.concatenate([part.embedding for part in parts]) == vectors).all()
    assert (small_ecgs(read_scored(tmp_path, 7)) == small).all()
    assert len(small_ecgs(read_scored(tmp_path, 8))) == 0
