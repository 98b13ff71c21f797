"""Settings go to JSON and back, and a fingerprint tells two apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

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


@dataclass(frozen=True, kw_only=True)
class Strict:
    width: int
    share: float = 0.5
    on: bool = True
    kind: Literal["a", "b"] = "a"
    pair: tuple[str, int] = ("a", 1)
    outer: Outer = Outer()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"width": "4"}, "Strict.width is '4' and must be a whole number"),
        ({"width": True}, "Strict.width is True and must be a whole number"),
        ({"share": None}, "Strict.share is None and must be a number"),
        ({"on": 1}, "Strict.on is 1 and must be true or false"),
        ({"kind": "c"}, "Strict.kind is 'c' and must be one of 'a', 'b'"),
        ({"pair": 3}, "Strict.pair is 3 and must be a list"),
        ({"pair": ["a"]}, "Strict.pair has 1 entries and must have 2"),
        ({"pair": ["a", "b"]}, "Strict.pair is 'b' and must be a whole number"),
        ({"outer": 5}, "Outer is 5 and must be an object"),
        ({"outer": {"out": 5}}, "Outer.out is 5 and must be a text"),
        ({"outer": {"limit": "x"}}, "Outer.limit is 'x' and must be a whole number"),
        ({"outer": {"names": [1]}}, "Outer.names is 1 and must be a text"),
        ({"outer": {"inner": []}}, "Inner is \\[\\] and must be an object"),
    ],
)
def test_a_value_of_another_type_is_named(changes, named):
    right = to_json(Strict(width=4))
    assert from_json(Strict, right | {"share": 1, "pair": ["b", 2]}) == Strict(width=4, share=1, pair=("b", 2))
    with pytest.raises(ConfigError, match=named):
        from_json(Strict, right | changes)


def test_a_missing_field_and_no_object_at_all_are_named():
    with pytest.raises(ConfigError, match="Strict needs the field 'width', which is missing"):
        from_json(Strict, {"share": 0.1})
    with pytest.raises(ConfigError, match=r"Strict is \[\] and must be an object"):
        from_json(Strict, [])


def test_the_fingerprint_follows_every_value():
    first = fingerprint(to_json(Outer()))
    assert first == fingerprint(to_json(Outer()))
    assert first != fingerprint(to_json(Outer(inner=Inner(width=5))))
