"""The command that gives certain settings: the way back from a settings dataclass to what one types."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any


def command(job: str, recipe: str, *, base: Any, settings: Any) -> str:
    """The command line of `job` for `settings`: the recipe (whose settings are `base`) and what differs from it.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     out: str
    ...     batch_size: int = 8
    ...     terms: tuple[str, ...] = ()
    >>> command("jobs/label.py", "debug", base=Config("x"), settings=Config("runs/my demo", terms=("a", "b")))
    "python jobs/label.py debug --out 'runs/my demo' --terms a b"
    """
    words = ["python", job, recipe]
    for name, value in _differences(base, settings, prefix=""):
        words += [f"--{name}", *_words(value)]
    return shlex.join(words)


def _differences(base: Any, settings: Any, *, prefix: str) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(settings):
        before, after = getattr(base, field.name), getattr(settings, field.name)
        name = prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(after) and type(before) is type(after):
            yield from _differences(before, after, prefix=f"{name}.")
        elif before is not after and before != after:
            yield name, after


def _words(value: Any) -> list[str]:
    if isinstance(value, (tuple, list)):
        return [str(one) for one in value]
    return [str(value)]
