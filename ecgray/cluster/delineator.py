"""Training of the delineator on Ray Train, and its score on patients that it never saw."""

from __future__ import annotations

import copy
import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ecgray.archives import read_manifest
from ecgray.artifact import save_model
from ecgray.cluster.connect import connected
from ecgray.cluster.driver import drive
from ecgray.cluster.stepping import Stepping
from ecgray.cluster.workers import CHECKPOINTS, Ranks, Workers
from ecgray.errors import ConfigError
from ecgray.output import output_folder, write_json
from ecgray.tables import COUNTS_PER_MV, SAMPLES
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.waveform.delineator.card import delineator_card
from ecgray.waveform.delineator.examples import Batch, Marked, draw_batch
from ecgray.waveform.delineator.marks import Marks, labels_of, read_marks
from ecgray.waveform.delineator.network import Delineator
from ecgray.waveform.delineator.reader import KIND, WaveReader
from ecgray.waveform.delineator.score import score_ends, score_intervals
from ecgray.waveform.delineator.step import delineator_step, follow, learning_rate
from ecgray.waveform.record import read_recording
from ecgray.waveform.standard import standardise

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor

    from ecgray.recipes.train_delineator import TrainDelineatorConfig


@dataclass(frozen=True)
class DelineatorPlan:
    """What each worker is told; paths are absolute, recordings named below the archive."""

    config: TrainDelineatorConfig
    archive: Path
    out: Path
    train: tuple[str, ...]
    held_out: tuple[str, ...]


def train_delineator(config: TrainDelineatorConfig) -> dict[str, Any]:
    """Train, export OUT/model, and score it on the patients left out; returns the figures."""
    archive = config.archive.absolute()
    if not (archive / "ludb.csv").is_file():
        raise ConfigError(f"{archive} holds no ludb.csv; give LUDB's folder: only there leads are marked one by one.")
    train, held_out = _patients(archive, config)
    with output_folder(config.out, config, inputs={"archive": archive}) as folder:
        if folder.done is not None:
            return folder.done
        plan = DelineatorPlan(config, archive, folder.path, train, held_out)
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        with connected(dashboard=True):
            drive(
                delineator_loop,
                plan,
                folder=folder,
                steps=config.steps,
                size=size,
                name="train_delineator",
                purpose="delineator",
                learning_rate=("--learning-rate", config.learning_rate),
            )
        return folder.finish(_export(plan))


def _patients(archive: Path, config: TrainDelineatorConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which recordings train and which score; LUDB has one a patient, and those whose signal is there count."""
    manifest = read_manifest(archive, "ludb").select(["path", "split"]).to_pylist()
    there = [row for row in manifest if (archive / f"{row['path']}.hea").is_file()]
    if config.folds:
        order = np.random.default_rng(1).permutation(len(there))
        out = set(order[config.fold :: config.folds].tolist())
    else:
        out = {place for place, row in enumerate(there) if row["split"] != "train"}
    train = tuple(row["path"] for place, row in enumerate(there) if place not in out)
    held_out = tuple(row["path"] for place, row in enumerate(there) if place in out)
    if not train or not held_out:
        raise ConfigError(f"{archive} has {len(there)} recordings with a header; too few to train on and to score by.")
    return train, held_out


def load_marked(archive: Path, names: tuple[str, ...]) -> tuple[Float32[np.ndarray, "record lead time"], list[Marks]]:
    """The recordings in mV, and what the cardiologists marked on them."""
    ecgs = [standardise(read_recording(archive / name, digital=True)).counts for name in names]
    return np.stack(ecgs).astype(np.float32) / COUNTS_PER_MV, [read_marks(archive / name) for name in names]


def delineator_loop(settings: dict[str, DelineatorPlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    return _Run(settings["plan"]).train()


class _Run(Stepping):
    """One worker's state between two steps."""

    def __init__(self, plan: DelineatorPlan) -> None:
        self.config = config = plan.config
        ranks = Ranks(gpu=config.gpu, cpus=config.cpus_per_worker)
        super().__init__(ranks, out=plan.out, steps=config.steps, checkpoint_every=config.checkpoint_every)
        ecg, marks = load_marked(plan.archive, plan.train)
        self.marked = Marked(ecg, np.stack([labels_of(each, samples=SAMPLES) for each in marks]))
        torch.manual_seed(config.seed)
        self.network = Delineator(config.network).to(ranks.device)
        self.average = copy.deepcopy(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.restore()
        self.wrapped = ranks.wrap(self.network)

    def learn(self) -> dict[str, float]:
        """One step on this worker's share of the pieces."""
        start, config = time.perf_counter(), self.config
        whole = draw_batch(self.marked, config.batch_size, np.random.default_rng([config.seed, self.step]))
        mine = slice(self.ranks.rank, None, self.ranks.world)
        loss = delineator_step(
            self.wrapped,
            Batch(whole.signal[mine], whole.seen[mine], whole.labels[mine]),
            optimizer=self.optimizer,
            rate=learning_rate(config.learning_rate, self.step, config.steps),
            bf16=config.bf16,
            device=self.ranks.device,
        )
        follow(self.average, self.network, step=self.step, stays=config.ema)
        loss = self.ranks.sum(loss) / self.ranks.world
        return {"loss": loss, "records_per_s": config.batch_size / (time.perf_counter() - start)}

    def sets(self) -> dict[str, dict[str, Tensor]]:
        """The network's weights and their average."""
        return {"network": self.network.state_dict(), "average": self.average.state_dict()}

    def load_sets(self, sets: dict[str, dict[str, Tensor]]) -> None:
        """Take them up again."""
        self.network.load_state_dict(sets["network"])
        self.average.load_state_dict(sets["average"])


def _export(plan: DelineatorPlan) -> dict[str, Any]:
    """Write the model folder and results.json; returns the figures."""
    last = newest_checkpoint(plan.out / CHECKPOINTS)
    assert last is not None
    network = Delineator(plan.config.network)
    network.load_state_dict(last.tensors["average"])
    reader = WaveReader(network.eval(), "")
    ecg, marks = load_marked(plan.archive, plan.held_out)
    reading = reader.read_all(ecg)
    ends = [dataclasses.asdict(end) for end in score_ends(marks, reading)]
    intervals = {name: dataclasses.asdict(score) for name, score in score_intervals(marks, reading, ecg).items()}
    results = {"records": len(marks), "ends": ends, "intervals": intervals}
    write_json(plan.out / "results.json", finite(results))
    config = plan.config.network
    save_model(
        plan.out / "model",
        config={"kind": KIND, "widths": list(config.widths), "kernel": config.kernel},
        preprocessor={"fs_hz": 500, "unit": "mV", "filter": "none"},
        tensors=network.state_dict(),
        card=delineator_card(
            plan.config.steps, plan.config.seed, trained=len(plan.train), network=network, results=results
        ),
    )
    errors = {name.removesuffix("_ms"): round(score["mean_absolute_error"], 2) for name, score in intervals.items()}
    return {
        "steps": last.step,
        "trained_on": len(plan.train),
        "scored_on": len(plan.held_out),
        "mean_absolute_error_ms": finite(errors),
        "model": str(plan.out / "model"),
    }


def finite(value: Any) -> Any:
    """JSON knows no NaN: null instead, at any depth."""
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
