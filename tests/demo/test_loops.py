"""The drawn hearts' loops come from fitted real beats, and show in what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from drawings import drawn, mean_beat

from ecgray.demo.anatomy import usual_anatomy
from ecgray.demo.loops import height, loop, voltage
from ecgray.demo.ventricles import _NARROW, _QRS, _WIDE
from ecgray.leads import LEADS

TIME = np.arange(-0.1, 0.14, 0.001)


@pytest.mark.parametrize(
    ("name", "plan", "least"),
    [
        ("normal ecg", _NARROW, 0.97),
        ("left anterior fascicular block", _NARROW, 0.94),
        ("left ventricular hypertrophy", _NARROW, 0.94),
        ("left bundle branch block", _WIDE, 0.9),
    ],
)
def test_one_dipole_draws_nearly_all_of_a_fitted_qrs(name, plan, least):
    fitted = voltage(name, _QRS, TIME)
    rows = loop(name, _QRS, plan)
    shape = np.exp(-(((TIME[:, None] - rows[:, 0] / 1000) / (rows[:, 1] / 1000)) ** 2) / 2)
    drawn_again = usual_anatomy().field @ (shape @ rows[:, 2:5]).T
    assert 1 - np.square(drawn_again - fitted).sum() / np.square(fitted).sum() > least


def test_loops_point_where_textbooks_say():
    """Healthy T and R to the left, down; an anterior fascicular block's end upward, a left bundle's to the back."""
    left, down, front = height("normal ecg", "T")
    assert min(left, down, front) > 0.1
    healthy, fascicle = (loop(name, _QRS, _NARROW) for name in ("normal ecg", "left anterior fascicular block"))
    assert healthy[3, 2:4].min() > 0.4
    assert healthy[4, 4] < -0.3
    assert fascicle[4:6, 3].max() < -0.2
    assert loop("left bundle branch block", _QRS, _WIDE)[1:3, 4].max() < -0.8


def test_the_drawn_normal_ecg_is_the_fitted_one_on_average():
    """Over many hearts the QRS of each chest lead looks as the fit's does; single hearts differ from it."""
    step = np.arange(-20, 21)
    beats = []
    for number in range(40):
        beat = mean_beat(drawn("normal ecg", number))
        peak = int(np.abs(beat[LEADS.index("V5")][:250]).argmax())
        beats.append(beat[:, peak + step])
    fitted = voltage("normal ecg", _QRS, step / 500)[2:]
    mean = np.median(beats, axis=0)[[LEADS.index(f"V{number}") for number in range(1, 7)]]
    alike = [np.corrcoef(*pair)[0, 1] for pair in zip(fitted, mean, strict=True)]
    assert min(alike) > 0.85
    single = [np.corrcoef(fitted[1], beat[LEADS.index("V2")])[0, 1] for beat in beats]
    assert np.std(single) > 0.02
