"""Recipes of jobs/generate.py.

debug    one CPU worker, four ECGs at a time.
laptop   two CPU workers of one CPU each.
paper    four GPU workers, the paper's 1,000 steps, 1,024 ECGs at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.sediff.sampling_config import Sampler

MOST_EACH, MOST_TOGETHER = 10_000, 1_000_000


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """Draw ECGs from clinical text, or for the conditions of real records."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu")

    model: Path = tyro.MISSING
    """OUT of a train_diffusion or train_baseline job, or its model folder."""
    prompt: str | None = None
    """One text, as "sinus bradycardia, left bundle branch block"."""
    prompts: Path | None = None
    """Many: a file with one text a line, or a CSV with a column `text` and others (docs/generation.md)."""
    like: Path | None = None
    """OUT of an ingest job: an ECG for what is said of each of its records, to be held against it."""
    labels: Path | None = None
    """With --like: OUT of its label job, whose terms are the text of records without a report."""
    wordings: Literal["report", "terms"] = "report"
    """With --like: the text is the report, and terms where there is none; or the terms of every record."""
    intervals: Path | None = None
    """With --like: OUT of its measure job, for heart rates that the recorder does not tell."""
    experience: Path | None = None
    """With --like: OUT of its retrieve job, the reports r."""
    splits: tuple[str, ...] = ("test",)
    """With --like: which patients."""
    most: int = 100_000
    """With --like: records, at the most, drawn once."""
    out: Path = tyro.MISSING
    """Where to write: OUT/records, OUT/generated (what was asked), OUT/wfdb, and OUT/paper where asked for."""

    age: float | None = None
    """Years, for prompts that do not say."""
    sex: str | None = None
    """F or M, for prompts that do not say."""
    heart_rate: float | None = None
    """Beats per minute, for prompts that do not say."""
    n: int = 1
    """ECGs a prompt."""
    steps: int | None = None
    """Evaluations of the denoiser; the model's own number by default."""
    sampler: Sampler | None = None
    """ddpm, ddim, dpm++ or sde-dpm++; the model's own by default."""
    guidance_scale: float | None = None
    """1 follows the prompt, more exaggerates it; the model's own by default."""
    seed: int = 0
    """With an ECG's number, all that its noise depends on."""
    wfdb: bool = True
    """Write OUT/wfdb, a WFDB record an ECG, besides the table."""
    paper: bool = False
    """Draw each ECG on paper, as SVG, in OUT/paper."""
    batch_size: int = 32
    """ECGs drawn together; with another one they may differ by a count or two."""
    workers: int = 2
    """Processes that draw."""
    cpus_per_worker: float = 1.0
    """CPUs that Ray keeps for each, and its threads."""
    gpu: bool = False
    """A GPU for each."""
    bf16: bool = False
    """Compute in bfloat16: faster on a GPU, and no longer the same to two counts in other batches."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "workers", "most")
        above_zero(self, "cpus_per_worker")
        if not 1 <= self.n <= MOST_EACH:
            raise ConfigError(f"n={self.n} must lie between 1 and {MOST_EACH:,} ECGs a prompt.")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} must lie between 0 and 2**63 - 1.")


GENERATE = {
    "debug": GenerateConfig(workers=1, batch_size=4),
    "laptop": GenerateConfig(),
    "paper": GenerateConfig(
        workers=4, cpus_per_worker=4, gpu=True, batch_size=1024, sampler="ddpm", steps=1000, wfdb=False
    ),
}
