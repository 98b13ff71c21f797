"""Recipes of jobs/train_vae.py.

debug    two CPU workers, a tiny network, 30 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, a small network: a quarter of an hour on two idle cores.
paper    one GPU worker, the peer's widths, batches of 4,096.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.sediff.config import SIZES, OptimizerConfig, Preset, VaeConfig, preset


@dataclass(frozen=True, kw_only=True)
class TrainVaeConfig:
    """Train SE-Diff's autoencoder and its beat decoder on recordings, and reconstruct those of other patients."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "memory_mb", "checkpoint_every")

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    intervals: Path = tyro.MISSING
    """OUT of a measure job on the same records, or its intervals table: where the R peaks are."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model, OUT/results.json, OUT/reconstruction.svg, OUT/metrics.jsonl and OUT/tensorboard."""

    preset: Preset | None = None
    """Set the disputed points (docs/deviations.md) together: paper, peer or ours."""
    model: VaeConfig = field(default_factory=lambda: SIZES["laptop"])
    """The network and its losses."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How the loss is made small; decay_steps follows --steps."""
    batch_size: int = 32
    """Records in one step, over all workers."""
    steps: int = 1000
    """Steps of the whole run."""
    beats_per_record: int = 12
    """Beats of a record whose spectra count in a step (Eq. 15), at the most; evenly spread."""
    score_records: int = 200
    """Held-out records to reconstruct and score, at the most, drawn once."""
    checkpoint_every: int = 100
    """Steps between two checkpoints: what a crash costs at the most."""
    seed: int = 0
    """Draws the first weights, the order of the records and the latents' noise."""
    workers: int = 1
    """Training processes."""
    cpus_per_worker: float = 1.0
    """CPUs, and threads, of each."""
    gpu: bool = False
    """A GPU for each."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe (autocast); weights stay float32."""
    window_groups: int = 32
    """Row groups of records that are mixed at a time (32 hold 2,048 records, 250 MB)."""
    memory_mb: int = 1000
    """Records that a worker keeps in memory, at least one window."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "steps", "beats_per_record", "score_records", "checkpoint_every", "workers")
        above_zero(self, "cpus_per_worker")
        if self.batch_size < self.workers:
            raise ConfigError(f"batch_size={self.batch_size} leaves some of {self.workers} workers without a record.")

    def settled(self) -> TrainVaeConfig:
        """The same settings with the disputed points as `preset` has them, and the schedule as long as the run."""
        model = preset(self.preset, self.model) if self.preset else self.model
        warmup = min(self.optimizer.warmup_steps, self.steps - 1)
        optimizer = dataclasses.replace(self.optimizer, decay_steps=self.steps, warmup_steps=warmup)
        return dataclasses.replace(self, model=model, optimizer=optimizer)


TRAIN_VAE = {
    "debug": TrainVaeConfig(
        model=SIZES["debug"],
        batch_size=8,
        steps=30,
        checkpoint_every=10,
        score_records=20,
        workers=2,
        cpus_per_worker=0.5,
        bf16=False,
    ),
    "laptop": TrainVaeConfig(optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=50)),
    "paper": TrainVaeConfig(
        model=SIZES["full"],
        batch_size=4096,
        steps=38_800,
        checkpoint_every=500,
        score_records=5000,
        cpus_per_worker=8,
        gpu=True,
        memory_mb=16_000,
    ),
}
