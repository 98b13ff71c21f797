"""The downstream task: a draw is a Ray task that fits the classifier to each regime and asks it about the test set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
import torch
from jaxtyping import Float32, Int
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.evaluation_plan import read_generated
from ecgray.cluster.preflight import check_room
from ecgray.downstream.classes import (
    CLASS_NAMES,
    Draw,
    draw_test,
    draw_training,
    prompt_class,
    rhythm_class,
    sex_class,
)
from ecgray.downstream.config import REGIMES, Regime
from ecgray.downstream.fit import MEASURES, fit, score
from ecgray.errors import ConfigError
from ecgray.output import output_folder, write_bytes, write_json
from ecgray.parquet import parquet_files, read_columns, read_footer, reading, table_folder
from ecgray.tables import COUNTS_PER_MV, LABELS, LATENTS, RECORDS, ecg_counts

if TYPE_CHECKING:
    from ecgray.recipes.downstream import DownstreamConfig


@dataclass(frozen=True)
class Pool:
    """Some ECGs: who they are and of which class (-1: neither)."""

    record_ids: pa.Array
    patients: np.ndarray
    classes: Int[np.ndarray, " ecg"]


@dataclass(frozen=True)
class DrawTask:
    """What one draw is told; rows count within its inputs, the real ones before the generated."""

    config: DownstreamConfig
    number: int
    inputs: Path
    classes: Int[np.ndarray, " ecg"]
    regimes: Mapping[Regime, Int[np.ndarray, " _"]]
    real: int
    """How many of the inputs are real."""
    test: Int[np.ndarray, " _"]
    out: Path


def downstream(config: DownstreamConfig) -> dict[str, Any]:
    """Fit and ask, draw after draw; returns the figures. Writes OUT/results.json and OUT/results.md.

    A draw that is finished is not done again by the same command.
    """
    config.refuse_incomplete()
    inputs = {"records": config.records, "generated": config.generated}
    inputs |= {
        name: path for name in ("latents", "generated_latents", "labels") if (path := getattr(config, name)) is not None
    }
    train, test, made = _pools(config)
    draws = [_draw(config, train, made, number) for number in range(config.draws)]
    chosen = draw_test(test.classes, each=config.test_each, seed=config.seed)
    _refuse_few(config, draws, chosen)
    with output_folder(config.out, config, inputs=inputs) as folder:
        if folder.done is not None:
            return folder.done
        tasks = _tasks(config, draws, chosen, (train, test, made), folder.path)
        _run(config, tasks)
        rows = [json.loads((folder.path / "draws" / f"{task.number}.json").read_text()) for task in tasks]
        table = _table(rows)
        synthetic = len(draws[0]["synthetic"].generated)
        sizes = {"generated": synthetic, "test": len(chosen), "generated_of_minority": int((made.classes == 1).sum())}
        write_json(folder.path / "results.json", {"task": config.task, **sizes, "draws": rows, "table": table})
        write_bytes(folder.path / "results.md", _page(config, table, sizes).encode())
        for left in (folder.path / "work").glob("*"):
            left.unlink()
        said = {regime: {name: table[regime][name]["mean"] for name in MEASURES} for regime in REGIMES}
        return folder.finish(said | sizes | {"results": str(folder.path / "results.md")})


def _pools(config: DownstreamConfig) -> tuple[Pool, Pool, Pool]:
    """Training and test recordings, and the generated ECGs."""
    fields = [RECORDS.field(name) for name in ("record_id", "subject_id", "split", "sex")]
    files = parquet_files(table_folder(config.records, "records"))
    who = pa.concat_tables(read_columns(file, fields) for file in files)
    if config.task == "sex":
        classes = np.array([sex_class(sex) for sex in who["sex"].to_pylist()], int)
    else:
        assert config.labels is not None
        labelled = [LABELS.field(name) for name in ("record_id", "terms")]
        parts = parquet_files(table_folder(config.labels, "labels"))
        labels = pa.concat_tables(read_columns(file, labelled) for file in parts)
        place = pc.index_in(who["record_id"].combine_chunks(), value_set=labels["record_id"].combine_chunks())
        terms = labels["terms"].combine_chunks().take(place).to_pylist()
        classes = np.array([rhythm_class(each or ()) for each in terms], int)
    ids, patients = who["record_id"].combine_chunks(), who["subject_id"].to_numpy()
    train = pc.equal(who["split"], "train").to_numpy()
    pools = [Pool(ids.filter(pa.array(kept)), patients[kept], classes[kept]) for kept in (train, ~train)]
    return pools[0], pools[1], _generated(config, dict(zip(ids.to_pylist(), classes.tolist(), strict=True)), pools[1])


def _generated(config: DownstreamConfig, known: Mapping[str, int], test: Pool) -> Pool:
    """The generated ECGs; raises `ConfigError` where one was made like a test patient's recording."""
    table = read_generated(config.generated)
    like = table["like"].combine_chunks()
    of_test = int(pc.sum(pc.is_in(like.drop_null(), value_set=test.record_ids)).as_py() or 0)
    if of_test:
        raise ConfigError(
            f"{of_test} generated ECGs were made like recordings of split val or test, which the classifier is asked "
            "about; generate like training records."
        )
    asked = table["sex"].to_pylist() if config.task == "sex" else table["prompt"].to_pylist()
    read = sex_class if config.task == "sex" else prompt_class
    classes = [
        known[name] if name is not None and name in known else read(said or "")
        for name, said in zip(like.to_pylist(), asked, strict=True)
    ]
    return Pool(table["record_id"].combine_chunks(), np.array([]), np.array(classes, int))


def _draw(config: DownstreamConfig, train: Pool, made: Pool, number: int) -> dict[Regime, Draw]:
    return draw_training(
        train.classes,
        made.classes,
        train.patients.astype(str),
        majority=config.majority,
        minority=config.minority,
        seed=config.seed + number,
    )


def _refuse_few(config: DownstreamConfig, draws: Sequence[Mapping[Regime, Draw]], test: Int[np.ndarray, " _"]) -> None:
    names, balanced = CLASS_NAMES[config.task], draws[0]["balanced"].real
    if len(test) < 4 or len(draws[0]["unbalanced"].real) <= config.minority or len(balanced) < 2 * config.minority:
        raise ConfigError(
            f"{config.records} has {len(test) // 2} test recordings of each class and {len(balanced)} training "
            f"patients of {names[0]} and {names[1]} together; the task needs some of each, and more than --minority "
            f"({config.minority})."
        )
    if not len(draws[0]["synthetic"].generated):
        raise ConfigError(f"{config.generated} has no ECG of class {names[1]}; generate some.")


def _tasks(
    config: DownstreamConfig,
    draws: Sequence[Mapping[Regime, Draw]],
    test: Int[np.ndarray, " _"],
    pools: tuple[Pool, Pool, Pool],
    out: Path,
) -> list[DrawTask]:
    """Every draw, after all that any of them needs was put into one file."""
    train, held, made = pools
    real = np.unique(np.concatenate([draw[regime].real for draw in draws for regime in REGIMES]))
    generated = np.unique(np.concatenate([draw["synthetic"].generated for draw in draws]))
    parts = [
        _inputs(
            config, pa.concat_arrays([train.record_ids.take(pa.array(real)), held.record_ids.take(pa.array(test))])
        ),
        _inputs(config, made.record_ids.take(pa.array(generated)), made=True),
    ]
    path = out / "work" / "inputs.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.concatenate(parts))
    classes = np.concatenate([train.classes[real], held.classes[test], made.classes[generated]])
    first = len(real) + len(test)

    def rows(draw: Draw) -> Int[np.ndarray, " _"]:
        return np.concatenate(
            [np.searchsorted(real, draw.real), first + np.searchsorted(generated, draw.generated)]
        ).astype(int)

    place = np.arange(len(real), first)
    return [
        DrawTask(
            config,
            number,
            path,
            classes,
            {name: rows(one) for name, one in draw.items()},
            first,
            place,
            out / "draws" / f"{number}.json",
        )
        for number, draw in enumerate(draws)
    ]


def _inputs(
    config: DownstreamConfig, record_ids: pa.Array, *, made: bool = False
) -> Float32[np.ndarray, "ecg axis time"]:
    """What the classifier reads of these ECGs, in their order: latents, or mV."""
    latent = config.model.kind == "mlp"
    if latent:
        folder = config.generated_latents if made else config.latents
        assert folder is not None
        files = parquet_files(table_folder(folder, "latents"))
    else:
        files = parquet_files(table_folder(config.generated if made else config.records, "records"))
    schema, column, shape = (LATENTS, "latent", (4, 128)) if latent else (RECORDS, "ecg", (12, 5000))
    fields = [schema.field(name) for name in ("record_id", column)]
    found = np.zeros((len(record_ids), *shape), np.float32)
    seen = 0
    for file in files:
        read_footer(file, fields)
        with reading(file), pq.ParquetFile(file, memory_map=True) as opened:
            for group in opened.iter_batches(64, columns=["record_id", column]):
                place = pc.index_in(group["record_id"], value_set=record_ids)
                cells = group[column].filter(place.is_valid())
                rows = place.drop_null().to_numpy()
                seen += len(rows)
                if latent:
                    found[rows] = np.frombuffer(b"".join(cells.to_pylist()), "<f4").reshape(-1, *shape)
                else:
                    found[rows] = ecg_counts(cells).astype(np.float32) / COUNTS_PER_MV
    if seen < len(record_ids):
        raise ConfigError(
            f"{len(record_ids) - seen} of {len(record_ids)} ECGs have no latents; run jobs/encode.py on the same "
            "records."
        )
    return found


def _run(config: DownstreamConfig, tasks: Sequence[DrawTask]) -> None:
    left = [task for task in tasks if not task.out.exists()]
    if not left:
        return
    with connected(), tqdm(total=len(tasks), initial=len(tasks) - len(left), unit="draw", desc="downstream") as bar:
        check_room(workers=1, cpus=config.cpus_per_worker, gpus=int(config.gpu), spare_cpus=0, purpose="classifier")
        remote = ray.remote(num_cpus=config.cpus_per_worker, num_gpus=int(config.gpu))(run_draw)
        waiting = [remote.remote(task) for task in left]
        while waiting:
            done, waiting = ray.wait(waiting)
            ray.get(done)
            bar.update(len(done))


def run_draw(task: DrawTask) -> None:
    """Fit the classifier to each regime, ask it about the test set, write what came of it."""
    config = task.config
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))
    inputs = np.load(task.inputs, mmap_mode="r", allow_pickle=False)
    found = {}
    for name, rows in task.regimes.items():
        back = held_back(rows, task, share=config.model.held_back)
        model = fit(
            np.array(inputs[rows]),
            task.classes[rows],
            held_back=back,
            config=config.model,
            seed=config.seed + task.number,
            device="cuda" if config.gpu else "cpu",
        )
        found[name] = score(model, np.array(inputs[task.test]), task.classes[task.test])
    task.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(task.out, found)


def held_back(rows: Int[np.ndarray, " ecg"], task: DrawTask, *, share: float) -> np.ndarray:
    """Which training ECGs only say when to stop: a part of the real ones of each class, all their repetitions."""
    random = np.random.default_rng([task.config.seed, task.number, 8])
    back: list[int] = []
    for which in (0, 1):
        real = np.unique(rows[(rows < task.real) & (task.classes[rows] == which)])
        back += random.permutation(real)[: max(1, round(share * len(real)))].tolist()
    return np.isin(rows, back)


def _table(rows: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and SD over draws of every measure and regime."""
    return {
        regime: {
            name: {
                "mean": round(float(np.mean([row[regime][name] for row in rows])), 4),
                "sd": round(float(np.std([row[regime][name] for row in rows], ddof=1)), 4),
            }
            for name in MEASURES
        }
        for regime in REGIMES
    }


def _page(config: DownstreamConfig, table: Mapping[str, Mapping[str, Mapping[str, float]]], sizes: Any) -> str:
    names, some = CLASS_NAMES[config.task], f"{config.majority} + {config.minority}"
    what = {
        "unbalanced": some,
        "repeated": f"{some}, the few repeated",
        "synthetic": f"{some} + {sizes['generated']} generated",
        "balanced": f"{config.majority} + {config.majority}",
    }
    lines = [
        f"# {names[0]} against {names[1]}, few of the latter",
        "",
        f"{config.model.kind}, {config.draws} draws of training patients, mean and SD; always the same balanced test "
        f"set of {sizes['test']} recordings of other patients. F1 is the mean over both classes. The "
        f"generator learnt from all training patients: from more of class {names[1]} than the {config.minority} "
        "recordings that a classifier is given.",
        "",
        "| learnt from | ECGs | F1 | F1 of the rare class | accuracy | AUC |",
        "|---|---|---|---|---|---|",
    ]
    for regime in REGIMES:
        cells = [f"{table[regime][name]['mean']:.3f} +- {table[regime][name]['sd']:.3f}" for name in MEASURES]
        lines.append(f"| {regime} | {what[regime]} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
