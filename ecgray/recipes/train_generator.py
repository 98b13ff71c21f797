"""What the recipes of jobs/train_diffusion.py and jobs/train_baseline.py share, so that both learn from the same."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.sediff.config import OptimizerConfig
from ecgray.text.encoders import Pooler


@dataclass(frozen=True, kw_only=True)
class TrainGeneratorConfig:
    """Train a generator on recordings and what is said of them, and draw some."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "checkpoint_every")
    INPUTS: ClassVar[tuple[str, ...]] = ("records", "labels", "intervals")
    """Fields that name what is read."""

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table: recordings, reports, age, sex, heart rate."""
    labels: Path | None = None
    """OUT of a label job on the same records: terms as wordings."""
    intervals: Path | None = None
    """OUT of a measure job on the same records: heart rates that the recorder does not tell, and R peaks."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model, OUT/results.json, OUT/generated.svg, OUT/metrics.jsonl and OUT/tensorboard."""

    wordings: Literal["report", "terms", "both"] = "both"
    """What the text is: the report, the labels' terms, or one of them drawn anew at each step."""
    text_encoder: str = "lexical"
    """Frozen encoder of the texts: lexical, a folder with a HF model, or a hub name in the cache."""
    text_pooler: Pooler = "cls"
    """Which of its outputs is a text's vector."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How the loss is made small; decay_steps follows --steps."""
    batch_size: int = 64
    """Records, or of beatdiff beats, in one step, over all workers."""
    steps: int = 10_000
    """Steps of the whole run."""
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
        at_least_one(self, "batch_size", "steps", "score_records", "checkpoint_every", "workers")
        above_zero(self, "cpus_per_worker")
        if self.batch_size < self.workers:
            raise ConfigError(f"batch_size={self.batch_size} leaves some of {self.workers} workers without a record.")
        if self.wordings != "report" and self.labels is None:
            raise ConfigError(f"wordings={self.wordings} needs terms; give --labels, or --wordings report.")

    def inputs(self) -> dict[str, Path]:
        """What is read, by the fields' names."""
        return {name: path for name in self.INPUTS if (path := getattr(self, name)) is not None}

    def scheduled(self) -> OptimizerConfig:
        """The optimiser, its schedule as long as the run."""
        warmup = min(self.optimizer.warmup_steps, self.steps - 1)
        return dataclasses.replace(self.optimizer, decay_steps=self.steps, warmup_steps=warmup)
