"""Recipes of jobs/zeroshot.py.

debug    one CPU worker, 200 resamples: seconds for some hundred records.
laptop   one CPU worker, 1,000 resamples.
paper    four GPU workers, 1,000 resamples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.supreme.config import QuerySelfAttention

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ZeroshotConfig:
    """Ask a classifier questions about records, and score the answers where somebody knows better."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu")

    model: Path = tyro.MISSING
    """A model folder, or OUT of a pretrain job."""
    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    queries: str = tyro.MISSING
    """A task (ptbxl-super, ptbxl-sub, ptbxl-form, ptbxl-rhythm, cpsc2018, csn-exact, csn-merl, demo, demo-seen,
    demo-unseen), or a file of queries: JSON {name: query}, or one query a line."""
    out: Path = tyro.MISSING
    """The folder to write: answers, random_answers, results.json and, where the truth is known, picture.svg."""

    splits: tuple[str, ...] = ()
    """Which records are asked; empty: test of those that the model was trained on, all of any others."""
    query_self_attention: QuerySelfAttention = "diagonal"
    """Whether queries see each other: diagonal, so that no answer depends on what else is asked; full; none."""

    random_encoder: bool = True
    """Whether a network of the same shape with random weights is asked as well; its score stands beside the model's."""
    random_seed: int = 0
    """Draws those weights."""
    resamples: int = 1000
    """Resamples of the patients behind each 95 % interval."""
    bootstrap_seed: int = 0
    """Draws the patients."""

    batch_size: int = 64
    """Records in one pass through the network."""
    workers: int = 1
    """Processes that hold the model."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each."""
    gpu: bool = False
    """A GPU for each."""

    def __post_init__(self) -> None:
        odd = sorted(set(self.splits) - set(SPLITS))
        if odd:
            raise ConfigError(f"splits={' '.join(self.splits)}; give some of {', '.join(SPLITS)}, or leave it out.")
        at_least_one(self, "batch_size", "workers")
        above_zero(self, "cpus_per_worker")
        if self.resamples < 20:
            raise ConfigError(f"resamples={self.resamples}; a 95 % interval needs at least 20, better 1,000.")


ZEROSHOT = {
    "debug": ZeroshotConfig(resamples=200),
    "laptop": ZeroshotConfig(),
    "paper": ZeroshotConfig(workers=4, cpus_per_worker=4, gpu=True, batch_size=256),
}
