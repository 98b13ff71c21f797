"""The training loop: it learns, it goes on where it stopped, it stops where nothing can be learnt."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_tables import TERMS, draw_tables

from ecgray.cluster.training import pretrain
from ecgray.cluster.workers import CHECKPOINTS
from ecgray.errors import ConfigError, TrainingError
from ecgray.models import Classifier
from ecgray.recipes.pretrain import PRETRAIN, PretrainConfig
from ecgray.supreme.config import OptimizerConfig
from ecgray.training.checkpoints import newest_checkpoint
from ecgray.training.journal import Journal, read_journal
from ecgray.training.shards import GroupReader, select


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("drawn")
    draw_tables(out, records=120)
    return out


def _config(tables: Path, out: Path, **changes: Any) -> PretrainConfig:
    """The debug recipe in this process, without Ray."""
    settings: dict[str, Any] = {"workers": 0, "steps": 12, "evaluate_every": 4, "checkpoint_every": 3} | changes
    return dataclasses.replace(PRETRAIN["debug"], records=tables, labels=tables, out=out, **settings)


def _weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    pretrain(_config(tables, out), bar=False)
    return out


def test_it_learns_what_the_terms_mean(tables: Path, tmp_path: Path) -> None:
    config = _config(tables, tmp_path, steps=100, evaluate_every=10, checkpoint_every=100)
    figures = pretrain(config, bar=False)
    assert figures["val_macro_auc"] > 0.9
    val = select(tables / "records", tables / "labels", split="val", terms=TERMS)
    every = np.arange(len(val))
    classifier = Classifier.load(tmp_path / "model")
    answers = classifier.probabilities(GroupReader(val, memory_bytes=0).ecgs(every), ["fast pulses"])[:, 0]
    fast = val.targets(every)[:, TERMS.index("fast pulses")] > 0
    assert answers[fast].mean() > answers[~fast].mean() + 0.2


def test_the_journal_and_the_figures_agree(undisturbed: Path) -> None:
    rows = read_journal(undisturbed)
    assert [row["step"] for row in rows] == list(range(1, 13))
    looks = {row["step"]: row["val_macro_auc"] for row in rows if "val_macro_auc" in row}
    assert list(looks) == [4, 8, 12]
    figures = json.loads((undisturbed / "figures.json").read_text())
    assert figures["val_macro_auc"] == max(looks.values()) == looks[figures["best_step"]]
    assert figures["records"] + figures["val_records"] == 120
    assert list((undisturbed / "tensorboard").iterdir())


def test_the_model_folder_says_what_it_was_trained_on(undisturbed: Path) -> None:
    classifier = Classifier.load(undisturbed / "model")
    assert classifier.details["terms"] == sorted(TERMS)
    assert str(undisturbed) not in (undisturbed / "model" / "config.json").read_text()


def test_the_same_command_twice_computes_nothing_again(
    tables: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecgray.cluster.training.settle", None)
    figures = pretrain(_config(tables, undisturbed), bar=False)
    assert figures == json.loads((undisturbed / "figures.json").read_text())


def _interrupt(config: PretrainConfig, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until this step stands in the journal, and no further."""
    write = Journal.write

    def write_or_break(self: Journal, row: dict[str, Any]) -> None:
        write(self, row)
        if row["step"] == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", write_or_break)
        with pytest.raises(KeyboardInterrupt):
            pretrain(config, bar=False)


@pytest.mark.parametrize("step", [2, 6, 8, 11])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(
    tables: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Before the first checkpoint, at one, at a look, between them."""
    _interrupt(_config(tables, tmp_path), step, monkeypatch)
    pretrain(_config(tables, tmp_path), bar=False)
    assert _weights(tmp_path) == _weights(undisturbed)
    steady = ("step", "epoch", "loss", "grad_norm", "learning_rate", "val_loss", "val_macro_auc")
    one, other = (
        [{name: row.get(name) for name in steady} for row in read_journal(out)] for out in (tmp_path, undisturbed)
    )
    assert one == other


def test_a_damaged_checkpoint_costs_one_more_interval_and_nothing_else(
    tables: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _interrupt(_config(tables, tmp_path), 11, monkeypatch)
    newest = tmp_path / CHECKPOINTS / "step-000000009" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    with pytest.warns(UserWarning, match="step-000000009 is passed over"):
        pretrain(_config(tables, tmp_path), bar=False)
    assert "goes on from step 6" in capsys.readouterr().err
    assert _weights(tmp_path) == _weights(undisturbed)


def test_a_run_that_diverges_says_so_and_keeps_no_such_weights(tables: Path, tmp_path: Path) -> None:
    optimizer = OptimizerConfig(learning_rate=1e30, clip_norm=0)
    config = _config(tables, tmp_path, checkpoint_every=1, evaluate_every=1, optimizer=optimizer)
    with pytest.raises(TrainingError, match=r"diverged: step=.*learning-rate \(1e\+30\)"):
        pretrain(config, bar=False)
    last = newest_checkpoint(tmp_path / CHECKPOINTS)
    if last is not None:
        assert all(tensor.isfinite().all() for tensor in last.tensors["best"].values())
    assert not (tmp_path / "model").exists()


def test_patience_ends_a_run_and_the_best_model_is_kept(tables: Path, tmp_path: Path) -> None:
    optimizer = OptimizerConfig(learning_rate=1e-12)
    config = _config(tables, tmp_path, steps=40, evaluate_every=2, patience=2, optimizer=optimizer)
    figures = pretrain(config, bar=False)
    assert figures["steps"] < 40
    assert figures["best_step"] == figures["steps"] - 4


def test_records_with_an_unseen_term_are_kept_from_it(tables: Path, tmp_path: Path) -> None:
    figures = pretrain(_config(tables, tmp_path, steps=1, unseen_terms=("tall pulses",)), bar=False)
    assert figures["held_out"] > 0
    assert figures["records"] + figures["val_records"] + figures["held_out"] == 120
    assert "tall pulses" not in Classifier.load(tmp_path / "model").details["terms"]


def test_a_misspelt_unseen_term_is_refused(tables: Path, tmp_path: Path) -> None:
    """It would be held out of nothing, and the condition learnt."""
    with pytest.raises(ConfigError, match="unseen term 'tall pulsse' is neither in"):
        pretrain(_config(tables, tmp_path, unseen_terms=("tall pulsse",)), bar=False)
    pretrain(_config(tables, tmp_path, steps=1, unseen_terms=("atrial flutter",)), bar=False)  # spelt right, not here


def test_held_out_records_that_cannot_be_scored_are_refused(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no term is carried by some of the 1 held-out records .* and not by others"):
        pretrain(_config(tables, tmp_path, val_records=1), bar=False)


def test_held_out_patients_may_be_drawn(tables: Path, tmp_path: Path) -> None:
    pretrain(_config(tables, tmp_path, steps=1, val_records=10), bar=False)
    assert "val_macro_auc" in read_journal(tmp_path)[-1]


def test_other_settings_in_the_same_folder_are_refused(tables: Path, undisturbed: Path) -> None:
    with pytest.raises(ConfigError, match="differs in seed"):
        pretrain(_config(tables, undisturbed, seed=1), bar=False)


def test_a_run_may_go_on_with_another_placement(tables: Path, undisturbed: Path) -> None:
    before = _weights(undisturbed)
    assert pretrain(_config(tables, undisturbed, memory_mb=7, checkpoint_every=5), bar=False)["steps"] == 12
    assert _weights(undisturbed) == before


def test_a_preset_sets_network_preprocessing_and_pooling_together(tables: Path, tmp_path: Path) -> None:
    pretrain(_config(tables, tmp_path, steps=1, preset="peer"), bar=False)
    classifier = Classifier.load(tmp_path / "model")
    assert classifier.model.config.preset_name == "peer"
    assert classifier.model.config.fusion.shared_norm
    assert classifier.preprocess.scale == "minmax"
    assert "- preset: peer\n" in (tmp_path / "model" / "README.md").read_text()
    settings = _config(tables, tmp_path, preset="peer").with_preset()
    assert settings.text_pooler == "pooler"


@pytest.mark.parametrize("changes", [{"steps": -1}, {"val_records": -3}, {"memory_mb": 0}, {"patience": -1}])
def test_a_count_below_its_least_is_refused(tables: Path, tmp_path: Path, changes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(changes))}=-?[0-9] must be at least [01]"):
        _config(tables, tmp_path, **changes)


def test_terms_that_are_too_rare_are_named_as_the_reason(tables: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no term that 1000 training records carry"):
        pretrain(_config(tables, tmp_path, min_term_count=1000), bar=False)


def test_labels_of_other_records_are_refused(tables: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    draw_tables(other, records=40, first=1000)
    config = dataclasses.replace(_config(tables, tmp_path / "out"), labels=other)
    with pytest.raises(ConfigError, match=r"share no record of split 'train' .*\(96 without labels"):
        pretrain(config, bar=False)


def test_the_network_takes_the_width_of_the_text_encoder(tables: Path, tmp_path: Path) -> None:
    model = dataclasses.replace(PRETRAIN["debug"].model, text_width=5)
    pretrain(_config(tables, tmp_path, steps=1, model=model), bar=False)
    assert Classifier.load(tmp_path / "model").model.config.text_width == 768
