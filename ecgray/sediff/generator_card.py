"""The model card of a generator."""

from __future__ import annotations

from collections.abc import Mapping

from ecgray.sediff.diffusion_config import DiffusionConfig
from ecgray.sediff.sampling_config import SamplingConfig


def generator_card(
    config: DiffusionConfig,
    sampling: SamplingConfig,
    *,
    records: str,
    training: Mapping[str, object],
    figures: Mapping[str, object],
) -> str:
    """The card as Markdown."""
    rules = config.simulator
    return "\n".join(
        [
            "# A generator of 12-lead ECGs from clinical text (SE-Diff)",
            "",
            "**Research use only.** Not a medical device. Every ECG that it draws is synthetic and marked so; it shows",
            "what a text makes likely, of no patient.",
            "",
            "A text, and where known age, sex, heart rate and a retrieved report, become a latent of 4 x 128 by",
            "diffusion, and the latent becomes 10 s, 12 leads, mV at 500 Hz.",
            "",
            "## Trained on",
            "",
            records,
            "",
            "## How",
            "",
            f"- preset: {config.preset_name}",
            f"- denoiser: {config.denoiser.kind}; prediction {config.schedule.prediction}, path {config.schedule.path}",
            f"- simulator losses: Eq. 18 times {rules.lambda_euler:g}, Eq. 20 times {rules.gamma_inter_lead:g}",
            f"- retrieved reports: {'read' if config.condition.experience else 'not read'}",
            f"- sampler: {sampling.sampler}, {sampling.steps} steps, guidance {sampling.guidance_scale:g}",
            *[f"- {name}: {value}" for name, value in training.items()],
            "",
            "## Results for conditions of patients it never saw",
            "",
            *[f"- {name}: {value}" for name, value in figures.items()],
            "",
        ]
    )
