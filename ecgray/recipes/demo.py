"""Recipes of jobs/demo.py: the whole path on the embedded archive.

debug    what `make demo` runs: some ten minutes on two idle cores.
smoke    the same path, too small to learn from: a minute. For tests.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from ecgray.errors import ConfigError
from ecgray.models.generator import EMBEDDED
from ecgray.recipes.encode import ENCODE, EncodeConfig
from ecgray.recipes.extract import EXTRACT, ExtractConfig
from ecgray.recipes.generate import GENERATE, GenerateConfig
from ecgray.recipes.ingest import INGEST, IngestConfig
from ecgray.recipes.label import LABEL, LabelConfig
from ecgray.recipes.measure import MEASURE, MeasureConfig
from ecgray.recipes.pretrain import PRETRAIN, PretrainConfig
from ecgray.recipes.retrieve import RETRIEVE, RetrieveConfig
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION, TrainDiffusionConfig
from ecgray.recipes.train_vae import TRAIN_VAE, TrainVaeConfig
from ecgray.recipes.zeroshot import ZEROSHOT, ZeroshotConfig
from ecgray.sediff.config import OptimizerConfig

BASE = "laptop"
"""The recipe that the demo's stages start from."""

UNSEEN = (
    "inferior st depression",
    "lateral t wave inversion",
    "incomplete right bundle branch block",
    "second degree av block",
    "anterior st elevation",
)
"""Conditions whose labels the demo's classifier never sees; written down before any score was."""

SHOWN = (
    "normal ecg",
    "atrial fibrillation",
    "left bundle branch block",
    "inferior myocardial infarction",
    "second degree av block",
    "anterior st elevation",
)
"""Conditions of which the report draws an ECG: the first test record that carries it."""

PROMPTS = (
    "sinus bradycardia, 50 bpm",
    "sinus tachycardia, 120 bpm",
    "sinus rhythm, left bundle branch block, 72 bpm, 71-year-old woman",
    "atrial fibrillation with rapid ventricular response, 130 bpm",
    "sinus rhythm, acute inferior infarction with st elevation, 88 bpm, 58-year-old man",
    "sinus rhythm with first degree av block, 64 bpm",
    "normal ecg, sinus rhythm",
)
"""Texts that the demo has ECGs written from; the report shows the first of each."""


@dataclass(frozen=True, kw_only=True)
class DrawingConfig:
    """What the drawn archive depends on."""

    patients: int
    """Patients to draw."""
    damaged: int
    """Recordings to damage."""
    seed: int
    """Draws the patients."""


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Draw an archive, read it, learn from it, ask about patients never seen, write a report."""

    out: Path = Path("runs/demo")
    """Where everything is written: OUT/report.html and a folder a stage."""
    patients: int = 4500
    """Patients to draw; each has one recording or a few."""
    damaged: int = 2
    """Recordings to damage, so that the quarantine has something to show."""
    seed: int = 1
    """Draws the patients."""
    epochs: int = 14
    """Passes over the training records."""
    unseen_terms: tuple[str, ...] = UNSEEN
    """Terms kept from training and asked about afterwards."""
    shown_terms: tuple[str, ...] = SHOWN
    """Terms of which the report draws an ECG."""
    vae_steps: int = 500
    """Steps in which the autoencoder learns, from the first file of records."""
    real: Path | None = None
    """A real recording (WFDB header, 12 leads) to show beside its reconstruction too."""
    generator_steps: int = 300
    """Steps that the generator which ships learns on, from the first file of records."""
    prompts: tuple[str, ...] = PROMPTS
    """Texts to write ECGs from."""
    ecgs_each: int = 4
    """ECGs for each of them."""
    example_term: str = "left bundle branch block"
    """Term of the ECG in OUT/demo.svg."""

    def __post_init__(self) -> None:
        if self.patients < 100:
            raise ConfigError(f"patients={self.patients}; the demo needs at least 100 to have some in every split.")

    @property
    def archive(self) -> Path:
        """The folder of the drawn archive."""
        return self.out / "archive"

    def drawing(self) -> DrawingConfig:
        """The settings of the drawn archive."""
        return DrawingConfig(patients=self.patients, damaged=self.damaged, seed=self.seed)

    def ingest(self) -> IngestConfig:
        """The settings of the stage that reads the archive."""
        return dataclasses.replace(INGEST[BASE], archive=self.archive, out=self.out / "ingest")

    def extract(self) -> ExtractConfig:
        """The settings of the stage that reads its reports."""
        return dataclasses.replace(EXTRACT[BASE], records=self.out / "ingest", out=self.out / "entities")

    def label(self) -> LabelConfig:
        """The settings of the stage that labels its records, by what was read in their reports."""
        return dataclasses.replace(
            LABEL[BASE],
            records=self.out / "ingest",
            source="entities",
            entities=self.out / "entities",
            out=self.out / "labels",
        )

    def pretrain(self) -> PretrainConfig:
        """The settings of the stage that learns from them."""
        return dataclasses.replace(
            PRETRAIN[BASE],
            records=self.out / "ingest",
            labels=self.out / "labels",
            out=self.out / "pretrain",
            unseen_terms=self.unseen_terms,
            epochs=self.epochs,
        )

    @property
    def first_records(self) -> Path:
        """The first file of records, some 500: as many as a few minutes of an autoencoder can use."""
        return self.out / "ingest" / "records" / "part-00000.parquet"

    def measure(self) -> MeasureConfig:
        """The settings of the stage that finds their beats."""
        return dataclasses.replace(MEASURE[BASE], records=self.first_records, out=self.out / "intervals")

    def vae(self) -> TrainVaeConfig:
        """The settings of the stage that teaches the autoencoder."""
        return dataclasses.replace(
            TRAIN_VAE[BASE],
            records=self.first_records,
            intervals=self.out / "intervals",
            out=self.out / "vae",
            steps=self.vae_steps,
            batch_size=16,
            optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=30),
            score_records=60,
            workers=2,
        )

    def encode(self) -> EncodeConfig:
        """The settings of the stage that brings those records to the latents of the generator that ships."""
        return dataclasses.replace(ENCODE[BASE], records=self.first_records, vae=EMBEDDED, out=self.out / "latents")

    def retrieve(self) -> RetrieveConfig:
        """The settings of the stage that looks for similar patients."""
        return dataclasses.replace(
            RETRIEVE[BASE], records=self.out / "ingest", ehr=self.archive, out=self.out / "experience"
        )

    def diffusion(self) -> TrainDiffusionConfig:
        """The settings of the stage that trains the generator on."""
        return dataclasses.replace(
            TRAIN_DIFFUSION[BASE],
            records=self.first_records,
            latents=self.out / "latents",
            vae=EMBEDDED,
            labels=self.out / "labels",
            intervals=self.out / "intervals",
            experience=self.out / "experience",
            start=EMBEDDED,
            wordings="both",
            optimizer=OptimizerConfig(learning_rate=1e-4, warmup_steps=30),
            steps=self.generator_steps,
            batch_size=32,
            score_records=16,
            out=self.out / "generator",
        )

    def generate(self) -> GenerateConfig:
        """The settings of the stage that writes ECGs from text."""
        return dataclasses.replace(
            GENERATE[BASE],
            model=self.out / "generator",
            prompts=self.out / "prompts.txt",
            n=self.ecgs_each,
            batch_size=8,
            out=self.out / "written",
        )

    def measure_written(self) -> MeasureConfig:
        """The settings of the stage that measures them."""
        return dataclasses.replace(MEASURE[BASE], records=self.out / "written", out=self.out / "written-intervals")

    def zeroshot(self, task: str) -> ZeroshotConfig:
        """The settings of the stage that asks test patients about the classes of a task."""
        return dataclasses.replace(
            ZEROSHOT[BASE],
            model=self.out / "pretrain",
            records=self.out / "ingest",
            queries=task,
            out=self.out / task,
            splits=("test",),
        )


DEMO = {
    "debug": DemoConfig(),
    "smoke": DemoConfig(out=Path("runs/smoke"), patients=150, epochs=1, vae_steps=3, generator_steps=3, ecgs_each=1),
}
