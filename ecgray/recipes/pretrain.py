"""Recipes of jobs/pretrain.py.

debug    2 CPU workers, a narrow network, 40 steps: seconds. Shows that the path works, not more.
laptop   2 CPU workers, the same network, up to 30 epochs: minutes for some thousand records.
paper    4 GPU workers, ViT-tiny with lead tokens, MedCPT, 1,024 records a step, 100 epochs (SuPreME section 4.1).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.supreme.config import SIZES, LossConfig, OptimizerConfig, Preset, SupremeConfig, preset
from ecgray.supreme.preprocess import PreprocessConfig


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Train a SuPreME classifier on records and their terms."""

    PLACEMENT: ClassVar[tuple[str, ...]] = (
        "workers",
        "cpus_per_worker",
        "gpu",
        "spare_cpus",
        "memory_mb",
        "checkpoint_every",
    )

    records: Path = tyro.MISSING
    """OUT of an ingest job, or its records table."""
    labels: Path = tyro.MISSING
    """OUT of a label job, or its labels table."""
    out: Path = tyro.MISSING
    """Where to write: OUT/model the model folder, OUT/metrics.jsonl and OUT/tensorboard the journal."""

    preset: Preset | None = None
    """Set the disputed points (docs/deviations.md) together: paper, peer or ours."""
    model: SupremeConfig = field(default_factory=lambda: SIZES["debug"])
    """The network; model.dropout is the one dropout ratio."""
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    """From stored counts to what the network reads."""
    text_encoder: str = "lexical"
    """The frozen text encoder: lexical, a folder with a HF model, or a hub name."""
    text_pooler: Literal["cls", "pooler"] = "cls"
    """Its vector of a text: the first token's last state (cls, Eq. 3) or the model's own pooler output."""
    loss: LossConfig = field(default_factory=LossConfig)
    """What is made small."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How it is made small."""
    one_cycle: bool = False
    """The learning rate falls once over the whole run instead of restarting every optimizer.restart_steps."""

    unseen_terms: tuple[str, ...] = ()
    """Terms kept from training: records that carry one are left out of training and validation."""
    min_term_count: int = 10
    """A term is learnt when at least so many training records carry it."""

    batch_size: int = 32
    """Records in one step, over all workers."""
    epochs: int = 10
    """Passes over the training records at the most."""
    steps: int = 0
    """Steps at the most; 0: as many as the epochs have."""
    evaluate_every: int = 0
    """Steps between two looks at the held-out patients; 0: an epoch."""
    val_records: int = 0
    """Held-out records for those looks, drawn once; 0: all of split val."""
    patience: int = 10
    """Looks without a better macro AUC after which to stop; 0: never."""
    checkpoint_every: int = 50
    """Steps between two checkpoints: what a crash costs at the most."""
    seed: int = 0
    """Draws the first weights, the order of the records and every dropout."""

    workers: int = 2
    """Training processes."""
    cpus_per_worker: float = 0.5
    """CPUs that Ray keeps for each; half a CPU each on a laptop."""
    gpu: bool = False
    """A GPU for each."""
    spare_cpus: float = 1.0
    """CPUs that must remain for Ray Data and the drivers; asked for beside the workers before the run begins."""
    bf16: bool = False
    """Compute in bfloat16 where it is safe (autocast); weights stay float32."""
    compile: bool = False
    """Compile the network with torch.compile; worth its start-up where a run takes hours."""
    window_groups: int = 32
    """Row groups of records that are mixed at a time (32 hold 2,048 records, 250 MB)."""
    memory_mb: int = 1000
    """Records that a worker keeps in memory, at least one window; where all fit, they are read once."""

    def __post_init__(self) -> None:
        for least, names in _LEAST.items():
            for name in names:
                if getattr(self, name) < least:
                    raise ConfigError(f"{name}={getattr(self, name)} must be at least {least}.")
        if self.workers < 0 or self.cpus_per_worker <= 0 or self.spare_cpus < 0:
            raise ConfigError(
                f"workers={self.workers}, cpus_per_worker={self.cpus_per_worker} and spare_cpus={self.spare_cpus} "
                "must be counts of something; workers=0 trains in the calling process, for tests."
            )
        if self.batch_size < self.workers:
            raise ConfigError(
                f"batch_size={self.batch_size} leaves some of the {self.workers} workers without a record; "
                "it counts the records of all workers together."
            )

    def with_preset(self) -> PretrainConfig:
        """The same settings with the disputed points as `preset` has them."""
        if self.preset is None:
            return self
        ours = self.preset == "ours"
        return dataclasses.replace(
            self,
            model=preset(self.preset, self.model),
            preprocess=dataclasses.replace(self.preprocess, scale="millivolt" if ours else "minmax"),
            text_pooler="pooler" if self.preset == "peer" else "cls",
        )


_LEAST = {
    0: ("steps", "evaluate_every", "val_records", "patience"),
    1: ("batch_size", "epochs", "checkpoint_every", "window_groups", "min_term_count", "memory_mb"),
}

_MILLIVOLT = PreprocessConfig(scale="millivolt")  # small networks learn little from min-max: amplitude is lost

PRETRAIN = {
    "debug": PretrainConfig(
        model=SIZES["debug"],
        preprocess=_MILLIVOLT,
        batch_size=32,
        steps=40,
        evaluate_every=20,
        checkpoint_every=10,
        min_term_count=1,
    ),
    "laptop": PretrainConfig(
        model=SIZES["laptop"], preprocess=_MILLIVOLT, batch_size=32, epochs=30, patience=6, one_cycle=True
    ),
    "paper": PretrainConfig(
        model=SIZES["vit_tiny"],
        text_encoder="ncbi/MedCPT-Query-Encoder",
        batch_size=1024,
        epochs=100,
        patience=10,
        checkpoint_every=250,
        workers=4,
        cpus_per_worker=4,
        gpu=True,
        bf16=True,
        memory_mb=8000,
    ),
}
