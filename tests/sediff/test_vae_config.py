"""The presets, what they set together, and what is refused."""

from __future__ import annotations

import dataclasses

import pytest

from ecgray.errors import ConfigError
from ecgray.sediff.config import BEAT_SAMPLES, SIZES, BeatConfig, OptimizerConfig, VaeConfig, VaeLossConfig, preset
from ecgray.waveform import beats


@pytest.mark.parametrize("name", ["ours", "paper", "peer"])
@pytest.mark.parametrize("size", list(SIZES))
def test_a_preset_is_named_by_itself_alone(name, size):
    config = preset(name, SIZES[size])
    assert config.preset_name == name
    assert config.widths == SIZES[size].widths


def test_the_sizes_follow_our_preset():
    assert {config.preset_name for config in SIZES.values()} == {"ours"}


def test_our_preset_takes_the_recording_as_it_is():
    assert preset("ours", VaeConfig(input="resampled")).input == "native"
    assert VaeConfig(input="resampled").preset_name == "ours, but for input"


def test_a_strange_choice_is_named():
    mixed = dataclasses.replace(preset("peer", VaeConfig()), leads="independent", loss=VaeLossConfig(beta_kl=1.0))
    assert mixed.preset_name == "peer, but for leads, loss.beta_kl"


def test_the_peers_sums_are_the_means_weight():
    """Sum of squares over 12 x 1024 and KL summed over 4 channels, mean over 128 steps: 4 / 12288 on the mean."""
    assert VaeLossConfig().beta_kl == pytest.approx(4 / (12 * 1024), rel=0.02)


def test_a_beat_is_as_long_as_its_crops():
    assert beats.BEAT_SAMPLES == BEAT_SAMPLES


@pytest.mark.parametrize("input_", ["resampled", "native"])
def test_both_inputs_have_the_same_latent(input_):
    config = VaeConfig(input=input_)
    assert config.samples == 128 * config.stride


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: VaeConfig(widths=(8, 8, 8)),
        lambda: VaeConfig(blocks=0),
        lambda: VaeConfig(attention_heads=3),
        lambda: VaeConfig(dropout=1.0),
        lambda: BeatConfig(width=0),
        lambda: VaeLossConfig(alpha_spec=-1.0),
        lambda: VaeLossConfig(beta_kl=float("nan")),
        lambda: VaeLossConfig(band_weights=((0.5, 3.0, float("inf")),)),
        lambda: VaeLossConfig(f_max_hz=251.0),
        lambda: VaeLossConfig(kl_warmup_steps=-1),
        lambda: OptimizerConfig(learning_rate=0.0),
        lambda: OptimizerConfig(learning_rate_last=1.0),
        lambda: OptimizerConfig(ema=1.0),
        lambda: OptimizerConfig(weight_decay=-1.0),
        lambda: OptimizerConfig(warmup_steps=100, decay_steps=100),
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()
