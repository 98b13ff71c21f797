"""What recipes ask of their numbers is said with the field's name, its value and the rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.recipes.encode import EncodeConfig
from ecgray.recipes.measure import MeasureConfig

PLACES = {"records": Path("records"), "out": Path("out")}


@pytest.mark.parametrize("kind", [MeasureConfig, lambda **fields: EncodeConfig(vae=Path("vae"), **fields)])
@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("batch_size", 0, "must be at least 1"),
        ("workers", -2, "must be at least 1"),
        ("cpus_per_worker", 0.0, "must be above 0"),
    ],
)
def test_a_number_below_its_least_is_refused_by_name(kind, field, value, rule):
    with pytest.raises(ConfigError, match=rf"^{field}={value} {rule}\.$"):
        kind(**PLACES, **{field: value})
    kind(**PLACES)
