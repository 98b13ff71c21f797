"""AUROC against scikit-learn, and a bootstrap that resamples patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ecgray.metrics import bootstrap
from ecgray.metrics.auroc import Scores, auroc, interval, score_classes


def _drawn(seed: int, *, records: int = 400, labels: int = 6, patients: int = 150, decimals: int = 2):
    random = np.random.default_rng(seed)
    prevalence = np.linspace(0.02, 0.9, labels)
    truth = random.random((records, labels)) < prevalence
    score = np.round(random.random((records, labels)) + 0.3 * truth, decimals).astype(np.float32)
    return truth, score, random.integers(0, patients, records)


@pytest.mark.parametrize("decimals", [1, 2, 6])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.97])
def test_equals_scikit_learn_with_ties(share: float, decimals: int):
    random = np.random.default_rng(3)
    truth = random.random(2000) < share
    score = np.round(random.normal(size=2000) + truth, decimals)
    assert auroc(truth, score) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_counts_pairs(rows: list[tuple[bool, int]]):
    """The definition itself: the share of pairs in which the positive scores higher, ties counting half."""
    positives = [score for true, score in rows if true]
    negatives = [score for true, score in rows if not true]
    found = auroc(np.array([true for true, _ in rows]), np.array([float(score) for _, score in rows]))
    if not positives or not negatives:
        assert np.isnan(found)
        return
    pairs = [(one > other) + (one == other) / 2 for one in positives for other in negatives]
    assert found == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


def test_a_rising_map_of_the_scores_changes_nothing_and_turning_them_round_mirrors_it():
    truth, score, _ = _drawn(1)
    for label in range(truth.shape[1]):
        once = auroc(truth[:, label], score[:, label])
        assert auroc(truth[:, label], np.exp(3 * score[:, label])) == pytest.approx(once, abs=1e-12)
        assert auroc(truth[:, label], -score[:, label]) == pytest.approx(1 - once, abs=1e-12)
        assert auroc(~truth[:, label], score[:, label]) == pytest.approx(1 - once, abs=1e-12)


def test_each_resample_equals_scikit_learn_on_the_records_of_its_patients(monkeypatch: pytest.MonkeyPatch):
    """With the records repeated as often as their patient was drawn; blocks of resamples change nothing."""
    truth, score, patients = _drawn(2)
    whole = score_classes(truth, score, patients=patients, resamples=7, seed=5)
    monkeypatch.setattr(bootstrap, "_BLOCK_WEIGHTS", 150 * 3)
    scores = score_classes(truth, score, patients=patients, resamples=7, seed=5)
    np.testing.assert_array_equal(scores.resampled, whole.resampled)
    identities, patient = np.unique(patients, return_inverse=True)
    random = np.random.default_rng(5)
    for resample in scores.resampled:
        drawn = np.bincount(random.integers(0, len(identities), len(identities)), minlength=len(identities))
        times = drawn[patient]
        for label, found in enumerate(resample):
            expected = roc_auc_score(np.repeat(truth[:, label], times), np.repeat(score[:, label], times))
            assert found == pytest.approx(expected, abs=1e-12)


def test_classes_without_positives_or_negatives_are_left_out_of_the_mean():
    truth, score, patients = _drawn(4)
    truth[:, 1], truth[:, 2] = False, True
    scores = score_classes(truth, score, patients=patients, resamples=20)
    assert np.isnan(scores.auroc[[1, 2]]).all()
    assert np.isnan(scores.resampled[:, [1, 2]]).all()
    assert scores.macro == pytest.approx(scores.auroc[[0, 3, 4, 5]].mean())
    assert np.isfinite(scores.resampled_macro).all()
    low, high = interval(scores.resampled)
    assert np.isnan(low[[1, 2]]).all()
    assert np.isfinite(high[[0, 3, 4, 5]]).all()


def test_a_class_of_one_patient_is_scored_only_where_that_patient_was_drawn():
    truth, score, patients = _drawn(6)
    truth[:, 0] = patients == patients[0]
    scores = score_classes(truth, score, patients=patients, resamples=300)
    missing = np.isnan(scores.resampled[:, 0]).mean()
    assert 0.25 < missing < 0.5, "a patient is missing from about 1/e of the resamples"
    assert np.isfinite(interval(scores.resampled)[0][0])


def test_records_of_one_patient_are_no_independent_evidence():
    """Every record eight times: the interval by patient stays, one by record would shrink to about a third."""
    truth, score, patients = _drawn(7, patients=400)
    patients = np.arange(400)
    eightfold = [np.repeat(array, 8, axis=0) for array in (truth, score, patients)]
    once = score_classes(truth, score, patients=patients, resamples=400)
    by_patient = score_classes(eightfold[0], eightfold[1], patients=eightfold[2], resamples=400)
    by_record = score_classes(eightfold[0], eightfold[1], patients=np.arange(3200), resamples=400)
    widths = [np.diff(interval(scores.resampled_macro))[0] for scores in (once, by_patient, by_record)]
    assert widths[1] == pytest.approx(widths[0], abs=1e-12)
    assert widths[2] < 0.5 * widths[0]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """A known AUROC (two normal distributions, one standard deviation apart: 0.7602), 80 draws of 150 patients."""
    covered = 0
    for seed in range(80):
        random = np.random.default_rng(seed)
        truth = random.random((150, 1)) < 0.4
        score = random.normal(size=(150, 1)) + truth
        low, high = interval(score_classes(truth, score, patients=np.arange(150), resamples=200).resampled_macro)
        covered += bool(low <= 0.76025 <= high)
    assert covered >= 70


def test_paired_scores_share_their_resamples():
    truth, score, patients = _drawn(8)
    one = score_classes(truth, score, patients=patients, resamples=50, seed=1)
    same = score_classes(truth, score.copy(), patients=patients, resamples=50, seed=1)
    other = score_classes(truth, score, patients=patients, resamples=50, seed=2)
    assert (one.resampled_macro == same.resampled_macro).all()
    assert (one.resampled_macro != other.resampled_macro).any()


def test_nothing_to_score():
    scores = score_classes(np.zeros((0, 3), bool), np.zeros((0, 3)), patients=np.array([], str), resamples=5)
    assert np.isnan(scores.macro)
    assert np.isnan(Scores(np.array([]), np.empty((0, 0))).macro)
    low, high = interval(np.empty((0, 3)))
    assert np.isnan([low, high]).all()


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        auroc(np.array([True, False]), np.array([np.nan, 0.5]))
