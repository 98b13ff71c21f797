"""The autoencoder on what is no ECG: whatever comes in, numbers come out, and no record touches another."""

from __future__ import annotations

import bad_hearts
import numpy as np
import pytest
import torch
from torch import Tensor

from ecgray.sediff.beats import batch_beats
from ecgray.sediff.config import SIZES, VaeConfig, preset
from ecgray.sediff.loss import vae_loss
from ecgray.sediff.picture import draw_rebuilt
from ecgray.sediff.vae import LatentStatistics, Vae
from ecgray.tables import COUNTS_PER_MV

SMALL = SIZES["debug"]
NETWORKS = {
    "native": SMALL,
    "resampled": VaeConfig(input="resampled", widths=SMALL.widths, blocks=1, beat=SMALL.beat),
    "paper": preset("paper", SMALL),
}
VALUES = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}


def network(name: str) -> Vae:
    torch.manual_seed(0)
    return Vae(NETWORKS[name]).eval()


def signals() -> Tensor:
    """A usual record, every bad kind, and one each of values that are no numbers."""
    usual = bad_hearts.usual().astype(np.float32) / COUNTS_PER_MV
    kinds = [kind().astype(np.float32) / COUNTS_PER_MV for kind in bad_hearts.BAD.values()]
    no_numbers = [np.full_like(usual, value) for value in VALUES.values()]
    return torch.from_numpy(np.stack([usual, *kinds, *no_numbers]))


@pytest.mark.parametrize("name", list(NETWORKS))
@torch.no_grad()
def test_encode_decode_and_the_beat_are_finite(name: str) -> None:
    vae, ecg = network(name), signals()
    latent = vae.encode(ecg)
    assert latent.isfinite().all()
    assert vae.decode(latent).isfinite().all()
    assert vae.decode_beat(latent).isfinite().all()
    again = vae.reconstruct(ecg)
    assert again.isfinite().all()
    torch.testing.assert_close(vae.reconstruct(ecg[:1]), again[:1], atol=1e-4, rtol=1e-4)  # alone as in company
    flat, nan = list(bad_hearts.BAD).index("flat") + 1, -3
    assert torch.equal(latent[nan], latent[flat])  # what is no number counts as 0 mV


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
@torch.no_grad()
def test_one_sample_that_is_no_number_changes_little(value: float) -> None:
    vae, ecg = network("native"), signals()[:1]
    hurt = ecg.clone()
    hurt[0, 4, 2000] = value
    assert (vae.encode(hurt) - vae.encode(ecg)).abs().max() < 0.1
    assert vae.reconstruct(hurt).isfinite().all()


@torch.no_grad()
def test_no_record_at_all() -> None:
    vae = network("native")
    assert vae.encode(torch.zeros(0, 12, 5000)).shape == (0, 4, 128)
    assert vae.decode_beat(torch.zeros(0, 4, 128)).shape == (0, 12, 300)


def test_a_step_on_bad_records_alone_has_a_finite_gradient() -> None:
    vae, ecg = network("native").train(), signals()[1:10]
    beats = batch_beats(ecg.numpy(), [np.array([50, 250, 4990])] * 9, most=3)
    losses = vae_loss(vae(ecg, generator=torch.Generator().manual_seed(0)), ecg, beats, config=SMALL.loss, step=5)
    losses.total.backward()
    assert losses.total.isfinite()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in vae.parameters())


@torch.no_grad()
def test_the_latents_of_flat_records_have_a_scale() -> None:
    """A training split of flat records alone is nobody's, but it must not divide by zero."""
    vae, plain, statistics = network("native"), network("native"), LatentStatistics()
    statistics.add(plain.encode(torch.zeros(4, 12, 5000)))
    vae.set_latent_scale(statistics)
    assert vae.encode(signals()).isfinite().all()


@pytest.mark.parametrize("kind", ["flat", "noise", "one-early"])
def test_a_record_without_a_beat_is_drawn(kind: str) -> None:
    page = draw_rebuilt(network("native"), bad_hearts.BAD[kind]().astype(np.float32) / COUNTS_PER_MV, title="bad")
    assert page.startswith("<svg")
    assert "nan" not in page.lower()
