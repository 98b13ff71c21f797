"""When training stops."""

from __future__ import annotations

import math

from ecgray.settings import from_json, to_json
from ecgray.supreme.stopping import EarlyStopping


def after(scores: list[float], **settings: float) -> EarlyStopping:
    watch = EarlyStopping(**({"patience": 3} | settings))  # type: ignore[arg-type]
    for score in scores:
        watch = watch.look(score)
    return watch


def test_a_score_that_rises_never_stops():
    assert not after([number / 100 for number in range(100)]).stop


def test_it_stops_after_as_many_looks_without_gain_as_patience_allows():
    assert not after([0.7, 0.6, 0.6]).stop
    assert after([0.7, 0.6, 0.6, 0.7]).stop


def test_a_gain_resets_patience():
    watch = after([0.7, 0.6, 0.6, 0.71, 0.6, 0.6])
    assert not watch.stop
    assert (watch.best, watch.best_look, watch.improved) == (0.71, 4, False)


def test_nan_is_never_better():
    watch = after([math.nan, math.nan, math.nan])
    assert watch.stop
    assert after([math.nan, 0.5]).best == 0.5


def test_a_gain_that_is_too_small_does_not_count():
    assert after([0.7, 0.705, 0.706, 0.709], min_gain=0.01).stop


def test_patience_0_never_stops():
    assert not after([0.7] * 50, patience=0).stop


def test_it_survives_a_checkpoint():
    watch = after([0.7, 0.6])
    assert from_json(EarlyStopping, to_json(watch)) == watch
