"""The downstream task: who is drawn into which regime, and a classifier that learns what can be learnt."""

from __future__ import annotations

import numpy as np
import pytest

from ecgray.downstream.classes import draw_test, draw_training, prompt_class, rhythm_class, sex_class
from ecgray.downstream.config import REGIMES, ClassifierConfig
from ecgray.downstream.fit import fit, score
from ecgray.errors import ConfigError

RNG = np.random.default_rng(0)
CLASSES = np.where(RNG.random(900) < 0.3, 1, 0)
PATIENTS = (np.arange(900) // 2).astype(str)
MADE = np.array([1] * 300 + [0] * 50)


def draws(seed: int = 0):
    return draw_training(CLASSES, MADE, PATIENTS, majority=200, minority=20, seed=seed)


def test_regimes_hold_what_they_say() -> None:
    found = draws()
    assert tuple(found) == REGIMES
    counts = {name: (len(one.real), len(one.generated)) for name, one in found.items()}
    balanced = 200 + min(200, len(np.unique(PATIENTS[CLASSES == 1])))
    assert counts["unbalanced"] == (220, 0)
    assert counts["repeated"] == (400, 0)
    assert counts["synthetic"] == (220, 180)
    assert 300 < counts["balanced"][0] <= balanced
    assert (MADE[found["synthetic"].generated] == 1).all()
    few = np.unique(found["repeated"].real[CLASSES[found["repeated"].real] == 1])
    assert len(few) == 20
    assert set(few) <= set(found["balanced"].real)
    for name in ("unbalanced", "synthetic", "balanced"):
        own = PATIENTS[found[name].real]
        assert len(set(own)) == len(own), "one record a patient"


def test_draws_differ_and_repeat() -> None:
    assert (draws(1)["balanced"].real == draws(1)["balanced"].real).all()
    assert set(draws(1)["unbalanced"].real) != set(draws(2)["unbalanced"].real)


def test_the_test_set_is_balanced() -> None:
    rows = draw_test(CLASSES, each=50, seed=0)
    assert np.bincount(CLASSES[rows]).tolist() == [50, 50]
    many, few = np.bincount(CLASSES[draw_test(CLASSES, each=9999, seed=0)])
    assert many == few == CLASSES.sum()


def test_classes_are_read_from_terms_texts_and_sex() -> None:
    assert [sex_class(each) for each in ("F", "M", None, "x")] == [0, 1, -1, -1]
    assert rhythm_class(["sinus rhythm", "supraventricular tachycardia"]) == -1
    assert prompt_class("Regular supraventricular tachycardia at 190 bpm") == 1


@pytest.mark.parametrize("kind", ["mlp", "resnet"])
def test_a_class_that_shows_is_learnt_and_one_that_does_not_is_not(kind: str) -> None:
    target = np.arange(120) % 2
    noise = RNG.standard_normal((120, 4, 128) if kind == "mlp" else (120, 12, 500)).astype(np.float32)
    shown = noise + (target * 0.8).astype(np.float32)[:, None, None]
    config = ClassifierConfig(kind=kind, epochs=15, patience=15)
    back = np.arange(120) >= 96
    known = score(fit(shown, target, held_back=back, config=config, seed=0), shown[::-1].copy(), target[::-1].copy())
    assert known["auc"] > 0.95
    assert known["f1"] > 0.85
    other = RNG.standard_normal(noise.shape).astype(np.float32)
    assert score(fit(noise, target, held_back=back, config=config, seed=0), other, target)["auc"] < 0.7


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ClassifierConfig(epochs=0)
    with pytest.raises(ConfigError, match="dropout"):
        ClassifierConfig(dropout=1.0)
