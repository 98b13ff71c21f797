"""Recipes of jobs/ablate.py: SE-Diff without each of its parts (Tables 1, 4 and 8), everything else the same.

debug    two variants, a tiny network, 8 steps.
sediff   every variant, each as train_diffusion's recipe laptop.
paper    every variant, each as train_diffusion's recipe paper.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from ecgray.errors import ConfigError
from ecgray.recipes.checks import at_least_one
from ecgray.recipes.encode import EncodeConfig
from ecgray.recipes.generate import GenerateConfig
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION, TrainDiffusionConfig

Variant = Literal[
    "full",
    "w/o Sim",
    "w/o InterLead",
    "w/o Exp",
    "w/o Beat",
    "w/o Spec",
    "cosine",
    "flow",
    "epsilon",
    "min-SNR",
    "peer",
]
OTHER_VAE = ("w/o Beat", "w/o Spec")
"""Variants of the autoencoder: they need one of their own."""


@dataclass(frozen=True, kw_only=True)
class AblateConfig(TrainDiffusionConfig):
    """Train the diffusion once for each variant and score them in one table; other fields are train_diffusion's."""

    variants: tuple[Variant, ...] = (
        "full",
        "w/o Sim",
        "w/o InterLead",
        "w/o Exp",
        "w/o Beat",
        "w/o Spec",
        "cosine",
        "flow",
        "epsilon",
        "min-SNR",
    )
    """Which of them; those without an autoencoder of their own are left out and named."""
    vae_without_beat: Path | None = None
    """OUT of the same train_vae job with --model.loss.beat-weight 0, for `w/o Beat`."""
    vae_without_spec: Path | None = None
    """OUT of the same train_vae job with --model.loss.alpha-spec 0, for `w/o Spec`."""
    scorer: Path = tyro.MISSING
    """OUT of a train_scorer job."""
    texts: Literal["report", "terms"] = "report"
    """The text of each record in the table, as the generate job's `wordings`."""
    splits: tuple[str, ...] = ("test",)
    """Patients whose conditions are asked for in the table."""
    ecgs: int = 500
    """ECGs of each variant in the table, at the most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "ecgs")
        if self.start is not None:
            raise ConfigError(f"start={self.start} cannot be used: variants begin from nothing, to differ in one part.")
        if "full" not in self.variants or len(set(self.variants)) < len(self.variants):
            raise ConfigError(
                f"variants={self.variants} must name each once, and the full model, which others lack from."
            )

    @property
    def runnable(self) -> tuple[Variant, ...]:
        """The variants of which everything is there."""
        return tuple(one for one in self.variants if one not in OTHER_VAE or self.vae_of(one) is not None)

    def vae_of(self, variant: Variant) -> Path | None:
        """The autoencoder of a variant."""
        own = {"w/o Beat": self.vae_without_beat, "w/o Spec": self.vae_without_spec}
        return own.get(variant, self.vae)

    def encode(self, variant: Variant) -> EncodeConfig:
        """The encode job of a variant with an autoencoder of its own."""
        vae = self.vae_of(variant)
        assert vae is not None
        return EncodeConfig(
            records=self.records,
            vae=vae,
            out=self.out / "latents" / folder_name(variant),
            workers=self.workers,
            cpus_per_worker=self.cpus_per_worker,
            gpu=self.gpu,
        )

    def train(self, variant: Variant) -> TrainDiffusionConfig:
        """The train_diffusion job of a variant."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(TrainDiffusionConfig)}
        fields |= {"out": self.out / "models" / folder_name(variant), "vae": self.vae_of(variant)}
        if variant in OTHER_VAE:
            fields["latents"] = self.encode(variant).out
        plain = TrainDiffusionConfig(**fields)
        if variant == "peer":
            return dataclasses.replace(plain, preset="peer")
        part, changes = _CHANGES.get(variant, ("simulator", {}))
        settled = plain.settled()
        changed = dataclasses.replace(getattr(settled.model, part), **changes)
        return dataclasses.replace(plain, preset=None, model=dataclasses.replace(settled.model, **{part: changed}))

    def generate(self, variant: Variant) -> GenerateConfig:
        """The generate job of a variant: the same conditions and noise for each."""
        return GenerateConfig(
            model=self.out / "models" / folder_name(variant),
            like=self.records,
            labels=self.labels,
            intervals=self.intervals,
            experience=self.experience,
            wordings=self.texts,
            splits=self.splits,
            most=self.ecgs,
            seed=self.seed,
            wfdb=False,
            out=self.out / "generated" / folder_name(variant),
            workers=self.workers,
            cpus_per_worker=self.cpus_per_worker,
            gpu=self.gpu,
        )


_CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "w/o Sim": ("simulator", {"lambda_euler": 0.0}),
    "w/o InterLead": ("simulator", {"gamma_inter_lead": 0.0}),
    "w/o Exp": ("condition", {"experience": False}),
    "cosine": ("schedule", {"path": "cosine"}),
    "flow": ("schedule", {"path": "flow", "prediction": "flow"}),
    "epsilon": ("schedule", {"prediction": "epsilon"}),
    "min-SNR": ("schedule", {"min_snr_gamma": 5.0}),
}
"""The one part that each variant differs in."""


def folder_name(variant: str) -> str:
    """A variant's name on disk.

    >>> folder_name("w/o Sim"), folder_name("full")
    ('without-sim', 'full')
    """
    return variant.replace("w/o ", "without-").lower()


def _over(recipe: str, **changes: Any) -> AblateConfig:
    base = TRAIN_DIFFUSION[recipe]
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(TrainDiffusionConfig)}
    given = {name: value for name, value in fields.items() if value is not tyro.MISSING}
    return AblateConfig(**(given | changes))


ABLATE = {
    "debug": _over("debug", variants=("full", "w/o Sim"), steps=8, checkpoint_every=8, workers=1, ecgs=6),
    "sediff": _over("laptop"),
    "paper": _over("paper", ecgs=2000),
}
