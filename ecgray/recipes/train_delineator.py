"""Recipes of jobs/train_delineator.py.

debug    one CPU worker, a tiny network, 20 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, the network that ships: a quarter of an hour on one idle core.
paper    one GPU worker, a network twice as wide, eight times the examples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.waveform.delineator.config import DelineatorConfig


@dataclass(frozen=True, kw_only=True)
class TrainDelineatorConfig:
    """Train the network that finds P, QRS and T, on recordings that cardiologists marked lead by lead (LUDB)."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "checkpoint_every")

    archive: Path = tyro.MISSING
    """LUDB's folder, with ludb.csv and data."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model, OUT/metrics.jsonl and OUT/tensorboard, OUT/results.json."""
    folds: int = 0
    """0: train on the patients of the training split, score on the others. 2 or more: leave out one fold of all
    patients instead, and score on it."""
    fold: int = 0
    """Which fold is left out, from 0."""
    network: DelineatorConfig = field(default_factory=DelineatorConfig)
    """Size of the network."""
    steps: int = 2000
    """Steps of the whole run."""
    batch_size: int = 16
    """Pieces of 4.1 s, twelve leads each, in one step, over all workers."""
    learning_rate: float = 3e-3
    """AdamW's highest rate; it rises over 50 steps and falls as a cosine."""
    weight_decay: float = 0.01
    """AdamW's."""
    ema: float = 0.998
    """How much of the averaged weights stays in a step; these are the weights that are kept."""
    checkpoint_every: int = 100
    """Steps between two checkpoints: what a crash costs at the most."""
    seed: int = 0
    """Draws the first weights and the pieces."""
    workers: int = 1
    """Training processes."""
    cpus_per_worker: float = 1.0
    """CPUs, and threads, of each."""
    gpu: bool = False
    """A GPU for each."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe (autocast)."""

    def __post_init__(self) -> None:
        at_least_one(self, "steps", "batch_size", "checkpoint_every", "workers")
        above_zero(self, "cpus_per_worker")
        if self.batch_size < self.workers:
            raise ConfigError(f"batch_size={self.batch_size} leaves some of {self.workers} workers without a piece.")
        if not 0 < self.ema < 1:
            raise ConfigError(f"ema={self.ema} is a part that stays, between 0 and 1.")
        if self.folds == 1 or self.folds < 0 or not 0 <= self.fold < max(self.folds, 1):
            raise ConfigError(
                f"folds={self.folds}, fold={self.fold}; give 0 folds, or 2 and more and one of them from 0."
            )


TRAIN_DELINEATOR = {
    "debug": TrainDelineatorConfig(
        network=DelineatorConfig(widths=(4, 8, 8)), steps=20, batch_size=2, checkpoint_every=5
    ),
    "laptop": TrainDelineatorConfig(),
    "paper": TrainDelineatorConfig(
        network=DelineatorConfig(widths=(32, 48, 64, 96, 128)), batch_size=128, steps=3000, cpus_per_worker=8, gpu=True
    ),
}
