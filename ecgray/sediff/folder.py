"""A trained autoencoder as a model folder: written by `jobs/train_vae.py`, read by whoever encodes or decodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ecgray.artifact import ModelFolder, load_model, save_model
from ecgray.errors import ArtifactError
from ecgray.sediff.config import VaeConfig
from ecgray.sediff.vae import Vae
from ecgray.settings import to_json

KIND = "sediff-vae"


@dataclass(frozen=True)
class LoadedVae:
    """An autoencoder ready for use."""

    vae: Vae
    fingerprint: str
    details: dict[str, Any]
    """What config.json says besides the network: data and figures of its training."""


def save_vae(folder: Path, vae: Vae, *, card: str, details: Mapping[str, Any]) -> None:
    """Write the folder, whole or not at all."""
    save_model(
        folder,
        config={"kind": KIND, "network": to_json(vae.config), "details": dict(details)},
        preprocessor={"fs_hz": 500, "unit": "mV", "filter": "none", "scale": "none", "input": vae.config.input},
        tensors=vae.state_dict(),
        card=card,
    )


def load_vae(folder: Path, *, device: str = "cpu") -> LoadedVae:
    """Read a model folder, every checksum verified; OUT of a train_vae job will do, and the folder of a generator.

    Raises `ArtifactError` where the folder is damaged or holds another kind of model.
    """
    folder = folder / "model" if (folder / "model").is_dir() else folder
    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}; give OUT of a train_vae job, or its model folder.")
    found = load_model(folder)
    part, tensors = _autoencoder(found)
    if part is None:
        raise ArtifactError(f"{folder} holds no autoencoder; give OUT of a train_vae job, or its model folder.")
    vae = Vae(found.settings(part, VaeConfig))
    try:
        vae.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError:
        raise ArtifactError(
            f"{folder} holds weights of another shape than its config.json says; export the model again."
        ) from None
    return LoadedVae(vae.to(device).eval(), found.fingerprint, found.field("details", dict))


def _autoencoder(found: ModelFolder) -> tuple[str | None, dict[str, Tensor]]:
    """The field of its settings, and its weights: the whole folder, or a generator's part; None where there is none."""
    if found.config.get("kind") == KIND:
        return "network", found.tensors
    mine = {name.removeprefix("vae."): value for name, value in found.tensors.items() if name.startswith("vae.")}
    return "vae" if mine else None, mine


def vae_card(config: VaeConfig, *, records: str, training: Mapping[str, object], figures: Mapping[str, object]) -> str:
    """The model card as Markdown."""
    return "\n".join(
        [
            "# An autoencoder of 12-lead ECGs (SE-Diff Eq. 11-16)",
            "",
            "**Research use only.** Not a medical device; what it reconstructs or decodes is no recording.",
            "",
            f"10 s, 12 leads, mV at 500 Hz become a latent of {config.latent_channels} x 128 and come back; a second",
            "decoder writes one beat (0.6 s) from the same latent.",
            "",
            "## Trained on",
            "",
            records,
            "",
            "## How",
            "",
            f"- preset: {config.preset_name}",
            f"- input: {config.input}, {config.samples} samples, stride {config.stride}; leads: {config.leads}",
            f"- widths {', '.join(map(str, config.widths))}, {config.blocks} blocks at each rate",
            *[f"- {name}: {value}" for name, value in training.items()],
            "",
            "## Results on patients it never saw",
            "",
            *[f"- {name}: {value}" for name, value in figures.items()],
            "",
        ]
    )
