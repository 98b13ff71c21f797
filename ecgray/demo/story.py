"""Read what a run of the demo left in its folders, as the story that the report tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from ecgray import __version__
from ecgray.artifact import load_model
from ecgray.demo.chapters import Board, Curve, Reading, Refused, Score, Shown, Step, Story
from ecgray.demo.rebuilt import VaeRun, rebuild
from ecgray.demo.report import spoken
from ecgray.demo.written import WritingRun, read_writing
from ecgray.parquet import parquet_files, read_table
from ecgray.tables import ecg_counts
from ecgray.training.journal import read_journal
from ecgray.waveform.paper import Answer, draw_paper

READINGS = 7
"""Answers shown beside an ECG: what is true, then what the classifier thinks most likely."""
_LOSS_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the stages of a run wrote, and what only the run itself knows."""

    ingest: Path
    pretrain: Path
    seen: Path
    unseen: Path
    vae: VaeRun
    writing: WritingRun
    shown_terms: tuple[str, ...]
    steps: tuple[Step, ...]
    seconds: float
    machine: str
    settings: str


@dataclass(frozen=True)
class Answers:
    """The answers of a task as a matrix."""

    record_ids: tuple[str, ...]
    queries: tuple[str, ...]
    probability: Float[np.ndarray, "record query"]
    truth: Bool[np.ndarray, "record query"]


def read_story(run: Run) -> Story:
    """Everything the report says, from the tables."""
    records = read_table(run.ingest / "records", ["record_id", "subject_id", "split"])
    splits = {each["values"]: each["counts"] for each in pc.value_counts(records["split"]).to_pylist()}
    seen, unseen = (json.loads((folder / "results.json").read_text()) for folder in (run.seen, run.unseen))
    return Story(
        patients=len(set(records["subject_id"].to_pylist())),
        records=records.num_rows,
        split_records=splits,
        train_records=json.loads((run.pretrain / "figures.json").read_text())["records"],
        test_patients=seen["patients"],
        parameters=sum(tensor.numel() for tensor in load_model(run.pretrain / "model").tensors.values()),
        seconds=run.seconds,
        machine=run.machine,
        version=__version__,
        steps=run.steps,
        seen=read_board(seen),
        unseen=read_board(unseen),
        curves=_curves(run.pretrain),
        shown=tuple(_shown(run)),
        rebuilt=rebuild(run.vae),
        written=read_writing(run.writing),
        refused=_refused(run.ingest),
        settings=run.settings,
    )


def read_board(results: dict[str, Any]) -> Board:
    """The board that a results.json holds."""
    model, random = results["macro"]["model"], results["macro"]["random"]
    scores = [
        Score(
            name=each["name"],
            auroc=each["auc"],
            low=each["low"],
            high=each["high"],
            random_auroc=each["random_auc"],
            positives=each["positives"],
            records=each["positives"] + each["negatives"],
        )
        for each in results["classes"]
    ]
    return Board(
        macro=model["auc"],
        low=model["low"],
        high=model["high"],
        random_macro=random["auc"],
        scores=tuple(scores),
        not_scored=tuple(each["name"] for each in results["not_scored"]),
    )


def read_answers(folder: Path) -> Answers:
    """A table of answers, which stand record after record, as a matrix."""
    table = read_table(folder)
    queries = tuple(dict.fromkeys(table["query"].to_pylist()))
    return Answers(
        record_ids=tuple(table["record_id"].to_pylist()[:: len(queries)]),
        queries=queries,
        probability=table["probability"].to_numpy().reshape(-1, len(queries)),
        truth=table["truth"].fill_null(False).to_numpy().reshape(-1, len(queries)),
    )


def choose_records(answers: Answers, terms: Sequence[str]) -> list[str]:
    """For each of the terms the first record, by its id, that carries it and was not yet chosen; scores play no part.

    >>> truth = np.array([[True, True], [False, True], [False, False]])
    >>> choose_records(Answers(("b", "a", "c"), ("x", "y"), np.zeros((3, 2)), truth), ["y", "x", "y"])
    ['a', 'b']
    """
    chosen: list[str] = []
    for term in terms:
        if term not in answers.queries:
            continue
        carries = answers.truth[:, answers.queries.index(term)]
        carriers = sorted({one for one, holds in zip(answers.record_ids, carries, strict=True) if holds} - set(chosen))
        chosen += carriers[:1]
    return chosen


def _shown(run: Run) -> list[Shown]:
    """The chosen ECGs with their answers to both tasks."""
    both, unseen = _both(run)
    records = _records(run.ingest / "records", choose_records(both, run.shown_terms))
    return [_show(record, both, unseen) for record in records]


def _both(run: Run) -> tuple[Answers, frozenset[str]]:
    """The answers to both tasks side by side, and which of the queries were unseen."""
    seen, unseen = read_answers(run.seen / "answers"), read_answers(run.unseen / "answers")
    assert seen.record_ids == unseen.record_ids
    both = Answers(
        seen.record_ids,
        seen.queries + unseen.queries,
        np.concatenate([seen.probability, unseen.probability], axis=1),
        np.concatenate([seen.truth, unseen.truth], axis=1),
    )
    return both, frozenset(unseen.queries)


def draw_example(run: Run, term: str) -> str:
    """A picture of its own: a test ECG that carries `term` (any, where none does), its likeliest answers beside it."""
    both, unseen = _both(run)
    chosen = choose_records(both, [term]) or [both.record_ids[0]]
    record = _records(run.ingest / "records", chosen)[0]
    readings = _readings(record["record_id"], both, unseen)
    return paper(record, [Answer(spoken(one.query), one.probability, one.truth) for one in readings])


def _records(folder: Path, ids: Sequence[str]) -> list[dict[str, Any]]:
    """These records, with their ECGs, in the order of `ids`."""
    found = {}
    for part in parquet_files(folder):
        table = pq.read_table(part, filters=pc.field("record_id").isin(pa.array(ids, pa.string())))
        for row, counts in zip(table.drop_columns(["ecg"]).to_pylist(), ecg_counts(table["ecg"]), strict=True):
            found[row["record_id"]] = row | {"ecg": counts}
    return [found[one] for one in ids]


def _show(record: dict[str, Any], answers: Answers, unseen: frozenset[str]) -> Shown:
    readings = _readings(record["record_id"], answers, unseen)
    return Shown(
        svg=paper(record),
        report=record["report"],
        truths=tuple(reading.query for reading in readings if reading.truth),
        readings=tuple(readings),
    )


def paper(record: dict[str, Any], answers: Sequence[Answer] = ()) -> str:
    """A record of the embedded archive on paper, marked as synthetic."""
    age = "" if record["age"] is None else f", {record['age']:.0f} years"
    sex = {"F": "woman", "M": "man"}.get(record["sex"], "patient")
    return draw_paper(
        record["ecg"], title=record["record_id"], subtitle=f"Drawn {sex}{age}", answers=answers, synthetic=True
    )


def _readings(record_id: str, answers: Answers, unseen: frozenset[str]) -> list[Reading]:
    """What is true, and what the classifier finds most likely, the likeliest first."""
    row = answers.record_ids.index(record_id)
    readings = [
        Reading(
            query=query,
            probability=float(answers.probability[row, column]),
            above_percent=float(100 * (answers.probability[:, column] < answers.probability[row, column]).mean()),
            truth=bool(answers.truth[row, column]),
            unseen=query in unseen,
        )
        for column, query in enumerate(answers.queries)
    ]
    likely = sorted(readings, key=lambda reading: (not reading.truth, -reading.probability))[:READINGS]
    return sorted(likely, key=lambda reading: -reading.probability)


def _curves(folder: Path) -> tuple[Curve, ...]:
    """The loss, averaged over some steps, and the score on held-out patients."""
    rows = read_journal(folder)
    blocks = [rows[start : start + _LOSS_STEPS] for start in range(0, len(rows), _LOSS_STEPS)]
    loss = [(float(block[-1]["step"]), sum(row["loss"] for row in block) / len(block)) for block in blocks]
    looks = [(float(row["step"]), row["val_macro_auc"]) for row in rows if "val_macro_auc" in row]
    return (
        Curve(name=f"Training loss, mean of {_LOSS_STEPS} steps", points=tuple(loss)),
        Curve(name="Macro AUROC on validation patients", points=tuple(looks)),
    )


def _refused(ingest: Path) -> tuple[Refused, ...]:
    if not list((ingest / "quarantine").glob("*.parquet")):
        return ()
    rows = read_table(ingest / "quarantine", ["path", "code", "message"]).to_pylist()
    return tuple(Refused(path=row["path"], code=row["code"], message=row["message"]) for row in rows)
