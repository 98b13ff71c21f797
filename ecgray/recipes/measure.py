"""Recipes of jobs/measure.py.

debug    one CPU worker, eight records at a time.
laptop   two CPU workers of one CPU each.
paper    sixteen CPU workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """Measure heart rate, PR, QRS, QT and their like on every record."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu")

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    out: Path = tyro.MISSING
    """The folder to write: intervals, a row a record."""
    delineator: Path | None = None
    """A model folder of a train_delineator job; without it the one that ships."""
    batch_size: int = 16
    """Records in one pass through the network."""
    workers: int = 2
    """Processes that measure."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each, and its threads."""
    gpu: bool = False
    """A GPU for each."""
    bf16: bool = False
    """Compute in bfloat16: twice as fast on processors that have it; the last digits differ."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "workers")
        above_zero(self, "cpus_per_worker")


MEASURE = {
    "debug": MeasureConfig(workers=1, batch_size=8),
    "laptop": MeasureConfig(),
    "paper": MeasureConfig(workers=16),
}
