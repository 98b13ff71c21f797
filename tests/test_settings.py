"""Settings go to JSON and back, and a fingerprint tells two apart."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.settings import fingerprint, from_json, to_json


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 4


@dataclass(frozen=True, kw_only=True)
class Outer:
    out: Path = Path("x")
    inner: Inner = Inner()
    names: tuple[str, ...] = ("a",)
    limit: int | None = None


def test_settings_survive_json():
    settings = Outer(out=Path("a/b"), inner=Inner(width=7), names=("p", "q"), limit=3)
    assert from_json(Outer, to_json(settings)) == settings


def test_an_unknown_field_is_named():
    with pytest.raises(ConfigError, match="no field 'widht'"):
        from_json(Inner, {"widht": 3})


def test_the_fingerprint_follows_every_value():
    first = fingerprint(to_json(Outer()))
    assert first == fingerprint(to_json(Outer()))
    assert first != fingerprint(to_json(Outer(inner=Inner(width=5))))
