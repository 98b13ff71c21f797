"""A quick look at a generator after its training: do its latents look like latents, do its hearts beat as asked.

The scores that a paper would show are those of `jobs/evaluate.py`; these say whether it is worth running.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from ecgray.cluster.vae_score import measure_all
from ecgray.metrics.fidelity import median_interval
from ecgray.models.generator import Generator
from ecgray.sediff.conditions import Conditions
from ecgray.sediff.noise import gaussian, stream_keys
from ecgray.sediff.prompts import Prompt
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.paper import draw_paper

STD_GATE, NOISE_GATE, RATE_GATE_BPM = 0.1, 1e-3, 10.0
"""Deviation of drawn latents from the true ones' at the most; squared error of the noise at t = 998 above what nobody
could tell apart from it, the latent itself; heart rate."""
_NOISIEST = 998


def score_generator(
    generator: Generator,
    told: Conditions,
    latents: Float32[np.ndarray, "record latent step"],
    *,
    sampling: SamplingConfig,
    seed: int,
    bf16: bool,
) -> tuple[dict[str, Any], str]:
    """Figures, and one of the ECGs on paper. `told` are held-out conditions, `latents` those of training records."""
    prompts = [told.prompt(row) for row in range(len(told))]
    drawn = generator.latents(prompts, seed=seed, sampling=sampling, batch_size=64, bf16=bf16)
    ecg = generator.decode(drawn, batch_size=64)
    ratio = float(drawn.float().std()) / float(np.std(latents[:4096]))
    noise, least = noise_error(generator, latents[:64], seed=seed)
    found, rates = rate_figures(ecg, told)
    figures: dict[str, Any] = {
        "latent_std_ratio": round(ratio, 4),
        "noise_error_at_998": float(f"{noise:.3g}"),
        "noise_error_left_by_latents": float(f"{least:.3g}"),
        **found,
    }
    median = found["heart_rate_error_bpm"]
    missed = [
        words
        for missed, words in (
            (abs(ratio - 1) > STD_GATE, "drawn latents spread otherwise than true ones, by more than a tenth"),
            (not noise - least < NOISE_GATE, "the noise at t = 998 is off by 1e-3 more than latents leave"),
            (median is None or median > RATE_GATE_BPM, "heart rates are off by more than 10 bpm in the median"),
        )
        if missed
    ]
    figures |= {"gate": not missed, "gate_says": "; ".join(missed)}
    results = {"conditions": len(told), "delineator": WaveReader.load().fingerprint, "figures": figures}
    return results, picture_of(prompts[0], ecg[0], rates[0])


def rate_figures(
    ecg: Float32[np.ndarray, "record lead=12 time=5000"], told: Conditions
) -> tuple[dict[str, Any], list[float | None]]:
    """How far the hearts beat from what was asked for (mV, 500 Hz); and the rate of each, None where none is read."""
    rates = [one.values["heart_rate_bpm"] for one in measure_all(WaveReader.load(), ecg)]
    asked = told.numbers[:, 2]
    apart = np.abs(np.array([np.nan if rate is None else rate for rate in rates]) - asked)
    median, low, high = median_interval(apart)
    known = int(np.isfinite(apart).sum())
    figures = {
        "heart_rate_error_bpm": round(median, 2) if known else None,
        "heart_rate_error_low": round(low, 2) if known else None,
        "heart_rate_error_high": round(high, 2) if known else None,
        "heart_rates_read": known,
        "heart_rates_asked": int(np.isfinite(asked).sum()),
    }
    return figures, rates


def picture_of(prompt: Prompt, ecg: Float32[np.ndarray, "lead=12 time=5000"], rate_bpm: float | None) -> str:
    """A drawn ECG on paper, what was asked for above it; an SVG."""
    asked = f"asked {prompt.heart_rate_bpm:.0f} bpm, " if prompt.heart_rate_bpm else ""
    read = f"measured {rate_bpm:.0f} bpm" if rate_bpm is not None else "no rate could be measured"
    return draw_paper(ecg.astype(np.float64), title=prompt.text[:90], subtitle=asked + read, synthetic=True)


@torch.inference_mode()
def noise_error(
    generator: Generator, latents: Float32[np.ndarray, "record latent step"], *, seed: int
) -> tuple[float, float]:
    """Mean squared error of the noise that the denoiser finds at t = 998, of true latents, told nothing.

    And what is left to one that takes all of z_t for noise: (a / b)^2 times the latents' mean square, 1.6e-3 for
    latents of deviation 1 on the linear path. The peer's have a deviation of 0.18, and a thirtieth of that.
    """
    schedule, device = generator.diffusion.schedule, generator.device
    latent = torch.from_numpy(np.array(latents)).to(device)
    keys = stream_keys(seed, torch.arange(len(latent), device=device))
    noise = gaussian(keys, 0, (latent.shape[1], latent.shape[2]))
    time = torch.full((len(latent),), _NOISIEST, device=device)
    noised = schedule.noised(latent, noise, time)
    told = generator.condition([Prompt(text="-")] * len(latent)).nothing()
    said = generator.diffusion(noised, time, told)
    error = float((schedule.implied_noise(noised, said, time) - noise).square().mean())
    a, b = schedule.at(time[:1])
    return error, float((a / b).square() * latent.square().mean())
