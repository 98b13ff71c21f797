"""What a writer is told of a record, and what its paragraph must not hold."""

from __future__ import annotations

import json

import pytest

from ecgray.text.entities import AnswerError
from ecgray.text.experience import (
    LEAST_WORDS,
    MOST_LETTERS,
    MOST_WORDS,
    Case,
    check_report,
    findings_of,
    question,
    read_report,
)
from ecgray.text.prompt import load_prompt, prompt_file

CASE = Case(
    report="Sinus tachycardia. Left axis deviation. Confirmed by John Smith, MD. Abnormal ECG",
    heart_rate_bpm=112,
    age=68,
    sex="M",
    retrieved=("Sinus rhythm with 1st degree A-V block. Compared to 2180-01-02 no change", ""),
)
GOOD = (
    "The ECG of this 68-year-old man shows sinus tachycardia at 112 beats per minute. The frontal axis deviates to the "
    "left, and the tracing as a whole is called abnormal. No statement is made on the ST segment, the T wave, ischemia "
    "or infarction. In one clinically similar patient the 12-lead ECG showed a sinus rhythm with 1st degree A-V block, "
    "which may accompany the picture, as the Wolff-Parkinson-White pattern might, but is not reported here."
)


def test_a_writer_hears_of_findings_and_of_nobody():
    asked = question(CASE)
    assert asked.splitlines() == [
        "ECG report: sinus tachycardia | left axis deviation | abnormal ecg",
        "Heart rate: 112 beats per minute",
        "Age: 68 years",
        "Sex: male",
        "ECG reports of similar patients: sinus rhythm with 1st degree a-v block | none",
    ]


def test_a_writer_hears_what_is_unknown():
    unknown = Case(report="", heart_rate_bpm=None, age=None, sex=None, retrieved=("Sinus rhythm",))
    assert question(unknown).count("unknown") == 3
    assert question(unknown).startswith("ECG report: none\n")


def test_a_question_is_never_long():
    assert (
        len(question(Case(report="", heart_rate_bpm=None, age=None, sex=None, retrieved=("st " * 9000,))))
        <= MOST_LETTERS
    )


@pytest.mark.parametrize(
    ("report", "stated"),
    [
        ("Pacemaker rhythm - no further analysis", ("pacemaker rhythm",)),
        ("Inferior infarct - age undetermined", ("inferior infarct - age undetermined",)),
        ("Warning: data quality may affect interpretation", ()),
        ("*** Report made without knowing patient's sex ***. LVH", ("lvh",)),
        ("Since the previous tracing of 01/02/2180 axis shifted left. PAC(s)", ("pac(s)",)),
    ],
)
def test_remarks_are_no_findings(report: str, stated: tuple[str, ...]):
    assert findings_of(report) == stated


def test_a_good_paragraph_passes():
    check_report(question(CASE), GOOD)
    assert read_report(question(CASE), json.dumps({"report": f" {GOOD}\n"})) == GOOD


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("112 beats", "118 beats", "answer_number"),
        ("68-year-old", "69-year-old", "answer_number"),
        ("sinus tachycardia at", "sinus tachycardia, PR interval 160 ms, at", "answer_number"),
        ("68-year-old", "seventy-year-old", "answer_number"),
        ("this 68", "Mr Smith, a 68", "answer_name"),
        ("this 68-year-old man", "John, a 68-year-old man,", "answer_name"),
        ("by the ECG" if False else "reported here", "reported here in March 2180", "answer_date"),
        ("reported here", "reported here on Tuesday", "answer_date"),
        ("reported here", "reported on 2180-01-02", "answer_date"),
        ("reported here", "reported; anticoagulation is advised", "answer_advice"),
        ("The frontal axis deviates to the left, and the tracing as a whole is called abnormal. ", "", "answer_length"),
        ("reported here", "reported here" + " or there" * 40, "answer_length"),
    ],
)
def test_a_paragraph_that_says_more_than_its_writer_heard_is_refused(before: str, after: str, code: str):
    changed = GOOD.replace(before, after)
    if code == "answer_length":
        changed = changed.replace(" No statement is made on the ST segment, the T wave, ischemia or infarction.", "")
    assert changed != GOOD
    with pytest.raises(AnswerError) as refusal:
        check_report(question(CASE), changed)
    assert refusal.value.code == code


@pytest.mark.parametrize("answer", ["{", "[]", '{"report": 3}', '{"text": "x"}', '{"report": "\\ud800"}'])
def test_an_answer_of_another_shape_is_refused(answer: str):
    with pytest.raises(AnswerError, match="answer"):
        read_report(question(CASE), answer)


def test_the_prompt_keeps_its_own_rules():
    """The example of the prompt passes the checks that answers must pass."""
    prompt = load_prompt("experience")
    assert prompt.schema["required"] == ["report"]
    example = prompt_file("experience").split("# Example\n")[1]
    asked, _, answer = example.strip().partition("\nAnswer: ")
    prompt.check(asked.strip(), answer)
    assert f"{LEAST_WORDS} to {MOST_WORDS} words" in prompt.system
