"""The model card: what a classifier was trained on, how it scored, what it is for and what not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecgray.supreme.config import SupremeConfig


def model_card(
    *,
    config: SupremeConfig,
    text_encoder: str,
    records: str,
    training: Mapping[str, object],
    figures: Mapping[str, object],
    terms: Sequence[str],
    unseen_terms: Sequence[str] = (),
) -> str:
    """The card as Markdown. `records` says in a sentence what it was trained on; the rest are settings and results."""
    encoder, fusion = config.encoder, config.fusion
    return "\n".join(
        [
            "# A SuPreME zero-shot ECG classifier",
            "",
            "**Research use only.** Not a medical device; not for diagnosis, triage or treatment.",
            "",
            "Reads a 12-lead ECG (10 s, 500 Hz) and free-text questions; answers each with a score between 0 and 1.",
            "The scores are **not calibrated**: they rank records, they are not probabilities of disease.",
            "",
            "## Trained on",
            "",
            records,
            "",
            f"{len(terms)} terms seen: {', '.join(sorted(terms)) or 'none'}.",
            f"Kept unseen on purpose: {', '.join(sorted(unseen_terms)) or 'none'}.",
            "",
            "## How",
            "",
            f"- preset: {config.preset_name}",
            f"- encoder: {encoder.tokens} tokens ({encoder.token_count}), width {encoder.width}, "
            f"{encoder.depth} blocks, {encoder.heads} heads",
            f"- fusion: width {fusion.width}, {fusion.depth} layers, {fusion.heads} heads, "
            f"query self-attention {fusion.query_self_attention}",
            f"- dropout: {config.dropout}",
            f"- text encoder (frozen): {text_encoder}"
            + (", made by `python -m ecgray.text.build_lexical`" if text_encoder == "lexical" else ""),
            *[f"- {name}: {value}" for name, value in training.items()],
            "",
            "## Results",
            "",
            *([f"- {name}: {value}" for name, value in figures.items()] or ["None measured."]),
            "",
            "## Limits",
            "",
            "It was trained for the records named above; other recorders, populations and leads may score otherwise.",
            "A question far from the terms it was trained on gets an answer all the same: measure before you trust.",
            "",
            "## Files",
            "",
            "config.json, preprocessor.json, model.safetensors; SHA256SUMS covers them (`sha256sum -c SHA256SUMS`).",
            "",
        ]
    )
