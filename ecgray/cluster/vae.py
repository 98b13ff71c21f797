"""Training of SE-Diff's autoencoder on Ray Train, and what it makes of patients that it never saw."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from ecgray.cluster.connect import connected
from ecgray.cluster.driver import drive
from ecgray.cluster.stepping import Averaged, trained_weights
from ecgray.cluster.vae_score import held_out, score_vae
from ecgray.cluster.workers import CHECKPOINTS, Ranks, Workers, run_once
from ecgray.errors import ConfigError
from ecgray.output import input_hash, output_folder, write_bytes, write_json
from ecgray.parquet import table_folder
from ecgray.sediff.beats import PeakTable, batch_beats
from ecgray.sediff.folder import save_vae, vae_card
from ecgray.sediff.picture import draw_rebuilt
from ecgray.sediff.step import Batch, train_step
from ecgray.sediff.vae import LatentStatistics, Vae, parameter_count
from ecgray.settings import to_json
from ecgray.tables import COUNTS_PER_MV
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import read_journal
from ecgray.training.order import Order
from ecgray.training.shards import Selection, Share, ordered_batches, select, training_shares

if TYPE_CHECKING:
    from ecgray.recipes.train_vae import TrainVaeConfig

SCALE_RECORDS = 20_000
"""Training records from which the latents' scale is taken, at the most."""


@dataclass(frozen=True)
class VaePlan:
    """What the driver settled before the workers start; paths are absolute."""

    config: TrainVaeConfig
    records: Path
    intervals: Path
    out: Path

    def open_split(self, split: str) -> Selection:
        """The records of a split."""
        return select(self.records, None, split=split)


def train_vae(config: TrainVaeConfig) -> dict[str, Any]:
    """Train, export OUT/model, reconstruct held-out records; returns the figures.

    The same command goes on from the newest checkpoint of a run that was killed.
    """
    records = table_folder(config.records, "records").absolute()
    intervals = table_folder(config.intervals, "intervals").absolute()
    plan = VaePlan(config.settled(), records, intervals, config.out.absolute())
    train = plan.open_split("train")
    held_out = [split for split in ("val", "test") if len(plan.open_split(split))]
    if not len(train) or not held_out:
        raise ConfigError(
            f"{records} has {len(train)} training records and {len(held_out)} held-out splits; it needs some of both."
        )
    PeakTable.read(intervals).check(train.record_ids)
    with output_folder(config.out, config, inputs={"records": records, "intervals": intervals}) as folder:
        if folder.done is not None:
            return folder.done
        size = Workers(config.workers, config.cpus_per_worker, config.gpu)
        with connected(dashboard=True):
            drive(
                vae_loop,
                plan,
                folder=folder,
                steps=config.steps,
                size=size,
                name="train_vae",
                purpose="VAE",
                learning_rate=("--optimizer.learning-rate", config.optimizer.learning_rate),
            )
            figures = run_once(export, plan, cpus=size.cpus, gpus=int(size.gpu))
            if not figures["gate"]:
                tqdm.write(
                    "train_vae: heart rate or QT is off by more than 1 bpm or 10 ms; train longer", file=sys.stderr
                )
            return folder.finish(figures)


def vae_loop(settings: dict[str, VaePlan]) -> dict[str, Any]:
    """What every worker runs; what rank 0 returns reaches the driver."""
    with contextlib.closing(_Run(settings["plan"])) as run:
        return run.train()


class _Run(Averaged):
    """One worker's state between two steps."""

    def __init__(self, plan: VaePlan) -> None:
        self.config = config = plan.config
        super().__init__(config, out=plan.out)
        self.take_up(Vae(config.model), config.optimizer)
        selection = plan.open_split("train")
        self.peaks = PeakTable.read(plan.intervals).of(selection.record_ids)
        self.shares = _shares(selection, config, steps=range(self.step, config.steps), ranks=self.ranks)

    def learn(self) -> dict[str, float]:
        """One step on this worker's share of the records."""
        start, config = time.perf_counter(), self.config
        share = next(self.shares)
        ecg = torch.from_numpy(share.ecg.astype(np.float32) / COUNTS_PER_MV)
        peaks = [self.peaks[row] for row in share.rows.tolist()]
        beats = batch_beats(ecg.numpy(), peaks, most=config.beats_per_record)
        row = train_step(
            self.wrapped,
            Batch(ecg.to(self.ranks.device), beats.to(self.ranks.device)),
            config=config.model,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip_norm=config.optimizer.clip_norm,
            ema=self.ema,
            generator=self.noise(),
            loss_scale=share.factor,
            bf16=config.bf16,
        )
        row["loss"] = self.ranks.sum(row["loss"] * share.factor) / self.ranks.world
        row["without_beat"] = self.ranks.sum(row["without_beat"])
        return row | {"records_per_s": share.records / (time.perf_counter() - start)}

    def close(self) -> None:
        """End the thread that reads ahead."""
        self.shares.close()


def _shares(selection: Selection, config: TrainVaeConfig, *, steps: range, ranks: Ranks) -> Generator[Share]:
    order = Order(selection.group, batch_size=config.batch_size, seed=config.seed, window_groups=config.window_groups)
    memory = config.memory_mb * 1e6
    return training_shares(selection, order, steps=steps, rank=ranks.rank, world=ranks.world, memory_bytes=memory)


def export(plan: VaePlan) -> dict[str, Any]:
    """Measure the latents' scale, write the model folder, score and draw it; returns the run's figures."""
    last, config = newest_checkpoint(plan.out / CHECKPOINTS), plan.config
    assert last is not None
    torch.set_num_threads(max(1, int(config.cpus_per_worker)))
    vae = Vae(config.model)
    vae.load_state_dict(trained_weights(last, config.optimizer))
    vae = vae.to("cuda" if config.gpu else "cpu").eval()
    train = plan.open_split("train")
    vae.set_latent_scale(measure_scale(vae, train, seed=config.seed))
    results = score_vae(vae, plan.records, config.score_records, seed=config.seed)
    write_json(plan.out / "results.json", results)
    shown = held_out(plan.records, 1, seed=config.seed)[0]
    write_bytes(plan.out / "reconstruction.svg", draw_rebuilt(vae, shown, title="A held-out record").encode())
    rows = read_journal(plan.out)
    final = [row["loss"] for row in rows[-20:]]
    figures = {"steps": last.step, "records": len(train), "loss": sum(final) / len(final)} | results["figures"]
    settings = {name: value for name, value in to_json(config).items() if name not in {"records", "intervals", "out"}}
    training = {
        "steps": last.step,
        "records a step": config.batch_size,
        "parameters": f"{parameter_count(vae):,}",
        "seed": config.seed,
    }
    said = f"{len(train):,} training ECGs, split by patient; scored on {results['records']:,} of other patients."
    save_vae(
        plan.out / "model",
        vae,
        card=vae_card(config.model, records=said, training=training, figures=results["figures"]),
        details={"figures": figures, "settings": settings, "trained_on": input_hash(plan.records)},
    )
    return figures | {"preset": config.model.preset_name, "model": str(plan.out / "model")}


@torch.inference_mode()
def measure_scale(vae: Vae, train: Selection, *, seed: int) -> LatentStatistics:
    """The latents' mean and deviation over training records, drawn once."""
    drawn = np.sort(np.random.default_rng(seed).permutation(len(train))[:SCALE_RECORDS])
    unit = dataclasses.replace(vae.config, latent_scale="none")
    plain = Vae(unit).to(next(vae.parameters()).device).eval()
    plain.encoder.load_state_dict(vae.encoder.state_dict())
    statistics = LatentStatistics()
    for counts in ordered_batches(train, drawn, batch_size=32, rank=0, world=1, kind=np.float32):
        signal = torch.from_numpy(counts / np.float32(COUNTS_PER_MV)).to(next(vae.parameters()).device)
        statistics.add(plain.encode(signal))
    return statistics
