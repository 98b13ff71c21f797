"""The vocabulary: whole, unambiguous, and without a loop."""

from __future__ import annotations

import pytest

from ecgray.text.terms import GROUPS, TERMS, ancestors, find_term, with_parents


def test_names_are_plain_lower_case():
    for term in TERMS.values():
        assert term.name.isascii()
        assert term.name == " ".join(term.name.lower().split())
        assert all(wording == " ".join(wording.lower().split()) for wording in term.synonyms)
        assert all(short == short.upper() for short in term.abbreviations)


def test_every_group_is_used():
    assert {term.group for term in TERMS.values()} == set(GROUPS)


@pytest.mark.parametrize("kind", ["synonyms", "abbreviations", "codes"])
def test_no_wording_abbreviation_or_code_names_two_terms(kind: str):
    every = [wording for term in TERMS.values() for wording in getattr(term, kind)]
    assert sorted(every) == sorted(set(every))
    assert not set(every) & set(TERMS)


def test_no_term_is_its_own_ancestor():
    for name in TERMS:
        assert name not in ancestors(name)


def test_ancestors_are_closed_and_adding_them_twice_adds_nothing():
    for name in TERMS:
        once = with_parents([name])
        assert with_parents(once) == once
        assert name in once


@pytest.mark.parametrize(
    ("name", "implied"),
    [
        ("left bundle branch block", {"bundle branch block", "conduction disturbance"}),
        ("wolff-parkinson-white pattern", {"ventricular preexcitation", "conduction disturbance"}),
        ("inferolateral myocardial infarction", {"inferior myocardial infarction", "lateral myocardial infarction"}),
        ("inferior st depression", {"st depression", "st-t change"}),
        ("left atrial enlargement", {"atrial enlargement", "hypertrophy"}),
        ("premature ventricular complex", {"premature complex", "ventricular arrhythmia", "arrhythmia"}),
        ("first degree av block", {"av block", "prolonged pr interval", "conduction disturbance"}),
    ],
)
def test_what_a_cardiologist_would_say_follows(name: str, implied: set[str]):
    assert implied <= ancestors(name)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("incomplete right bundle branch block", "right bundle branch block"),
        ("sinus bradycardia", "sinus rhythm"),
        ("left ventricular hypertrophy", "voltage criteria for left ventricular hypertrophy"),
        ("normal ecg", "sinus rhythm"),
        ("early repolarization", "st elevation"),
        ("sinus rhythm", "arrhythmia"),
    ],
)
def test_what_does_not_follow_is_not_claimed(name: str, other: str):
    assert other not in ancestors(name)


def test_opposites_share_no_wording():
    """A synonym that fits both of an opposite pair would turn a finding round."""
    for one, other in [("left", "right"), ("first", "third"), ("elevation", "depression"), ("long", "short")]:
        for term in TERMS.values():
            twin = TERMS.get(term.name.replace(one, other))
            if twin is not None and twin is not term:
                assert not set(term.synonyms) & set(twin.synonyms)
                assert not any(other in wording.split() for wording in term.synonyms)


def test_a_term_is_found_by_its_synonyms():
    assert find_term("  Complete heart  BLOCK ") is TERMS["third degree av block"]
    assert find_term("no such thing") is None
    for term in TERMS.values():
        assert all(find_term(wording) is term for wording in (term.name, *term.synonyms))
