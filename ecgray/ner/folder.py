"""The trained model as a Hugging Face folder: weights in bfloat16, tokenizer, card, and the sums of all files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecgray.artifact import SUMS

if TYPE_CHECKING:
    from torch import Tensor


def save_folder(folder: Path, model: Any, weights: Mapping[str, Tensor], tokenizer: Any, *, card: str) -> None:
    """Write the folder, whole or not at all; an older one in its place is replaced."""
    import torch

    model.load_state_dict(weights)
    model.to(torch.bfloat16)
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        model.save_pretrained(part, safe_serialization=True)
        tokenizer.save_pretrained(part)
        (part / "README.md").write_text(card)
        for path in part.iterdir():
            path.chmod(0o644)
        write_sums(part)
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def weights_of(model: Any) -> dict[str, Tensor]:
    """The model's weights, those that two layers share once: safetensors refuses them twice."""
    seen: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            kept[name] = tensor
    return kept


def write_card(folder: Path, card: str) -> None:
    """Another card in the folder, its sums made anew."""
    (folder / "README.md").write_text(card)
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """SHA256SUMS over every other file, as `sha256sum -c` reads it."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))


def ner_card(
    *,
    made_by: str,
    source: str,
    parameters: int,
    terms: int,
    training: Mapping[str, object],
    figures: Mapping[str, object],
) -> str:
    """The model card as Markdown."""
    return "\n".join(
        [
            "# A small Llama that reads ECG statements",
            "",
            "**Research use only.** Not a medical device.",
            "",
            "A statement of an ECG report goes in, JSON comes out: the entities that it names, how sure it is of each,",
            "and the words that say so; `unknown` where some or all of it lies outside what the model knows.",
            f"{parameters:,} parameters, {terms} standard terms of ecgray's vocabulary, English only.",
            "",
            "## Made by",
            "",
            f"    {made_by}",
            "",
            source,
            "",
            *[f"- {name}: {value}" for name, value in training.items()],
            "",
            "## Results, through the engine that serves it",
            "",
            *[f"- {name}: {value}" for name, value in figures.items()],
            "",
            "Statements drawn by the grammar say little of real reports: docs/results.md has those.",
            "",
            "## Limits",
            "",
            "A closed vocabulary. Words that it does not know are spelled letter by letter and mostly answered with",
            "`unknown`; a finding next to one may be missed. It reads single statements, whole reports less well.",
            "",
            "## Files",
            "",
            "A Hugging Face folder, weights in bfloat16; `sha256sum -c SHA256SUMS` checks it.",
            "",
        ]
    )
