"""Entities to standard terms: what stands for what, and what must not."""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float

from ecgray.text.encoders import TextEncoder, load_text_encoder
from ecgray.text.guards import passes
from ecgray.text.lexical import plain_text
from ecgray.text.mapping import Library, count_how, map_entities
from ecgray.text.terms import TERMS
from ecgray.text.wording import wording_key


@pytest.fixture(scope="module")
def lexical() -> TextEncoder:
    return load_text_encoder("lexical")


class Bag:
    """An encoder that counts words and knows nothing else."""

    name, width, pooler, fingerprint = "bag", 4096, "cls", "1" * 12

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        vectors = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            for word in plain_text(text).split():
                vectors[row, zlib.crc32(word.encode()) % self.width] = 1
        return vectors


class Blind:
    """An encoder to which all texts are one: only the guards stand between an entity and any term."""

    name, width, pooler, fingerprint = "blind", 4, "cls", "0" * 12

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        return np.ones((len(texts), self.width), np.float32)


class Unasked(Blind):
    """An encoder that nobody should ask."""

    def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
        raise AssertionError(texts)


SETTLED = [
    ("Sinus  Rhythm", "exact", ["sinus rhythm"]),
    ("complete heart block", "synonym", ["third degree av block"]),
    ("1st degree A-V block", "synonym", ["first degree av block"]),
    ("first-degree atrioventricular block", "synonym", ["first degree av block"]),
    ("2nd degree av block, Mobitz I", "synonym", ["second degree av block type one"]),
    ("inferior MI", "synonym", ["inferior myocardial infarction"]),
    ("inferior infarct", "synonym", ["inferior myocardial infarction"]),
    ("anterior wall infarction", "synonym", ["anterior myocardial infarction"]),
    ("T-wave inversion", "synonym", ["t wave inversion"]),
    ("inverted T waves", "synonym", ["t wave inversion"]),
    ("st elevation in the inferior leads", "synonym", ["inferior st elevation"]),
    ("premature ventricular contractions", "synonym", ["premature ventricular complex"]),
    ("atrial premature complexes", "synonym", ["premature atrial complex"]),
    ("myocardial ischaemia", "synonym", ["ischemia"]),
    ("early repolarisation", "synonym", ["early repolarization"]),
    ("Prolonged QTc", "synonym", ["long qt interval"]),
    ("incomplete RBBB", "synonym", ["incomplete right bundle branch block"]),
    ("PSVT", "abbreviation", ["paroxysmal supraventricular tachycardia"]),
    ("inferior and lateral st elevation", "synonym", ["inferior st elevation", "lateral st elevation"]),
    ("inferior/lateral st depression", "synonym", ["inferior st depression", "lateral st depression"]),
    (
        "anterior, inferior & lateral ischemia",
        "synonym",
        ["anterior ischemia", "inferior ischemia", "lateral ischemia"],
    ),
    ("left and right atrial enlargement", "synonym", ["left atrial enlargement", "right atrial enlargement"]),
    ("sinus rhythm with premature atrial complexes", "synonym", ["sinus rhythm", "premature atrial complex"]),
    ("left axis deviation and lbbb", "synonym", ["left axis deviation", "left bundle branch block"]),
]


@pytest.mark.parametrize(("entity", "how", "terms"), SETTLED)
def test_what_words_settle_needs_no_encoder(entity: str, how: str, terms: list[str]):
    [one] = map_entities([entity], Unasked())
    assert (one.how, list(one.terms), one.similarity) == (how, terms, None)


def test_every_name_synonym_and_abbreviation_leads_to_its_term():
    texts = {text: term.name for term in TERMS.values() for text in (term.name, *term.synonyms)}
    for one in map_entities(list(texts), Unasked()):
        assert one.terms == (texts[one.entity],)
        assert one.how in ("exact", "synonym")
    library = Library(TERMS)
    for term in TERMS.values():
        for short in term.abbreviations:
            found = library.look_up(short.lower())
            assert found is not None, short


def test_a_key_that_fits_two_terms_settles_nothing():
    keys = {name: wording_key(name) for name in TERMS}
    found = Library(TERMS).by_key
    assert all(found.get(key, name) == name for name, key in keys.items())


@pytest.mark.parametrize(
    ("entity", "how", "terms"),
    [
        ("odd left axis deviation", "nearest", ("left axis deviation",)),
        ("odd left axis deviation and odd low qrs voltage", "nearest", ("left axis deviation", "low qrs voltage")),
        ("no st elevation", "unmapped", ()),
        ("banana", "unmapped", ()),
        ("", "unmapped", ()),
        ("???", "unmapped", ()),
    ],
)
def test_the_rest_goes_to_the_nearest_that_passes(entity: str, how: str, terms: tuple[str, ...]):
    [one] = map_entities([entity], Bag())
    assert (one.how, one.terms) == (how, terms)
    assert one.similarity == (pytest.approx(0.866, abs=1e-3) if terms else None)


@pytest.mark.parametrize("entity", ["st and t wave changes in inferior leads", "qt interval", "no st elevation", "???"])
def test_the_embedded_encoder_brings_nothing_that_the_guards_refuse(lexical, entity: str):
    [one] = map_entities([entity], lexical)
    assert all(passes(entity, term) for term in one.terms)


@pytest.mark.parametrize(
    "entity",
    [
        "odd third degree av block",
        "odd st depression",
        "odd right ventricular hypertrophy",
        "odd incomplete left bundle branch block",
        "odd short qt interval",
        "odd low amplitude t wave",
        "odd old inferior infarct",
    ],
)
def test_the_guards_hold_against_an_encoder_that_sees_no_difference(entity: str):
    names_only = {name: dataclasses.replace(term, synonyms=()) for name, term in TERMS.items()}
    [one] = map_entities([entity], Blind(), terms=names_only)
    assert len(one.terms) == 1
    assert passes(entity, one.terms[0])


def test_the_next_nearest_is_taken_where_the_nearest_is_vetoed():
    class Skewed(Blind):
        """Second and third degree are one; anything else is a little off."""

        def encode(self, texts: Sequence[str]) -> Float[np.ndarray, "text width"]:
            near = {"odd third degree av block": 1.0, "second degree av block": 1.0, "third degree av block": 0.95}
            cosine = np.array([near.get(text, 0.0) for text in texts])
            return np.stack([cosine, np.sqrt(1 - cosine**2), 0 * cosine, 0 * cosine], axis=1).astype(np.float32)

    [one] = map_entities(["odd third degree av block"], Skewed())
    assert one.terms == ("third degree av block",)
    assert one.similarity == pytest.approx(0.95, abs=1e-4)
    assert [(near.term, near.passes) for near in one.candidates[:2]] == [
        ("second degree av block", False),
        ("third degree av block", True),
    ]
    [other] = map_entities(["odd third degree av block"], Skewed(), min_similarity=0.97)
    assert other.how == "unmapped"


def test_a_review_wins_over_everything():
    review = {"Sinus Rhythm": (), "odd words": ("st elevation", "t wave inversion")}
    one, other = map_entities(["sinus rhythm", "odd  words"], Unasked(), review=review)
    assert (one.how, one.terms) == ("review", ())
    assert (other.how, other.terms) == ("review", ("st elevation", "t wave inversion"))


def test_unmapped_entities_are_grouped_without_chains_and_not_with_their_opposites():
    entities = ["zzz left zzz", "zzz right zzz", "zzz quite left zzz"]
    mapped = map_entities(entities, Blind(), terms={"sinus rhythm": TERMS["sinus rhythm"]})
    assert [one.how for one in mapped] == ["unmapped"] * 3
    assert [one.like for one in mapped] == ["", "", "zzz left zzz"]


def test_the_order_and_repetition_of_names_do_not_matter(lexical):
    names = ["banana", "odd left axis deviation", "sinus rhythm", "lbbb"]
    alone = {name: map_entities([name], lexical)[0] for name in names}
    for order in itertools.permutations(names):
        together = map_entities([*order, *order], lexical)
        assert [one.terms for one in together] == [alone[name].terms for name in [*order, *order]]


def test_a_small_library_is_enough(lexical):
    terms = {name: TERMS[name] for name in ("st elevation", "sinus rhythm")}
    one, other = map_entities(["inferior st elevation", "lbbb"], lexical, terms=terms)
    assert one.terms in ((), ("st elevation",))
    assert other.how == "unmapped"


def test_ways_are_counted():
    mapped = map_entities(["sinus rhythm", "psvt", "inferior and lateral st elevation"], Unasked())
    assert count_how(mapped) == {
        "exact": 1,
        "synonym": 1,
        "abbreviation": 1,
        "review": 0,
        "nearest": 0,
        "unmapped": 0,
        "one_to_many": 1,
    }
