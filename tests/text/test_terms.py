"""The vocabulary: whole, unambiguous, and without a loop."""

from __future__ import annotations

import pytest

from ecgray.text.terms import GROUPS, TERMS, ancestors, find_term, with_parents


def test_names_are_plain_lower_case():
    for term in TERMS.values():
        assert term.name.isascii()
        assert term.name == " ".join(term.name.lower().split())
        assert all(wording == " ".join(wording.lower().split()) for wording in term.synonyms)
        assert all(short == short.upper() and short.isalnum() for short in term.abbreviations)


def test_the_library_is_large_and_every_group_is_used():
    assert len(TERMS) >= 300
    assert {term.group for term in TERMS.values()} == set(GROUPS)


def test_every_term_has_another_wording():
    assert [term.name for term in TERMS.values() if not term.synonyms] == []


def test_what_calls_something_normal_is_marked_and_implies_nothing_abnormal():
    normal = {term.name for term in TERMS.values() if term.normal}
    assert {"normal ecg", "otherwise normal ecg", "sinus rhythm", "normal axis", "normal intervals"} <= normal
    assert {name for name in TERMS if "normal" in name.split()} <= normal
    assert not normal & {"abnormal ecg", "borderline ecg", "sinus bradycardia", "early repolarization"}
    assert all(TERMS[parent].normal for name in normal for parent in ancestors(name))


def test_nothing_abnormal_implies_a_normal_term():
    assert [
        name for name, term in TERMS.items() if not term.normal and any(TERMS[p].normal for p in ancestors(name))
    ] == []


def test_a_remark_on_the_recording_implies_no_finding():
    for name, term in TERMS.items():
        if term.group == "technical":
            assert {TERMS[parent].group for parent in ancestors(name)} <= {"technical"}


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
        (
            "acute inferior myocardial infarction",
            {"inferior myocardial infarction", "acute myocardial infarction", "myocardial infarction"},
        ),
        (
            "old anteroseptal myocardial infarction",
            {"old anterior myocardial infarction", "old septal myocardial infarction", "septal myocardial infarction"},
        ),
        ("high lateral st elevation", {"lateral st elevation", "st elevation", "lateral st-t change"}),
        ("inferior t wave inversion", {"inferior t wave abnormality", "inferior st-t change", "st-t change"}),
        ("inferolateral subendocardial injury", {"inferior ischemia", "lateral myocardial injury"}),
        ("inferolateral q wave", {"inferior q wave", "lateral q wave", "abnormal q wave"}),
        (
            "inferior st elevation myocardial infarction",
            {"acute inferior myocardial infarction", "st elevation myocardial infarction", "inferior st elevation"},
        ),
        ("torsades de pointes", {"polymorphic ventricular tachycardia", "tachycardia"}),
        ("3:1 av block", {"high-grade av block", "second degree av block"}),
        ("dual chamber paced rhythm", {"atrial paced rhythm", "ventricular paced rhythm"}),
        ("biatrial enlargement", {"left atrial enlargement", "right atrial enlargement"}),
        ("p mitrale", {"left atrial enlargement", "prolonged p wave"}),
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
        ("otherwise normal ecg", "normal ecg"),
        ("acute inferior myocardial infarction", "st elevation"),
        ("acute inferior myocardial infarction", "recent myocardial infarction"),
        ("anterior myocardial infarction", "anterior q wave"),
        ("septal st elevation", "anterior st elevation"),
        ("2:1 av block", "high-grade av block"),
        ("right ventricular strain", "right ventricular hypertrophy"),
        ("osborn wave", "hypothermia pattern"),
        ("s1q3t3 pattern", "pulmonary embolism pattern"),
        ("wide qrs tachycardia", "ventricular tachycardia"),
    ],
)
def test_what_does_not_follow_is_not_claimed(name: str, other: str):
    assert other not in ancestors(name)


SITES = {
    "anteroseptal": ("anterior", "septal"),
    "anterolateral": ("anterior", "lateral"),
    "inferolateral": ("inferior", "lateral"),
    "inferoposterior": ("inferior", "posterior"),
    "high lateral": ("lateral",),
}


@pytest.mark.parametrize("site", SITES)
def test_a_finding_of_two_sites_is_one_of_each(site: str):
    """Wherever the library knows the finding at the narrower site."""
    named = [name for name in TERMS if site in name]
    assert named
    for name in named:
        for wider in SITES[site]:
            other = name.replace(site, wider)
            assert other not in TERMS or other in ancestors(name), (name, other)


def test_a_site_never_implies_another():
    """Anterior, septal, lateral, inferior and posterior are five places, and so are their wordings."""
    single = {"anterior", "septal", "lateral", "inferior", "posterior"}
    for name in TERMS:
        (*_, own) = (*(single & set(name.split())), None)
        if own is None or "fascicular" in name or "hypertrophy" in name or "leads used" in name:
            continue
        for parent in ancestors(name):
            assert not (single - {own}) & set(parent.split()), (name, parent)
        for wording in TERMS[name].synonyms:
            assert not (single - {own}) & set(wording.split()), (name, wording)


OPPOSITES = [
    ("left", "right"),
    ("first", "third"),
    ("elevation", "depression"),
    ("long", "short"),
    ("high", "low"),
    ("tall", "inverted"),
    ("acute", "old"),
    ("old", "acute"),
    ("rapid", "slow"),
    ("brady", "tachy"),
    ("clockwise", "counterclockwise"),
    ("normal", "abnormal"),
    ("atrial", "ventricular"),
]


def test_opposites_share_no_wording():
    """A synonym that fits both of an opposite pair would turn a finding round."""
    for one, other in OPPOSITES:
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
