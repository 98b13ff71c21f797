"""Recipes of jobs/train_diffusion.py.

debug    two CPU workers, a tiny network, 20 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, a network of three million weights: an hour on two idle cores.
paper    one GPU worker, batches of 4,096, the paper's 38,800 steps.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import at_least_one
from ecgray.sediff.config import OptimizerConfig
from ecgray.sediff.diffusion_config import SIZES, DiffusionConfig, Preset, preset
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.text.encoders import Pooler


@dataclass(frozen=True, kw_only=True)
class TrainDiffusionConfig:
    """Train SE-Diff's latent diffusion on encoded recordings and what is said of them, and draw some."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("workers", "cpus_per_worker", "gpu", "checkpoint_every")

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table: reports, age, sex, heart rate."""
    latents: Path = tyro.MISSING
    """OUT of an encode job on the same records, or its latents table."""
    vae: Path = tyro.MISSING
    """OUT of the train_vae job that they were encoded with, or its model folder; it is kept as it is."""
    labels: Path | None = None
    """OUT of a label job on the same records: the class whose morphology a beat is judged by, and terms as wordings."""
    intervals: Path | None = None
    """OUT of a measure job on the same records: heart rates that the recorder does not tell."""
    experience: Path | None = None
    """OUT of a retrieve job on the same records: the reports r; without it r is unknown everywhere."""
    eta: Path | None = None
    """eta.json of a fit_simulator job; the one that ships by default."""
    start: Path | None = None
    """A generator to go on from: OUT of a train_diffusion job, or a model folder; of the same networks."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model, OUT/results.json, OUT/generated.svg, OUT/metrics.jsonl and OUT/tensorboard."""

    wordings: Literal["report", "terms", "both"] = "both"
    """What t is: the report, the labels' terms, or one of them drawn anew at each step."""
    text_encoder: str = "lexical"
    """Frozen encoder of t and r: lexical, a folder with a HF model, or a hub name in the cache."""
    text_pooler: Pooler = "cls"
    """Which of its outputs is a text's vector."""
    preset: Preset | None = None
    """Set the disputed points (docs/deviations.md) together: paper, peer or ours."""
    model: DiffusionConfig = field(default_factory=lambda: SIZES["laptop"])
    """Schedule, network, conditioning and simulator losses."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How the loss is made small; decay_steps follows --steps."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How ECGs are drawn for the figures at the end."""
    batch_size: int = 64
    """Records in one step, over all workers."""
    steps: int = 10_000
    """Steps of the whole run."""
    score_records: int = 100
    """Held-out conditions to draw ECGs for at the end, at the most."""
    checkpoint_every: int = 250
    """Steps between two checkpoints: what a crash costs at the most."""
    seed: int = 0
    """Draws the first weights, the order of the records, times and noise."""
    workers: int = 1
    """Training processes."""
    cpus_per_worker: float = 1.0
    """CPUs, and threads, of each."""
    gpu: bool = False
    """A GPU for each."""
    half: bool = False
    """Store the weights in float16 (half the bytes), as those that ship are."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe (autocast); weights stay float32."""

    def __post_init__(self) -> None:
        at_least_one(self, "batch_size", "steps", "score_records", "checkpoint_every", "workers")
        if self.batch_size < self.workers:
            raise ConfigError(f"batch_size={self.batch_size} leaves some of {self.workers} workers without a record.")
        if self.wordings != "report" and self.labels is None:
            raise ConfigError(f"wordings={self.wordings} needs terms; give --labels, or --wordings report.")

    def settled(self) -> TrainDiffusionConfig:
        """The same settings with the disputed points as `preset` has them, and the schedule as long as the run.

        A network that is never without its condition is not guided: it would be asked what it never learnt.
        """
        model = preset(self.preset, self.model) if self.preset else self.model
        scale = self.sampling.guidance_scale if model.condition.drop_all else 1.0
        sampling = dataclasses.replace(self.sampling, guidance_scale=scale)
        warmup = min(self.optimizer.warmup_steps, self.steps - 1)
        optimizer = dataclasses.replace(self.optimizer, decay_steps=self.steps, warmup_steps=warmup)
        return dataclasses.replace(self, model=model, optimizer=optimizer, sampling=sampling)


TRAIN_DIFFUSION = {
    "debug": TrainDiffusionConfig(
        model=SIZES["debug"],
        wordings="report",
        batch_size=8,
        steps=20,
        checkpoint_every=10,
        score_records=4,
        sampling=SamplingConfig(steps=4),
        workers=2,
        cpus_per_worker=0.5,
        bf16=False,
    ),
    "laptop": TrainDiffusionConfig(
        wordings="report", optimizer=OptimizerConfig(learning_rate=1e-3, learning_rate_last=1e-5, warmup_steps=200)
    ),
    "paper": TrainDiffusionConfig(
        model=SIZES["full"],
        wordings="report",
        batch_size=4096,
        steps=38_800,
        checkpoint_every=500,
        score_records=2000,
        cpus_per_worker=8,
        gpu=True,
    ),
}
