"""Recipes of jobs/tune_retrieval.py: the nine settings of SE-Diff Table 10.

debug    three of them on 200 records.
laptop   all nine on 2,000 records.
paper    all nine on 20,000 records, sixteen at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one

TABLE_10 = (
    (1.0, 1.0, 1.0, 3),
    (1.0, 1.0, 1.0, 2),
    (1.0, 1.0, 1.0, 4),
    (2.0, 1.0, 1.0, 3),
    (1.0, 2.0, 1.0, 3),
    (1.0, 1.0, 2.0, 3),
    (3.0, 1.0, 1.0, 3),
    (1.0, 3.0, 1.0, 3),
    (1.0, 1.0, 3.0, 3),
)
"""lambda_1, lambda_2, lambda_3 and k."""


@dataclass(frozen=True, kw_only=True)
class TuneRetrievalConfig:
    """Retrieve for held-out patients at several weights and numbers of neighbours, and say which is best."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker")

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    retrieved: Path = tyro.MISSING
    """OUT of a retrieve job over the same records."""
    out: Path = tyro.MISSING
    """The folder to write: trials.csv and retrieval.svg."""
    grid: tuple[tuple[float, float, float, int], ...] = TABLE_10
    """lambda_1, lambda_2, lambda_3 and k of each trial; the paper's nine."""
    split: Literal["val", "test"] = "val"
    """Whose records ask. What is chosen on test is no longer a test."""
    records_asked: int = 2000
    """Records that ask at the most, drawn once from seed."""
    code_level: Literal["full", "3"] = "full"
    """Diagnoses and procedures by their whole code, or by its first three characters."""
    seed: int = 0
    """Which records ask, and what chance draws."""
    workers: int = 2
    """Trials side by side."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each."""

    def __post_init__(self) -> None:
        at_least_one(self, "records_asked", "workers")
        above_zero(self, "cpus_per_worker")
        if not self.grid or len(set(self.grid)) < len(self.grid):
            raise ConfigError(f"grid={self.grid} must hold at least one setting, and each of them once.")
        for *lambdas, k in self.grid:
            if not (min(lambdas) >= 0 and 0 < sum(lambdas) < float("inf") and k >= 1):
                raise ConfigError(
                    f"grid holds {(*lambdas, k)}; the lambdas must be at least 0 and one of them above, k at least 1."
                )


TUNE_RETRIEVAL = {
    "debug": TuneRetrievalConfig(grid=TABLE_10[:3], records_asked=200, workers=1),
    "laptop": TuneRetrievalConfig(),
    "paper": TuneRetrievalConfig(records_asked=20_000, workers=16),
}
