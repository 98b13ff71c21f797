"""What a service asks of a classifier: each record its own questions in one pass; and how much it remembers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ecgray.errors import ConfigError
from ecgray.models import Classifier
from ecgray.models import classifier as module
from ecgray.supreme.config import SIZES
from ecgray.supreme.model import Supreme
from ecgray.supreme.preprocess import PreprocessConfig
from ecgray.text.encoders import load_text_encoder

COUNTS = (np.random.default_rng(0).normal(size=(5, 12, 5000)) * 300).astype(np.int16)
SHARED = [["a", "b"], ["b"], ["b", "a", "c"], ["a"], ["c"]]
OWN = [["a"], ["b", "c"], ["d"], ["e", "f"], ["g", "a"]]
REPEATED = [["a", "a"], ["b", "a", "b"], ["a"], ["a"], ["c"]]
NONE = [["a"], [], ["b", "c"], [], ["a"]]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    model = Supreme(SIZES["debug"])
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return Classifier.from_parts(model, load_text_encoder("lexical"), PreprocessConfig(scale="millivolt"))


@pytest.mark.parametrize("queries", [SHARED, OWN, REPEATED, NONE, [[]] * 5])
def test_each_record_is_answered_as_alone(classifier: Classifier, queries: list[list[str]]):
    found = classifier.logits_each(COUNTS, queries)
    assert [len(row) for row in found] == [len(asked) for asked in queries]
    for counts, asked, logits in zip(COUNTS, queries, found, strict=True):
        for query, logit in zip(asked, logits, strict=True):
            alone = classifier.probabilities(counts[None], [query])[0, 0]
            assert 1 / (1 + np.exp(-logit)) == pytest.approx(alone, abs=1e-6)


def test_both_ways_through_the_network_are_taken_and_agree(classifier: Classifier, monkeypatch: pytest.MonkeyPatch):
    """Shared questions go once for all records, others with each record; the answers are the same."""
    asked: list[int] = []
    plain = classifier.model.forward
    monkeypatch.setattr(
        classifier.model, "forward", lambda ecg, text, **how: asked.append(text.ndim) or plain(ecg, text, **how)
    )
    for queries in (SHARED, OWN):
        found = []
        for share in (0, module.SHARED_QUERIES, 1000):
            monkeypatch.setattr(module, "SHARED_QUERIES", share)
            found.append(classifier.logits_each(COUNTS, queries))
        for one, other in zip(found[0], found[2], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    assert set(asked) == {2, 3}


def test_what_it_remembers_of_texts_is_bounded(classifier: Classifier, monkeypatch: pytest.MonkeyPatch):
    """The questions of the call at hand are kept, whatever is forgotten for them."""
    monkeypatch.setattr(module, "MOST_VECTORS", 20)
    for first in range(0, 300, 7):
        queries = [f"question {first + n}" for n in range(7)] + ["asked always"]
        vectors = classifier.embed_queries(queries)
        np.testing.assert_allclose(vectors, classifier.encoder.encode(queries), atol=1e-6)
        assert len(classifier._vectors) <= 20 + len(queries)
    assert len(classifier.embed_queries([f"many {n}" for n in range(50)])) == 50
    classifier.embed_queries(["one more"])
    assert len(classifier._vectors) <= 51


def test_an_empty_question_is_refused(classifier: Classifier):
    with pytest.raises(ConfigError):
        classifier.logits_each(COUNTS, [[" "]] * 5)


def test_an_explanation_is_by_lead_and_tenth_of_a_second_and_adds_up(classifier: Classifier):
    logit, base, parts = classifier.explain(COUNTS[0], "a", points=64)
    assert parts.shape == (12, 100)
    assert parts.sum() == pytest.approx(logit - base, rel=0.05, abs=0.02)
    assert logit == pytest.approx(float(classifier.logits_each(COUNTS[:1], [["a"]])[0][0]), abs=1e-4)
    flat = classifier.explain(COUNTS[0] * 0, "a", points=2)
    assert flat[0] == pytest.approx(flat[1])
    assert not flat[2].any()
