"""Records by the simulator alone: the heart rate that was asked, the class's waves, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from ecgray.leads import frontal_residual
from ecgray.waveform.delineator.reader import WaveReader
from ecgray.waveform.morphologies import NORMAL, fitted
from ecgray.waveform.stand_in import IRREGULAR, stand_ins

RATES = np.array([50.0, 75.0, 120.0])


def test_the_heart_rate_is_the_one_that_was_asked() -> None:
    ecg = stand_ins(fitted(), [NORMAL] * 3, RATES, seeds=range(3))
    found = [one.values["heart_rate_bpm"] for one in WaveReader.load().measure(ecg)]
    assert found == pytest.approx(RATES.tolist(), rel=0.04)


def test_classes_differ_and_seeds_repeat() -> None:
    classes = [NORMAL, "left bundle branch block", IRREGULAR]
    ecg = stand_ins(fitted(), classes, np.full(3, np.nan), seeds=[1, 2, 3])
    assert ecg.shape == (3, 12, 5000)
    assert np.isfinite(ecg).all()
    assert (ecg == stand_ins(fitted(), classes, np.full(3, np.nan), seeds=[1, 2, 3])).all()
    qrs = [one.values["qrs_ms"] or 0 for one in WaveReader.load().measure(ecg)]
    assert qrs[1] > qrs[0] + 20


def test_a_strip_does_not_depend_on_what_it_is_drawn_with() -> None:
    classes = [NORMAL, IRREGULAR, "left bundle branch block"]
    together = stand_ins(fitted(), classes, RATES, seeds=[4, 5, 6])
    for row in range(3):
        alone = stand_ins(fitted(), classes[row : row + 1], RATES[row : row + 1], seeds=[4 + row])
        assert (alone[0] == together[row]).all()


def test_it_has_no_frontal_identities_to_speak_of() -> None:
    """Each lead is fitted by itself: III = II - I holds to a few hundredths of a millivolt, not better."""
    off = np.abs(frontal_residual(stand_ins(fitted(), [NORMAL], RATES[:1], seeds=[0])))
    assert 1e-4 < off.mean() < 0.05


def test_rates_that_no_heart_has_are_held() -> None:
    assert np.isfinite(stand_ins(fitted(), [NORMAL] * 2, np.array([0.0, 900.0]), seeds=[0, 1])).all()
