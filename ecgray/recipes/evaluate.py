"""Recipes of jobs/evaluate.py.

debug    one CPU worker, 200 resamples, 200 training records to look for copies in: a minute or two.
laptop   two CPU workers, 1,000 resamples, 5,000 training records.
paper    sixteen CPU workers, all training records.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Score generated ECGs beside what any figure has to be held against."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "batch_size")

    generated: tuple[Path, ...] = ()
    """OUT of generate jobs, one a row of the tables; of some real records (like), of free prompts, or of both."""
    names: tuple[str, ...] = ()
    """What each of them is called in the tables; without names, what its folder is called."""
    records: Path = tyro.MISSING
    """OUT of an ingest job: the recordings that were generated like, and those that were trained on."""
    intervals: Path | None = None
    """OUT of a measure job on these records; without it the recordings needed are measured here."""
    labels: Path | None = None
    """OUT of a label job on these records: the simulator's class, and texts where a scorer was trained on terms."""
    scorer: Path = tyro.MISSING
    """OUT of a train_scorer job, or its model folder."""
    vae: Path | None = None
    """OUT of a train_vae job, or its model folder: adds a row of what it makes of the recordings themselves."""
    out: Path = tyro.MISSING
    """Where to write: results.json, results.csv, results.md, case.svg and memorisation.csv."""

    real_records: int = 2000
    """Held-out recordings that stand for the real ones, at the most, where no generated ECG names its own."""
    train_records: int = 5000
    """Training records in which copies are looked for, drawn once; 0: all, -1: none."""
    planted: int = 20
    """Copies of training records that the search for copies has to find."""
    k: int = 5
    """Neighbours in precision, recall, density and coverage; 3 to 5 are usual."""
    resamples: int = 1000
    """Resamples of the patients behind each 95 % interval."""
    seed: int = 0
    """Draws partners, halves, resamples, the simulator's rhythms and what is planted."""
    batch_size: int = 16
    """ECGs in one pass through the networks."""
    workers: int = 2
    """Processes that measure and embed."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each, and its threads."""
    gpu: bool = False
    """A GPU for each."""

    def __post_init__(self) -> None:
        at_least_one(self, "real_records", "k", "batch_size", "workers")
        above_zero(self, "cpus_per_worker")
        if self.resamples < 20:
            raise ConfigError(f"resamples={self.resamples}; a 95 % interval needs at least 20, better 1,000.")
        if self.train_records < -1 or self.planted < 0:
            raise ConfigError(
                f"train_records={self.train_records} must be -1 (none), 0 (all) or more, and planted={self.planted} at "
                "least 0."
            )
        called = self.set_names
        if len(set(called)) != len(called) or len(called) != len(self.generated):
            raise ConfigError(
                f"names={' '.join(self.names)} for {len(self.generated)} generated sets; give one for each, all "
                "different."
            )

    @property
    def set_names(self) -> tuple[str, ...]:
        """What the generated sets are called."""
        return self.names or tuple(path.name for path in self.generated)


EVALUATE = {
    "debug": EvaluateConfig(workers=1, resamples=200, train_records=200, planted=5, real_records=100),
    "laptop": EvaluateConfig(),
    "paper": EvaluateConfig(workers=16, train_records=0, planted=100, real_records=20_000),
}
