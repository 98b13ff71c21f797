"""Recipes of jobs/train_diffusion.py.

debug    two CPU workers, a tiny network, 20 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, a network of three million weights: an hour on two idle cores.
paper    one GPU worker, batches of 4,096, the paper's 38,800 steps.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from ecgray.recipes.train_generator import TrainGeneratorConfig
from ecgray.sediff.config import OptimizerConfig
from ecgray.sediff.diffusion_config import SIZES, DiffusionConfig, Preset, preset
from ecgray.sediff.sampling_config import SamplingConfig


@dataclass(frozen=True, kw_only=True)
class TrainDiffusionConfig(TrainGeneratorConfig):
    """Train SE-Diff's latent diffusion on encoded recordings and what is said of them, and draw some."""

    INPUTS = ("records", "latents", "vae", "labels", "intervals", "experience", "eta", "start")

    latents: Path = tyro.MISSING
    """OUT of an encode job on the same records, or its latents table."""
    vae: Path = tyro.MISSING
    """OUT of the train_vae job that they were encoded with, or its model folder; it is kept as it is."""
    labels: Path | None = None
    """OUT of a label job on the same records: the class whose morphology a beat is judged by, and terms as wordings."""
    experience: Path | None = None
    """OUT of a retrieve job on the same records: the reports r; without it r is unknown everywhere."""
    eta: Path | None = None
    """eta.json of a fit_simulator job; the one that ships by default."""
    start: Path | None = None
    """A generator to go on from: OUT of a train_diffusion job, or a model folder; of the same networks, texts' encoder
    and autoencoder."""
    preset: Preset | None = None
    """Set the disputed points (docs/deviations.md) together: paper, peer or ours."""
    model: DiffusionConfig = field(default_factory=lambda: SIZES["laptop"])
    """Schedule, network, conditioning and simulator losses."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """How ECGs are drawn for the figures at the end."""
    half: bool = False
    """Store the weights in float16 (half the bytes), as those that ship are."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe (autocast); weights stay float32."""

    def settled(self) -> TrainDiffusionConfig:
        """The same settings with the disputed points as `preset` has them, and the schedule as long as the run.

        A network that is never without its condition is not guided: it would be asked what it never learnt.
        """
        model = preset(self.preset, self.model) if self.preset else self.model
        scale = self.sampling.guidance_scale if model.condition.drop_all else 1.0
        sampling = dataclasses.replace(self.sampling, guidance_scale=scale)
        return dataclasses.replace(self, model=model, optimizer=self.scheduled(), sampling=sampling)


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
