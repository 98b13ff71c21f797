"""Recipes of jobs/train_baseline.py.

debug    two CPU workers, a tiny network, 12 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, networks of a million weights: an hour on two idle cores.
paper    one GPU worker, the widths of the papers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.baselines.config import SIZES, BaselineConfig, Kind
from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.sediff.config import OptimizerConfig
from ecgray.text.encoders import Pooler


@dataclass(frozen=True, kw_only=True)
class TrainBaselineConfig:
    """Train another kind of generator on the same recordings and conditions, to stand beside SE-Diff."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "checkpoint_every")

    kind: Kind = tyro.MISSING
    """wgan: a GAN of strips; sssd: a diffusion of strips by state spaces; beatdiff: a diffusion of beats, tiled."""
    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table: recordings, reports, age, sex, heart rate."""
    labels: Path | None = None
    """OUT of a label job on the same records: terms as wordings."""
    intervals: Path | None = None
    """OUT of a measure job on the same records: heart rates, and for beatdiff where the R peaks are."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model, OUT/results.json, OUT/generated.svg, OUT/metrics.jsonl and OUT/tensorboard."""

    wordings: Literal["report", "terms", "both"] = "both"
    """What the text is: the report, the labels' terms, or one of them drawn anew at each step."""
    text_encoder: str = "lexical"
    """Frozen encoder of the text: lexical, a folder with a HF model, or a hub name in the cache."""
    text_pooler: Pooler = "cls"
    """Which of its outputs is a text's vector."""
    model: BaselineConfig = field(default_factory=lambda: SIZES["laptop"])
    """Sizes; --kind says whose count."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How the loss is made small; decay_steps follows --steps, and wgan has beta1=0 and beta2=0.9 (WGAN-GP)."""
    beats_per_record: int = 4
    """Beats of a record that beatdiff learns from, at the most; the first, others evenly spread."""
    batch_size: int = 64
    """Records, or beats, in one step, over all workers."""
    steps: int = 10_000
    """Steps of the whole run; of wgan's, one in six is the generator's."""
    score_records: int = 100
    """Held-out conditions to draw ECGs for at the end, at the most."""
    checkpoint_every: int = 250
    """Steps between two checkpoints: what a crash costs at the most."""
    seed: int = 0
    """Draws the first weights, the order of the records and all noise."""
    workers: int = 1
    """Training processes."""
    cpus_per_worker: float = 1.0
    """CPUs, and threads, of each."""
    gpu: bool = False
    """A GPU for each."""

    def __post_init__(self) -> None:
        at_least_one(self, "beats_per_record", "batch_size", "steps", "score_records", "checkpoint_every", "workers")
        above_zero(self, "cpus_per_worker")
        if self.batch_size < self.workers:
            raise ConfigError(f"batch_size={self.batch_size} leaves some of {self.workers} workers without a record.")
        if self.wordings != "report" and self.labels is None:
            raise ConfigError(f"wordings={self.wordings} needs terms; give --labels, or --wordings report.")
        if self.kind == "beatdiff" and self.intervals is None:
            raise ConfigError(f"kind={self.kind} cuts beats at R peaks; give --intervals, OUT of a measure job.")

    def settled(self) -> TrainBaselineConfig:
        """The same settings with the kind's own, and the schedule as long as the run."""
        warmup = min(self.optimizer.warmup_steps, self.steps - 1)
        optimizer = dataclasses.replace(self.optimizer, decay_steps=self.steps, warmup_steps=warmup)
        if self.kind == "wgan":
            optimizer = dataclasses.replace(optimizer, beta1=0.0, beta2=0.9)
        return dataclasses.replace(self, model=dataclasses.replace(self.model, kind=self.kind), optimizer=optimizer)


TRAIN_BASELINE = {
    "debug": TrainBaselineConfig(
        model=SIZES["debug"],
        wordings="report",
        batch_size=8,
        steps=12,
        checkpoint_every=6,
        score_records=4,
        workers=2,
        cpus_per_worker=0.5,
    ),
    "laptop": TrainBaselineConfig(
        wordings="report", optimizer=OptimizerConfig(learning_rate=1e-3, learning_rate_last=1e-5, warmup_steps=200)
    ),
    "paper": TrainBaselineConfig(
        model=SIZES["full"],
        wordings="report",
        optimizer=OptimizerConfig(learning_rate=2e-4, learning_rate_last=2e-5, warmup_steps=500),
        batch_size=256,
        steps=100_000,
        checkpoint_every=1000,
        score_records=2000,
        cpus_per_worker=8,
        gpu=True,
    ),
}
