"""Recipes of jobs/train_baseline.py.

debug    two CPU workers, a tiny network, 12 steps: seconds. Shows that the path works, not more.
laptop   one CPU worker, networks of a million weights: an hour on two idle cores.
paper    one GPU worker, the widths of the papers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import tyro

from ecgray.baselines.config import SIZES, BaselineConfig, Kind
from ecgray.errors import ConfigError
from ecgray.recipes.checks import at_least_one
from ecgray.recipes.train_generator import TrainGeneratorConfig
from ecgray.sediff.config import OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class TrainBaselineConfig(TrainGeneratorConfig):
    """Train another kind of generator on the same recordings and conditions, to stand beside SE-Diff."""

    kind: Kind = tyro.MISSING
    """wgan: a GAN of strips; sssd: a diffusion of strips by state spaces; beatdiff: a diffusion of beats, tiled. Of
    wgan's steps one in six is the generator's, and beta1=0 and beta2=0.9 (WGAN-GP)."""
    model: BaselineConfig = field(default_factory=lambda: SIZES["laptop"])
    """Sizes; --kind says whose count."""
    beats_per_record: int = 4
    """Beats of a record that beatdiff learns from, at the most; the first, others evenly spread."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "beats_per_record")
        if self.kind == "beatdiff" and self.intervals is None:
            raise ConfigError(f"kind={self.kind} cuts beats at R peaks; give --intervals, OUT of a measure job.")

    def settled(self) -> TrainBaselineConfig:
        """The same settings with the kind's own, and the schedule as long as the run."""
        optimizer = self.scheduled()
        if self.kind == "wgan":
            optimizer = dataclasses.replace(optimizer, beta1=0.0, beta2=0.9)
        return dataclasses.replace(self, model=dataclasses.replace(self.model, kind=self.kind), optimizer=optimizer)


TRAIN_BASELINE = {
    "debug": TrainBaselineConfig(
        model=SIZES["debug"],
        wordings="report",
        batch_size=8,
        steps=12,
        checkpoint_every=6,
        score_records=4,
        workers=2,
        cpus_per_worker=0.5,
    ),
    "laptop": TrainBaselineConfig(
        wordings="report", optimizer=OptimizerConfig(learning_rate=1e-3, learning_rate_last=1e-5, warmup_steps=200)
    ),
    "paper": TrainBaselineConfig(
        model=SIZES["full"],
        wordings="report",
        optimizer=OptimizerConfig(learning_rate=2e-4, learning_rate_last=2e-5, warmup_steps=500),
        batch_size=256,
        steps=100_000,
        checkpoint_every=1000,
        score_records=2000,
        cpus_per_worker=8,
        gpu=True,
    ),
}
