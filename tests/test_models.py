"""A model folder in, plain calls out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgray.errors import ArtifactError, ConfigError
from ecgray.models import Classifier
from ecgray.supreme.card import model_card
from ecgray.supreme.config import SIZES, SupremeConfig
from ecgray.supreme.model import Supreme
from ecgray.supreme.preprocess import PreprocessConfig
from ecgray.text.encoders import load_text_encoder

QUERIES = ["sinus rhythm", "atrial fibrillation", "left bundle branch block", "anterior st elevation"]
COUNTS = (np.random.default_rng(0).normal(size=(5, 12, 5000)) * 300).astype(np.int16)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    model = Supreme(dataclasses.replace(SIZES["debug"], dropout=0.3))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return Classifier.from_parts(model, load_text_encoder("lexical"), PreprocessConfig(scale="millivolt"))


@pytest.fixture
def folder(classifier, tmp_path) -> Path:
    classifier.save(tmp_path / "model", card="# A model\n", details={"terms": ["sinus rhythm"]})
    return tmp_path / "model"


def test_a_loaded_classifier_answers_as_the_saved_one(classifier, folder):
    loaded = Classifier.load(folder)
    np.testing.assert_array_equal(loaded.probabilities(COUNTS, QUERIES), classifier.probabilities(COUNTS, QUERIES))
    assert loaded.details == {"terms": ["sinus rhythm"]}
    assert (loaded.model.config, loaded.preprocess) == (classifier.model.config, classifier.preprocess)


def test_one_record_and_one_query_at_a_time_give_the_batch(classifier):
    """To 1e-6: what a service batches together never shows in an answer."""
    together = classifier.probabilities(COUNTS, QUERIES)
    singles = [[classifier.probabilities(one[None], [query])[0, 0] for query in QUERIES] for one in COUNTS]
    assert together.dtype == np.float32
    assert np.ptp(together) > 0.01
    np.testing.assert_allclose(together, singles, atol=1e-6)


def test_full_self_attention_can_be_asked_for(classifier):
    diagonal = classifier.probabilities(COUNTS, QUERIES)
    assert np.abs(classifier.probabilities(COUNTS, QUERIES, query_self_attention="full") - diagonal).max() > 1e-6


def test_a_query_asked_twice_is_answered_twice(classifier):
    twice = classifier.probabilities(COUNTS, ["sinus rhythm", "sinus rhythm"])
    np.testing.assert_array_equal(twice[:, 0], twice[:, 1])


@pytest.mark.parametrize(
    ("counts", "queries", "says"),
    [
        (COUNTS.astype(np.float32) / 1000, QUERIES, "this is float32"),  # millivolts would be taken for counts
        (COUNTS[0], QUERIES, r"of shape \(12, 5000\)"),
        (COUNTS[..., :100], QUERIES, r"of shape \(5, 12, 100\)"),
        (COUNTS, "atrial fibrillation", "queries is a list of texts"),  # one answer a letter
        (COUNTS, ["sinus rhythm", " "], "none of them empty"),
    ],
)
def test_what_would_be_answered_wrongly_is_refused(classifier, counts, queries, says):
    unchecked = getattr(Classifier.probabilities, "__wrapped__", Classifier.probabilities)
    with pytest.raises(ConfigError, match=says):
        unchecked(classifier, counts, queries)


def test_nothing_asked_nothing_answered(classifier):
    assert classifier.probabilities(COUNTS, []).shape == (5, 0)
    assert classifier.probabilities(COUNTS[:0], QUERIES).shape == (0, 4)
    assert classifier.embed(COUNTS[:0]).shape == (0, classifier.model.config.encoder.width)


def test_an_embedding_is_one_vector_a_record(classifier):
    together = classifier.embed(COUNTS)
    assert together.shape == (5, classifier.model.config.encoder.width)
    np.testing.assert_allclose(classifier.embed(COUNTS[2:3])[0], together[2], atol=1e-5)


def test_a_random_classifier_is_drawn_from_its_seed(classifier):
    before = torch.get_rng_state()
    first, again, other = (Classifier.random_like(classifier, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    answers = [one.probabilities(COUNTS, QUERIES) for one in (first, again, other)]
    np.testing.assert_array_equal(answers[0], answers[1])
    assert np.abs(answers[0] - answers[2]).max() > 0


def alter(folder: Path, name: str, **changes: object) -> None:
    """Change a JSON file and sign the folder anew, as another version of ecgray might have written it."""
    content = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    names = [path.name for path in folder.iterdir() if path.name != "SHA256SUMS"]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))


def test_an_unknown_field_is_refused_in_a_sentence(folder):
    model = json.loads((folder / "config.json").read_text())["model"]
    alter(folder, "config.json", model=model | {"flash": 3})
    with pytest.raises(ArtifactError, match=r"SupremeConfig has no field 'flash'.*another version"):
        Classifier.load(folder)


def test_a_field_that_does_not_belong_or_is_lacking_is_refused(folder):
    alter(folder, "config.json", extra=1)
    with pytest.raises(ArtifactError, match="has or lacks the field 'extra'"):
        Classifier.load(folder)
    alter(folder, "config.json", extra=None, kind=None)
    with pytest.raises(ArtifactError, match="has or lacks the field 'kind'"):
        Classifier.load(folder)


def test_a_folder_of_another_kind_is_refused(folder):
    alter(folder, "config.json", kind="generator")
    with pytest.raises(ArtifactError, match="holds a 'generator'"):
        Classifier.load(folder)


def test_preprocessing_that_this_version_does_not_do_is_refused(folder):
    alter(folder, "preprocessor.json", fs=400)
    with pytest.raises(ArtifactError, match="400 Hz"):
        Classifier.load(folder)


def test_weights_of_another_shape_are_refused(folder):
    model = json.loads((folder / "config.json").read_text())["model"]
    alter(folder, "config.json", model=model | {"text_width": 100})
    with pytest.raises(ArtifactError, match="weights that do not fit"):
        Classifier.load(folder)


def test_another_text_encoder_is_refused(folder):
    alter(folder, "config.json", text_fingerprint="0" * 12)
    with pytest.raises(ArtifactError, match="give the text encoder that it was trained with"):
        Classifier.load(folder)


def test_a_text_encoder_of_another_width_is_refused(classifier):
    model = Supreme(dataclasses.replace(SIZES["debug"], text_width=32))
    with pytest.raises(ConfigError, match="text_width=32"):
        Classifier.from_parts(model, classifier.encoder, classifier.preprocess)


def test_the_card_says_what_it_is_for_and_what_it_was_trained_on():
    card = model_card(
        config=SupremeConfig(),
        text_encoder="lexical",
        records="2,000 drawn records.",
        training={"learning rate": 0.001},
        figures={"macro AUC (validation)": 0.81},
        terms=["sinus rhythm", "atrial fibrillation"],
        unseen_terms=["anterior st elevation"],
    )
    for part in (
        "Research use only",
        "not calibrated",
        "2,000 drawn records.",
        "2 terms seen: atrial fibrillation, sinus rhythm.",
        "Kept unseen on purpose: anterior st elevation.",
        "preset: paper",
        "macro AUC (validation): 0.81",
    ):
        assert part in card
