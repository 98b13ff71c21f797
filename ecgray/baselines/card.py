"""The model card of a baseline."""

from __future__ import annotations

from collections.abc import Mapping

from ecgray.baselines.config import BaselineConfig

_IDEA = {
    "wgan": "A conditional Wasserstein GAN with gradient penalty: 8 leads, 10 s at 102.4 Hz, in one pass.",
    "sssd": "A conditional diffusion of 8 leads, 10 s at 102.4 Hz, by residual blocks of diagonal state spaces.",
    "beatdiff": "A conditional diffusion of one beat of 8 leads, tiled to 10 s at the asked heart rate: its rhythm is "
    "regular whatever is asked for.",
}


def baseline_card(
    config: BaselineConfig, *, records: str, training: Mapping[str, object], figures: Mapping[str, object]
) -> str:
    """The card as Markdown."""
    return "\n".join(
        [
            f"# A generator of 12-lead ECGs to compare with: {config.kind}",
            "",
            "**Research use only.** Not a medical device. Every ECG that it draws is synthetic and marked so.",
            "",
            _IDEA[config.kind],
            "Written anew from the idea of its paper; told text, age, sex and heart rate.",
            "",
            "## Trained on",
            "",
            records,
            "",
            "## How",
            "",
            f"- draws with: {config.sampling.sampler}, {config.sampling.steps} steps",
            *[f"- {name}: {value}" for name, value in training.items()],
            "",
            "## Results for conditions of patients it never saw",
            "",
            *[f"- {name}: {value}" for name, value in figures.items()],
            "",
        ]
    )
