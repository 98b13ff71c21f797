"""Recipes of jobs/train_scorer.py.

debug    two CPU workers, a narrow network, 30 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, 600 steps of 64 records: about ten minutes of one core.
paper    four GPU workers, 2,048 records a step.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.alignment.config import SIZES, ScorerConfig
from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.supreme.config import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class TrainScorerConfig:
    """Train the model that says how well an ECG and a text agree, on real patients of split train."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "memory_mb", "checkpoint_every")

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table: recordings, never generated ones."""
    labels: Path | None = None
    """OUT of a label job on the same records: a record's text is then its terms; without it, its report."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model, OUT/results.json, OUT/metrics.jsonl and OUT/tensorboard."""

    model: ScorerConfig = field(default_factory=lambda: SIZES["laptop"])
    """The network."""
    text_encoder: str = "lexical"
    """The frozen text encoder: lexical, a folder with a HF model, or a hub name."""
    text_pooler: Literal["cls", "pooler"] = "cls"
    """Its vector of a text: the first token's last state, or the model's own pooler output."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(weight_decay=0.05, warmup_steps=50))
    """How the loss is made small; one cosine as long as the run."""
    batch_size: int = 64
    """Records in one step, over all workers: so many texts each ECG chooses from."""
    steps: int = 600
    """Steps of the whole run."""
    score_records: int = 1000
    """Held-out records that look for each other's texts, at the most, drawn once."""
    resamples: int = 1000
    """Resamples of the patients behind each 95 % interval."""
    checkpoint_every: int = 100
    """Steps between two checkpoints: what a crash costs at the most."""
    seed: int = 0
    """Draws the first weights, the order of the records and the dropout."""
    workers: int = 1
    """Training processes."""
    cpus_per_worker: float = 1.0
    """CPUs, and threads, of each."""
    gpu: bool = False
    """A GPU for each."""
    bf16: bool = False
    """Compute in bfloat16 where it is safe (autocast); weights stay float32."""
    window_groups: int = 32
    """Row groups of records that are mixed at a time (32 hold 2,048 records, 250 MB)."""
    memory_mb: int = 1000
    """Records that a worker keeps in memory, at least one window."""

    def __post_init__(self) -> None:
        at_least_one(self, "steps", "score_records", "checkpoint_every", "workers")
        above_zero(self, "cpus_per_worker")
        if self.batch_size < max(2, self.workers):
            raise ConfigError(
                f"batch_size={self.batch_size} leaves nothing to choose from for {self.workers} workers; a step needs "
                "two records or more, and one for each worker."
            )

    def settled(self, *, text_width: int) -> TrainScorerConfig:
        """The same settings with the text encoder's width, and one cosine over the run."""
        warmup = min(self.optimizer.warmup_steps, self.steps - 1)
        optimizer = dataclasses.replace(self.optimizer, warmup_steps=warmup, restart_steps=self.steps)
        model = dataclasses.replace(self.model, text_width=text_width)
        return dataclasses.replace(self, model=model, optimizer=optimizer)


TRAIN_SCORER = {
    "debug": TrainScorerConfig(
        model=SIZES["debug"],
        batch_size=16,
        steps=30,
        checkpoint_every=10,
        score_records=100,
        resamples=100,
        workers=2,
        cpus_per_worker=0.5,
    ),
    "laptop": TrainScorerConfig(),
    "paper": TrainScorerConfig(
        model=SIZES["full"],
        batch_size=2048,
        steps=4000,
        score_records=5000,
        workers=4,
        cpus_per_worker=8,
        gpu=True,
        bf16=True,
        memory_mb=16_000,
    ),
}
