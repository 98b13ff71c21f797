"""Zero-shot on Ray Data: actors that hold the model read the records' files and write a file of answers for each.

No ECG passes through the object store: a row of the dataset is the name of a file. A file of answers exists whole or
not at all, so a killed job loses at the most one file of records a worker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ecgray.answers import figures, read_scored, results, write_answers
from ecgray.artifact import SUMS
from ecgray.cluster.parts import PartWorker, work_through
from ecgray.cluster.workers import Workers
from ecgray.errors import ClusterError, ConfigError
from ecgray.metrics.board import Board, make_board
from ecgray.metrics.picture import draw_board
from ecgray.models import Classifier
from ecgray.output import input_hash, output_folder, write_bytes, write_json
from ecgray.parquet import parquet_files, table_folder
from ecgray.recipes.zeroshot import SPLITS
from ecgray.tables import RECORD_GROUP, ecg_counts
from ecgray.text.tasks import TASKS, Task, load_task, queries_of
from ecgray.training.shards import read_ahead

if TYPE_CHECKING:
    from jaxtyping import Float

    from ecgray.recipes.zeroshot import ZeroshotConfig

ANSWERS, RANDOM_ANSWERS = "answers", "random_answers"
_READ = ["record_id", "subject_id", "split", "codes", "ecg"]


@dataclass(frozen=True)
class Questions:
    """What each worker is told: which model is asked what, of which records, and where the answers go."""

    config: ZeroshotConfig
    task: Task
    model: Path
    out: Path


def zeroshot(config: ZeroshotConfig) -> dict[str, Any]:
    """Ask and score; returns the figures.

    Writes OUT/answers, OUT/random_answers, OUT/results.json and, where the task knows the truth, OUT/picture.svg.
    """
    task = load_task(config.queries)
    if not config.model.is_dir():
        raise ConfigError(f"{config.model} is no folder; give a model folder, or OUT of a pretrain job.")
    model = config.model if (config.model / SUMS).is_file() else config.model / "model"
    loaded = Classifier.load(model)  # a folder that no worker could load is refused here
    records = table_folder(config.records, "records").absolute()
    if not config.splits:
        own = loaded.details.get("trained_on") == input_hash(records)
        config = dataclasses.replace(config, splits=("test",) if own else SPLITS)
    inputs = {"model": model / SUMS, "records": config.records}
    if config.queries not in TASKS:
        inputs["queries"] = Path(config.queries)
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        parts = _rows_asked(records, config.splits)
        _refuse_unscorable(records, task)
        questions = Questions(config, task, model.absolute(), folder.path)
        tables = [folder.path / RANDOM_ANSWERS, folder.path / ANSWERS]
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        work_through(
            parts, Answerer, questions, tables=tables, size=size, name=f"zeroshot {task.name}", purpose="scoring"
        )
        preset = loaded.model.config.preset_name
        names = {"task": task.name, "model": str(model), "preset": preset, "splits": list(config.splits)}
        return folder.finish(_report(questions, names, [part.name for part in parts]))


def _rows_asked(records: Path, splits: Sequence[str]) -> dict[Path, int]:
    """How many rows of each file are asked; files without any are left out."""
    wanted = pa.array(splits)
    rows = {
        part: pc.sum(pc.is_in(pq.read_table(part, columns=["split"])["split"], value_set=wanted)).as_py() or 0
        for part in parquet_files(records)
    }
    if not any(rows.values()):
        raise ConfigError(f"{records} has no record of split {', '.join(splits)}; name other --splits.")
    return {part: number for part, number in rows.items() if number}


def _refuse_unscorable(records: Path, task: Task) -> None:
    """Find out before anything is answered whether the task knows the truth of any record."""
    if not task.systems:
        return
    for part in parquet_files(records):
        if any(task.truth(codes or ()) for codes in pq.read_table(part, columns=["codes"])["codes"].to_pylist()):
            return
    raise ConfigError(
        f"no record takes part in {task.name}: none has a code of {' or '.join(sorted(task.systems))} that the "
        "task asks for; choose another task or other records."
    )


class Answerer(PartWorker):
    """One worker: loads the model once, encodes the queries once, answers file after file."""

    def __init__(self, plan: Questions) -> None:
        self.questions = questions = plan
        self.queries = queries_of(questions.task.classes)
        device = "cuda" if questions.config.gpu else "cpu"
        model = Classifier.load(questions.model, device=device)
        self.models = {ANSWERS: model}
        if questions.config.random_encoder:
            random = Classifier.random_like(model, questions.config.random_seed)
            random.model.to(device)
            self.models[RANDOM_ANSWERS] = random

    def write(self, part: Path) -> int:
        """Answer one file; returns the records that were asked."""
        config = self.questions.config
        asked: list[pa.Table] = []
        answers: dict[str, list[np.ndarray]] = {table: [] for table in self.models}
        for rows in read_ahead(lambda: _batches(part, config.splits, config.batch_size)):
            counts = ecg_counts(rows["ecg"])
            asked.append(rows.drop_columns(["ecg"]))
            for table, model in self.models.items():
                answers[table].append(self._probabilities(model, counts))
        who = pa.concat_tables(asked)
        for table in sorted(answers, reverse=True):  # the model's own last: that file says that both are there
            path = self.questions.out / table / part.name
            write_answers(who, self.questions.task, np.concatenate(answers[table]), path)
        return who.num_rows

    def _probabilities(self, model: Classifier, counts: np.ndarray) -> Float[np.ndarray, "batch query"]:
        attention = self.questions.config.query_self_attention
        answers = model.probabilities(counts, self.queries, query_self_attention=attention)
        if not np.isfinite(answers).all():
            raise ClusterError(
                f"{self.questions.model} answers with something that is no number; its weights are broken: train again."
            )
        return answers


def _batches(part: Path, splits: Sequence[str], size: int) -> Iterator[pa.Table]:
    """The rows of these splits, `size` at a time; little more than that is in memory."""
    wanted = pa.array(splits)
    held: list[pa.Table] = []
    with pq.ParquetFile(part, memory_map=True) as file:
        for group in file.iter_batches(RECORD_GROUP, columns=_READ):
            held.append(pa.table(group).filter(pc.is_in(group["split"], value_set=wanted)))
            while sum(rows.num_rows for rows in held) >= size:
                together = pa.concat_tables(held)
                yield together.slice(0, size)
                held = [together.slice(size)]
    rest = pa.concat_tables(held)
    if rest.num_rows:
        yield rest


def _report(questions: Questions, names: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Score what was answered, and write it down."""
    task, out = questions.task, questions.out
    rows = sum(pq.read_metadata(out / ANSWERS / part).num_rows for part in parts)
    said = names | {"records": rows // len(task.classes), "queries": len(task.classes), "answers": str(out / ANSWERS)}
    if not task.systems:
        write_json(out / "results.json", said)
        return said
    board = _score(questions, parts)
    write_json(out / "results.json", said | results(board))
    picture = draw_board(
        board,
        title=f"{task.name}: zero-shot, {board.records:,} records of {board.patients:,} patients",
        subtitle=f"{names['model']}, preset {names['preset']}, splits {', '.join(questions.config.splits)}",
    )
    write_bytes(out / "picture.svg", picture.encode())
    return said | figures(board) | {"results": str(out / "results.json"), "picture": str(out / "picture.svg")}


def _score(questions: Questions, parts: Sequence[str]) -> Board:
    config, task, queries = questions.config, questions.task, len(questions.task.classes)
    ours = read_scored([questions.out / ANSWERS / part for part in parts], queries=queries)
    if not len(ours.truth):
        raise ConfigError(
            f"no record of split {', '.join(config.splits)} takes part in {task.name}; name other --splits."
        )
    theirs = None
    if config.random_encoder:
        theirs = read_scored([questions.out / RANDOM_ANSWERS / part for part in parts], queries=queries).probability
    return make_board(
        [(each.name, each.query) for each in task.classes],
        ours.truth,
        model=ours.probability,
        random=theirs,
        patients=ours.patients,
        resamples=config.resamples,
        seed=config.bootstrap_seed,
    )
