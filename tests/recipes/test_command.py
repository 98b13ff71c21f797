"""A job's frame: the recipe by name, one line of JSON, one sentence for a fault."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import tyro

from ecgray.errors import ClusterError, ConfigError
from ecgray.recipes.command import run_job


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a stage."""

    out: Path
    """Where the answer goes."""
    steps: int = 3
    """How many steps."""

    def __post_init__(self) -> None:
        if isinstance(self.steps, int) and self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; it must be 1 or more. Give --steps 1.")


RECIPES = {"debug": Settings(out=tyro.MISSING), "paper": Settings(out=tyro.MISSING, steps=9)}


def run(*args: str, stage=lambda settings: {"steps": settings.steps, "out": str(settings.out)}) -> None:
    run_job("What it does.", RECIPES, stage, args=args)


def test_the_last_line_is_the_figures(capsys):
    run("paper", "--out", "x")
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"steps": 9, "out": "x"}


def test_a_field_overrides_its_recipe(capsys):
    run("paper", "--out", "x", "--steps", "2")
    assert json.loads(capsys.readouterr().out)["steps"] == 2


def test_a_wrong_value_is_one_sentence_and_exit_2(capsys):
    with pytest.raises(SystemExit) as caught:
        run("paper", "--out", "x", "--steps", "0")
    assert caught.value.code == 2
    assert "steps is 0; it must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("args", [("nonsense",), (), ("debug",), ("debug", "--out", "x", "--wrong", "1")])
def test_wrong_usage_is_exit_2(args, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*args)
    assert caught.value.code == 2
    assert capsys.readouterr().out == ""


def test_an_interruption_is_one_sentence_and_exit_130(capsys):
    def stage(settings):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run("debug", "--out", "x", stage=stage)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted; the same command goes on where this one stopped.\n"


def test_a_full_disk_is_one_sentence_and_exit_1(capsys):
    with pytest.raises(SystemExit) as caught:
        run("debug", "--out", "x", stage=lambda _: Path("/dev/full").write_text("more"))
    assert caught.value.code == 1
    assert "No space left on device; make room" in capsys.readouterr().err


def test_a_failing_cluster_is_exit_1(capsys):
    def stage(settings):
        raise ClusterError("The cluster has 2 CPUs; 9 are asked for; ask for fewer workers.")

    with pytest.raises(SystemExit) as caught:
        run("debug", "--out", "x", stage=stage)
    assert caught.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1
