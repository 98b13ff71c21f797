"""Recipes of jobs/fit_simulator.py.

debug    three classes, few steps: seconds.
laptop   twenty classes that a beat shows, up to 200 beats each; a minute or two of one core.
paper    the same; what a cluster speeds up is reading the beats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import above_zero, at_least_one
from ecgray.waveform.fitting_config import FitConfig


@dataclass(frozen=True, kw_only=True)
class FitSimulatorConfig:
    """Fit the simulator to the typical beats of classes, lead by lead (SE-Diff App. C). Training patients only."""

    PLACEMENT: ClassVar[tuple[str, ...]] = ("cpus",)

    records: tuple[Path, ...] = ()
    """OUT of ingest jobs, one an archive."""
    labels: tuple[Path, ...] = ()
    """OUT of label jobs on the same records, in the same order: they say which records are of a class."""
    intervals: tuple[Path, ...] = ()
    """OUT of measure jobs on the same records, in the same order: where the R peaks are."""
    out: Path = tyro.MISSING
    """The folder to write: eta.json, fit.csv and fit.svg."""
    classes: tuple[str, ...] = ()
    """Terms to fit; without any the `top` most frequent."""
    top: int = 20
    """How many classes, where none is named."""
    beats_per_record: int = 5
    """Beats of one record at the most: many patients are worth more than many beats of one."""
    fit: FitConfig = field(default_factory=FitConfig)
    """The losses and how they are made small."""
    cpus: float = 1.0
    """CPUs, and threads, of the fit."""

    def __post_init__(self) -> None:
        counts = {len(self.records), len(self.labels), len(self.intervals)}
        if len(counts) != 1:
            raise ConfigError(
                f"records, labels and intervals name {len(self.records)}, {len(self.labels)} and "
                f"{len(self.intervals)} folders; give one of each for every archive, in the same order."
            )
        at_least_one(self, "top", "beats_per_record")
        above_zero(self, "cpus")


CLASSES = (
    "normal ecg",
    "sinus bradycardia",
    "sinus tachycardia",
    "atrial fibrillation",
    "first degree av block",
    "right bundle branch block",
    "incomplete right bundle branch block",
    "left bundle branch block",
    "left anterior fascicular block",
    "left ventricular hypertrophy",
    "high qrs voltage",
    "anterior myocardial infarction",
    "anteroseptal myocardial infarction",
    "inferior myocardial infarction",
    "ischemia",
    "st depression",
    "st elevation",
    "nondiagnostic t wave abnormality",
    "left atrial enlargement",
    "septal myocardial infarction",
)
"""Twenty that a beat may show. Of the twenty most frequent terms many are groups ("arrhythmia") and some are rare beats
among usual ones (premature complexes): neither has a typical beat of its own."""

FIT_SIMULATOR = {
    "debug": FitSimulatorConfig(top=3, fit=FitConfig(adamw_steps=30, lbfgs_steps=10, warmup_steps=5, min_beats=3)),
    "laptop": FitSimulatorConfig(classes=CLASSES),
    "paper": FitSimulatorConfig(classes=CLASSES, cpus=8),
}
