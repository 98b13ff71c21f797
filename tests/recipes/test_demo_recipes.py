"""The demo's promises that its recipes hold: unseen terms fixed, every stage kept from them, commands that are true."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from ecgray.errors import ConfigError
from ecgray.recipes.command import choose
from ecgray.recipes.demo import BASE, DEMO, SHOWN, UNSEEN, DemoConfig
from ecgray.recipes.extract import EXTRACT
from ecgray.recipes.ingest import INGEST
from ecgray.recipes.label import LABEL
from ecgray.recipes.pretrain import PRETRAIN
from ecgray.recipes.spell import command
from ecgray.recipes.zeroshot import ZEROSHOT
from ecgray.text.tasks import TASKS
from ecgray.text.terms import with_parents


def test_the_unseen_conditions_are_those_of_the_task():
    assert set(UNSEEN) == {one.name for one in TASKS["demo-unseen"].classes}
    assert not set(UNSEEN) & {one.name for one in TASKS["demo-seen"].classes}
    assert len(UNSEEN) >= 4


@pytest.mark.parametrize("recipe", DEMO)
def test_training_leaves_the_unseen_conditions_out(recipe: str):
    assert DEMO[recipe].pretrain().unseen_terms == UNSEEN
    assert DEMO[recipe].zeroshot("demo-unseen").splits == ("test",)


def test_no_other_condition_implies_an_unseen_one():
    """Else a record without the unseen condition's code would still teach it."""
    for one in TASKS["demo-seen"].classes:
        assert not set(with_parents((one.name,))) & set(UNSEEN)


def test_what_is_shown_is_asked():
    assert set(SHOWN) <= {one.name for one in TASKS["demo"].classes}
    assert set(SHOWN) & set(UNSEEN)


@pytest.mark.parametrize("recipe", DEMO)
def test_the_commands_of_the_report_give_the_settings_of_the_run(recipe: str):
    demo = dataclasses.replace(DEMO[recipe], out=Path("runs/my demo"))
    stages = [
        (INGEST, demo.ingest()),
        (EXTRACT, demo.extract()),
        (LABEL, demo.label()),
        (PRETRAIN, demo.pretrain()),
        (ZEROSHOT, demo.zeroshot("demo-seen")),
    ]
    for recipes, settings in stages:
        words = shlex.split(command("jobs/x.py", BASE, base=recipes[BASE], settings=settings))
        assert choose("x", recipes, words[2:]) == settings


def test_too_few_patients_are_refused():
    with pytest.raises(ConfigError, match="patients=20; the demo needs at least"):
        DemoConfig(patients=20)
