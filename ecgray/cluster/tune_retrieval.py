"""Which weights and how many neighbours retrieve best: one trial a setting on Ray Tune, its scores kept by record.

A trial that has written its scores is not run again, so that a killed sweep goes on by the same command.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ray import tune
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.parts import rows_of
from ecgray.cluster.preflight import check_room
from ecgray.ehr.hospital import parse_times
from ecgray.ehr.linking import Links
from ecgray.ehr.retrieval import gather_experience
from ecgray.ehr.similar import Weights
from ecgray.ehr.sweep import SCORES, Questions, gather_questions, score_chance, score_retrieval
from ecgray.ehr.sweep_picture import Trial, draw_sweep
from ecgray.errors import ConfigError, TrainingError
from ecgray.metrics.bootstrap import PatientBootstrap
from ecgray.output import output_folder, write_bytes
from ecgray.parquet import parquet_files, read_columns, table_folder, write_table
from ecgray.tables import ADMISSIONS, EXPERIENCE, RECORDS
from ecgray.training.patients import refuse_shared

if TYPE_CHECKING:
    from ecgray.recipes.tune_retrieval import TuneRetrievalConfig

Setting = tuple[float, float, float, int]
Scores = dict[str, tuple[float, float, float]]
"""Mean and the ends of its 95 % interval, by score."""
_TOLD = [RECORDS.field(name) for name in ("record_id", "subject_id", "split", "time", "report")]
_LINKED = [EXPERIENCE.field(name) for name in ("record_id", "admission_id", "link")]


def tune_retrieval(config: TuneRetrievalConfig) -> dict[str, Any]:
    """Score every setting; figures of the best. OUT/trials.csv is the table, OUT/retrieval.svg the picture."""
    inputs: dict[str, Path | str] = {"records": config.records, "retrieved": config.retrieved}
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        questions = _questions(config)
        left = [setting for setting in config.grid if not _scores_file(folder.path, setting).exists()]
        if left:
            _run(config, questions, folder.path, left)
        trials = [_trial(folder.path, setting, questions) for setting in config.grid]
        chance = {
            k: _intervals(score_chance(questions, k=k, seed=config.seed), questions)
            for k in sorted({setting[3] for setting in config.grid})
        }
        return folder.finish(_export(folder.path, trials, chance, questions))


def _questions(config: TuneRetrievalConfig) -> Questions:
    """The held-out records and the pool, from the tables of the retrieve job."""
    parts = rows_of(table_folder(config.records, "records"))
    told = pa.concat_tables(read_columns(part, _TOLD) for part in parts)
    linked = pa.concat_tables(
        read_columns(part, _LINKED) for part in parquet_files(table_folder(config.retrieved, "experience"))
    )
    if not linked["record_id"].equals(told["record_id"]):
        raise ConfigError(f"{config.retrieved} was made from other records; give the --records of that retrieve job.")
    refuse_shared(told["subject_id"], told["split"])
    files = parquet_files(config.retrieved / "admissions")
    admissions = pa.concat_tables(read_columns(part, list(ADMISSIONS)) for part in files)
    row = pc.fill_null(pc.index_in(linked["admission_id"], value_set=admissions["admission_id"].combine_chunks()), -1)
    row = pc.if_else(pc.is_valid(linked["admission_id"]), row, -1).to_numpy().astype(np.int64)
    seconds, timed = parse_times(told["time"].combine_chunks())
    during = pc.fill_null(pc.equal(linked["link"], "during"), False).to_numpy()
    links = Links(row, during, timed, seconds)
    experience = gather_experience(admissions, links, told["split"], told["report"], level=config.code_level)
    held_out = np.asarray(pc.equal(told["split"], config.split))
    questions = gather_questions(
        experience,
        admissions,
        admission=np.where(held_out, row, -1),
        reports=told["report"].to_pylist(),
        most=config.records_asked,
        seed=config.seed,
    )
    if not len(questions) or not questions.pool:
        raise ConfigError(
            f"split={config.split} has no record with an admission and a finding, or the pool is empty; "
            "give another --split or more records."
        )
    return questions


def _scores_file(out: Path, setting: Setting) -> Path:
    return out / "trials" / "-".join(f"{value:g}" for value in setting) / "scores.parquet"


def _run(config: TuneRetrievalConfig, questions: Questions, out: Path, left: list[Setting]) -> None:
    """Run one trial a setting, as many side by side as the cluster holds."""

    def trial(chosen: dict[str, Any], questions: Questions) -> None:
        *lambdas, k = setting = chosen["setting"]
        weights = Weights(diagnoses=lambdas[0], medications=lambdas[1], procedures=lambdas[2])
        scores = score_retrieval(questions, weights=weights, k=k)
        columns = {name: pa.array(scores[:, at]) for at, name in enumerate(SCORES)}
        write_table(pa.table(columns), _scores_file(out, setting))

    with connected(), tqdm(total=len(left), desc="retrieval", unit="trial", file=sys.stderr) as bar:
        check_room(workers=1, cpus=config.cpus_per_worker, gpus=0, spare_cpus=0, purpose="retrieval")
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trial, questions=questions), {"cpu": config.cpus_per_worker}),
            param_space={"setting": tune.grid_search(left)},
            tune_config=tune.TuneConfig(max_concurrent_trials=config.workers, reuse_actors=True),
            run_config=tune.RunConfig(name="retrieval", storage_path=str(out / "tune"), verbose=0),
        )
        with contextlib.redirect_stdout(io.StringIO()):  # verbose=0 still draws boxes
            outcome = tuner.fit()
        bar.update(len(left) - len(outcome.errors))
    if outcome.errors:
        raise TrainingError(
            f"{len(outcome.errors)} of {len(left)} trials failed; the first: {type(outcome.errors[0]).__name__}. "
            "The same command goes on with what is left."
        )


def _trial(out: Path, setting: Setting, questions: Questions) -> Trial:
    table = pq.read_table(_scores_file(out, setting))
    scores = np.stack([table[name].to_numpy() for name in SCORES], axis=1)
    return Trial("{:g} : {:g} : {:g}, k = {}".format(*setting), _intervals(scores, questions), setting)


def _intervals(scores: np.ndarray, questions: Questions) -> Scores:
    by_patient = PatientBootstrap(questions.patient)

    def interval(values: np.ndarray) -> tuple[float, float, float]:
        found = by_patient.mean(values)
        low, value, high = (math.nan if end is None else end for end in (found.low, found.value, found.high))
        return value, low, high

    return {name: interval(scores[:, at]) for at, name in enumerate(SCORES)}


def _export(out: Path, trials: list[Trial], chance: dict[int, Scores], questions: Questions) -> dict[str, Any]:
    """The table, the picture, the figures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    writer.writerow(["lambda_diagnoses", "lambda_medications", "lambda_procedures", "k", *bounds])
    rows = [(trial.setting, trial.scores) for trial in trials] + [
        (("chance", "", "", k), scores) for k, scores in chance.items()
    ]
    for setting, scores in rows:
        writer.writerow([*setting, *(f"{value:.4f}" for name in SCORES for value in scores[name])])
    write_bytes(out / "trials.csv", text.getvalue().encode())
    patients = len(np.unique(questions.patient))
    write_bytes(out / "retrieval.svg", draw_sweep(trials, chance, records=len(questions), patients=patients))
    best = max(trials, key=lambda trial: trial.scores["statement_f1"][0])
    by_chance = chance[best.setting[3]]
    return {
        "best": list(best.setting),
        **{name: round(best.scores[name][0], 4) for name in SCORES},
        **{f"{name}_by_chance": round(by_chance[name][0], 4) for name in SCORES},
        "records": len(questions),
        "patients": patients,
        "trials": len(trials),
        "table": str(out / "trials.csv"),
        "picture": str(out / "retrieval.svg"),
    }
