"""The baselines as jobs: each trains, is drawn by the ordinary generate job, and keeps the frontal identities."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from cut_runs import cut_run
from drawn_tables import draw_tables

from ecgray.baselines.config import Kind
from ecgray.baselines.model import Baseline
from ecgray.cluster.baseline import losses_of, train_baseline
from ecgray.cluster.generate import generate
from ecgray.cluster.measure import measure
from ecgray.errors import ArtifactError, ConfigError
from ecgray.models import BaselineGenerator, Generator, load_generator
from ecgray.models.loading import encode_prompts
from ecgray.parquet import read_table
from ecgray.recipes.generate import GENERATE
from ecgray.recipes.measure import MeasureConfig
from ecgray.recipes.train_baseline import TRAIN_BASELINE, TrainBaselineConfig
from ecgray.sediff.prompts import Prompt
from ecgray.tables import ecg_counts
from ecgray.text.encoders import load_text_encoder

STEPS = 6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """Forty records, their labels and their intervals."""
    folder = tmp_path_factory.mktemp("baselines")
    draw_tables(folder, records=40)
    measure(MeasureConfig(records=folder, out=folder / "intervals", workers=1))
    return folder


def config_of(place: Path, kind: Kind, out: Path) -> TrainBaselineConfig:
    return dataclasses.replace(
        TRAIN_BASELINE["debug"],
        kind=kind,
        records=place / "records",
        labels=place / "labels",
        intervals=place / "intervals",
        wordings="terms",
        out=out,
        steps=STEPS,
        checkpoint_every=3,
        score_records=2,
        workers=1,
    )


@pytest.mark.ray
@pytest.mark.parametrize("kind", ["wgan", "beatdiff"])
def test_a_baseline_is_trained_and_drawn_as_any_generator(place: Path, kind: Kind, tmp_path: Path) -> None:
    config = config_of(place, kind, place / kind)
    figures = train_baseline(config)
    assert figures["steps"] == STEPS
    assert {"critic_loss", "generator_loss"} <= set(figures) if kind == "wgan" else "loss" in figures
    assert train_baseline(config) == figures
    assert isinstance(load_generator(place / kind), BaselineGenerator)
    with pytest.raises(ArtifactError, match="holds no generator"):
        Generator.load(place / kind)
    like = dataclasses.replace(
        GENERATE["debug"],
        model=place / kind,
        like=place / "records",
        labels=place / "labels",
        wordings="terms",
        splits=("val", "test"),
        wfdb=False,
        out=tmp_path / "o",
    )
    assert generate(like)["records"] > 0
    ecg = ecg_counts(read_table(tmp_path / "o" / "records")["ecg"]).astype(np.int32)
    one, two, three, avr, avl, avf = ecg[:, :6].transpose(1, 0, 2)
    assert ecg.shape[1:] == (12, 5000)
    assert np.abs(ecg).max() > 0
    assert (three == two - one).all()
    assert max(np.abs(2 * avr + one + two).max(), np.abs(2 * avl - one + three).max()) <= 1
    assert np.abs(2 * avf - two - three).max() <= 1


@pytest.mark.ray
def test_a_run_that_was_cut_ends_with_the_same_weights(place: Path) -> None:
    """Of a GAN, whose two networks and whose turns are both taken up again."""
    whole, cut = (config_of(place, "wgan", place / name) for name in ("wgan", "cut"))
    train_baseline(whole)  # at once, where the test above has run
    cut_run(whole.out, cut.out, last=STEPS)
    train_baseline(cut)
    one, other = ((config.out / "model" / "model.safetensors").read_bytes() for config in (whole, cut))
    assert one == other


def test_the_losses_of_a_gan_are_told_apart() -> None:
    """Whose turn a step was is asked of the networks: of the two only one learns."""
    config = dataclasses.replace(TRAIN_BASELINE["debug"], kind="wgan").settled()
    model, rows = Baseline(config.model), []
    told = encode_prompts([Prompt(text="sinus rhythm")], load_text_encoder("lexical"), config.model.condition)
    for step in range(7):
        model(torch.zeros(1, *config.model.shape), told, generator=torch.Generator(), step=step)
        critics = next(model.network.critic.parameters()).requires_grad
        rows.append({"step": step + 1, "loss": 2.0 if critics else -1.0})
    assert losses_of(config, rows) == {"critic_loss": 2.0, "generator_loss": -1.0}
    assert losses_of(config, rows[:1]) == {"critic_loss": 2.0}
    assert losses_of(dataclasses.replace(config, kind="sssd"), rows[:3]) == {"loss": 1.0}


def test_records_without_a_held_out_text_are_refused_first(tmp_path: Path) -> None:
    """Else a generator would be trained to the end, and fail when it is to be scored."""
    records, labels = draw_tables(tmp_path, records=8)  # of these every one is of split train
    config = dataclasses.replace(TRAIN_BASELINE["debug"], kind="wgan", records=records, labels=labels)
    config = dataclasses.replace(config, wordings="terms", out=tmp_path / "o")
    with pytest.raises(ConfigError, match=r"none of 0 held-out records .* has a text"):
        train_baseline(config)
    records, labels = draw_tables(tmp_path, records=20)
    with pytest.raises(ConfigError, match=r"none of 4 held-out records .* has a text"):
        train_baseline(dataclasses.replace(config, wordings="report"))
    assert not config.out.exists()


def test_beats_need_their_r_peaks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give --intervals"):
        dataclasses.replace(config_of(tmp_path, "beatdiff", tmp_path), intervals=None)
