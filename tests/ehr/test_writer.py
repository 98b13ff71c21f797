"""The templates' paragraph: 60 to 120 words, the record's own report first, nothing that nobody said."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgray.ehr.wording import group_of, written
from ecgray.ehr.writer import write_experience
from ecgray.text.experience import LEAST_WORDS, MOST_WORDS, Case, check_report, question
from ecgray.text.terms import TERMS

SAID = [
    "Sinus rhythm",
    "Atrial fibrillation with rapid ventricular response",
    "Sinus rhythm with 1st degree A-V block",
    "Atrial flutter with 2:1 A-V block",
    "Left axis deviation",
    "RBBB with left anterior fascicular block",
    "RSR' pattern in V1, probably normal variant",
    "Possible left atrial abnormality",
    "Borderline low QRS voltages in limb leads",
    "Inferior infarct - age undetermined",
    "Lateral ST-T changes may be due to myocardial ischemia",
    "Prolonged QT interval",
    "Baseline artifact",
    "Normal ECG",
    "Abnormal ECG",
    "Ventricular premature complex(es)",
    "something that no pattern knows",
]
reports = st.lists(st.sampled_from(SAID), max_size=9, unique=True).map(". ".join)


@settings(deadline=None, max_examples=300)
@given(
    reports,
    st.none() | st.integers(20, 300),
    st.none() | st.integers(0, 89),
    st.sampled_from(["F", "M", None]),
    st.lists(reports, min_size=1, max_size=12),
)
def test_every_paragraph_passes_the_checks_of_a_model(
    report: str, rate: int | None, age: int | None, sex: str | None, retrieved: list[str]
):
    case = Case(report=report, heart_rate_bpm=rate, age=age, sex=sex, retrieved=tuple(retrieved))
    paragraph = write_experience(case)
    assert paragraph == write_experience(case)
    assert LEAST_WORDS <= len(paragraph.split()) <= MOST_WORDS
    check_report(question(case), paragraph)


def test_a_case_reads_as_a_cardiologist_would_say_it():
    case = Case(
        report="Sinus bradycardia. Left axis deviation. Possible left ventricular hypertrophy. Abnormal ECG",
        heart_rate_bpm=52,
        age=81,
        sex="F",
        retrieved=("Sinus bradycardia. LVH", "Sinus rhythm. Left ventricular hypertrophy. Abnormal ECG"),
    )
    assert write_experience(case) == (
        "12-lead ECG of an 81-year-old woman at a heart rate of 52 beats per minute. The rhythm is read as sinus "
        "bradycardia. Conduction and axis: left axis deviation. Chambers and voltage: possible left ventricular "
        "hypertrophy. No ST-T change, ischemia or infarction is stated. Overall impression: abnormal ECG. In two "
        "clinically similar patients, matched by diagnoses, medications and procedures, the ECGs likewise showed sinus "
        "bradycardia (one of two). Also seen: LVH (all) and sinus rhythm (one of two). Such findings may accompany the "
        "present picture but are not established for this patient."
    )


def test_a_block_in_the_rhythm_statement_is_not_denied():
    case = Case(
        report="Sinus rhythm with 1st degree A-V block", heart_rate_bpm=70, age=50, sex="M", retrieved=("LBBB",)
    )
    assert "Nothing is stated on conduction" not in write_experience(case)


def test_a_statement_of_any_length_leaves_a_paragraph():
    long = "sinus rhythm " + "with something odd " * 100
    case = Case(report=long, heart_rate_bpm=70, age=50, sex="M", retrieved=(long, "Normal ECG"))
    assert LEAST_WORDS <= len(write_experience(case).split()) <= MOST_WORDS


@pytest.mark.parametrize(
    ("statement", "group"),
    [
        ("sinus tachycardia", "rhythm"),
        ("a-v sequential paced rhythm", "rhythm"),
        ("premature ventricular complexes", "rhythm"),
        ("incomplete right bundle branch block", "conduction"),
        ("left axis deviation", "conduction"),
        ("low qrs voltages in limb leads", "chambers"),
        ("st elevation, probable early repolarization", "repolarization"),
        ("cannot rule out anteroseptal infarct - age undetermined", "repolarization"),
        ("normal ecg except for rate", "verdict"),
        ("baseline wander in v3", "technical"),
    ],
)
def test_a_statement_stands_where_a_reader_looks_for_it(statement: str, group: str):
    assert group_of(statement) == group


def test_every_standard_term_that_an_ecg_shows_is_placed():
    assert [name for name, term in TERMS.items() if term.group != "clinical" and group_of(name) == "other"] == []


@pytest.mark.parametrize(
    ("cleaned", "said"),
    [
        ("borderline low qrs voltages", "borderline low QRS voltages"),
        ("pacs and pvc(s), qtc prolonged", "PACs and PVC(s), QTc prolonged"),
        ("st-t changes in v4, avl", "ST-T changes in V4, aVL"),
        ("2nd degree a-v block, mobitz type 1", "2nd degree A-V block, Mobitz type 1"),
        ("poor r wave progression", "poor R wave progression"),
        ("postural mild misty pr", "postural mild misty PR"),
    ],
)
def test_abbreviations_are_capitals(cleaned: str, said: str):
    assert written(cleaned) == said
