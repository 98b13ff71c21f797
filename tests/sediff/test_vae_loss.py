"""Eq. 12 to 16 against plain numpy, and records without a beat."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from drawn_beats import beats, hearts

from ecgray.sediff.config import VaeLossConfig
from ecgray.sediff.loss import Beats, beat_losses, full_loss, kl_loss, spectral_losses, vae_loss
from ecgray.sediff.vae import VaeOutput


def three_hearts(*, without: tuple[int, ...] = ()) -> tuple[torch.Tensor, torch.Tensor, list[list[int]], Beats]:
    """A decoded beat for each of three records, the records, their R peaks and their crops."""
    ecg, peaks = hearts(3)
    peaks = [[] if record in without else found for record, found in enumerate(peaks)]
    beat = 0.3 * torch.randn(3, 12, 300, generator=torch.Generator().manual_seed(5))
    return beat, ecg, peaks, beats(ecg, peaks)


def test_eq_12():
    ecg, other = torch.randn(2, 3, 12, 1024).unbind(0)
    expected = np.mean(
        [np.linalg.norm(a - b) ** 2 / (12 * 1024) for a, b in zip(ecg.numpy(), other.numpy(), strict=True)]
    )
    assert full_loss(ecg, other).item() == pytest.approx(expected, rel=1e-5)


def test_kl_against_torchs():
    mean, logvar = torch.randn(2, 3, 4, 128).unbind(0)
    normal = torch.distributions.Normal(mean, (logvar / 2).exp())
    each = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(kl_loss(mean, logvar, reduction="sum"), each.sum(dim=(1, 2)).mean())
    torch.testing.assert_close(kl_loss(mean, logvar, reduction="mean"), each.mean())


def test_eq_13_takes_the_first_whole_beat():
    beat, ecg, peaks, crops = three_hearts()
    assert len(set(map(len, peaks))) > 1  # so that some are padded
    for record, loss in enumerate(beat_losses(beat, crops).tolist()):
        first = ecg[record, :, peaks[record][0] - 100 : peaks[record][0] + 200].numpy()
        assert loss == pytest.approx(((first - beat[record].numpy()) ** 2).sum() / (12 * 300), rel=1e-5)


def weighted(frequency: float) -> float:
    return 4.0 if 0.5 <= frequency <= 3 else 1.0


@pytest.mark.parametrize(("w", "bands"), [(lambda _: 1.0, ()), (weighted, ((0.5, 3.0, 4.0),))])
def test_eq_14_and_15(w, bands):
    beat, ecg, peaks, crops = three_hearts()
    losses = spectral_losses(beat, crops, band_weights=bands).tolist()
    frequencies = [k * 500 / 300 for k in range(151) if k * 500 / 300 <= 40 + 1e-9]
    for record in range(3):
        total = 0.0
        for peak in peaks[record]:
            for lead in range(12):
                theirs, own = (
                    ecg[record, lead, peak - 100 : peak + 200].double().numpy(),
                    beat[record, lead].double().numpy(),
                )
                spectra = [np.log(1e-3 + np.abs(np.fft.rfft(x - x.mean()))) for x in (theirs, own)]
                total += sum(w(f) * (spectra[1][k] - spectra[0][k]) ** 2 for k, f in enumerate(frequencies))
        expected = total / (12 * len(peaks[record]) * len(frequencies))
        assert losses[record] == pytest.approx(expected, rel=1e-3)


def output(beat: torch.Tensor) -> VaeOutput:
    mean, logvar = torch.randn(2, 3, 4, 128, generator=torch.Generator().manual_seed(1)).unbind(0)
    return VaeOutput(ecg=torch.zeros(3, 12, 1024), beat=beat, mean=mean, logvar=logvar)


def test_eq_16_adds_up():
    beat, _, _, crops = three_hearts()
    config = VaeLossConfig(beta_kl=0.5, kl_warmup_steps=10, beat_weight=2.0, alpha_spec=0.1)
    losses = vae_loss(output(beat), torch.ones(3, 12, 1024), crops, config=config, step=5)
    expected = losses.full + 0.25 * losses.kl + 2 * losses.beat + 0.1 * losses.spectrum
    torch.testing.assert_close(losses.total, expected)
    assert losses.full == 1.0
    assert losses.without_beat == 0


def test_records_without_a_beat_skip_two_terms_and_are_counted():
    beat, _, _, crops = three_hearts(without=(1,))
    beat.requires_grad_()
    losses = vae_loss(output(beat), torch.ones(3, 12, 1024), crops, config=VaeLossConfig(), step=0)
    losses.total.backward()
    assert losses.without_beat == 1
    assert beat.grad is not None
    assert beat.grad.isfinite().all()
    assert beat.grad[1].abs().max() == 0
    assert beat.grad[0].abs().max() > 0
    each = beat_losses(beat, crops)
    torch.testing.assert_close(losses.beat, (each[0] + each[2]) / 2)


@pytest.mark.parametrize("most", [0, 4])
def test_a_batch_without_any_beat_still_learns(most):
    crops = Beats(torch.full((3, most, 12, 300), math.nan), torch.zeros(3, most, dtype=torch.bool))
    beat = torch.randn(3, 12, 300, requires_grad=True)
    losses = vae_loss(output(beat), torch.ones(3, 12, 1024), crops, config=VaeLossConfig(), step=0)
    losses.total.backward()
    assert losses.without_beat == 3
    assert losses.total == losses.full == 1
    assert losses.beat == losses.spectrum == 0
    assert beat.grad is not None  # DDP waits for every weight
    assert beat.grad.abs().max() == 0


def test_missing_samples_within_a_beat_count_as_zero():
    beat, _, _, crops = three_hearts()
    crops.crops[0, 0, 2, :50] = math.nan
    losses = vae_loss(output(beat), torch.ones(3, 12, 1024), crops, config=VaeLossConfig(), step=0)
    assert all(value.isfinite() for value in dataclasses.astuple(losses) if isinstance(value, torch.Tensor))


def test_flat_beats_have_a_finite_gradient():
    beat = torch.zeros(1, 12, 300, requires_grad=True)
    spectral_losses(beat, Beats(torch.zeros(1, 2, 12, 300), torch.ones(1, 2, dtype=torch.bool))).sum().backward()
    assert beat.grad is not None
    assert beat.grad.isfinite().all()


def test_longer_and_padded_batches_weigh_a_record_alike():
    """The mean over records of two halves is that of the whole, beats or not: what DDP needs."""
    beat, ecg, peaks, crops = three_hearts(without=(0,))
    config = VaeLossConfig()
    whole = vae_loss(output(beat), torch.ones(3, 12, 1024), crops, config=config, step=0).total
    parts = []
    for record in range(3):
        one = slice(record, record + 1)
        mine = output(beat)
        mine = VaeOutput(ecg=mine.ecg[one], beat=beat[one], mean=mine.mean[one], logvar=mine.logvar[one])
        parts.append(vae_loss(mine, torch.ones(1, 12, 1024), beats(ecg[one], peaks[one]), config=config, step=0).total)
    torch.testing.assert_close(whole, torch.stack(parts).mean())
