"""Settings as frozen dataclasses: written to JSON beside what they made, read back, and fingerprinted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from ecgray.errors import ConfigError

Settings = TypeVar("Settings")


def to_json(settings: Any) -> dict[str, Any]:
    """The fields of a settings dataclass as plain JSON values; paths as text, tuples as lists."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_json(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def from_json(kind: type[Settings], values: Any) -> Settings:
    """The settings that `to_json` wrote.

    Raises `ConfigError` for a field that this version does not know, one that is missing, and one of another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{kind.__name__} is {values!r:.40} and must be an object. {_OTHER}")
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ConfigError(f"{kind.__name__} has no field {unknown[0]!r}; it has {', '.join(sorted(fields))}. {_OTHER}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{kind.__name__} needs the field {name!r}, which is missing. {_OTHER}")
    return kind(**{name: _typed(hints[name], value, f"{kind.__name__}.{name}") for name, value in values.items()})


_OTHER = "Was it written by another version of ecgray?"
_JSON: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (float, int)),
    str: ("a text", (str,)),
    Path: ("a text", (str,)),
    tuple: ("a list", (list, tuple)),
    dict: ("an object", (dict,)),
}
"""What JSON has for a type; any other type is not looked at."""


def _typed(hint: Any, value: Any, name: str) -> Any:
    """A value of JSON as a field of this type takes it; `name` is the field's, for a refusal."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        options = [option for option in inner if option is not type(None)]
        return None if value is None and len(options) < len(inner) else _typed(options[0], value, name)
    if origin is Literal:
        if value not in inner:
            raise ConfigError(f"{name} is {value!r} and must be one of {', '.join(map(repr, inner))}. {_OTHER}")
        return value
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_json(hint, value)
    wanted = origin or hint
    called, types_ = _JSON.get(wanted, ("", (object,)))
    fits = isinstance(value, types_) and not (isinstance(value, bool) and wanted in (int, float))
    if not fits:
        raise ConfigError(f"{name} is {value!r:.40} and must be {called}. {_OTHER}")
    if wanted is tuple:
        kinds = inner if ... not in inner else inner[:1] * len(value)
        if len(kinds) != len(value):
            raise ConfigError(f"{name} has {len(value)} entries and must have {len(kinds)}. {_OTHER}")
        return tuple(_typed(inside, item, name) for inside, item in zip(kinds, value, strict=True))
    return Path(value) if hint is Path else value


def fingerprint(*values: Any) -> str:
    """Twelve hexadecimal digits that change when any of the JSON values does."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
