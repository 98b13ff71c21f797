"""Recipes of jobs/tune_steps.py: how many steps, which sampler, how much guidance.

debug    two settings, four ECGs each: seconds.
laptop   every sampler at 10, 25, 50 and 100 steps, ddpm up to 1,000, guidance 1 and 2, 100 ECGs each: an hour.
paper    the same up to 1,000 steps, 2,000 ECGs each, on GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.recipes.generate import GenerateConfig
from ecgray.sediff.sampling_config import Sampler, SamplingConfig


@dataclass(frozen=True, kw_only=True)
class TuneStepsConfig:
    """Draw the same ECGs with every setting of the sampler, and hold quality against time."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("cpus_per_trial", "gpu", "at_once")

    model: Path = tyro.MISSING
    """OUT of a train_diffusion job, or its model folder."""
    records: Path = tyro.MISSING
    """OUT of an ingest job: whose conditions are asked for, and whose recordings the ECGs are held against."""
    labels: Path | None = None
    """OUT of its label job, for texts of records without a report."""
    intervals: Path | None = None
    """OUT of its measure job."""
    experience: Path | None = None
    """OUT of its retrieve job."""
    scorer: Path = tyro.MISSING
    """OUT of a train_scorer job."""
    texts: Literal["report", "terms"] = "report"
    """The text of each record, as the generate job's `wordings`."""
    splits: tuple[str, ...] = ("val",)
    """Whose conditions: not those of the test patients, for a setting is chosen."""
    ecgs: int = 100
    """ECGs of each setting, at the most."""
    samplers: tuple[Sampler, ...] = ("ddpm", "ddim", "dpm++", "sde-dpm++")
    """Samplers to try."""
    steps: tuple[int, ...] = (10, 25, 50, 100)
    """Numbers of steps to try with each."""
    long_steps: tuple[int, ...] = (250, 1000)
    """Further numbers, for ddpm alone: what the others are held against."""
    guidance: tuple[float, ...] = (1.0, 2.0)
    """Guidance scales to try with each, and with each of `long_steps`."""
    batch_size: int = 64
    """ECGs drawn together."""
    seed: int = 0
    """Draws conditions and noise: the same for every setting."""
    out: Path = tyro.MISSING
    """Where to write: OUT/trials (a generate OUT each), OUT/evaluation, OUT/trials.csv and OUT/steps.svg."""
    cpus_per_trial: float = 1.0
    """CPUs, and threads, of each setting."""
    gpu: bool = False
    """A GPU for each."""
    at_once: int = 2
    """Settings side by side."""

    def __post_init__(self) -> None:
        at_least_one(self, "ecgs", "batch_size", "at_once")
        above_zero(self, "cpus_per_trial")
        if not self.settings():
            raise ConfigError("no setting is left to try; name samplers, steps and guidance scales.")

    def settings(self) -> list[SamplingConfig]:
        """Everything that is tried, the yardstick last."""
        tried = [
            SamplingConfig(sampler=sampler, steps=steps, guidance_scale=scale)
            for sampler in self.samplers
            for steps in self.steps
            for scale in self.guidance
        ]
        long = [
            SamplingConfig(sampler="ddpm", steps=steps, guidance_scale=scale)
            for steps in self.long_steps
            for scale in self.guidance
        ]
        return list(dict.fromkeys([*tried, *long]))

    def generate(self, sampling: SamplingConfig) -> GenerateConfig:
        """The generate job of one setting."""
        return GenerateConfig(
            model=self.model,
            like=self.records,
            labels=self.labels,
            intervals=self.intervals,
            experience=self.experience,
            wordings=self.texts,
            splits=self.splits,
            most=self.ecgs,
            out=self.out / "trials" / trial_name(sampling),
            steps=sampling.steps,
            sampler=sampling.sampler,
            guidance_scale=sampling.guidance_scale,
            seed=self.seed,
            wfdb=False,
            batch_size=self.batch_size,
            cpus_per_worker=self.cpus_per_trial,
            gpu=self.gpu,
        )


def trial_name(sampling: SamplingConfig) -> str:
    """What a setting is called.

    >>> trial_name(SamplingConfig(sampler="dpm++", steps=25, guidance_scale=1.5))
    'dpm++-25-1.5'
    """
    return f"{sampling.sampler}-{sampling.steps}-{sampling.guidance_scale:g}"


TUNE_STEPS = {
    "debug": TuneStepsConfig(
        samplers=("ddpm", "dpm++"), steps=(2,), long_steps=(), guidance=(1.0,), ecgs=4, batch_size=4, at_once=1
    ),
    "laptop": TuneStepsConfig(),
    "paper": TuneStepsConfig(
        steps=(10, 25, 50, 100, 250, 1000),
        guidance=(1.0, 1.5, 2.0, 3.0),
        ecgs=2000,
        batch_size=1024,
        gpu=True,
        cpus_per_trial=4,
    ),
}
