"""From recordings to the network's grid and back: resampling, padding, and leads that agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from drawn_beats import hearts
from scipy import signal

from ecgray.leads import FRONTAL, LEADS, derive_frontal
from ecgray.sediff.config import VaeConfig
from ecgray.sediff.input import (
    eight_leads,
    from_network,
    resample,
    to_counts,
    to_grid,
    to_millivolts,
    to_network,
    twelve_leads,
)

CONFIGS = [
    VaeConfig(input=input_, leads=leads) for input_ in ("resampled", "native") for leads in ("independent", "twelve")
]


@pytest.mark.parametrize(
    ("before", "after"), [(5000, 1024), (1024, 5000), (5000, 5000), (999, 300), (300, 999), (100, 7), (7, 100), (8, 16)]
)
def test_resampling_is_scipys(before, after):
    ecg = torch.randn(2, 3, before, generator=torch.Generator().manual_seed(0))
    theirs = signal.resample(ecg.double().numpy(), after, axis=-1)
    np.testing.assert_allclose(resample(ecg, after).numpy(), theirs, atol=1e-5)


def test_what_lies_below_51_hz_comes_back():
    time = torch.arange(5000, dtype=torch.float64) / 500
    wave = torch.sin(2 * math.pi * 40 * time)
    torch.testing.assert_close(resample(resample(wave, 1024), 5000), wave, atol=1e-9, rtol=0)


def test_resampling_passes_gradients():
    ecg = torch.randn(1, 5000, requires_grad=True)
    resample(ecg, 1024).square().sum().backward()
    assert ecg.grad is not None
    assert ecg.grad.isfinite().all()


def test_derived_leads_are_those_of_the_lead_module():
    eight = torch.randn(2, 8, 50)
    theirs = np.stack(derive_frontal(eight[:, 0].numpy(), eight[:, 1].numpy()), axis=1)
    np.testing.assert_array_equal(twelve_leads(eight)[:, 2:6].numpy(), theirs)


def test_eight_leads_and_back():
    ecg, _ = hearts(2)
    assert torch.equal(twelve_leads(eight_leads(ecg)), ecg)


def check_identities(ecg: torch.Tensor) -> None:
    one, two, three, avr, avl, avf = (ecg[..., LEADS.index(lead), :] for lead in FRONTAL)
    assert torch.equal(three, two - one)
    assert torch.equal(2 * avr, -(one + two))
    assert torch.equal(avl, one - two / 2)
    assert torch.equal(avf, two - one / 2)


def test_identities_hold_to_the_last_bit_even_from_bfloat16():
    check_identities(twelve_leads(torch.randn(3, 8, 500)))
    check_identities(twelve_leads(torch.randn(3, 8, 500).bfloat16()))


@pytest.mark.parametrize("size", [0.5, 5.0, 40.0])
def test_counts_agree_with_each_other(size):
    ecg = twelve_leads(size * torch.randn(3, 8, 500, generator=torch.Generator().manual_seed(1)))
    counts = to_counts(ecg)
    assert counts.dtype == torch.int16
    one, two, three, avr, avl, avf = (counts[..., LEADS.index(lead), :].int() for lead in FRONTAL)
    assert torch.equal(three, two - one)
    assert (2 * avr + one + two).abs().max() <= 1
    assert (2 * avl - 2 * one + two).abs().max() <= 1
    assert (2 * avf - 2 * two + one).abs().max() <= 1
    if size < 1:
        assert (counts - ecg * 1000).abs().max() <= 1.251  # half a count from I, a quarter from II, half from itself
        assert (eight_leads(counts.float()) - eight_leads(ecg) * 1000).abs().max() <= 0.501


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.input}-{config.leads}")
def test_there_and_back(config):
    ecg, _ = hearts(2)
    grid = to_grid(ecg, config)
    seen = to_network(grid, config)
    assert seen.shape == (2, config.lead_count, config.samples)
    torch.testing.assert_close(from_network(seen, config), grid, atol=1e-5, rtol=0)
    again = to_millivolts(seen, config)
    assert again.shape == (2, 12, 5000)
    tolerance = 2e-2 if config.input == "resampled" else 1e-6  # a QRS of 12 ms has a little above 51 Hz
    inside = slice(250, 4750)  # where its ends differ, a record that is taken for periodic rings
    torch.testing.assert_close(again[..., inside], ecg[..., inside], atol=tolerance, rtol=0)
    if config.leads == "independent":
        check_identities(again)


def test_the_ends_of_the_native_input_are_continued():
    ecg = torch.arange(5000.0).expand(1, 12, 5000)
    seen = to_network(ecg, VaeConfig(input="native"))[0, 0]
    assert seen[:60].unique().tolist() == [0.0]
    assert seen[60:5060].tolist() == ecg[0, 0].tolist()
    assert seen[5060:].unique().tolist() == [4999.0]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.input}-{config.leads}")
def test_what_is_no_number_counts_as_zero(config):
    ecg, _ = hearts(1)
    holes = ecg.clone()
    holes[0, :, 700:900] = math.nan
    holes[0, 3, 5], holes[0, 4, 6] = math.inf, -math.inf
    filled = ecg.clone()
    filled[0, :, 700:900] = 0
    filled[0, 3, 5] = filled[0, 4, 6] = 0
    assert torch.equal(to_grid(holes, config), to_grid(filled, config))
