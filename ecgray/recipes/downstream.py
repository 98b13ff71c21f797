"""Recipes of jobs/downstream.py.

debug    two draws, few passes: seconds. Shows that the path works, not more.
laptop   five draws of the MLP on latents: a minute or two.
paper    ten draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.downstream.config import ClassifierConfig, Task
from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one


@dataclass(frozen=True, kw_only=True)
class DownstreamConfig:
    """Does a classifier with too few patients of one class gain from generated ones?"""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("cpus_per_worker", "gpu")

    records: Path = tyro.MISSING
    """OUT of an ingest job: the classifier learns from split train and is asked about val and test."""
    generated: Path = tyro.MISSING
    """OUT of a generate job; those of the minority are used, be they like training records or of free prompts."""
    latents: Path | None = None
    """OUT of an encode job on the records; the MLP needs it."""
    generated_latents: Path | None = None
    """OUT of an encode job on the generated ECGs by the same autoencoder; the MLP needs it."""
    labels: Path | None = None
    """OUT of a label job on the records; the task svt needs it."""
    out: Path = tyro.MISSING
    """Where to write: results.json and results.md."""

    task: Task = "sex"
    """sex: men are few; svt: supraventricular tachycardia is rare beside sinus rhythm."""
    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    """The classifier."""
    majority: int = 200
    """Real ECGs of the frequent class."""
    minority: int = 20
    """Real ECGs of the rare class where it is rare."""
    test_each: int = 200
    """Test ECGs of each class, at the most."""
    draws: int = 5
    """How often training ECGs and first weights are drawn; SD is over these."""
    seed: int = 0
    """Draws all of it."""
    cpus_per_worker: float = 1.0
    """CPUs, and threads, of each draw; as many run side by side as the cluster holds."""
    gpu: bool = False
    """A GPU for each."""

    def __post_init__(self) -> None:
        at_least_one(self, "majority", "minority", "test_each")
        above_zero(self, "cpus_per_worker")
        if self.draws < 2:
            raise ConfigError(f"draws={self.draws}; a standard deviation needs two, better five or more.")

    def refuse_incomplete(self) -> None:
        """Raise `ConfigError` where an input is missing that the classifier or the task needs."""
        if self.model.kind == "mlp" and (self.latents is None or self.generated_latents is None):
            raise ConfigError("the MLP reads latents; give --latents and --generated-latents, or --model.kind resnet.")
        if self.task == "svt" and self.labels is None:
            raise ConfigError("task svt needs to know the rhythms; give --labels, OUT of a label job on the records.")


DOWNSTREAM = {
    "debug": DownstreamConfig(model=ClassifierConfig(epochs=5), draws=2, majority=20, minority=4, test_each=20),
    "laptop": DownstreamConfig(),
    "paper": DownstreamConfig(draws=10),
}
