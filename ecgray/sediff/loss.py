"""How wrong the autoencoder is: Eq. 12 to 16.

The reconstruction is compared on the network's own grid (`to_grid`: 1,024 samples, or the 5,000 recorded), since what
the grid cannot hold cannot be learned; beats are compared at 500 Hz. Every squared error is a mean over leads and
samples, so that they are commensurate (Eq. 16).

A record in which no whole beat was found has neither beat loss nor spectral loss (App. D); it learns from the other
terms. The total is the mean over records of what each record's own Eq. 16 is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ecgray.sediff.config import BEAT_SAMPLES, KlReduction, VaeLossConfig
from ecgray.sediff.vae import VaeOutput
from ecgray.tables import FS
from ecgray.waveform.beats import log_spectrum


@dataclass(frozen=True)
class Beats:
    """The beats of a batch, in the order of time; a record with fewer than the most is padded."""

    crops: Float[Tensor, "batch beat lead=12 time=300"]
    """mV at 500 Hz, the R peak at sample 100 (Eq. 13). What stands in the padding does not matter."""
    real: Bool[Tensor, "batch beat"]
    """Which are beats; the others are padding."""

    @property
    def has_beat(self) -> Bool[Tensor, " batch"]:
        """Which records have a whole beat."""
        return self.real.any(dim=1)

    def to(self, device: torch.device) -> Beats:
        """The same on another device."""
        return Beats(self.crops.to(device), self.real.to(device))


@dataclass(frozen=True)
class VaeLosses:
    """The terms of Eq. 16. Beat and spectrum are means over the records that have a beat; 0 where none has."""

    total: Float[Tensor, ""]
    full: Float[Tensor, ""]
    kl: Float[Tensor, ""]
    beat: Float[Tensor, ""]
    spectrum: Float[Tensor, ""]
    without_beat: int
    """Records that have neither beat loss nor spectral loss."""


def full_loss(ecg: Float[Tensor, "batch lead time"], target: Float[Tensor, "batch lead time"]) -> Float[Tensor, ""]:
    """Mean squared error of the reconstruction in mV^2 (Eq. 12)."""
    return (ecg - target).square().mean()


def kl_loss(
    mean: Float[Tensor, "batch latent step"], logvar: Float[Tensor, "batch latent step"], *, reduction: KlReduction
) -> Float[Tensor, ""]:
    """KL divergence from N(0, 1) in nats, mean over records (Eq. 12): of all values together, or of one on average.

    >>> kl_loss(torch.ones(1, 4, 128), torch.zeros(1, 4, 128), reduction="sum").item()
    256.0
    """
    each = (mean.square() + logvar.exp() - 1 - logvar) / 2
    return each.mean() if reduction == "mean" else each.sum(dim=(1, 2)).mean()


def beat_losses(beat: Float[Tensor, "batch lead=12 time=300"], beats: Beats) -> Float[Tensor, " batch"]:
    """Mean squared error to each record's first whole beat in mV^2 (Eq. 13); 0 where it has none."""
    records = torch.arange(len(beat), device=beat.device)
    first = beats.crops[records, beats.real.int().argmax(dim=1)] if beats.real.shape[1] else torch.zeros_like(beat)
    first = torch.where(beats.has_beat[:, None, None], first, beat.detach())  # a masked NaN is still a NaN
    return (beat - torch.nan_to_num(first)).square().mean(dim=(1, 2))


def spectral_losses(
    beat: Float[Tensor, "batch lead=12 time=300"],
    beats: Beats,
    *,
    f_max_hz: float = 40.0,
    band_weights: tuple[tuple[float, float, float], ...] = (),
) -> Float[Tensor, " batch"]:
    """Squared distance of a beat's log spectrum from those of all the record's beats (Eq. 15); 0 where it has none.

    Mean over leads, beats and frequencies, each frequency weighted by w(f).
    """
    if not beats.real.any():
        return torch.zeros(len(beat), device=beat.device)
    crops = torch.where(beats.real[:, :, None, None], beats.crops, 0.0)
    theirs = log_spectrum(torch.nan_to_num(crops), f_max_hz=f_max_hz)  # (batch, beat, lead, bin)
    distance = (log_spectrum(beat, f_max_hz=f_max_hz)[:, None] - theirs).square()
    weight = frequency_weights(distance.shape[-1], band_weights).to(distance.device)
    each = (distance * weight).mean(dim=(2, 3)) * beats.real  # (batch, beat)
    return each.sum(dim=1) / beats.real.sum(dim=1).clamp(min=1)


def frequency_weights(bins: int, bands: tuple[tuple[float, float, float], ...]) -> Float[Tensor, " bin"]:
    """w(f) of Eq. 15 for the frequencies f_k = k * 500 / 300 Hz, k = 0, 1, ...

    >>> frequency_weights(4, ((1.0, 4.0, 3.0),)).tolist()
    [1.0, 3.0, 3.0, 1.0]
    """
    frequency = torch.arange(bins) * FS / BEAT_SAMPLES
    weight = torch.ones(bins)
    for low, high, value in bands:
        weight[(frequency >= low) & (frequency <= high)] = value
    return weight


def kl_weight(step: int, config: VaeLossConfig) -> float:
    """beta_KL at step 0, 1, ...: it rises linearly from 0.

    >>> [kl_weight(step, VaeLossConfig(beta_kl=1.0, kl_warmup_steps=10)) for step in (0, 5, 10, 99)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return config.beta_kl * min(1.0, step / config.kl_warmup_steps if config.kl_warmup_steps else 1.0)


def vae_loss(
    output: VaeOutput, target: Float[Tensor, "batch lead=12 grid"], beats: Beats, *, config: VaeLossConfig, step: int
) -> VaeLosses:
    """Eq. 16. `target` is the ECG on the grid of `to_grid`, `step` the training step, for the KL term's warm-up."""
    full = full_loss(output.ecg, target)
    kl = kl_loss(output.mean, output.logvar, reduction=config.kl_reduction)
    beat = beat_losses(output.beat, beats)
    spectrum = spectral_losses(output.beat, beats, f_max_hz=config.f_max_hz, band_weights=config.band_weights)
    own = config.beat_weight * beat + config.alpha_spec * spectrum
    total = full + kl_weight(step, config) * kl + own.mean()
    found = beats.has_beat.sum().clamp(min=1)
    return VaeLosses(
        total=total,
        full=full.detach(),
        kl=kl.detach(),
        beat=beat.detach().sum() / found,
        spectrum=spectrum.detach().sum() / found,
        without_beat=int((~beats.has_beat).sum()),
    )
