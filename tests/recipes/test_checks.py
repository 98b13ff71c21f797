"""What recipes ask of their numbers is said with the field's name, its value and the rule."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.recipes.encode import EncodeConfig
from ecgray.recipes.measure import MeasureConfig
from ecgray.recipes.train_baseline import TRAIN_BASELINE
from ecgray.recipes.train_diffusion import TRAIN_DIFFUSION

PLACES = {"records": Path("records"), "out": Path("out")}

TRAININGS = (
    functools.partial(dataclasses.replace, TRAIN_BASELINE["debug"], kind="wgan"),
    functools.partial(dataclasses.replace, TRAIN_DIFFUSION["debug"], latents=Path("latents"), vae=Path("vae")),
)


@pytest.mark.parametrize(
    "kind",
    [
        MeasureConfig,
        functools.partial(EncodeConfig, vae=Path("vae")),
        *TRAININGS,
    ],
)
@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("batch_size", 0, "must be at least 1"),
        ("workers", -2, "must be at least 1"),
        ("cpus_per_worker", 0.0, "must be above 0"),
        ("cpus_per_worker", float("nan"), "must be above 0"),
    ],
)
def test_a_number_below_its_least_is_refused_by_name(kind, field, value, rule):
    with pytest.raises(ConfigError, match=rf"^{field}={value} {rule}\.$"):
        kind(**PLACES, **{field: value})
    kind(**PLACES)


@pytest.mark.parametrize("kind", TRAININGS)
def test_a_training_asks_for_what_it_needs_and_plans_to_its_end(kind):
    settled = kind(**PLACES, steps=30).settled()
    assert (settled.optimizer.decay_steps, settled.optimizer.warmup_steps) == (30, 29)
    assert settled.settled() == settled
    with pytest.raises(ConfigError, match="batch_size=2 leaves some of 3 workers without a record"):
        kind(**PLACES, batch_size=2, workers=3)
    with pytest.raises(ConfigError, match="wordings=terms needs terms"):
        kind(**PLACES, wordings="terms")
