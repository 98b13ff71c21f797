"""Recipes of jobs/train_ner.py.

debug    one CPU worker, a tiny Llama, 20 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, the size that ships: how ecgray/ner/embedded was made, under an hour on two idle cores.
paper    eight GPU workers: fine-tunes --base on what a larger model answered (--pairs), to answer in its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError
from ecgray.ner.config import NerModelConfig, NerOptimizerConfig
from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class TrainNerConfig:
    """Train a model that reads ECG statements: from nothing on a grammar, or on a larger model's answers."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "checkpoint_every", "chunk")

    out: Path = tyro.MISSING
    """Where to write: OUT/model the Hugging Face folder, OUT/metrics.jsonl and OUT/tensorboard the journal."""
    pairs: Path | None = None
    """Learn from answers of a larger model: the cache of an extract job, a folder of Parquet files with the columns
    text and answer. Without it the statement grammar draws the pairs."""
    pairs_model: str | None = None
    """Model hash of the answers to learn from, where --pairs holds those of several models."""
    base: str | None = None
    """Start from this Hugging Face folder (`embedded`: the model that ships) instead of from first weights."""
    size: NerModelConfig = field(default_factory=NerModelConfig)
    """Size of a model that is trained from nothing."""
    unknown_share: float = 0.2
    """Part of the drawn statements that lie outside the vocabulary."""
    optimizer: NerOptimizerConfig = field(default_factory=NerOptimizerConfig)
    """How the loss is made small."""
    batch_size: int = 256
    """Statements in one step, over all workers."""
    chunk: int = 64
    """Statements that a worker computes at a time."""
    steps: int = 1800
    """Steps of the whole run."""
    epochs: int = 0
    """With --pairs: passes over them, instead of --steps; 0: --steps."""
    checkpoint_every: int = 100
    """Steps between two checkpoints: what a crash costs at the most."""
    score_statements: int = 1000
    """Statements of each kind that the finished model is asked, through the engine that serves it."""
    seed: int = 0
    """Draws the first weights and the statements."""
    workers: int = 1
    """Training processes."""
    cpus_per_worker: float = 2.0
    """CPUs, and threads, of each."""
    gpu: bool = False
    """A GPU for each."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe (autocast); weights stay float32 until they are saved."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "chunk", "checkpoint_every", "score_statements", "workers")
        above_zero(self, "cpus_per_worker")
        if self.steps < 1 and self.epochs < 1:
            raise ConfigError(f"steps={self.steps} and epochs={self.epochs} train nothing; give one of them.")
        if not 0 <= self.unknown_share < 1:
            raise ConfigError(f"unknown_share={self.unknown_share} is a part of the statements, 0 to below 1.")
        if self.batch_size < self.workers:
            raise ConfigError(
                f"batch_size={self.batch_size} leaves some of {self.workers} workers without a statement."
            )


TRAIN_NER = {
    "debug": TrainNerConfig(
        size=NerModelConfig(width=64, layers=2, heads=2, feed_forward=128),
        batch_size=32,
        chunk=32,
        steps=20,
        checkpoint_every=5,
        score_statements=20,
        cpus_per_worker=1,
    ),
    "laptop": TrainNerConfig(),
    "paper": TrainNerConfig(
        base="meta-llama/Llama-3.2-1B-Instruct",
        optimizer=NerOptimizerConfig(learning_rate=2e-5, weight_decay=0.0, warmup_steps=50),
        batch_size=128,
        chunk=16,
        epochs=2,
        steps=0,
        workers=8,
        cpus_per_worker=4,
        gpu=True,
    ),
}
