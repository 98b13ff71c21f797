"""Ranks among texts of which several read the same, and what chance would score."""

from __future__ import annotations

import numpy as np
import pytest

from ecgray.metrics.retrieval import chance_of, retrieval_ranks

RNG = np.random.default_rng(0)


def test_a_model_that_knows_and_one_that_says_the_same_of_all() -> None:
    texts = RNG.integers(0, 6, 40)
    same = (texts[:, None] == texts).astype(float)
    assert (retrieval_ranks(same, texts) == 1).all()
    ranks = retrieval_ranks(np.zeros((40, 40)), texts)
    assert (ranks > 1).all(), "ties count against it"


@pytest.mark.parametrize("top", [1, 5])
def test_chance_is_what_random_answers_score(top: int) -> None:
    texts = RNG.integers(0, 15, 60)
    scored = [(retrieval_ranks(RNG.random((60, 60)), texts) <= top).mean() for _ in range(400)]
    assert np.mean(scored) == pytest.approx(chance_of(texts, top=top), abs=0.01)
