"""From counts to what the encoder reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecgray.errors import ConfigError
from ecgray.settings import from_json, to_json
from ecgray.supreme.preprocess import PreprocessConfig, _lower_median, preprocess

COUNTS = (np.random.default_rng(0).normal(size=(4, 12, 5000)) * 400 + 70).astype(np.int16)
MILLIVOLT = PreprocessConfig(scale="millivolt")


def test_minmax_is_the_peers_formula():
    """(x - min) / (max - min + 1e-8) over all leads of one record."""
    scaled = preprocess(COUNTS, PreprocessConfig()).numpy()
    wide = COUNTS.astype(np.float64)
    low, high = wide.min(axis=(1, 2), keepdims=True), wide.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(scaled, (wide - low) / (high - low + 1e-8), atol=1e-6)
    assert scaled.dtype == np.float32


def test_millivolt_centres_each_lead_and_keeps_small_amplitudes():
    scaled = preprocess(COUNTS, MILLIVOLT).numpy()
    assert np.abs(np.median(scaled, axis=-1)).max() < 0.05
    gain = np.polyfit(COUNTS[0, 0] / 1000, scaled[0, 0], 1)[0]
    assert gain == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("length", [1, 2, 7, 1000])
def test_the_baseline_on_a_cpu_is_the_median_of_a_gpu(length):
    values = torch.from_numpy(COUNTS[..., :length]).float()
    assert torch.equal(_lower_median(values), values.median(dim=-1, keepdim=True).values)


def test_an_artefact_bends_and_does_not_drown_the_rest():
    loud = COUNTS.copy()
    loud[0, 3, 100:200] = 30000
    scaled = preprocess(loud, MILLIVOLT)
    assert scaled.abs().max() <= 5
    torch.testing.assert_close(scaled[0, :3], preprocess(COUNTS, MILLIVOLT)[0, :3])


@pytest.mark.parametrize("config", [PreprocessConfig(), MILLIVOLT, PreprocessConfig(scale="millivolt", zscore=True)])
def test_each_record_is_scaled_by_itself(config):
    together = preprocess(COUNTS, config)
    torch.testing.assert_close(torch.cat([preprocess(one[None], config) for one in COUNTS]), together)
    torch.testing.assert_close(preprocess(torch.from_numpy(COUNTS), config), together)


@pytest.mark.parametrize("config", [PreprocessConfig(), MILLIVOLT, PreprocessConfig(zscore=True)])
def test_a_flat_record_stays_finite(config):
    assert preprocess(np.full((1, 12, 5000), 12, np.int16), config).isfinite().all()


def test_the_most_extreme_counts_do_not_overflow():
    square = np.where(np.arange(60000).reshape(1, 12, 5000) % 2, 32767, -32768).astype(np.int16)
    scaled = preprocess(square, PreprocessConfig())
    assert (scaled.min().item(), scaled.max().item()) == (0, pytest.approx(1))


def test_zscore_gives_every_lead_mean_0_and_deviation_1():
    scaled = preprocess(COUNTS, PreprocessConfig(zscore=True))
    torch.testing.assert_close(scaled.mean(dim=-1), torch.zeros(4, 12), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.std(dim=-1), torch.ones(4, 12), atol=1e-4, rtol=0)


def test_a_read_only_array_is_not_written_to():
    """Batches that come from Parquet are read-only views."""
    counts = COUNTS.copy()
    counts.flags.writeable = False
    preprocess(counts, MILLIVOLT)
    assert np.array_equal(counts, COUNTS)


def test_settings_survive_the_model_folder():
    assert from_json(PreprocessConfig, to_json(MILLIVOLT)) == MILLIVOLT


def test_records_of_another_kind_are_refused():
    with pytest.raises(ConfigError, match="250 Hz"):
        PreprocessConfig(fs=250)
