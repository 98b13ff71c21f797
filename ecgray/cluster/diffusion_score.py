"""A quick look at a generator after its training: do its latents look like latents, do its hearts beat as asked.

The scores that a paper would show are those of `jobs/evaluate.py`; these say whether it is worth running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from ecgray.cluster.vae_score import measure_all
from ecgray.metrics.bootstrap import PatientBootstrap
from ecgray.models.generator import Generator
from ecgray.sediff.conditions import Conditions
from ecgray.sediff.noise import gaussian, stream_keys
from ecgray.sediff.prompts import Prompt
from ecgray.sediff.sampling_config import SamplingConfig
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.paper import draw_paper

STD_GATE, NOISE_GATE, LATENT_GATE, RATE_GATE_BPM = 0.1, 1e-3, 0.7, 10.0
"""Deviation of drawn latents from the true ones' at the most; squared error of the noise at t = 998 above what nobody
could tell apart from it, the latent itself; squared error of the latent where there is as much noise, by the best
linear guess's (the generator that ships has 0.39); heart rate."""
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
    share = latent_error(generator, latents[:64], seed=seed)
    found, rates = rate_figures(ecg, told)
    figures: dict[str, Any] = {
        "latent_std_ratio": round(ratio, 4),
        "noise_error_at_998": float(f"{noise:.3g}"),
        "noise_error_left_by_latents": float(f"{least:.3g}"),
        "latent_error_by_linear": round(share, 4),
        **found,
    }
    median = found["heart_rate_error_bpm"]
    missed = [
        words
        for missed, words in (
            (abs(ratio - 1) > STD_GATE, "drawn latents spread otherwise than true ones, by more than a tenth"),
            (not noise - least < NOISE_GATE, "the noise at t = 998 is off by 1e-3 more than latents leave"),
            (not share < LATENT_GATE, "half-noised latents are found little better than by a linear guess"),
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
    median = PatientBootstrap(told.subject_ids.to_numpy(zero_copy_only=False).astype(str)).median(apart)
    ends = {"bpm": median.value, "low": median.low, "high": median.high}
    figures = {
        **{f"heart_rate_error_{end}": None if value is None else round(value, 2) for end, value in ends.items()},
        "heart_rates_read": median.records,
        "heart_rates_asked": int(np.isfinite(asked).sum()),
    }
    return figures, rates


def picture_of(prompt: Prompt, ecg: Float32[np.ndarray, "lead=12 time=5000"], rate_bpm: float | None) -> str:
    """A drawn ECG on paper, what was asked for above it; an SVG."""
    asked = f"asked {prompt.heart_rate_bpm:.0f} bpm, " if prompt.heart_rate_bpm else ""
    read = f"measured {rate_bpm:.0f} bpm" if rate_bpm is not None else "no rate could be measured"
    return draw_paper(ecg.astype(np.float64), title=prompt.text[:90], subtitle=asked + read, synthetic=True)


def noise_error(
    generator: Generator, latents: Float32[np.ndarray, "record latent step"], *, seed: int
) -> tuple[float, float]:
    """Mean squared error of the noise that the denoiser finds at t = 998, of true latents, told nothing.

    And what is left to one that takes all of z_t for noise: (a / b)^2 times the latents' mean square, 1.6e-3 for
    latents of deviation 1 on the linear path. The peer's have a deviation of 0.18, and a thirtieth of that. A network
    that predicts v or flow cannot miss it, for there the noise is nearly all that it reads.
    """
    found = _denoised(generator, latents, _NOISIEST, seed=seed)
    schedule = generator.diffusion.schedule
    error = float((schedule.implied_noise(found.noised, found.said, found.time) - found.noise).square().mean())
    a, b = schedule.at(found.time[:1])
    return error, float((a / b).square() * found.latent.square().mean())


def latent_error(generator: Generator, latents: Float32[np.ndarray, "record latent step"], *, seed: int) -> float:
    """Mean squared error of z_0-hat where z_t holds as much noise as signal, by that of the best linear guess.

    About 1 for a network that has learnt nothing of latents but their spread, whatever it predicts.
    """
    schedule = generator.diffusion.schedule
    found = _denoised(generator, latents, int((schedule.signal - schedule.noise).abs().argmin()), seed=seed)
    error = (schedule.estimate(found.noised, found.said, found.time) - found.latent).square().mean()
    a, b = schedule.at(found.time[:1])
    power = found.latent.square().mean()
    return float(error / (power * b.square() / (a.square() * power + b.square())))


@dataclass(frozen=True)
class _Denoised:
    """True latents, noised, and what the denoiser, told nothing, says of them."""

    latent: Tensor
    noise: Tensor
    noised: Tensor
    said: Tensor
    time: Tensor


@torch.inference_mode()
def _denoised(
    generator: Generator, latents: Float32[np.ndarray, "record latent step"], step: int, *, seed: int
) -> _Denoised:
    device = generator.device
    latent = torch.from_numpy(np.array(latents)).to(device)
    keys = stream_keys(seed, torch.arange(len(latent), device=device))
    noise = gaussian(keys, 0, (latent.shape[1], latent.shape[2]))
    time = torch.full((len(latent),), step, device=device)
    noised = generator.diffusion.schedule.noised(latent, noise, time)
    told = generator.condition([Prompt(text="-")] * len(latent)).nothing()
    return _Denoised(latent, noise, noised, generator.diffusion(noised, time, told), time)
