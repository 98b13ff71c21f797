"""Recipes of jobs/encode.py.

debug    one CPU worker, eight records at a time.
laptop   two CPU workers of one CPU each.
paper    four GPU workers, 256 records at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class EncodeConfig:
    """Bring every record to its latent, as the diffusion model learns them."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "batch_size")

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    vae: Path = tyro.MISSING
    """OUT of a train_vae job, or its model folder."""
    out: Path = tyro.MISSING
    """The folder to write: latents, a row a record."""
    batch_size: int = 32
    """Records in one pass through the encoder."""
    workers: int = 2
    """Processes that encode."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each, and its threads."""
    gpu: bool = False
    """A GPU for each."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "workers")
        above_zero(self, "cpus_per_worker")


ENCODE = {
    "debug": EncodeConfig(workers=1, batch_size=8),
    "laptop": EncodeConfig(),
    "paper": EncodeConfig(workers=4, cpus_per_worker=4, gpu=True, batch_size=256),
}
