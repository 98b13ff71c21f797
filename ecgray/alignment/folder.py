"""A trained scorer as a model folder, and what it is asked: embeddings of ECGs and of texts, and their agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int16

from ecgray.alignment.config import ScorerConfig
from ecgray.alignment.model import Scorer
from ecgray.artifact import load_model, save_model
from ecgray.errors import ArtifactError
from ecgray.settings import to_json
from ecgray.supreme.preprocess import preprocess
from ecgray.text.encoders import TextEncoder, encoder_of

KIND = "ecg-text-scorer"


@dataclass(frozen=True)
class LoadedScorer:
    """A scorer ready for use."""

    model: Scorer
    encoder: TextEncoder
    fingerprint: str
    details: dict[str, Any]
    """What config.json says besides the network: data and figures of its training."""

    @torch.inference_mode()
    def embed_ecg(
        self, counts: Int16[np.ndarray, "record lead=12 time=5000"], *, batch_size: int = 64
    ) -> Float[np.ndarray, "record width"]:
        """Vectors of length 1, one an ECG (counts of 1/1000 mV at 500 Hz)."""
        device, settings = next(self.model.parameters()).device, self.model.config
        starts = range(0, len(counts), batch_size)
        parts = [torch.tensor(counts[start : start + batch_size]).to(device) for start in starts]
        found = [self.model.embed_ecg(preprocess(part, settings.preprocess)).cpu().numpy() for part in parts]
        return np.concatenate([np.zeros((0, settings.width), np.float32), *found])

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        """Vectors of length 1, one a text; the agreement of an ECG and a text is their product."""
        vectors = torch.from_numpy(self.encoder.encode(list(texts)).astype(np.float32))
        return self.model.embed_text(vectors.to(next(self.model.parameters()).device)).cpu().numpy()


def save_scorer(folder: Path, model: Scorer, encoder: TextEncoder, *, card: str, details: Mapping[str, Any]) -> None:
    """Write the folder, whole or not at all."""
    save_model(
        folder,
        config={
            "kind": KIND,
            "network": to_json(model.config),
            "text_encoder": encoder.name,
            "text_pooler": encoder.pooler,
            "text_fingerprint": encoder.fingerprint,
            "details": dict(details),
        },
        preprocessor=to_json(model.config.preprocess),
        tensors=model.state_dict(),
        card=card,
    )


def load_scorer(folder: Path, *, device: str = "cpu") -> LoadedScorer:
    """Read a model folder, every checksum verified; OUT of a train_scorer job will do.

    Raises `ArtifactError` where the folder is damaged, holds another kind of model, or its text encoder has changed.
    """
    folder = folder / "model" if (folder / "model").is_dir() else folder
    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}; give OUT of a train_scorer job, or its model folder.")
    found = load_model(folder)
    if found.config.get("kind") != KIND:
        raise ArtifactError(f"{folder} holds no scorer; give OUT of a train_scorer job, or its model folder.")
    encoder = encoder_of(found, device=device)
    model = Scorer(found.settings("network", ScorerConfig))
    try:
        model.load_state_dict(found.tensors)
    except RuntimeError:
        raise ArtifactError(
            f"{folder} holds weights of another shape than its config.json says; export the model again."
        ) from None
    return LoadedScorer(model.to(device).eval(), encoder, found.fingerprint, found.field("details", dict))


def scorer_card(
    config: ScorerConfig,
    *,
    text_encoder: str,
    records: str,
    training: Mapping[str, object],
    figures: Mapping[str, object],
) -> str:
    """The model card as Markdown."""
    return "\n".join(
        [
            "# A scorer of ECGs and texts (for SE-Diff's rCLIP and rFID)",
            "",
            "**Research use only.** Not a medical device; it compares generated ECGs with recordings.",
            "",
            f"Brings a 12-lead ECG (10 s, 500 Hz) and a text to vectors of {config.width} numbers; their cosine says",
            "how well they agree.",
            "",
            "## Trained on",
            "",
            records,
            "",
            "## How",
            "",
            f"- ECG encoder: {config.encoder}",
            f"- text encoder (frozen): {text_encoder}",
            "- loss: symmetric InfoNCE; records with the same text are no negatives",
            *[f"- {name}: {value}" for name, value in training.items()],
            "",
            "## Results on patients it never saw",
            "",
            "Each ECG looks for its text among those of all held-out records, and each text for its ECG.",
            "",
            *[f"- {name}: {value}" for name, value in figures.items()],
            "",
        ]
    )
