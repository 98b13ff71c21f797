"""A spelled command, typed again, gives the settings it was spelled from."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tyro

from ecgray.recipes.command import choose
from ecgray.recipes.spell import command


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Settings within settings."""

    width: int = 64
    tokens: str = "lead"


@dataclass(frozen=True, kw_only=True)
class Outer:
    """Settings of every kind that the recipes use."""

    out: Path = tyro.MISSING
    terms: tuple[str, ...] = ()
    rate: float = 1e-3
    gpu: bool = False
    steps: int | None = None
    model: Inner = Inner()


BASE = Outer()


@pytest.mark.parametrize(
    "settings",
    [
        Outer(out=Path("runs/demo")),
        Outer(out=Path("runs/with space"), terms=("st elevation", "paced; rhythm"), gpu=True),
        Outer(out=Path("o"), rate=3e-4, steps=40, model=Inner(width=96, tokens="flat")),
    ],
)
def test_a_spelled_command_gives_the_same_settings(settings: Outer):
    words = shlex.split(command("jobs/x.py", "debug", base=BASE, settings=settings))
    assert words[:3] == ["python", "jobs/x.py", "debug"]
    assert choose("x", {"debug": BASE, "other": replace(BASE, out=Path("p"))}, words[2:]) == settings


def test_what_the_recipe_says_is_not_repeated():
    settings = replace(BASE, out=Path("runs"))
    assert command("jobs/x.py", "debug", base=BASE, settings=settings) == "python jobs/x.py debug --out runs"
