"""What every generator does on its way from a folder to an ECG: open, fill, ask the text encoder, go by batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from ecgray.artifact import ModelFolder, load_model
from ecgray.errors import ArtifactError, ConfigError
from ecgray.sediff.diffusion_config import ConditionConfig
from ecgray.sediff.prompts import Prompt, understood
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.settings import from_json
from ecgray.text.encoders import TextEncoder

if TYPE_CHECKING:
    from torch import Tensor

    from ecgray.sediff.condition import Condition


def open_generator(folder: Path, *kinds: str) -> ModelFolder:
    """The model folder of a generator of one of these kinds, every checksum verified; OUT of its job will do.

    Raises `ArtifactError` where the folder is damaged or holds another kind of model.
    """
    folder = folder / "model" if (folder / "model").is_dir() else folder
    if not folder.is_dir():
        raise ArtifactError(f"there is no folder {folder}; give OUT of a train_diffusion job, or its model folder.")
    stored = load_model(folder)
    if stored.config.get("kind") not in kinds:
        raise ArtifactError(f"{folder} holds no generator; give OUT of a train_diffusion job, or its model folder.")
    return stored


def check_width(encoder: TextEncoder, rules: ConditionConfig) -> None:
    """Raise `ConfigError` where the network reads vectors of another width than the encoder gives."""
    if rules.text_width != encoder.width:
        raise ConfigError(
            f"text encoder {encoder.name!r} gives {encoder.width} numbers a text and the denoiser reads "
            f"text_width={rules.text_width}; the two must be equal."
        )


def fill(network: Any, tensors: Mapping[str, Tensor], *, prefix: str, folder: Path) -> None:
    """Load the weights whose names begin with `prefix`; raises `ArtifactError` where they do not fit."""
    mine = {key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)}
    try:
        network.load_state_dict(mine)
    except RuntimeError:
        raise ArtifactError(
            f"{folder} holds weights of another shape than its config.json says; export the model again."
        ) from None


def encode_prompts(prompts: Sequence[Prompt], encoder: TextEncoder, rules: ConditionConfig) -> Condition:
    """What a network reads of these prompts; each distinct text is encoded once."""
    import torch

    from ecgray.sediff.condition import Condition
    from ecgray.sediff.examples import number_texts
    from ecgray.sediff.texts import encode_texts

    asked = [understood(prompt) for prompt in prompts]
    distinct, (texts, reports) = number_texts(
        [[prompt.text for prompt in asked], [prompt.experience for prompt in asked]]
    )
    vectors = encode_texts(distinct, encoder, tokens=rules.tokens, most_tokens=rules.most_tokens)
    numbers = torch.tensor([prompt.numbers for prompt in asked], dtype=torch.float32).reshape(-1, 3)
    parts = (*vectors.batch(texts), *vectors.batch(reports))
    return Condition(*parts, torch.nan_to_num(numbers), ~numbers.isnan())


def sampling_of(
    details: Mapping[str, Any],
    *,
    steps: int | None = None,
    sampler: str | None = None,
    guidance_scale: float | None = None,
) -> SamplingConfig:
    """A generator's own sampling, but for what is said. Raises `ConfigError` where it cannot be so."""
    own = from_json(SamplingConfig, details["sampling"]) if "sampling" in details else SamplingConfig()
    said = {"steps": steps, "sampler": sampler, "guidance_scale": guidance_scale}
    return dataclasses.replace(own, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]


def batches(count: int, batch_size: int) -> Iterator[Int64[np.ndarray, " row"]]:
    """Rows in batches; where there are several, the last is filled up with rows that come again.

    >>> [rows.tolist() for rows in batches(5, 3)]
    [[0, 1, 2], [3, 4, 3]]
    """
    for start in range(0, count, batch_size):
        rows = np.arange(start, min(start + batch_size, count))
        yield np.resize(rows, batch_size) if count > batch_size else rows
