"""Settings of SuPreME: presets, sizes, and that reading them costs nothing."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from ecgray.errors import ConfigError
from ecgray.settings import from_json, to_json
from ecgray.supreme.config import SIZES, EncoderConfig, FusionConfig, OptimizerConfig, SupremeConfig, preset


def test_defaults_are_the_papers():
    """Section 4.1 and FACTS: ViT-tiny, patch 125, dropout 0.10, AdamW 1e-3 and 1e-8, T_0 5000."""
    config, plan = SupremeConfig(), OptimizerConfig()
    assert config == preset("paper", config)
    assert (config.encoder.width, config.encoder.depth, config.encoder.heads, config.encoder.mlp) == (192, 12, 3, 768)
    assert (config.encoder.patch, config.encoder.token_count, config.dropout) == (125, 480, 0.10)
    assert (config.fusion.width, config.fusion.depth, config.fusion.heads, config.fusion.mlp) == (256, 4, 4, 1024)
    assert (plan.learning_rate, plan.weight_decay, plan.restart_steps, plan.learning_rate_last) == (
        1e-3,
        1e-8,
        5000,
        1e-8,
    )


@pytest.mark.parametrize("name", ["paper", "peer", "ours"])
def test_a_preset_changes_disputed_fields_only(name):
    config = dataclasses.replace(SupremeConfig(), dropout=0.2, encoder=EncoderConfig(width=96, depth=3))
    other = preset(name, config)
    assert (other.preset, other.dropout, other.encoder.width, other.encoder.depth) == (name, 0.2, 96, 3)
    assert preset("paper", other) == preset("paper", config)


def test_ours_keeps_the_tokens_of_its_size():
    flat = SupremeConfig(encoder=EncoderConfig(tokens="flat"))
    assert preset("ours", flat).encoder.tokens == "flat"
    assert preset("ours", SupremeConfig()).encoder.tokens == "lead"


@pytest.mark.parametrize("size", SIZES)
def test_a_size_survives_the_model_folder(size):
    assert from_json(SupremeConfig, to_json(SIZES[size])) == SIZES[size]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SupremeConfig(dropout=1.0), "dropout=1.0 must lie in"),
        (lambda: EncoderConfig(patch=130), "patch=130 must divide samples=5000"),
        (lambda: FusionConfig(heads=3), "fusion has heads=3 and width=256"),
        (lambda: OptimizerConfig(learning_rate=0), "learning_rate=0 must be above 0"),
        (lambda: OptimizerConfig(learning_rate=float("nan")), "learning_rate=nan must be above 0"),
        (lambda: OptimizerConfig(learning_rate_last=-1e-8), "learning_rate_last=-1e-08 at least 0"),
        (lambda: OptimizerConfig(beta2=1.0), "beta2=1.0 must lie in"),
        (lambda: OptimizerConfig(weight_decay=-0.1), "weight_decay=-0.1 and clip_norm=1.0 must be at least 0"),
        (lambda: OptimizerConfig(clip_norm=-1), "clip_norm=-1 must be at least 0"),
        (lambda: OptimizerConfig(restart_steps=0), "restart_steps=0 must be at least 1"),
        (lambda: OptimizerConfig(warmup_steps=-1), "warmup_steps=-1 at least 0"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_value(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_settings_are_read_without_torch():
    """`job --help` takes 0.3 s; torch takes 5."""
    code = "import sys, ecgray.supreme.config, ecgray.supreme.preprocess; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
